//! Scenes about what waits.

use gatebook_events::client::{ClientEvent, Deleted, MetadataUpdated};
use gatebook_events::registration::{
    Denied, Dormant, RedirectsApproved, RedirectsRejected, RedirectsSuperseded, RegistrationEvent as Event, Restored, RevivalAsked,
    Revived, Revoked, Suspended,
};
use gatebook_events::resource_server::{Renamed, ResourceServerEvent, Retired};

use super::*;
use crate::read_model::ReadModel;
use crate::scene::{
    Folder, LOOPBACK, approved, at, change, id, key, metadata, of_client, of_registration, of_server, one_client, recorded, registered,
    requested, second, server, staged, tenant, uris,
};

const ADDED: &str = "https://app.example/cb";

fn waiting(model: &ReadModel<Approvals>) -> Vec<WaitingRow> {
    let page = model.reader().waiting(&tenant("acme"), None, 10).unwrap();
    assert_eq!(page.total, u64::try_from(page.rows.len()).unwrap());
    assert_eq!(model.reader().waiting_total(&tenant("acme")).unwrap(), page.total);
    page.rows
}

/// How many wait after each of these events of the one client's registration, beginning with the log as it was.
fn counts(log: &[Envelope], events: &[Event]) -> Vec<usize> {
    let folder = Folder::new();
    let mut model = folder.given::<Approvals>(log);
    let mut counts = vec![waiting(&model).len()];
    for event in events {
        model.apply(&[at(model.position().to_backend() + 1, of_registration(1), event)]).unwrap();
        counts.push(waiting(&model).len());
    }
    counts
}

#[test]
fn a_registration_waits_with_all_that_an_administrator_has_to_see() {
    let folder = Folder::new();
    let mut model = folder.given::<Approvals>(&one_client()[..3]);
    let expected = WaitingRow {
        wish: Wish::Registration,
        resource_server: server(1),
        resource_server_name: "Files".into(),
        client_key: key(1),
        client_id: id(1),
        client_name: Some("Claude Code".into()),
        registration_type: RegistrationType::Dcr,
        redirect_uris: uris(&[LOOPBACK]),
        metadata: None,
        version: AnswerVersion { client: 1, registration: 1, document: 0 },
        since: second(3),
        origin: Some("admin-api".into()),
    };
    assert_eq!(waiting(&model), std::slice::from_ref(&expected));
    let updated = ClientEvent::MetadataUpdated(MetadataUpdated {
        metadata: metadata("New", &[]),
        secret: None,
        keeps_secret: false,
        ignored: vec![],
    });
    let renamed = ResourceServerEvent::Renamed(Renamed { name: "Folders".into(), resource: None });
    // It asks differently, and keeps its place.
    model.apply(&[at(4, of_client(1), &updated), at(5, of_server(1), &renamed), at(6, of_registration(1), &requested(1))]).unwrap();
    let version = AnswerVersion { client: 2, registration: 2, document: 0 };
    let renamed = WaitingRow { client_name: Some("New".into()), resource_server_name: "Folders".into(), version, ..expected };
    assert_eq!(waiting(&model), [renamed]);
    assert_eq!(model.reader().waiting(&tenant("other"), None, 10).unwrap().rows, []);
}

#[test]
fn a_staged_change_waits_until_it_is_settled() {
    let folder = Folder::new();
    let mut model = folder.given::<Approvals>(&one_client());
    assert_eq!(waiting(&model), []);
    model.apply(&[at(5, of_registration(1), &staged(7, &[ADDED], &[LOOPBACK, ADDED]))]).unwrap();
    let rows = waiting(&model);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(
        row.wish,
        Wish::Redirects {
            change_id: change(7),
            added: uris(&[ADDED]),
            removed: uris(&[]),
            result: uris(&[LOOPBACK, ADDED]),
            metadata: None,
            manifest: None,
            serves_at: None
        }
    );
    assert_eq!((row.since, row.origin.as_deref(), &row.redirect_uris), (second(5), Some("rfc7592"), &uris(&[LOOPBACK])));

    let stage = staged(7, &[ADDED], &[LOOPBACK, ADDED]);
    let change_id = change(7);
    for settled in [
        Event::RedirectsApproved(RedirectsApproved { change_id, by_policy: true }),
        Event::RedirectsRejected(RedirectsRejected { change_id, reason: None }),
        Event::RedirectsSuperseded(RedirectsSuperseded { change_id, by: None }),
    ] {
        assert_eq!(counts(&one_client(), &[stage.clone(), settled]), [0, 1, 0]);
    }
    let older = Event::RedirectsApproved(RedirectsApproved { change_id: change(6), by_policy: false });
    assert_eq!(counts(&one_client(), &[stage, older]), [0, 1, 1]);
}

#[test]
fn a_decision_ends_the_wait_and_what_brings_it_back_begins_it_again() {
    let asked = &one_client()[..3];
    let (revoked, restored) = (Event::Revoked(Revoked::default()), Event::Restored(Restored::default()));
    let denied = Event::Denied(Denied { reason: None, until: None });
    assert_eq!(counts(asked, &[approved()]), [1, 0]);
    assert_eq!(counts(asked, &[denied, requested(1)]), [1, 0, 1]);
    assert_eq!(counts(asked, &[revoked.clone(), restored.clone()]), [1, 0, 1]);
    let stage = staged(7, &[ADDED], &[LOOPBACK, ADDED]);
    let suspended = Event::Suspended(Suspended::default());
    assert_eq!(counts(&one_client(), &[stage, suspended, revoked, restored]), [0, 1, 1, 0, 1]);
}

#[test]
fn a_dormant_client_waits_only_once_it_was_asked_about_and_as_what_it_is() {
    let dormant = Event::Dormant(Dormant { idle_since: second(1) });
    let (asked, revived) = (Event::RevivalAsked(RevivalAsked {}), Event::Revived(Revived::default()));
    assert_eq!(counts(&one_client(), &[dormant.clone(), asked.clone(), revived.clone()]), [0, 0, 1, 0]);
    let folder = Folder::new();
    let mut model = folder.given::<Approvals>(&one_client());
    for (position, event) in (5..).zip([staged(7, &[ADDED], &[LOOPBACK, ADDED]), dormant, asked, revived]) {
        model.apply(&[at(position, of_registration(1), &event)]).unwrap();
        let rows = waiting(&model);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let (returning, since) = if position == 7 { (true, 7) } else { (false, 5) };
        assert_eq!((row.wish == Wish::Revival, row.since), (returning, second(since)), "{position}");
    }
}

#[test]
fn nothing_waits_of_a_deleted_client_or_at_a_retired_resource_server() {
    let deleted = at(9, of_client(1), &ClientEvent::Deleted(Deleted { reason: None }));
    let retired = at(9, of_server(1), &ResourceServerEvent::Retired(Retired { reason: None }));
    for end in [deleted, retired] {
        let folder = Folder::new();
        let mut model = folder.given::<Approvals>(&one_client()[..3]);
        model.apply(&[end]).unwrap();
        assert_eq!(waiting(&model), []);
        model.apply(&[at(10, of_registration(1), &requested(1))]).unwrap();
        assert_eq!(waiting(&model), []);
    }
}

#[test]
fn a_registration_waits_unseen_until_its_client_has_come() {
    let (folder, other) = (Folder::new(), Folder::new());
    let [created, client, asked, _] = one_client().try_into().unwrap();
    let mut early = folder.given::<Approvals>(&[created.clone(), recorded(3, 3, of_registration(1), &requested(1))]);
    assert_eq!(waiting(&early), []);
    early.apply(&[recorded(4, 2, of_client(1), &registered(1, "Claude Code"))]).unwrap();
    let late = other.given::<Approvals>(&[created, client, asked]);
    assert_eq!(early.dump().unwrap()[1..], late.dump().unwrap()[1..]);
    assert_eq!(waiting(&early), waiting(&late));
}

#[test]
fn pages_go_on_where_they_ended_over_ties() {
    let folder = Folder::new();
    let mut log = vec![one_client().remove(0)];
    for number in 1..=7_u64 {
        log.push(recorded(number * 2, 0, of_client(number.into()), &registered(number.into(), "Same")));
        log.push(recorded(number * 2 + 1, i64::try_from(number % 2).unwrap(), of_registration(number.into()), &requested(number.into())));
    }
    let reader = folder.given::<Approvals>(&log).reader();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = reader.waiting(&tenant("acme"), cursor.as_ref(), 2).unwrap();
        assert_eq!(page.total, 7);
        seen.extend(page.rows.iter().map(|row| (row.since, row.client_key)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let odd = Cursor::of_parts(["newest", "x", "y", "z"]);
    assert!(matches!(reader.waiting(&tenant("acme"), Some(&odd), 2), Err(QueryError::Cursor(_))));
}
