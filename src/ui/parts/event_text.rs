//! An entry of the history as people read it: what happened, who did it, and what it changed.

use std::collections::HashMap;

use gatebook_events::envelope::ActorKind;
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_projections::directory::{Directory, RegistrationRow, ResourceServerRow};
use gatebook_projections::history::HistoryRow;
use gatebook_projections::read_model::{QueryError, Reader};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::links::Links;
use crate::ui::parts::format;

/// What differs in a member.
struct Change {
    member: String,
    removed: Vec<String>,
    added: Vec<String>,
}

/// What an entry says of the client that it is about.
enum About<'a> {
    /// Nothing: the page is about it.
    ThisClient,
    /// Its identifier, which is all that there is to show.
    SomeClient,
    /// Where it comes from and what it calls itself.
    Client(&'a RegistrationRow),
}

/// The events of one client, given the oldest first, as entries with the newest first. What a client says about itself is
/// compared with what it said before.
///
/// What a resource server admitted of that is compared with what it admitted before.
pub fn of_client(links: &Links, servers: &[ResourceServerRow], oldest_first: &[HistoryRow]) -> Markup {
    let mut known: HashMap<Option<ResourceServerId>, Map<String, Value>> = HashMap::new();
    let mut entries: Vec<Markup> = Vec::new();
    for row in oldest_first {
        let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
        // What a client says is one thing, and what is admitted of it at each resource server another.
        let of = row.name.starts_with("registration.").then_some(row.resource_server).flatten();
        let said = data.get("metadata").or_else(|| data.get("change")?.get("metadata")).and_then(Value::as_object).cloned();
        let changes = match (known.get(&of), &said) {
            (Some(before), Some(now)) => differences(before, now),
            _ => Vec::new(),
        };
        if let Some(said) = said.filter(|_| row.name != "registration.redirects_staged") {
            known.insert(of, said);
        }
        entries.push(entry((links, servers), row, &data, &changes, About::ThisClient));
    }
    entries.reverse();
    html! { ol.trail { @for entry in entries { (entry) } } }
}

/// One event of many, with the client that it is about.
pub fn of_many(links: &Links, servers: &[ResourceServerRow], row: &HistoryRow, about: Option<&RegistrationRow>) -> Markup {
    let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
    entry((links, servers), row, &data, &[], about.map_or(About::SomeClient, About::Client))
}

/// The clients that events are about, as they are registered with a tenant now.
pub fn subjects(directory: &Reader<Directory>, tenant: &TenantId, rows: &[HistoryRow]) -> Result<Subjects, QueryError> {
    let mut known = Subjects::new();
    for row in rows {
        let Some((key, client_id)) = row.client_key.zip(row.client_id.as_ref()) else { continue };
        if known.contains_key(&key) {
            continue;
        }
        let own = directory.registrations_of(key)?.into_iter().filter(|(_, of)| of == tenant).map(|(server, _)| server);
        let server = row.resource_server.or_else(|| own.into_iter().next());
        let found = server.map(|server| directory.client(tenant, server, client_id)).transpose()?.flatten();
        known.insert(key, found);
    }
    Ok(known)
}

/// A client by its key; none where there is nothing to show of it.
pub type Subjects = HashMap<ClientKey, Option<RegistrationRow>>;

fn entry((links, servers): (&Links, &[ResourceServerRow]), row: &HistoryRow, data: &Value, changes: &[Change], about: About<'_>) -> Markup {
    let id = row.id.0.to_string();
    html! {
        li id={ "e-" (row.position) } data-row {
            div { (format::exact_time(row.recorded_at)) }
            div.what {
                p {
                    strong { (sentence(&row.name, data)) }
                    @match (about, &row.client_id) {
                        (About::Client(client), _) => {
                            span.muted { " · " } a.open href=(links.client(client.resource_server, client.client_id.as_str(), "")) {
                                (format::client(client.registration_type, &client.client_id, client.metadata.client_name.as_deref(), &client.redirect_uris))
                            }
                        }
                        (About::SomeClient, Some(client_id)) => { span.muted { " · " } code { (format::inert(client_id.as_str())) } }
                        _ => {},
                    }
                }
                @if let Some(reason) = text(data, "reason") { p { "“" (format::inert(reason)) "”" } }
                (redirects(data))
                @if !changes.is_empty() {
                    dl.changes { @for change in changes {
                        dt { (format::inert(&change.member)) }
                        dd { @for old in &change.removed { del { (format::inert(old)) } " " } @for new in &change.added { ins { (format::inert(new)) } " " } }
                    } }
                }
                details id={ "d-" (row.position) } {
                    summary { (actor(row, servers)) @if let Some(origin) = &row.origin { " from " (format::inert(origin)) } }
                    dl.facts {
                        dt { "Type" } dd { code { (row.name) } " version " (row.version) }
                        dt { "Event" } dd { code { (id) } " at position " (row.position) }
                        @if let Some(request) = &row.request_id { dt { "Request" } dd { code { (format::inert(request)) } } }
                        @if let Some(cause) = row.causation_id { dt { "Follows from" } dd { code { (cause.0) } } }
                        dt { "Stream" } dd { code { (row.stream) } }
                        dt { "Data" } dd { pre { (format::inert(&serde_json::to_string_pretty(data).unwrap_or_default())) } }
                    }
                }
            }
        }
    }
}

fn text<'a>(data: &'a Value, member: &str) -> Option<&'a str> {
    data.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Who did it.
fn actor(row: &HistoryRow, servers: &[ResourceServerRow]) -> Markup {
    // Older builds wrote who registered as who approved, where nobody had to.
    let of_old = row.name == "registration.approved" && matches!(row.actor_kind, ActorKind::Anonymous | ActorKind::Client);
    if row.actor_kind == ActorKind::Policy || of_old {
        let server = row.resource_server.and_then(|id| servers.iter().find(|server| server.id == id));
        let rule = row.actor_via.as_deref().filter(|_| !of_old).and_then(|via| via.split_once('@'));
        return html! {
            "the policy of " @match server { Some(server) => { b { (format::inert(&server.name)) } } None => { "the resource server" } }
            @if let Some((rule, version)) = rule { ", by its rule " code { (format::inert(rule)) } " in version " (format::inert(version)) }
        };
    }
    let via = row.actor_via.as_deref().map(|via| match via {
        "ui" => "these pages",
        "admin-api" => "the API",
        other => other,
    });
    html! {
        @match (row.actor_kind, row.actor_id.as_deref()) {
            (ActorKind::Admin, Some(id)) => { b { (format::inert(id)) } ", administrator" },
            (ActorKind::Admin, None) => { "an administrator" },
            (ActorKind::Client, _) => { "the client itself" },
            (ActorKind::Anonymous, _) => { "whoever registered it" },
            (ActorKind::Policy, _) => { "a policy" },
            (ActorKind::System, id) => { "Gatebook" @if let Some(id) = id { " (" (format::inert(id)) ")" } },
        }
        @if let Some(via) = via { ", by " (format::inert(via)) }
    }
}

/// What was added to and taken from redirect URIs.
fn redirects(data: &Value) -> Markup {
    let change = data.get("change").unwrap_or(data);
    let list = |member: &str| -> Vec<&str> {
        change.get(member).and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let (added, removed) = (list("added"), list("removed"));
    html! {
        @if !added.is_empty() || !removed.is_empty() {
            ul.difference {
                @for uri in removed { li.removed { code { span.unseen { "taken away: " } (format::inert(uri)) } } }
                @for uri in added { li.added { code { span.unseen { "added: " } (format::inert(uri)) } } }
            }
        }
    }
}

fn differences(before: &Map<String, Value>, now: &Map<String, Value>) -> Vec<Change> {
    let members: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let texts = |value: Option<&Value>| -> Vec<String> {
        match value {
            None => Vec::new(),
            Some(Value::Array(all)) => all.iter().map(plain).collect(),
            Some(one) => vec![plain(one)],
        }
    };
    let mut changes = Vec::new();
    for member in members {
        let (old, new) = (texts(before.get(member)), texts(now.get(member)));
        if old != new {
            let removed = old.iter().filter(|text| !new.contains(text)).cloned().collect();
            let added = new.iter().filter(|text| !old.contains(text)).cloned().collect();
            changes.push(Change { member: member.clone(), removed, added });
        }
    }
    changes
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What an event of this name means; a name that is not known here is shown as it is.
fn sentence(name: &str, data: &Value) -> String {
    let said = match name {
        "client.registered" => match text(data, "registration_type") {
            Some("dcr") => "Registered itself",
            Some("prereg") => "Was entered by an administrator",
            _ if text(data, "entered_for").is_some() => "Was entered by an administrator with the text of its document",
            _ => "Was met by its document",
        },
        "client.metadata_updated" => "Changed what it says about itself",
        "client.secret_rotated" => "Got a new secret",
        "client.secret_revoked" => "Lost its old secret before its time",
        "client.registration_token_rotated" => "Got a new registration access token",
        "client.manifest_versioned" => {
            let number = data.get("number").and_then(Value::as_u64).unwrap_or_default();
            if text(data, "entered_for").is_some() {
                return format!("The text of its document was entered, because its host cannot be reached: version {number}");
            }
            return if number <= 1 { "Its document was read".to_owned() } else { format!("Its document changed: version {number}") };
        }
        "client.manifest_unreachable" => "Its document cannot be reached",
        "client.manifest_recovered" => "Its document is there again",
        "client.manifest_withdrawn" if text(data, "cause") == Some("invalid") => {
            let why = text(data, "detail").or(text(data, "failure")).unwrap_or_default().replace('_', " ");
            return format!("Its document cannot be used: {why}");
        }
        "client.manifest_withdrawn" => "Its document was taken away",
        "client.deleted" => "Deleted",
        "registration.requested" => "Asked to be let in",
        "registration.approved" => "Approved",
        "registration.denied" => "Denied",
        "registration.suspended" => "Suspended",
        "registration.reinstated" => "Reinstated",
        "registration.revoked" => "Revoked",
        "registration.restored" => "Restored",
        "registration.redirects_staged" if data.get("change").is_some_and(|change| change.get("metadata").is_some()) => {
            "Asked for a change"
        }
        "registration.redirects_staged" => "Asked for other redirect URIs",
        "registration.redirects_approved" if data.get("by_policy") == Some(&Value::Bool(true)) => "What it asked for serves, by the rules",
        "registration.redirects_approved" => "What it asked for was approved",
        "registration.redirects_rejected" => "What it asked for was rejected",
        "registration.metadata_admitted" => match text(data, "because") {
            Some("narrowed") => "Gave up some of what was admitted",
            Some("policy") => "Other metadata serve, by the rules",
            _ => "What serves of what it says was written down",
        },
        "registration.redirects_superseded" => "The change that waited was replaced or taken back",
        "registration.redirects_narrowed" => "Gave up redirect URIs",
        "registration.dormant" => "Became dormant: it was not used for as long as the rules allow",
        "registration.revival_asked" => "Asked to return after it was dormant",
        "registration.revived" => "Returned after it was dormant",
        "registration.rolled_back" => "Went back to an earlier version of its document",
        "resource_server.created" => "A resource server was added",
        "resource_server.renamed" => "A resource server has another name or identifier",
        "resource_server.modes_changed" => return modes(data),
        "resource_server.policy_changed" => "The rules of a resource server changed",
        "resource_server.retired" => "A resource server was retired",
        "resource_server.cap_neared" => "A register is nearly full",
        "resource_server.cap_eased" => "A register has room again",
        "resource_server.family_suspended" => "All that register as the same program from now on are suspended",
        "resource_server.family_reinstated" => "Those that register as the same program stand by the rules again",
        "initial_access_token.issued" => "An initial access token was issued",
        "initial_access_token.used" => "An initial access token was used",
        "initial_access_token.revoked" => "An initial access token was revoked",
        "service_token.created" => "A service token was made",
        "service_token.revoked" => "A service token was revoked",
        "webhook.created" => "A webhook was added",
        "webhook.edited" => "A webhook was changed",
        "webhook.secret_rotated" => "A webhook has a new secret",
        "webhook.disabled" => "A webhook is told nothing for now",
        "webhook.enabled" => "A webhook is told of events again",
        "webhook.event_dropped" => "A webhook was never told of an event",
        "webhook.deleted" => "A webhook was deleted",
        "reservation.taken" => "One client was named for all identical instances",
        "projection.event_skipped" => "A read model goes on without an event",
        "projection.skip_taken_back" => "A read model no longer goes on without an event",
        other => other,
    };
    said.to_owned()
}

fn modes(data: &Value) -> String {
    let list = |member: &str| -> Vec<&str> {
        data.get(member).and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let (old, new) = (list("old"), list("new"));
    let off: Vec<&str> = old.iter().copied().filter(|mode| !new.contains(mode)).collect();
    let on: Vec<&str> = new.iter().copied().filter(|mode| !old.contains(mode)).collect();
    let mut said = Vec::new();
    if !off.is_empty() {
        said.push(format!("{} switched off", off.join(" and ")));
    }
    if !on.is_empty() {
        said.push(format!("{} switched on", on.join(" and ")));
    }
    let mut suspended = list("also_suspended");
    if text(data, "effect_on_existing") == Some("suspend") {
        suspended.extend(off);
    }
    if !suspended.is_empty() {
        said.push(format!("clients that came by {} suspended", suspended.join(" and ")));
    }
    crate::ui::parts::error_page::capital(&said.join(", ")).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_client_says_anew_is_told_apart_from_what_it_no_longer_says() {
        let (before, now) = (
            json!({"client_name": "A", "scope": "x", "redirect_uris": ["a", "b"]}),
            json!({"client_name": "B", "redirect_uris": ["b", "c"]}),
        );
        let changes = differences(before.as_object().unwrap(), now.as_object().unwrap());
        let told: Vec<_> =
            changes.iter().map(|change| (change.member.as_str(), change.removed.join(" "), change.added.join(" "))).collect();
        assert_eq!(
            told,
            [
                ("client_name", "A".to_owned(), "B".to_owned()),
                ("redirect_uris", "a".to_owned(), "c".to_owned()),
                ("scope", "x".to_owned(), String::new())
            ]
        );
    }

    #[test]
    fn every_event_that_can_be_stored_has_a_sentence() {
        let shapes = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/events/tests/shapes")).unwrap();
        let mut names = 0;
        for shape in shapes {
            let file = shape.unwrap().file_name().into_string().unwrap();
            let Some((name, _)) = file.split_once('@').filter(|(name, _)| name.contains('.')) else { continue };
            assert_ne!(sentence(name, &json!({"old": ["dcr"], "new": []})), name, "the pages have no sentence for {name}");
            names += 1;
        }
        assert!(names > 30, "{names}");
    }

    #[test]
    fn switched_modes_are_said_in_words() {
        let data = json!({"old": ["dcr", "cimd"], "new": ["cimd", "prereg"]});
        assert_eq!(sentence("resource_server.modes_changed", &data), "Dcr switched off, prereg switched on");
        assert_eq!(sentence("a.name_of_tomorrow", &data), "a.name_of_tomorrow");
        let later = json!({"old": ["cimd"], "new": ["cimd"], "effect_on_existing": "suspend", "also_suspended": ["dcr"]});
        assert_eq!(sentence("resource_server.modes_changed", &later), "Clients that came by dcr suspended");
    }
}
