//! JSON Lines: one object of RFC 7591 members on each line, with `client_id` and `client_secret` where the client has them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use gatebook_events::client::{ImportFormat, ImportedFrom};
use gatebook_events::identity::{ClientId, ClientKey};
use gatebook_events::json;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Brought, Candidate, Clients, Entry, Refused, Unreadable, candidate, expiry, text};

/// The longest line, in bytes: what a request may have (`http/json.rs`).
const LONGEST: usize = 64 * 1024;

/// Members of a registration's answer (RFC 7591 §3.2.1, RFC 7592 §3) that say nothing about the client.
const ANSWERED: [&str; 3] = ["client_id_issued_at", "registration_access_token", "registration_client_uri"];

pub(super) fn open(path: &Path) -> Result<Clients, Unreadable> {
    let count = lines(path)?.filter(|line| line.as_ref().is_ok_and(|(_, line)| !line.is_empty())).count() as u64;
    let entries = lines(path)?.filter(|line| !line.as_ref().is_ok_and(|(_, line)| line.is_empty()));
    Ok(Clients { count, warning: None, entries: Box::new(entries.map(|line| line.map(|(number, line)| entry(number, &line)))) })
}

/// The lines without the white space around them, counted from 1.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + Send + use<>> {
    let lines = BufReader::new(File::open(path)?).split(b'\n');
    Ok((1..).zip(lines).map(|(number, line)| Ok((number, line?.trim_ascii().to_vec()))))
}

fn entry(number: u64, line: &[u8]) -> Entry {
    let place = format!("line {number}");
    if line.len() > LONGEST {
        return Entry { place, id: None, read: Err(Refused::Because("the line is longer than 65536 bytes").into()) };
    }
    match json::object(line) {
        Ok(members) => Entry { place, id: text(&members, "client_id").map(str::to_owned), read: read(members).map_err(Into::into) },
        Err(problem) => Entry { place, id: None, read: Err(problem.into()) },
    }
}

fn read(mut members: Map<String, Value>) -> Result<Candidate, Refused> {
    let secret = Brought::of(members.remove("client_secret").as_ref().and_then(Value::as_str));
    let expires_at = expiry(members.remove("client_secret_expires_at"))?;
    for name in ANSWERED {
        members.remove(name);
    }
    let (client_id, id) = match members.remove("client_id") {
        Some(Value::String(id)) if !id.is_empty() => (ClientId::brought(&id)?, Some(id.into_boxed_str())),
        None | Some(Value::Null) => (ClientId::of_key(by_content(&members)), None),
        Some(_) => return Err(Refused::Because("client_id is not a text")),
    };
    // Whoever has a secret and does not say how it is sent sends it as RFC 7591 §2 has it.
    if !matches!(secret, Brought::None) && text(&members, "token_endpoint_auth_method").is_none() {
        members.insert("token_endpoint_auth_method".to_owned(), "client_secret_basic".into());
    }
    let from = ImportedFrom { format: ImportFormat::Rfc7591, realm: None, id };
    candidate((client_id, from), members, secret, expires_at)
}

/// A line without an identifier is known by what it says, so that it is the same client the next time. Members are sorted.
fn by_content(members: &Map<String, Value>) -> ClientKey {
    let sorted: std::collections::BTreeMap<&String, &Value> = members.iter().collect();
    let mut hash = Sha256::new();
    for (name, value) in sorted {
        hash.update(format!("{}:{name}={value}\n", name.len()));
    }
    let mut bytes = [0; 16];
    for (byte, of_hash) in bytes.iter_mut().zip(hash.finalize()) {
        *byte = of_hash;
    }
    ClientKey(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
