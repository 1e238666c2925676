//! How clients, registrations and resource servers look on the wire. No member is ever null.

use chrono::{DateTime, SecondsFormat, Utc};
use gatebook_events::client::Profile;
use gatebook_events::identity::ResourceServerId;
use gatebook_events::registration::Registration;
use gatebook_events::standing::Reason;
use gatebook_projections::directory::{RegistrationRow, ResourceServerRow};
use serde_json::{Map, Value, json};

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

/// A client as it is told about itself (RFC 7591 §3.2.1): everything that was registered, and beside it what serves. The
/// member `gatebook` says how it stands at the resource server that it was bound to.
pub fn client(profile: &Profile, bound: Option<(ResourceServerId, &Registration, Reason)>) -> Map<String, Value> {
    let mut body = profile.metadata.members();
    body.insert("client_id".to_owned(), profile.client_id.as_str().into());
    body.insert("client_id_issued_at".to_owned(), profile.issued_at.timestamp().into());
    if let Some((server, registration, reason)) = bound {
        let mut standing = json!({
            "resource_server_id": server.to_string(),
            "registration_type": profile.registration_type.as_str(),
            "status": reason.status(),
            "reason": reason.as_str(),
        });
        if let Some(staged) = &registration.staged {
            standing["staged_change"] = json!({ "change_id": staged.change_id, "added": staged.added, "removed": staged.removed });
        }
        body.insert("redirect_uris".to_owned(), json!(registration.redirect_uris));
        body.insert("gatebook".to_owned(), standing);
    }
    body
}

/// A registration as administrators see it.
pub fn registration(row: &RegistrationRow) -> Map<String, Value> {
    let mut body = row.metadata.members();
    body.insert("client_id".to_owned(), row.client_id.as_str().into());
    body.insert("client_id_issued_at".to_owned(), row.issued_at.timestamp().into());
    body.insert("resource_server_id".to_owned(), row.resource_server.to_string().into());
    body.insert("registration_type".to_owned(), row.registration_type.as_str().into());
    body.insert("status".to_owned(), row.status.clone().into());
    body.insert("reason".to_owned(), row.reason.clone().into());
    body.insert("redirect_uris".to_owned(), json!(row.redirect_uris));
    body.insert("has_secret".to_owned(), row.has_secret.into());
    body.insert("requested_at".to_owned(), time(row.requested_at).into());
    put(&mut body, "decided_at", row.decided_at.map(time));
    put(&mut body, "secret_expires_at", row.secret_expires_at.map(|at| at.timestamp()));
    put(&mut body, "family", row.family.clone());
    if let Some(staged) = &row.staged {
        body.insert("staged_change".to_owned(), json!(staged));
    }
    body
}

/// A resource server as administrators see it.
pub fn resource_server(row: &ResourceServerRow) -> Value {
    let mut body = Map::new();
    body.insert("id".to_owned(), row.id.to_string().into());
    body.insert("name".to_owned(), row.name.clone().into());
    put(&mut body, "resource", row.resource.clone());
    body.insert("registration_modes".to_owned(), json!(row.modes));
    if !row.suspended.is_empty() {
        body.insert("suspended_modes".to_owned(), json!(row.suspended));
    }
    body.insert("policy".to_owned(), json!(row.policy));
    body.insert("retired".to_owned(), row.retired.into());
    body.insert("created_at".to_owned(), time(row.created_at).into());
    Value::Object(body)
}
