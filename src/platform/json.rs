//! Members of JSON objects: times as text, and nothing where there is no value.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

/// A time as RFC 3339 text in UTC.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Adds a member only where there is a value.
pub fn put(object: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}
