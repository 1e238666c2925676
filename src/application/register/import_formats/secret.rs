//! The secret that an imported client brings, or why it has none that is of use here.
//!
//! A text counts as a secret only where it cannot be anything else: a stored hash that was taken for one would sign in by itself.

use gatebook_events::secret::SecretHash;

use crate::credentials::secrets::{ClientSecret, Cost, LONGEST_SECRET};

/// The shortest text that is taken for a secret, in bytes (NIST SP 800-63B §5.1.1.1).
const SHORTEST: usize = 8;
/// Words that stand where an export shows no secret, in lower case and without punctuation.
const MASKS: [&str; 10] =
    ["redacted", "hidden", "masked", "removed", "omitted", "secret", "clientsecret", "changeme", "placeholder", "todosecret"];
/// What encloses the name of a variable or of an entry in a store of secrets: in shells, Keycloak, Spring, Helm, Jinja, Ansible,
/// Windows, Jasypt.
const TEMPLATES: [(&str, &str); 8] =
    [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">"), ("%", "%"), ("ENC(", ")"), ("#{", "}"), ("@", "@")];
/// How a reference to a store of secrets begins.
const REFERENCES: [&str; 7] = ["env:", "$env:", "vault:", "file:", "secret:", "arn:aws:", "op://"];

/// The secret that a client brings.
#[derive(Debug)]
pub enum Brought {
    /// None.
    None,
    /// In the clear. It is hashed, and kept nowhere.
    Clear(ClientSecret),
    /// As an argon2id hash, which is taken as it is.
    Hashed(SecretHash),
    /// One that cannot be presented here, and why, to complete "because …".
    Unusable(&'static str),
}

impl Brought {
    /// A text where a secret is expected.
    pub fn of(text: Option<&str>) -> Self {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Self::None };
        if let Some(hash) = argon2id(text) {
            return Self::Hashed(hash);
        }
        match unusable(text) {
            Some(why) => Self::Unusable(why),
            None => Self::Clear(ClientSecret::received(text)),
        }
    }
}

/// An argon2id hash in the PHC form, as it is or behind the name that Django (`argon2$argon2id$…`) and Spring (`{argon2}$argon2id$…`)
/// put before it.
fn argon2id(text: &str) -> Option<SecretHash> {
    let spring = text.strip_prefix('{').and_then(|rest| rest.split_once('}')).filter(|(scheme, _)| scheme.starts_with("argon2"));
    let phc = match (text.strip_prefix("argon2$"), spring) {
        (Some(rest), _) => format!("${rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (None, None) => text.to_owned(),
    };
    SecretHash::try_new(&phc).ok().filter(|_| Cost::of(&phc).is_ok())
}

fn unusable(text: &str) -> Option<&'static str> {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let encloses = |(begin, end): (&str, &str)| text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end);
    if TEMPLATES.into_iter().any(encloses) || text.contains("${") || REFERENCES.iter().any(|begin| text.starts_with(begin)) {
        Some("the file has a reference to it")
    } else if is_hash(text) {
        Some("the file has only a hash of it")
    } else if one_character_only(text) || text.contains("****") || MASKS.contains(&plain.as_str()) {
        Some("the file shows a mask instead of it")
    } else if !text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        Some("it has characters that RFC 6749 does not allow in a secret")
    } else if text.len() > LONGEST_SECRET {
        Some("it is longer than 1024 bytes")
    } else if text.len() < SHORTEST {
        Some("it is shorter than 8 characters")
    } else {
        None
    }
}

/// `{scheme}…` (Spring, LDAP), `name$…$…` (Django, Werkzeug), `$name$…$…` (crypt, PHC).
fn is_hash(text: &str) -> bool {
    let name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'@' | b'+' | b'/'))
    };
    let in_braces =
        text.strip_prefix('{').and_then(|rest| rest.split_once('}')).is_some_and(|(scheme, _)| !scheme.is_empty() && name(scheme));
    let mut parts = text.strip_prefix('$').unwrap_or(text).splitn(3, '$');
    let by_dollars =
        matches!((parts.next(), parts.next(), parts.next()), (Some(first), Some(_), Some(_)) if !first.is_empty() && name(first));
    in_braces || by_dollars
}

fn one_character_only(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| characters.all(|other| other == first))
}
