//! How a registration follows the document that its client hosts: the four lanes, soaking, and the way back. As scenes.

use chrono::TimeZone;
use uuid::Uuid;

use super::*;
use crate::admission::Heard;
use crate::scenario::{self, Scene};
use RegistrationCommand as Command;
use RegistrationEvent as Event;

const A: &str = "https://a.example/cb";
const B: &str = "https://b.example/cb";
const C: &str = "https://c.example/cb";

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn uris<const N: usize>(texts: [&str; N]) -> RedirectUris {
    RedirectUris::parse(texts).unwrap()
}

fn change(number: u128) -> ChangeId {
    ChangeId(Uuid::from_u128(number))
}

fn version(number: u32) -> ManifestRef {
    ManifestRef { version: number, content_hash: ContentHash::of_digest([1; 32]), base: number.checked_sub(1) }
}

fn hear<const N: usize>(number: u32, heard: Heard, claimed: [&str; N]) -> Command {
    Command::FollowManifest { claimed: uris(claimed), heard, metadata: None, change_id: change(number.into()), manifest: version(number) }
}

fn requested() -> Event {
    Event::Requested(Requested {
        tenant: TenantId::parse("acme").unwrap(),
        client_id: ClientId::parse("https://app.example/client.json").unwrap(),
        registration_type: RegistrationType::Cimd,
        redirect_uris: uris([A, B]),
        metadata: None,
    })
}

/// Approved, with A and B serving.
fn serving() -> Vec<Event> {
    vec![requested(), Event::Approved(Approved { reason: None })]
}

fn given(history: impl IntoIterator<Item = Event>) -> Scene<Registration> {
    scenario::given(history)
}

fn staged(number: u32, (added, removed): (RedirectUris, RedirectUris), result: RedirectUris, serves_at: Option<DateTime<Utc>>) -> Event {
    let (change_id, origin, manifest) = (change(number.into()), "manifest".to_owned(), Some(version(number)));
    Event::RedirectsStaged(StagedChange { change_id, added, removed, result, metadata: None, origin, manifest, serves_at }.into())
}

fn by_policy(number: u128) -> Event {
    Event::RedirectsApproved(RedirectsApproved { change_id: change(number), by_policy: true })
}

fn narrowed<const N: usize>(removed: [&str; N]) -> Event {
    Event::RedirectsNarrowed(RedirectsNarrowed { removed: uris(removed) })
}

fn rejected(number: u128) -> Event {
    Event::RedirectsRejected(RedirectsRejected { change_id: change(number), reason: None })
}

fn back(version: u32, redirect_uris: RedirectUris, claimed: RedirectUris) -> Command {
    Command::RollBack { version, redirect_uris, claimed, metadata: None, reason: None }
}

fn rolled_back(version: u32, redirect_uris: RedirectUris, overridden: RedirectUris) -> Event {
    Event::RolledBack(RolledBack { version, redirect_uris, overridden, metadata: None, overridden_metadata: None, reason: None })
}

#[test]
fn staged_widening_waits_with_the_version_that_wishes_it() {
    let after = given(serving())
        .when(&hear(2, Heard::Staged, [A, B, C]))
        .then([staged(2, (uris([C]), uris([])), uris([A, B, C]), None)])
        .when(&hear(2, Heard::Staged, [A, B, C]))
        .then_nothing()
        .state();
    assert_eq!(after.redirect_uris, uris([A, B]));
}

#[test]
fn narrowing_serves_at_once_in_every_lane_but_pinned() {
    for heard in [Heard::Staged, Heard::Live, Heard::Soak(noon(9))] {
        given(serving()).when(&hear(2, heard, [A])).then([narrowed([B])]);
    }
    let after = given(serving())
        .when(&hear(2, Heard::Pinned, [A]))
        .then([staged(2, (uris([]), uris([B])), uris([A]), None)])
        .when(&hear(2, Heard::Pinned, [A]))
        .then_nothing()
        .state();
    assert_eq!(after.redirect_uris, uris([A, B]));
    let approved = after.evolve(&Event::RedirectsApproved(RedirectsApproved { change_id: change(2), by_policy: false }));
    assert_eq!(approved.redirect_uris, uris([A]));
}

#[test]
fn live_widening_serves_at_once_and_is_on_the_record() {
    let after = given(serving())
        .when(&hear(2, Heard::Live, [A, B, C]))
        .then([staged(2, (uris([C]), uris([])), uris([A, B, C]), None), by_policy(2)])
        .state();
    assert_eq!(after.redirect_uris, uris([A, B, C]));
}

#[test]
fn a_soaking_change_serves_when_its_time_has_come_and_not_before() {
    let waits = given(serving())
        .when(&hear(2, Heard::Soak(noon(9)), [A, B, C]))
        .then([staged(2, (uris([C]), uris([])), uris([A, B, C]), Some(noon(9)))])
        // A later poll does not start the clock anew.
        .when(&hear(2, Heard::Soak(noon(10)), [A, B, C]))
        .then_nothing()
        .when(&Command::Ripen { at: noon(8) })
        .then_nothing();
    let after =
        waits.when(&Command::Ripen { at: noon(9) }).then([by_policy(2)]).when(&Command::Ripen { at: noon(9) }).then_nothing().state();
    assert_eq!(after.redirect_uris, uris([A, B, C]));
}

#[test]
fn who_objects_to_a_soaking_change_ends_it() {
    let change = staged(2, (uris([C]), uris([])), uris([A, B, C]), Some(noon(9)));
    let history = [serving(), vec![change, rejected(2)]].concat();
    given(history).when(&Command::Ripen { at: noon(10) }).then_nothing().when(&hear(2, Heard::Soak(noon(11)), [A, B, C])).then_nothing();
}

#[test]
fn a_change_that_is_not_soaking_never_ripens() {
    let history = [serving(), vec![staged(2, (uris([C]), uris([])), uris([A, B, C]), None)]].concat();
    given(history).when(&Command::Ripen { at: noon(30) }).then_nothing();
}

#[test]
fn a_rejected_document_is_not_staged_again_until_it_wishes_something_else() {
    let history = [serving(), vec![staged(2, (uris([C]), uris([])), uris([A, B, C]), None), rejected(2)]].concat();
    given(history.clone()).when(&hear(2, Heard::Staged, [A, B, C])).then_nothing();
    given(history).when(&hear(3, Heard::Staged, [A, B, C, "https://d.example/cb"])).then([staged(
        3,
        (uris([C, "https://d.example/cb"]), uris([])),
        uris([A, B, C, "https://d.example/cb"]),
        None,
    )]);
    let pinned = [serving(), vec![staged(2, (uris([]), uris([B])), uris([A]), None), rejected(2)]].concat();
    given(pinned).when(&hear(2, Heard::Pinned, [A])).then_nothing();
}

#[test]
fn a_newer_document_supersedes_and_a_reverted_one_withdraws() {
    let history = [serving(), vec![staged(2, (uris([C]), uris([])), uris([A, B, C]), None)]].concat();
    let superseded = |by: Option<u128>| Event::RedirectsSuperseded(RedirectsSuperseded { change_id: change(2), by: by.map(change) });
    let newer = ["https://d.example/cb"];
    given(history.clone())
        .when(&hear(3, Heard::Staged, [A, B, newer[0]]))
        .then([superseded(Some(3)), staged(3, (uris(newer), uris([])), uris([A, B, newer[0]]), None)]);
    given(history).when(&hear(3, Heard::Staged, [A, B])).then([superseded(None)]);
}

#[test]
fn an_administrator_goes_back_and_the_document_is_not_heard_until_it_differs() {
    // Version 2 took B away and added C, which was approved.
    let history = [
        serving(),
        vec![
            narrowed([B]),
            staged(2, (uris([C]), uris([B])), uris([A, C]), None),
            Event::RedirectsApproved(RedirectsApproved { change_id: change(2), by_policy: false }),
        ],
    ]
    .concat();
    let after = given(history)
        .when(&back(1, uris([A, B]), uris([A, C])))
        .then([rolled_back(1, uris([A, B]), uris([A, C]))])
        .when(&back(1, uris([A, B]), uris([A, C])))
        .then_nothing()
        .when(&hear(2, Heard::Staged, [C, A]))
        .then_nothing()
        .when(&hear(2, Heard::Live, [A, C]))
        .then_nothing()
        .when(&hear(3, Heard::Staged, [A, B, C]))
        .then([staged(3, (uris([C]), uris([])), uris([A, B, C]), None)])
        .state();
    assert_eq!(after.redirect_uris, uris([A, B]));
}

/// What was overridden is a wish like any other once another one was heard: otherwise that one would go on waiting, and its
/// approval would let serve what the document no longer claims.
#[test]
fn a_document_that_returns_to_what_was_overridden_is_heard_and_supersedes_what_came_between() {
    given(serving())
        .when(&hear(2, Heard::Staged, [A, B, C]))
        .then([staged(2, (uris([C]), uris([])), uris([A, B, C]), None)])
        .when(&back(1, uris([A, B]), uris([A, B, C])))
        .then([rolled_back(1, uris([A, B]), uris([A, B, C]))])
        .when(&hear(3, Heard::Staged, [C]))
        .then([narrowed([A, B]), staged(3, (uris([C]), uris([A, B])), uris([C]), None)])
        .when(&hear(4, Heard::Staged, [A, B, C]))
        .then([
            Event::RedirectsSuperseded(RedirectsSuperseded { change_id: change(3), by: Some(change(4)) }),
            staged(4, (uris([A, B, C]), uris([])), uris([A, B, C]), None),
        ]);
}

#[test]
fn going_back_ends_what_waits_and_needs_an_open_registration() {
    let waiting = [serving(), vec![staged(2, (uris([C]), uris([])), uris([A, B, C]), None)]].concat();
    let after = given(waiting).when(&back(1, uris([A, B]), uris([A, B, C]))).then([rolled_back(1, uris([A, B]), uris([A, B, C]))]).state();
    assert_eq!((after.staged, after.last_change), (None, Some((change(2), ChangeOutcome::Superseded))));
    let refused = |status| Rejection::WrongStatus { status, attempted: "rolled back" };
    given([requested()]).when(&back(1, uris([A]), uris([A]))).then_refused(refused(Status::Pending));
}

#[test]
fn a_closed_registration_hears_withdrawals_and_a_waiting_one_asks_differently() {
    let gone = [serving(), vec![Event::Revoked(Revoked { reason: None })]].concat();
    given(gone.clone()).when(&hear(2, Heard::Live, [A, C])).then([narrowed([B])]);
    given(gone).when(&hear(2, Heard::Pinned, [A, C])).then_nothing();
    let asks = Event::Requested(Requested {
        tenant: TenantId::parse("acme").unwrap(),
        client_id: ClientId::parse("https://app.example/client.json").unwrap(),
        registration_type: RegistrationType::Cimd,
        redirect_uris: uris([C]),
        metadata: None,
    });
    given([requested()]).when(&hear(2, Heard::Staged, [C])).then([asks]);
    given([]).when(&hear(2, Heard::Staged, [C])).then_refused(Rejection::NoSuchRegistration);
}
