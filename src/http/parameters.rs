//! Parameters of a query: what each may say, and a refusal that names it, what was said and what would be right.

use axum::http::{StatusCode, Uri};
use gatebook_events::codec;
use gatebook_events::json::ascii;
use gatebook_events::standing::Reason;
use gatebook_events::webhook::TypePrefix;

use super::error::Failure;

/// A parameter that is one of some words; none, if it was not sent.
pub fn one_of<T: Copy>(name: &str, text: Option<&str>, known: &[(&str, T)]) -> Result<Option<T>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.map(Some).ok_or_else(|| refused(name, text, &format!("one of {}", list(known.iter().map(|(word, _)| *word)))))
}

/// A status as lists show it.
pub fn status(text: Option<&str>) -> Result<Option<String>, Failure> {
    let known = Reason::STATUSES.map(|status| (status, status));
    Ok(one_of("status", text, &known)?.map(str::to_owned))
}

/// Whether the last event comes first, as it does unless asked otherwise.
pub fn newest_first(text: Option<&str>) -> Result<bool, Failure> {
    Ok(one_of("order", text, &[("newest", true), ("oldest", false)])?.unwrap_or(true))
}

/// The beginning of an event's name, as webhooks have them.
pub fn event_type(text: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let known = TypePrefix::try_from(text.to_owned()).is_ok_and(|prefix| codec::is_known(&prefix));
    if known { Ok(Some(text.to_owned())) } else { Err(refused("type", text, &types())) }
}

/// What the beginning of an event's name may be.
pub fn types() -> String {
    let mut families: Vec<&str> = codec::names().filter_map(|name| name.split_inclusive('.').next()).collect();
    families.dedup();
    format!("the name of an event or its beginning, such as {}", list(families))
}

/// A parameter says what it cannot.
pub fn refused(name: &str, text: &str, right: &str) -> Failure {
    invalid(format!("the parameter `{}` is `{}`; right is {right}", ascii(name), shortened(text)))
}

/// Refuses parameters that a call does not have, so that a typing error does not pass for a filter.
pub fn none_but<'a>(sent: impl IntoIterator<Item = &'a str>, known: &[&str]) -> Result<(), Failure> {
    let Some(unknown) = sent.into_iter().find(|name| !known.contains(name)) else { return Ok(()) };
    let unknown = shortened(unknown);
    Err(invalid(match known {
        [] => format!("the parameter `{unknown}` is unknown; there are none here"),
        known => format!("the parameter `{unknown}` is unknown; known are {}", list(known.iter().copied())),
    }))
}

/// What is wrong with a query that could not be read into the type of its parameters. `said` is what the reader says of it, which
/// begins with the parameter's name where its value is at fault.
pub fn unreadable(uri: &Uri, said: &str) -> Failure {
    let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(said);
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    for (name, value) in pairs {
        if let Some(problem) = said.strip_prefix(&*name).and_then(|rest| rest.strip_prefix(": ")) {
            return invalid(format!(
                "the parameter `{}` is `{}`, which cannot be read: {}",
                ascii(&name),
                shortened(&value),
                ascii(problem)
            ));
        }
    }
    invalid(format!("the query cannot be read: {}", ascii(said)))
}

fn invalid(detail: String) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail)
}

/// What was sent, as far as it helps.
fn shortened(text: &str) -> String {
    let shown: String = ascii(text).chars().take(64).collect();
    if shown.len() < text.len() { format!("{shown}...") } else { shown }
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w10_a_refusal_names_the_parameter_its_value_and_what_is_right() {
        let said = |failure: Failure| failure.to_string();
        let known = [("a", 1), ("b", 2)];
        assert_eq!(one_of("x", Some("b"), &known).unwrap(), Some(2));
        assert_eq!(one_of("x", None, &known).unwrap(), None);
        assert_eq!(said(one_of("x", Some("c"), &known).unwrap_err()), "the parameter `x` is `c`; right is one of `a`, `b`");
        assert_eq!(said(one_of("x", Some(""), &known).unwrap_err()), "the parameter `x` is ``; right is one of `a`, `b`");
        let long = said(one_of("x", Some(&"<é>".repeat(999)), &known).unwrap_err());
        assert_eq!(long, "the parameter `x` is `...`; right is one of `a`, `b`");
        assert_eq!(said(none_but(["a", "z"], &["a"]).unwrap_err()), "the parameter `z` is unknown; known are `a`");
        assert_eq!(event_type(Some("client.")).unwrap().as_deref(), Some("client."));
        assert_eq!(event_type(Some("registration.re")).unwrap().as_deref(), Some("registration.re"));
        let unknown = said(event_type(Some("clinet.")).unwrap_err());
        assert!(unknown.contains("`clinet.`") && unknown.contains("`client.`, `registration.`, `resource_server.`"), "{unknown}");
    }
}
