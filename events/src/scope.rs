//! Scopes as RFC 6749 §3.3 writes them: one text, tokens separated by single spaces.

use serde::{Deserialize, Serialize};

/// One scope or more, each once, in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Scope(Box<str>);

impl Scope {
    /// The longest scope text, in bytes.
    pub const MAX_LENGTH: usize = 4096;

    /// Reads a scope as sent. An empty text is no scope at all: real clients send it and mean nothing by it.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidScope> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidScope::TooLong);
        }
        // RFC 6749 §3.3: %x21 / %x23-5B / %x5D-7E
        if !text.bytes().all(|b| b == b' ' || (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\') {
            return Err(InvalidScope::Character);
        }
        Ok(Self::of_tokens(text.split(' ').filter(|token| !token.is_empty())))
    }

    /// The tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }

    /// What is registered where `self` is the most that a resource server grants: the common part of what was asked;
    /// all of it when nothing was asked, or nothing that is known here (RFC 7591 §2: the server may choose). What was asked of the
    /// scopes in `outside` comes with it, because this ceiling says nothing about them.
    pub fn ceiling_for(&self, asked: Option<&Self>, outside: &[String]) -> Self {
        let known = |token: &&str| self.tokens().any(|known| known == *token);
        let outside = |token: &&str| outside.iter().any(|name| name == token);
        let granted = match asked {
            None => None,
            Some(asked) if asked.tokens().any(|token| known(&token)) => {
                Self::of_tokens(asked.tokens().filter(|token| known(token) || outside(token)))
            }
            Some(asked) => Self::of_tokens(self.tokens().chain(asked.tokens().filter(outside))),
        };
        granted.unwrap_or_else(|| self.clone())
    }

    /// What of this scope is in neither.
    pub fn beyond(&self, ceiling: &Self, outside: &[String]) -> Option<Self> {
        let within = |token: &str| ceiling.tokens().any(|known| known == token) || outside.iter().any(|name| name == token);
        Self::of_tokens(self.tokens().filter(|token| !within(token)))
    }

    /// What both have; none where they have nothing in common.
    pub fn common(&self, other: &Self) -> Option<Self> {
        Self::of_tokens(self.tokens().filter(|token| other.tokens().any(|known| known == *token)))
    }

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_tokens<'a>(tokens: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut distinct: Vec<&str> = Vec::new();
        for token in tokens {
            if !distinct.contains(&token) {
                distinct.push(token);
            }
        }
        if distinct.is_empty() { None } else { Some(Self(distinct.join(" ").into())) }
    }
}

/// Why a text is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum InvalidScope {
    #[error("is longer than 4096 characters")]
    TooLong,
    #[error("has a character that RFC 6749 section 3.3 does not allow")]
    Character,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap().unwrap()
    }

    #[test]
    fn an_empty_scope_is_none_and_a_repeated_token_counts_once() {
        assert_eq!(Scope::parse("").unwrap(), None);
        assert_eq!(Scope::parse("  ").unwrap(), None);
        assert_eq!(scope("read  write read").as_str(), "read write");
        for hostile in ["a\"b", "a\\b", "a\nb", "\u{e9}", "\u{7f}"] {
            assert_eq!(Scope::parse(hostile), Err(InvalidScope::Character), "{hostile:?}");
        }
    }

    #[test]
    fn a_ceiling_grants_the_common_part_or_all_of_itself() {
        let ceiling = scope("mcp:read mcp:write");
        assert_eq!(ceiling.ceiling_for(None, &[]).as_str(), "mcp:read mcp:write");
        assert_eq!(ceiling.ceiling_for(Some(&scope("mcp:write openid")), &[]).as_str(), "mcp:write");
        assert_eq!(ceiling.ceiling_for(Some(&scope("openid")), &[]).as_str(), "mcp:read mcp:write");
    }

    #[test]
    fn w13_what_belongs_to_the_authorization_server_is_outside_of_a_ceiling() {
        let (ceiling, outside) = (scope("mcp:read mcp:write"), ["offline_access".to_owned()]);
        let granted = |asked: &str| ceiling.ceiling_for(Some(&scope(asked)), &outside).as_str().to_owned();
        assert_eq!(granted("offline_access mcp:write admin"), "offline_access mcp:write");
        assert_eq!(granted("offline_access"), "mcp:read mcp:write offline_access");
        assert_eq!(granted("admin"), "mcp:read mcp:write");
        assert_eq!(ceiling.ceiling_for(None, &outside), ceiling, "nobody gets unasked what the ceiling does not name");
        assert_eq!(scope("mcp:read offline_access admin root").beyond(&ceiling, &outside), Some(scope("admin root")));
        assert_eq!(scope("mcp:read offline_access").beyond(&ceiling, &outside), None);
    }

    proptest::proptest! {
        #[test]
        fn a_scope_reads_back_as_itself_and_a_ceiling_is_never_passed(ceiling in "[a-c ]{1,12}", asked in "[a-e ]{0,12}") {
            let (ceiling, asked) = (Scope::parse(&ceiling).unwrap(), Scope::parse(&asked).unwrap());
            for scope in ceiling.iter().chain(&asked) {
                let again = Scope::parse(scope.as_str()).unwrap();
                proptest::prop_assert_eq!(again.as_ref(), Some(scope));
            }
            if let Some(ceiling) = ceiling {
                let granted = ceiling.ceiling_for(asked.as_ref(), &[]);
                proptest::prop_assert!(granted.tokens().all(|token| ceiling.tokens().any(|known| known == token)));
                proptest::prop_assert_eq!(ceiling.ceiling_for(Some(&granted), &[]), granted);
            }
        }
    }
}
