//! Scenes about what an auditor sees.

use gatebook_events::client::{ClientEvent, MetadataUpdated, RegistrationTokenRotated, SecretRotated};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::RegistrationEvent;
use gatebook_events::secret::{KeptSecret, SecretHash, TokenHash};
use gatebook_events::stream::Stream;
use uuid::Uuid;

use super::*;
use crate::read_model::Reader;
use crate::scene::{
    Folder, approved, at, created, id, issued, key, of_client, of_registration, of_server, of_token, one_client, registered, requested,
    second, server, tenant, used,
};

fn positions(reader: &Reader<History>, query: &HistoryQuery) -> Vec<u64> {
    reader.events(query).unwrap().rows.iter().map(|row| row.position.to_backend()).collect()
}

fn all() -> HistoryQuery {
    HistoryQuery::all(tenant("acme"), 100)
}

#[test]
fn an_event_is_shown_with_who_caused_it_and_what_it_says() {
    let folder = Folder::new();
    let reader = folder.given::<History>(&one_client()).reader();
    let row = reader.event(&tenant("acme"), EventId(Uuid::from_u128(4))).unwrap().unwrap();
    let expected = HistoryRow {
        position: Position::from_backend(4),
        id: EventId(Uuid::from_u128(4)),
        name: "registration.approved".into(),
        version: 1,
        recorded_at: second(4),
        tenant: Some(tenant("acme")),
        resource_server: Some(server(1)),
        client_key: Some(key(1)),
        client_id: Some(id(1)),
        actor_kind: ActorKind::Admin,
        actor_id: Some("ada".into()),
        actor_via: Some("admin-api".into()),
        request_id: Some("r-1".into()),
        causation_id: None,
        origin: None,
        stream: of_registration(1).to_string(),
        data: "{}".into(),
    };
    assert_eq!(row, expected);
    assert_eq!(reader.event(&tenant("other"), expected.id).unwrap(), None);
}

#[test]
fn hashes_of_secrets_are_kept_out() {
    let folder = Folder::new();
    let hash = SecretHash::try_new("$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA").unwrap();
    let secret = KeptSecret { hash, expires_at: Some(second(0)) };
    let registration_token = TokenHash([0xa5; 32]);
    let ClientEvent::Registered(mut first) = registered(1, "Says \"secret\" and $argon2id$") else { unreachable!() };
    (first.secret, first.registration_token) = (Some(secret.clone()), Some(registration_token));
    let model = folder.given::<History>(&[
        at(1, of_client(1), &ClientEvent::Registered(first)),
        at(2, of_client(1), &ClientEvent::SecretRotated(SecretRotated { secret, old_valid_until: None, repeat_key: None })),
        at(3, of_client(1), &ClientEvent::RegistrationTokenRotated(RegistrationTokenRotated { registration_token })),
    ]);
    let text = model.dump().unwrap().concat();
    assert!(!text.contains("aGFzaA") && !text.contains("a5a5"), "{text}");
    let rows = model.reader().events(&HistoryQuery { newest_first: false, ..all() }).unwrap().rows;
    assert!(rows[0].data.contains(r#""client_name":"Says \"secret\" and $argon2id$""#), "{}", rows[0].data);
    assert_eq!(rows[1].data, r#"{"secret":{"expires_at":"2026-03-01T12:00:00Z","hash":"[kept out]"}}"#);
    assert_eq!(rows[2].data, r#"{"registration_token":"[kept out]"}"#);
}

#[test]
fn history_is_filtered_and_never_shows_another_tenants() {
    let folder = Folder::new();
    let mut log = one_client();
    let mut foreign = at(5, of_server(2), &created("other", None));
    foreign.event.meta = r#"{"tenant":"other","actor":{"kind":"system"}}"#.into();
    log.push(foreign);
    // A client at home nowhere, and what tenant `other` decided about it.
    let mut decided = at(6, Stream::Registration(server(2), key(1)), &approved());
    decided.event.meta = r#"{"tenant":"other","actor":{"kind":"client"}}"#.into();
    log.push(decided);
    let reader = folder.given::<History>(&log).reader();
    assert_eq!(positions(&reader, &all()), [4, 3, 2, 1]);
    assert_eq!(positions(&reader, &HistoryQuery { newest_first: false, ..all() }), [1, 2, 3, 4]);
    assert_eq!(positions(&reader, &HistoryQuery { client_id: Some(id(1)), ..all() }), [4, 3, 2]);
    assert_eq!(positions(&reader, &HistoryQuery { resource_server: Some(server(1)), ..all() }), [4, 3, 1]);
    let both = HistoryQuery { client_id: Some(id(1)), resource_server: Some(server(1)), ..all() };
    assert_eq!(positions(&reader, &both), [4, 3]);
    assert_eq!(positions(&reader, &HistoryQuery { resource_server: Some(server(2)), ..all() }), [0; 0]);
    assert_eq!(positions(&reader, &HistoryQuery { event_name: Some("registration.approved".into()), ..all() }), [4]);
    assert_eq!(positions(&reader, &HistoryQuery { actor: Some("ada".into()), ..all() }).len(), 4);
    assert_eq!(positions(&reader, &HistoryQuery { actor: Some("admin".into()), ..all() }).len(), 4);
    assert_eq!(positions(&reader, &HistoryQuery { actor: Some("system".into()), ..all() }), [0; 0]);
    assert_eq!(positions(&reader, &HistoryQuery { since: Some(second(2)), until: Some(second(4)), ..all() }), [3, 2]);
    assert_eq!(positions(&reader, &HistoryQuery { up_to: Some(Position::from_backend(3)), ..all() }), [3, 2, 1]);
    assert_eq!(positions(&reader, &HistoryQuery { tenant: tenant("other"), ..all() }), [6, 5]);
    let before = HistoryQuery { tenant: tenant("other"), up_to: Some(Position::from_backend(5)), ..all() };
    assert_eq!(positions(&reader, &before), [5], "what belongs to no tenant too");
}

#[test]
fn pages_and_a_live_stream_go_on_where_they_ended() {
    let folder = Folder::new();
    let reader = folder.given::<History>(&one_client()).reader();
    let first = reader.events(&HistoryQuery { limit: 3, ..all() }).unwrap();
    assert_eq!((first.rows.len(), first.next_cursor), (3, Some(Position::from_backend(2))));
    let second = reader.events(&HistoryQuery { limit: 3, cursor: first.next_cursor, ..all() }).unwrap();
    assert_eq!((second.rows.len(), second.next_cursor), (1, None));
    let after = |number| reader.after(&tenant("acme"), Position::from_backend(number), 2).unwrap();
    assert_eq!(after(1).iter().map(|row| row.position.to_backend()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(after(4), []);
}

#[test]
fn a_client_is_named_by_its_public_identifier() {
    let folder = Folder::new();
    let url = ClientId::parse("https://app.example/client.json").unwrap();
    let RegistrationEvent::Requested(mut asked) = requested(1) else { unreachable!() };
    asked.client_id = url.clone();
    let stream = Stream::Registration(server(1), url.key());
    let reader = folder.given::<History>(&[at(1, stream, &RegistrationEvent::Requested(asked)), at(2, stream, &approved())]).reader();
    let rows = reader.events(&HistoryQuery { client_id: Some(url.clone()), ..all() }).unwrap().rows;
    assert_eq!(rows.into_iter().map(|row| row.client_id).collect::<Vec<_>>(), [Some(url.clone()), Some(url)]);
}

#[test]
fn a_use_of_an_initial_access_token_is_about_the_client_that_came_by_it() {
    let folder = Folder::new();
    let mut log = one_client();
    log.extend([at(5, of_token(1), &issued("ci", None)), at(6, of_token(1), &used(1, 1))]);
    let reader = folder.given::<History>(&log).reader();
    assert_eq!(positions(&reader, &HistoryQuery { client_id: Some(id(1)), newest_first: false, ..all() }), [2, 3, 4, 6]);
    let of_server = HistoryQuery { resource_server: Some(server(1)), newest_first: false, ..all() };
    assert_eq!(positions(&reader, &of_server), [1, 3, 4, 5, 6]);
    let row = reader.event(&tenant("acme"), EventId(Uuid::from_u128(5))).unwrap().unwrap();
    assert_eq!((row.client_id, row.data.as_str()), (None, r#"{"label":"ci","tenant":"acme","token":"[kept out]"}"#));
}

/// The same event in no tenant's history.
fn of_none(mut envelope: Envelope) -> Envelope {
    envelope.event.meta = envelope.event.meta.replace(r#""tenant":"acme","#, "").into();
    assert!(!envelope.event.meta.contains("tenant"), "{}", envelope.event.meta);
    envelope
}

#[test]
fn r1_a_client_that_came_to_no_resource_server_is_shown_to_the_tenant_default_until_another_takes_it() {
    let folder = Folder::new();
    let ClientEvent::Registered(mut alone) = registered(1, "Before") else { unreachable!() };
    alone.home = None;
    let changed = |name: &str| {
        let metadata = ClientMetadata { client_name: Some(name.into()), ..alone.metadata.clone() };
        ClientEvent::MetadataUpdated(MetadataUpdated { metadata, secret: None, keeps_secret: false, ignored: vec![] })
    };
    let (client, registration) = (of_client(1), of_registration(1));
    let model = folder.given::<History>(&[
        of_none(at(1, client, &ClientEvent::Registered(alone.clone()))),
        of_none(at(2, client, &changed("Still"))),
        at(3, registration, &requested(1)),
        of_none(at(4, client, &changed("After"))),
    ]);
    let reader = model.reader();
    let shown = |name: &str| positions(&reader, &HistoryQuery { newest_first: false, ..HistoryQuery::all(tenant(name), 10) });
    assert_eq!(shown("default"), [1, 2], "what happened while no tenant had it");
    assert_eq!(shown("acme"), [1, 2, 3, 4], "all of it, once it is theirs");
    assert!(shown("other").is_empty());
}
