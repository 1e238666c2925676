//! How clients, registrations and resource servers look on the wire. No member is ever null.

use chrono::{DateTime, Utc};
use gatebook_events::client::{Life, Profile};
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::redirect::WebUri;
use gatebook_events::registration::{AdmittedMetadata, MemberChange, Registration, StagedChange};
use gatebook_events::resource_server;
use gatebook_events::standing::Reason;
use gatebook_projections::directory::{LookAlike, RegistrationRow, ResourceServerRow, TokenRow};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::application::look_alikes::Doubts;
use crate::application::usage::Uses;
pub use crate::platform::json::{put, time};

/// A client as it is told about itself (RFC 7591 §3.2.1): everything that was registered, and beside it what serves. The
/// member `gatebook` says how it stands at the resource server that it was bound to.
pub fn client(profile: &Profile, bound: Option<(ResourceServerId, &Registration, Reason)>) -> Map<String, Value> {
    let mut body = profile.metadata.members();
    body.insert("client_id".to_owned(), profile.client_id.as_str().into());
    body.insert("client_id_issued_at".to_owned(), profile.issued_at.timestamp().into());
    if let Some((server, registration, reason)) = bound {
        let mut standing = Map::new();
        standing.insert("resource_server_id".to_owned(), server.to_string().into());
        standing.insert("registration_type".to_owned(), profile.registration_type.as_str().into());
        standing.insert("status".to_owned(), reason.status().into());
        standing.insert("reason".to_owned(), reason.as_str().into());
        put(&mut standing, "cure", reason.cure());
        let admitted = registration.admitted(&profile.metadata);
        if let Some(staged) = &registration.staged {
            let mut change = Map::new();
            change.insert("change_id".to_owned(), json!(staged.change_id));
            change.insert("added".to_owned(), json!(staged.added));
            change.insert("removed".to_owned(), json!(staged.removed));
            put(&mut change, "changes", changes(&admitted, staged));
            standing.insert("staged_change".to_owned(), change.into());
            put(&mut standing, "pending_redirect_uris", pending_redirect_uris(staged));
        }
        put(&mut standing, "serves", differing(&profile.metadata, &admitted).map(Value::Object));
        body.insert("redirect_uris".to_owned(), json!(registration.redirect_uris));
        body.insert("gatebook".to_owned(), standing.into());
    }
    body
}

/// A registration as administrators see it.
pub fn registration(row: &RegistrationRow) -> Map<String, Value> {
    let mut body = row.metadata.members();
    // A list of statements would be long, and who vouches is what matters.
    body.remove("software_statement");
    put(&mut body, "vouched_by", row.metadata.software_statement.as_ref().map(|statement| &*statement.issuer));
    body.insert("client_id".to_owned(), row.client_id.as_str().into());
    body.insert("client_id_issued_at".to_owned(), row.issued_at.timestamp().into());
    body.insert("resource_server_id".to_owned(), row.resource_server.to_string().into());
    body.insert("registration_type".to_owned(), row.registration_type.as_str().into());
    body.insert("status".to_owned(), row.reason.status().into());
    body.insert("reason".to_owned(), row.reason.as_str().into());
    body.insert("redirect_uris".to_owned(), json!(row.redirect_uris));
    body.insert("has_secret".to_owned(), row.has_secret.into());
    body.insert("requested_at".to_owned(), time(row.requested_at).into());
    put(&mut body, "decided_at", row.decided_at.map(time));
    put(&mut body, "secret_expires_at", row.secret_expires_at.map(|at| at.timestamp()));
    body.insert("family".to_owned(), row.family.clone().into());
    put(&mut body, "note", row.note.clone());
    put(&mut body, "denied_until", row.denied_until.map(time));
    put(&mut body, "initial_access_token_id", row.initial_access_token.map(|id| id.to_string()));
    put(&mut body, "claimed", claimed(row).map(Value::Object));
    body.insert("registration_version".to_owned(), row.version.to_string().into());
    if let Some(staged) = &row.staged {
        put(&mut body, "pending_redirect_uris", pending_redirect_uris(staged));
        body.insert("staged_change".to_owned(), staged_change(&row.metadata, staged));
    }
    if let Some(known) = &row.manifest {
        let mut manifest = Map::new();
        manifest.insert("version".to_owned(), known.version.into());
        manifest.insert("content_hash".to_owned(), known.content_hash.clone().into());
        let health = match (row.client_life, known.unreachable_since) {
            (Life::Withdrawn, _) => "withdrawn",
            (_, Some(_)) => "unreachable",
            (_, None) => "good",
        };
        manifest.insert("health".to_owned(), health.into());
        put(&mut manifest, "unreachable_since", known.unreachable_since.map(time));
        body.insert("manifest".to_owned(), manifest.into());
    }
    body
}

/// What a client claims that is not what serves.
fn claimed(row: &RegistrationRow) -> Option<Map<String, Value>> {
    let redirect_uris = Some(&row.claimed.redirect_uris).filter(|claimed| !claimed.same_set(&row.redirect_uris));
    let mut members = differing(&row.metadata, &row.claimed).unwrap_or_default();
    put(&mut members, "redirect_uris", redirect_uris.map(|uris| json!(uris)));
    Some(members).filter(|members| !members.is_empty())
}

/// The members of `other` that differ from those of `metadata`, beside redirect URIs; nothing where none does.
pub fn differing(metadata: &ClientMetadata, other: &ClientMetadata) -> Option<Map<String, Value>> {
    let now = AdmittedMetadata::of(metadata);
    let changes = now.changes(&AdmittedMetadata::of(other).in_order_of(&now));
    let members: Map<String, Value> = changes.into_iter().filter_map(|change| Some((change.member, change.then?))).collect();
    Some(members).filter(|members| !members.is_empty())
}

/// The whole set of redirect URIs that would serve after the change that waits. An empty one would say that nothing waits.
pub fn pending_redirect_uris(staged: &StagedChange) -> Option<Value> {
    Some(&staged.result).filter(|result| !result.is_empty()).map(|result| json!(result))
}

/// The members beside redirect URIs that a change would change: their names, and what they are now and then.
pub fn changes(admitted: &ClientMetadata, staged: &StagedChange) -> Option<Value> {
    let then = staged.metadata.as_ref()?;
    Some(member_changes(&AdmittedMetadata::of(admitted), then))
}

/// The members that differ between what is admitted and what is wished.
pub fn member_changes(now: &AdmittedMetadata, then: &AdmittedMetadata) -> Value {
    let render = |change: MemberChange| {
        let mut body = Map::new();
        body.insert("member".to_owned(), change.member.into());
        put(&mut body, "now", change.now);
        put(&mut body, "then", change.then);
        Value::Object(body)
    };
    now.changes(then).into_iter().map(render).collect()
}

fn staged_change(admitted: &ClientMetadata, staged: &StagedChange) -> Value {
    let mut body = json!(StagedChange { metadata: None, ..staged.clone() });
    if let (Value::Object(members), Some(changes)) = (&mut body, changes(admitted, staged)) {
        members.insert("changes".to_owned(), changes);
    }
    body
}

/// When a registration was used, as far as this node saw; absent members mean never.
pub fn uses(body: &mut Map<String, Value>, uses: Option<&Uses>) {
    put(body, "first_seen_at", uses.map(|uses| time(uses.first)));
    put(body, "last_seen_at", uses.map(|uses| time(uses.last)));
}

/// The approved client that another looks like: who it is, where it comes from (nowhere, if it stays on users' machines), and
/// how much alike they look.
pub fn resembles(other: &LookAlike) -> Value {
    let mut body = Map::new();
    body.insert("client_id".to_owned(), other.client_id.as_str().into());
    put(&mut body, "client_name", other.client_name.clone());
    body.insert("hosts".to_owned(), other.origin.hosts().collect());
    body.insert("likeness".to_owned(), other.likeness.as_str().into());
    Value::Object(body)
}

/// What an administrator should know of a client before deciding, after whatever is in `warnings` already.
pub fn doubts(body: &mut Map<String, Value>, (warnings, other): &Doubts) {
    if let Value::Array(all) = body.entry("warnings").or_insert_with(|| json!([])) {
        all.extend(warnings.iter().map(|warning| json!(warning)));
    }
    put(body, "resembles", other.as_ref().map(resembles));
}

/// An initial access token as administrators see it; `at` is now.
pub fn initial_access_token(row: &TokenRow, at: DateTime<Utc>) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("id".to_owned(), row.id.to_string().into());
    body.insert("resource_server_id".to_owned(), row.resource_server.to_string().into());
    body.insert("label".to_owned(), row.token.label.clone().into());
    body.insert("state".to_owned(), row.token.usability(at).as_str().into());
    body.insert("created_at".to_owned(), time(row.issued_at).into());
    put(&mut body, "expires_at", row.token.expires_at.map(time));
    put(&mut body, "revoked_at", row.revoked_at.map(time));
    put(&mut body, "revoked_because", row.revoked_because.clone());
    body.insert("uses".to_owned(), row.token.uses.into());
    put(&mut body, "max_uses", row.token.max_uses);
    body.insert("clamps".to_owned(), json!(row.token.clamps));
    body
}

/// A resource server as administrators see it.
pub fn resource_server(row: &ResourceServerRow) -> Value {
    let mut body = Map::new();
    body.insert("id".to_owned(), row.id.to_string().into());
    body.insert("name".to_owned(), row.name.clone().into());
    put(&mut body, "resource", row.resource.as_ref().map(WebUri::as_str));
    body.insert("registration_modes".to_owned(), json!(row.registration_modes));
    if !row.suspended_modes.is_empty() {
        body.insert("suspended_modes".to_owned(), json!(row.suspended_modes));
    }
    body.insert("policy".to_owned(), json!(row.policy));
    body.insert("retired".to_owned(), (row.life == resource_server::Life::Retired).into());
    let counts = json!({ "total": row.counts.total, "by_type": row.counts.by_type, "by_status": row.counts.by_status });
    body.insert("clients".to_owned(), counts);
    body.insert("created_at".to_owned(), time(row.created_at).into());
    Value::Object(body)
}

/// Everything but what RFC 3986 §2.3 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `registration_client_uri` (RFC 7592 §3). A `client_id` that is a URL travels percent-encoded in a path.
pub fn registration_client_uri(public_url: &str, client_id: &ClientId) -> String {
    format!("{public_url}/oauth/register/{}", utf8_percent_encode(client_id.as_str(), UNRESERVED))
}
