//! Ory Hydra: what `hydra list oauth2-clients --format json` or `GET /admin/clients` answers. Hydra never shows a secret.

use std::io::Read;

use gatebook_events::client::{ImportFormat, ImportedFrom};
use gatebook_events::identity::ClientId;
use serde_json::{Map, Value};

use super::{Brought, Candidate, Clients, Entry, Refused, Unreadable, all, candidate, expiry, objects, text};

/// What Hydra notes beside RFC 7591's members, and what it answers to whoever registers.
const NOTES: [&str; 5] = ["created_at", "updated_at", "client_id_issued_at", "registration_access_token", "registration_client_uri"];

/// Members that have no meaning here, with the value that Hydra gives them where nothing was chosen.
const USUAL: [(&str, &str); 3] =
    [("subject_type", "public"), ("userinfo_signed_response_alg", "none"), ("access_token_strategy", "opaque")];

pub(super) fn read(document: impl Read) -> Result<Clients, Unreadable> {
    let mut clients = objects::read(document)?;
    let mut warning = None;
    // The command line puts the page into an object.
    if let [page] = clients.as_mut_slice()
        && let Some(items) = page.remove("items")
    {
        if text(page, "next_page_token").is_some() || page.get("is_last_page") == Some(&Value::Bool(false)) {
            warning = Some("the file is one page of a longer list: import the other pages too");
        }
        clients = objects::of_array(items).ok_or(Unreadable::NoClients("the member items is not an array of objects"))?;
    }
    let entry = |(number, client): (usize, Map<String, Value>)| Entry {
        place: format!("client {number}"),
        id: text(&client, "client_id").map(str::to_owned),
        read: translate(client).map_err(Into::into),
    };
    Ok(all((1..).zip(clients).map(entry).collect(), warning))
}

fn translate(mut client: Map<String, Value>) -> Result<Candidate, Refused> {
    let Some(Value::String(id)) = client.remove("client_id") else { return Err(Refused::Because("it has no client_id")) };
    let client_id = ClientId::brought(&id)?;
    let secret = match Brought::of(client.remove("client_secret").as_ref().and_then(Value::as_str)) {
        Brought::None => Brought::Unusable("Hydra keeps only a hash of it"),
        secret => secret,
    };
    let expires_at = expiry(client.remove("client_secret_expires_at"))?;
    for name in NOTES {
        client.remove(name);
    }
    // Hydra lists `code` for clients that have no grant for it; here the response types follow from the grants.
    client.remove("response_types");
    let keyless = |jwks: &Value| jwks.get("keys").is_none_or(|keys| keys.as_array().is_none_or(Vec::is_empty));
    if client.get("jwks").is_some_and(keyless) {
        client.remove("jwks");
    }
    client.retain(|_, value| !is_blank(value));
    // What Hydra writes for every client is no loss.
    client.retain(|name, value| !USUAL.iter().any(|(usual, text)| name == usual && value.as_str() == Some(text)));
    if text(&client, "token_endpoint_auth_method").is_none() {
        client.insert("token_endpoint_auth_method".to_owned(), "client_secret_basic".into());
    }
    let from = ImportedFrom { format: ImportFormat::Hydra, realm: None, id: Some(id.into_boxed_str()) };
    candidate((client_id, from), client, secret, expires_at)
}

/// Hydra writes every member, also where there is nothing to say.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}
