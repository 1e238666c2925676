//! Clients as other systems write them down, read into what can be registered here. What becomes of them is for
//! `command/import.rs`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::client::{ImportFormat, ImportedFrom};
use gatebook_events::identity::{ClientId, InvalidName};
use gatebook_events::json::JsonProblem;
use gatebook_events::metadata::{self, GrantType, MetadataError};
use serde_json::{Map, Value};

use crate::application::register::import::Newcomer;

mod hydra;
mod keycloak;
mod lines;
mod objects;
mod redirects;
mod secret;

pub use secret::Brought;

/// A file of clients.
pub struct Clients {
    /// How many there are.
    pub count: u64,
    /// What the whole file lacks.
    pub warning: Option<&'static str>,
    /// One after the other.
    pub entries: Box<dyn Iterator<Item = io::Result<Entry>> + Send>,
}

/// One client of a file.
pub struct Entry {
    /// Where in the file, for people.
    pub place: String,
    /// What it is called there, if anything.
    pub id: Option<String>,
    /// What it comes to here.
    pub read: Result<Candidate, NotImported>,
}

/// Why a client of a file does not come.
#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    /// It is nothing that could be registered, such as a client of the other system's own. No fault of the file.
    #[error("{0}")]
    Skipped(String),
    /// It could be registered if something about it were different.
    #[error(transparent)]
    Refused(Refused),
}

impl<E: Into<Refused>> From<E> for NotImported {
    fn from(why: E) -> Self {
        Self::Refused(why.into())
    }
}

/// A client that can be registered here, if the resource server agrees.
#[derive(Debug)]
pub struct Candidate {
    /// Who it is.
    pub newcomer: Newcomer,
    /// The secret that it brings.
    pub secret: Brought,
    /// What it had and will not have here, and what it gets instead.
    pub notes: Vec<String>,
}

impl Candidate {
    /// Leaves out the redirect URI that the resource server does not welcome, and notes it. False where that is not why it was
    /// rejected, or where none would be left.
    pub fn do_without(&mut self, rejection: &Rejection) -> bool {
        let (Rejection::RedirectOutsideRules(uri) | Rejection::SchemeNotListed(uri)) = rejection else { return false };
        let metadata = &mut self.newcomer.parsed.metadata;
        let rest = metadata.redirect_uris.filter(|known| known.as_str() != uri);
        if rest.is_empty() || rest.len() == metadata.redirect_uris.len() {
            return false;
        }
        metadata.redirect_uris = rest;
        self.notes.push(format!("without the redirect URI {}, which the resource server's rules do not welcome", shown(uri)));
        true
    }
}

/// Why a file is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not there, or may not be read.
    #[error("failed to read the file")]
    Io(#[from] io::Error),
    /// It is something else. What stands there is not shown: it may be a secret.
    #[error("it is not JSON with clients in it, at line {line}, column {column}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// It is JSON of another kind.
    #[error("{0}")]
    NoClients(&'static str),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

/// Why a client cannot be registered here. Never shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Its line is no object.
    #[error("the line {}", .0.to_string().replace("at line 1 column", "at column"))]
    Json(#[from] JsonProblem),
    /// Its identifier cannot be kept.
    #[error("{0}")]
    Name(#[from] InvalidName),
    /// It cannot be answered there.
    #[error("the redirect URI {uri} {problem}")]
    Redirect {
        /// As the file has it.
        uri: String,
        /// What is wrong with it, as the rest of a sentence.
        problem: String,
    },
    /// RFC 7591 or this register does not allow it.
    #[error("{0}")]
    Metadata(#[from] MetadataError),
    /// For a reason of the format.
    #[error("{0}")]
    Because(&'static str),
    /// The same, about a text of the file.
    #[error("{what} {text}")]
    About {
        /// What is wrong.
        what: &'static str,
        /// With what.
        text: String,
    },
}

/// Opens a file that was written in this way. What is wrong with one client is for its entry to say.
pub fn open(path: &Path, format: ImportFormat) -> Result<Clients, Unreadable> {
    match format {
        ImportFormat::Rfc7591 => lines::open(path),
        ImportFormat::Keycloak => keycloak::read(BufReader::new(File::open(path)?)),
        ImportFormat::Hydra => hydra::read(BufReader::new(File::open(path)?)),
    }
}

/// Clients that were read as a whole.
fn all(entries: Vec<Entry>, warning: Option<&'static str>) -> Clients {
    Clients { count: entries.len() as u64, warning, entries: Box::new(entries.into_iter().map(Ok)) }
}

/// What RFC 7591 members come to: every format ends here.
fn candidate(
    (client_id, from): (ClientId, ImportedFrom),
    mut members: Map<String, Value>,
    secret: Brought,
    secret_expires_at: Option<DateTime<Utc>>,
) -> Result<Candidate, Refused> {
    let mut notes = Vec::new();
    if from.id.is_none() {
        notes.push(format!("with the client_id {client_id}, because the file names none"));
    }
    let unknown: Vec<&str> = texts(members.get("grant_types")).filter(|grant| GrantType::known(grant).is_none()).collect();
    if !unknown.is_empty() {
        notes.push(format!("without the grants {}, which are not supported here", shown(&unknown.join(", "))));
    }
    redirects::keep_usable(&mut members, &mut notes)?;
    let parsed = metadata::parse(members)?;
    if !parsed.ignored.is_empty() {
        notes.push(format!("without the members {}, which have no meaning here", shown(&parsed.ignored.join(", "))));
    }
    let secret = if parsed.metadata.needs_secret() { secret } else { Brought::None };
    match &secret {
        Brought::Unusable(why) => notes.push(format!("without a secret, because {why}: rotate it here")),
        Brought::None if parsed.metadata.needs_secret() => {
            notes.push("without a secret, because the file has none: rotate it here".to_owned());
        }
        Brought::None | Brought::Clear(_) | Brought::Hashed(_) => {}
    }
    let has_one = matches!(secret, Brought::Clear(_) | Brought::Hashed(_));
    let secret_expires_at = secret_expires_at.filter(|_| has_one);
    if let Some(end) = secret_expires_at {
        notes.push(format!("with a secret that is valid until {}", end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
    }
    Ok(Candidate { newcomer: Newcomer { client_id, from, parsed, secret_expires_at }, secret, notes })
}

/// `client_secret_expires_at` (RFC 7591 §3.2.1): seconds since 1970, 0 for never.
fn expiry(value: Option<Value>) -> Result<Option<DateTime<Utc>>, Refused> {
    const WRONG: Refused = Refused::Because("client_secret_expires_at is not a number of seconds");
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().ok_or(WRONG)? {
            0 => Ok(None),
            seconds => DateTime::from_timestamp(seconds, 0).map(Some).ok_or(WRONG),
        },
    }
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A member that is a text with something in it.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A text of the file as a terminal may show it.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        if c == '\'' {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests;
