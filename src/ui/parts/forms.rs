//! What a form or a query says: names with values, in order, as many of one name as were sent.

use gatebook_events::reason;

use crate::http::error::Failure;
use crate::http::parameters;

/// Names with values.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` bytes.
    pub fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Fields with these values.
    pub fn of(fields: &[(&'static str, String)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    /// The value, without the spaces around it; none for one that is blank.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values that are not blank.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// Refuses names that a page does not have.
    pub fn only(&self, known: &[&str]) -> Result<(), Failure> {
        parameters::none_but(self.0.iter().map(|(name, _)| name.as_str()), known)
    }

    /// The value as what it stands for; `right` says what that may be.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str, right: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| parameters::refused(name, text, right))
    }

    /// Why something is done, for the history.
    pub fn reason(&self) -> Result<Option<String>, Failure> {
        Ok(reason::given(self.text("reason"))?)
    }

    /// Whether this very value was sent, as a checked box sends it.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|known| known == value)
    }

    /// The query that says the same with one name changed, and without those that lose their meaning by it.
    pub fn with(&self, name: &str, value: &str, without: &[&str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (known, text) in self.0.iter().filter(|(known, text)| known != name && !without.contains(&known.as_str()) && !text.is_empty()) {
            query.append_pair(known, text);
        }
        if !value.is_empty() {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_changed_in_one_place() {
        let fields = Fields::parse(b"q=a+b&type=dcr&cursor=00&empty=");
        assert_eq!(fields.text("q"), Some("a b"));
        assert_eq!(fields.text("empty"), None);
        assert_eq!(fields.with("type", "cimd", &["cursor"]), "?q=a+b&type=cimd");
        assert_eq!(fields.with("type", "", &["cursor", "q"]), "");
    }
}
