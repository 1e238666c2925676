//! The life of a registration as scenes: every command done, repeated and refused, and the rules of redirect changes.
//! Why this file is long: every command of the aggregate stands here three times, done, repeated and refused.
#![expect(clippy::unnecessary_wraps, reason = "as the members that they fill have it")]

use std::num::NonZeroU16;

use chrono::{TimeDelta, TimeZone};
use uuid::Uuid;

use super::*;
use crate::admission::{Admission, Revival};
use crate::scenario::{self, Scene};
use RegistrationCommand as Command;
use RegistrationEvent as Event;

const A: &str = "https://a.example/cb";
const B: &str = "https://b.example/cb";
const C: &str = "https://c.example/cb";
const D: &str = "http://127.0.0.1/cb";

fn given(history: impl IntoIterator<Item = RegistrationEvent>) -> Scene<Registration> {
    scenario::given(history)
}

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn uris<const N: usize>(texts: [&str; N]) -> RedirectUris {
    RedirectUris::parse(texts).unwrap()
}

fn change(number: u128) -> ChangeId {
    ChangeId(Uuid::from_u128(number))
}

fn because() -> Option<String> {
    Some("seen on a list".to_owned())
}

// What is asked.

fn request_on(day: u32, admission: Admission) -> Command {
    let (tenant, client_id) = (TenantId::parse("acme").unwrap(), ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap());
    Command::Request {
        tenant,
        client_id,
        registration_type: RegistrationType::Dcr,
        redirect_uris: uris([A, B]),
        metadata: None,
        admission,
        at: noon(day),
    }
}

fn request(admission: Admission) -> Command {
    request_on(1, admission)
}

fn approve() -> Command {
    Command::Approve { reason: because() }
}

fn deny(until: Option<DateTime<Utc>>) -> Command {
    Command::Deny { reason: because(), until }
}

fn suspend() -> Command {
    Command::Suspend { reason: because() }
}

fn reinstate() -> Command {
    Command::Reinstate { reason: because() }
}

fn revoke() -> Command {
    Command::Revoke { reason: because() }
}

fn restore() -> Command {
    Command::Restore { reason: because() }
}

fn claim<const N: usize>(id: u128, claimed: [&str; N]) -> Command {
    Command::Claim {
        claimed: uris(claimed),
        admission: Admission::Review,
        metadata: None,
        change_id: change(id),
        origin: "manifest".to_owned(),
    }
}

fn claim_admitted<const N: usize>(id: u128, claimed: [&str; N]) -> Command {
    Command::Claim {
        claimed: uris(claimed),
        admission: Admission::Auto,
        metadata: None,
        change_id: change(id),
        origin: "manifest".to_owned(),
    }
}

fn approve_change(id: u128) -> Command {
    Command::ApproveRedirects { change_id: Some(change(id)) }
}

fn reject_change(id: u128) -> Command {
    Command::RejectRedirects { change_id: Some(change(id)), reason: because() }
}

const APPROVE_WHAT_WAITS: Command = Command::ApproveRedirects { change_id: None };
const REJECT_WHAT_WAITS: Command = Command::RejectRedirects { change_id: None, reason: None };

// What happened.

fn requested_with(redirect_uris: RedirectUris) -> Event {
    Event::Requested(Requested {
        tenant: TenantId::parse("acme").unwrap(),
        client_id: ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap(),
        registration_type: RegistrationType::Dcr,
        redirect_uris,
        metadata: None,
    })
}

fn requested() -> Event {
    requested_with(uris([A, B]))
}

fn admitted() -> Event {
    Event::Approved(Approved { reason: None })
}

fn approved() -> Event {
    Event::Approved(Approved { reason: because() })
}

fn denied(until: Option<DateTime<Utc>>) -> Event {
    Event::Denied(Denied { reason: because(), until })
}

fn suspended() -> Event {
    Event::Suspended(Suspended { reason: because() })
}

fn reinstated() -> Event {
    Event::Reinstated(Reinstated { reason: because() })
}

fn revoked() -> Event {
    Event::Revoked(Revoked { reason: because() })
}

fn restored() -> Event {
    Event::Restored(Restored { reason: because() })
}

fn dormant() -> Event {
    Event::Dormant(Dormant { idle_since: noon(1) })
}

fn idle(watched: i64, after_days: u16) -> Command {
    Command::NoteIdleness { since: noon(1), watched: TimeDelta::days(watched), after_days: NonZeroU16::new(after_days).unwrap() }
}

fn used(revive: Revival) -> Command {
    Command::Use { revive }
}

fn staged(id: u128, added: RedirectUris, removed: RedirectUris, result: RedirectUris) -> Event {
    let (change_id, origin) = (change(id), "manifest".to_owned());
    let change = StagedChange { change_id, added, removed, result, metadata: None, origin, manifest: None, serves_at: None };
    Event::RedirectsStaged(change.into())
}

fn change_approved(id: u128) -> Event {
    Event::RedirectsApproved(RedirectsApproved { change_id: change(id), by_policy: false })
}

fn change_admitted(id: u128) -> Event {
    Event::RedirectsApproved(RedirectsApproved { change_id: change(id), by_policy: true })
}

fn change_rejected(id: u128) -> Event {
    Event::RedirectsRejected(RedirectsRejected { change_id: change(id), reason: because() })
}

fn superseded(id: u128, by: Option<u128>) -> Event {
    Event::RedirectsSuperseded(RedirectsSuperseded { change_id: change(id), by: by.map(change) })
}

fn narrowed<const N: usize>(removed: [&str; N]) -> Event {
    Event::RedirectsNarrowed(RedirectsNarrowed { removed: uris(removed) })
}

/// Approved, with A and B serving.
fn serving() -> Vec<Event> {
    vec![requested(), admitted()]
}

/// Approved, with A and B serving, and C waiting as change 1.
fn waiting() -> Vec<Event> {
    vec![requested(), admitted(), staged(1, uris([C]), uris([]), uris([A, B, C]))]
}

fn and(mut history: Vec<Event>, event: Event) -> Vec<Event> {
    history.push(event);
    history
}

fn wrong(status: Status, attempted: &'static str) -> Rejection {
    Rejection::WrongStatus { status, attempted }
}

// ---------------------------------------------------------------- standing

#[test]
fn anyone_is_admitted_at_once_where_the_rules_say_so() {
    given([]).when(&request(Admission::Auto)).then([requested(), admitted()]).when(&request(Admission::Auto)).then_nothing();
}

#[test]
fn anyone_waits_where_the_rules_want_a_review_even_if_the_rules_change_meanwhile() {
    let waits = given([]).when(&request(Admission::Review)).then([requested()]).when(&request(Admission::Auto)).then_nothing().state();
    assert_eq!(waits.status, Status::Pending);
}

#[test]
fn an_administrator_approves_a_waiting_or_denied_client() {
    given([requested()]).when(&approve()).then([approved()]).when(&approve()).then_nothing();
    given([requested(), denied(None)]).when(&approve()).then([approved()]);
    given(and(serving(), suspended())).when(&approve()).then_refused(wrong(Status::Suspended, "approved"));
    given(and(serving(), revoked())).when(&approve()).then_refused(wrong(Status::Revoked, "approved"));
}

#[test]
fn an_administrator_denies_a_waiting_client() {
    given([requested()]).when(&deny(None)).then([denied(None)]).when(&deny(None)).then_nothing();
    given(serving()).when(&deny(None)).then_refused(wrong(Status::Approved, "denied"));
    given(and(serving(), suspended())).when(&deny(None)).then_refused(wrong(Status::Suspended, "denied"));
    given(and(serving(), revoked())).when(&deny(None)).then_refused(wrong(Status::Revoked, "denied"));
}

#[test]
fn an_administrator_suspends_an_approved_client() {
    given(serving()).when(&suspend()).then([suspended()]).when(&suspend()).then_nothing();
    given([requested()]).when(&suspend()).then_refused(wrong(Status::Pending, "suspended"));
    given([requested(), denied(None)]).when(&suspend()).then_refused(wrong(Status::Denied, "suspended"));
    given(and(serving(), revoked())).when(&suspend()).then_refused(wrong(Status::Revoked, "suspended"));
}

#[test]
fn an_administrator_reinstates_a_suspended_client() {
    given(and(serving(), suspended())).when(&reinstate()).then([reinstated()]).when(&reinstate()).then_nothing();
    given([requested()]).when(&reinstate()).then_refused(wrong(Status::Pending, "reinstated"));
    given([requested(), denied(None)]).when(&reinstate()).then_refused(wrong(Status::Denied, "reinstated"));
    given(and(serving(), revoked())).when(&reinstate()).then_refused(wrong(Status::Revoked, "reinstated"));
}

#[test]
fn an_administrator_revokes_wherever_a_registration_stands() {
    for history in [vec![requested()], serving(), and(serving(), suspended()), vec![requested(), denied(None)]] {
        given(history).when(&revoke()).then([revoked()]).when(&revoke()).then_nothing();
    }
}

#[test]
fn a_restored_registration_stands_where_it_stood_before_and_restoring_twice_is_no_news() {
    let table = [
        (vec![requested()], Status::Pending),
        (serving(), Status::Approved),
        (and(serving(), suspended()), Status::Suspended),
        (vec![requested(), denied(Some(noon(9)))], Status::Denied),
    ];
    for (history, status) in table {
        let after = given(and(history, revoked())).when(&restore()).then([restored()]).when(&restore()).then_nothing().state();
        assert_eq!(after.status, status);
    }
}

#[test]
fn what_was_not_revoked_cannot_be_restored() {
    given(serving()).when(&restore()).then_nothing();
    given([requested()]).when(&restore()).then_refused(wrong(Status::Pending, "restored"));
    given([requested(), denied(None)]).when(&restore()).then_refused(wrong(Status::Denied, "restored"));
    given(and(serving(), suspended())).when(&restore()).then_refused(wrong(Status::Suspended, "restored"));
    // Restored as approved and suspended since: that is not where the restoration led.
    given([serving(), vec![revoked(), restored(), suspended()]].concat())
        .when(&restore())
        .then_refused(wrong(Status::Suspended, "restored"));
}

#[test]
fn a_client_that_nobody_used_for_long_enough_becomes_dormant_and_only_an_approved_one() {
    let due = idle(90, 90);
    given(serving()).when(&due).then([dormant()]).when(&due).then_nothing();
    given(serving()).when(&idle(89, 90)).then_nothing();
    for closed in [vec![requested()], vec![requested(), denied(None)], and(serving(), suspended()), and(serving(), revoked())] {
        given(closed).when(&due).then_nothing();
    }
    given([]).when(&due).then_refused(Rejection::NoSuchRegistration);
}

#[test]
fn a_dormant_client_comes_back_by_being_used_or_waits_once_for_an_administrator() {
    let asleep = and(serving(), dormant());
    let revived = |reason| Event::Revived(Revived { reason });
    let back = given(asleep.clone()).when(&used(Revival::AtNextUse)).then([revived(None)]).when(&used(Revival::AtNextUse)).then_nothing();
    assert_eq!((back.state().status, serving().len()), (Status::Approved, 2));
    let asked = Event::RevivalAsked(RevivalAsked {});
    let waits = given(asleep.clone()).when(&used(Revival::Review)).then([asked.clone()]).when(&used(Revival::Review)).then_nothing();
    assert_eq!(waits.when(&approve()).then([revived(because())]).when(&approve()).then_nothing().state().status, Status::Approved);
    given(and(asleep.clone(), asked.clone())).when(&used(Revival::AtNextUse)).then([revived(None)]);
    given(and(asleep.clone(), asked)).when(&deny(None)).then([denied(None)]).when(&used(Revival::AtNextUse)).then_nothing();
    given(asleep).when(&approve()).then([revived(because())]);
}

#[test]
fn a_use_opens_no_door_that_an_administrator_closed() {
    for closed in [vec![requested()], vec![requested(), denied(None)], and(serving(), suspended()), and(serving(), revoked())] {
        for revive in [Revival::AtNextUse, Revival::Review] {
            given(closed.clone()).when(&used(revive)).then_nothing();
        }
    }
    // One that was revoked while it was dormant stays so, and is dormant again once that is undone.
    let revoked = [serving(), vec![dormant(), revoked()]].concat();
    given(revoked)
        .when(&used(Revival::AtNextUse))
        .then_nothing()
        .when(&restore())
        .then([restored()])
        .when(&used(Revival::AtNextUse))
        .then([Event::Revived(Revived { reason: None })]);
}

#[test]
fn while_a_client_is_dormant_its_redirect_uris_are_heard_as_ever() {
    given(and(serving(), dormant())).when(&claim(1, [A, C])).then([narrowed([B]), staged(1, uris([C]), uris([B]), uris([A, C]))]);
    given(and(waiting(), dormant())).when(&approve_change(1)).then([change_approved(1)]);
    // Who is turned away takes along what waits, so that nothing of it comes back when it asks anew.
    let denied = given(and(waiting(), dormant())).when(&deny(None)).then([change_rejected(1), denied(None)]);
    assert_eq!(denied.state().staged, None);
}

#[test]
fn asking_again_opens_no_closed_door() {
    for (closed, status) in [(suspended(), Status::Suspended), (revoked(), Status::Revoked)] {
        let after = given(and(serving(), closed)).when(&request(Admission::Auto)).then_nothing().state();
        assert_eq!(after.status, status);
    }
    given([requested(), denied(None)]).when(&request_on(31, Admission::Auto)).then_nothing();
}

#[test]
fn after_a_denials_time_asking_again_opens_a_place_in_the_queue_and_no_more() {
    let history = [requested(), denied(Some(noon(9)))];
    given(history.clone()).when(&request_on(8, Admission::Auto)).then_nothing();
    given(history).when(&request_on(9, Admission::Auto)).then([requested()]).when(&request_on(9, Admission::Auto)).then_nothing();
}

#[test]
fn a_registration_that_nobody_asked_for_has_nothing_to_decide() {
    let everything = [
        approve(),
        deny(None),
        suspend(),
        reinstate(),
        revoke(),
        restore(),
        claim(1, [A]),
        approve_change(1),
        APPROVE_WHAT_WAITS,
        reject_change(1),
        REJECT_WHAT_WAITS,
    ];
    for command in everything {
        given([]).when(&command).then_refused(Rejection::NoSuchRegistration);
    }
}

#[test]
fn an_event_that_does_not_fit_leaves_the_registration_as_it_was() {
    for event in [approved(), revoked(), restored(), narrowed([A]), staged(1, uris([C]), uris([]), uris([C])), change_approved(1)] {
        assert_eq!(given([event]).state(), Registration::default());
    }
    for history in [serving(), and(serving(), suspended()), and(serving(), revoked())] {
        assert_eq!(given(and(history.clone(), requested_with(uris([C])))).state(), given(history).state());
    }
    let gone = and(serving(), revoked());
    assert_eq!(given(and(gone.clone(), revoked())).state(), given(gone).state());
    assert_eq!(given(and(serving(), restored())).state(), given(serving()).state());
    assert_eq!(given(and(waiting(), change_approved(9))).state(), given(waiting()).state());
}

// ---------------------------------------------------------------- redirect changes

#[test]
fn a_client_that_claims_what_serves_changes_nothing_in_whatever_order_it_says_so() {
    given(serving()).when(&claim(1, [B, A])).then_nothing();
}

#[test]
fn narrowing_serves_at_once() {
    let after = given(serving()).when(&claim(1, [A])).then([narrowed([B])]).when(&claim(2, [A])).then_nothing().state();
    assert_eq!(after.redirect_uris, uris([A]));
    assert_eq!(after.staged, None);
}

#[test]
fn widening_waits_and_waits_once() {
    let after = given(serving())
        .when(&claim(1, [A, B, C]))
        .then([staged(1, uris([C]), uris([]), uris([A, B, C]))])
        .when(&claim(2, [C, B, A]))
        .then_nothing()
        .state();
    assert_eq!(after.redirect_uris, uris([A, B]));
}

#[test]
fn of_a_wish_that_widens_and_narrows_the_narrowing_serves_and_the_widening_waits() {
    let after = given(serving())
        .when(&claim(1, [A, C]))
        .then([narrowed([B]), staged(1, uris([C]), uris([B]), uris([A, C]))])
        .when(&claim(2, [A, C]))
        .then_nothing()
        .state();
    assert_eq!(after.redirect_uris, uris([A]));
}

#[test]
fn widening_serves_at_once_where_the_rules_say_so() {
    let after = given(serving())
        .when(&claim_admitted(1, [A, C]))
        .then([narrowed([B]), staged(1, uris([C]), uris([B]), uris([A, C])), change_admitted(1)])
        .when(&claim_admitted(2, [A, C]))
        .then_nothing()
        .state();
    assert_eq!(after.redirect_uris, uris([A, C]));
}

#[test]
fn a_change_that_waits_serves_when_it_is_claimed_again_under_rules_that_admit_it() {
    let after = given(waiting())
        .when(&claim_admitted(2, [A, B, C]))
        .then([change_admitted(1)])
        .when(&claim_admitted(3, [A, B, C]))
        .then_nothing()
        .state();
    assert_eq!((after.redirect_uris, after.staged), (uris([A, B, C]), None));
}

#[test]
fn a_newer_wish_supersedes_the_one_that_waits() {
    given(waiting()).when(&claim(2, [A, B, D])).then([superseded(1, Some(2)), staged(2, uris([D]), uris([]), uris([A, B, D]))]);
    given(waiting()).when(&claim_admitted(2, [A, B, D])).then([
        superseded(1, Some(2)),
        staged(2, uris([D]), uris([]), uris([A, B, D])),
        change_admitted(2),
    ]);
}

#[test]
fn a_reverted_wish_supersedes_the_one_that_waits_and_leaves_nothing_waiting() {
    let after = given(waiting()).when(&claim(2, [A, B])).then([superseded(1, None)]).when(&claim(3, [A, B])).then_nothing().state();
    assert_eq!(after.staged, None);
}

#[test]
fn a_wish_that_only_narrows_further_renews_the_change_that_waits_so_that_approving_it_brings_nothing_back() {
    let after = given(waiting())
        .when(&claim(2, [A, C]))
        .then([narrowed([B]), superseded(1, Some(2)), staged(2, uris([C]), uris([B]), uris([A, C]))])
        .when(&approve_change(1))
        .then_refused(Rejection::StaleChange { asked: change(1), current: Some(change(2)) })
        .when(&approve_change(2))
        .then([change_approved(2)])
        .state();
    assert_eq!(after.redirect_uris, uris([A, C]));
}

#[test]
fn a_change_is_approved_once_by_its_id_or_as_what_waits() {
    for command in [approve_change(1), APPROVE_WHAT_WAITS] {
        let after = given(waiting()).when(&command).then([change_approved(1)]).when(&command).then_nothing().state();
        assert_eq!((after.redirect_uris, after.staged), (uris([A, B, C]), None));
    }
}

#[test]
fn a_change_is_rejected_once_by_its_id_or_as_what_waits() {
    let without_reason = Event::RedirectsRejected(RedirectsRejected { change_id: change(1), reason: None });
    for (command, event) in [(reject_change(1), change_rejected(1)), (REJECT_WHAT_WAITS, without_reason)] {
        let after = given(waiting()).when(&command).then([event]).when(&command).then_nothing().state();
        assert_eq!((after.redirect_uris, after.staged), (uris([A, B]), None));
    }
}

#[test]
fn approving_what_was_approved_is_no_news_while_another_change_waits() {
    let history = [waiting(), vec![change_approved(1), staged(2, uris([D]), uris([]), uris([A, B, C, D]))]].concat();
    let after = given(history).when(&approve_change(1)).then_nothing().state();
    assert_eq!(after.staged.unwrap().change_id, change(2));
}

#[test]
fn a_change_that_was_decided_otherwise_is_stale() {
    let stale = Rejection::StaleChange { asked: change(1), current: None };
    given(and(waiting(), change_rejected(1))).when(&approve_change(1)).then_refused(stale.clone());
    given(and(waiting(), change_approved(1))).when(&reject_change(1)).then_refused(stale.clone());
    given(and(waiting(), superseded(1, None))).when(&approve_change(1)).then_refused(stale.clone());
    given(and(waiting(), superseded(1, None))).when(&reject_change(1)).then_refused(stale);
}

#[test]
fn a_stale_change_id_is_refused_and_says_what_waits_instead() {
    let stale = Rejection::StaleChange { asked: change(9), current: Some(change(1)) };
    for command in [approve_change(9), reject_change(9)] {
        let after = given(waiting()).when(&command).then_refused(stale.clone()).state();
        assert_eq!(after, given(waiting()).state());
    }
    for command in [APPROVE_WHAT_WAITS, REJECT_WHAT_WAITS] {
        given(serving()).when(&command).then_refused(Rejection::NothingStaged);
        given(and(waiting(), superseded(1, None))).when(&command).then_refused(Rejection::NothingStaged);
    }
}

#[test]
fn a_rejected_wish_is_not_staged_again_until_it_differs() {
    given(and(waiting(), change_rejected(1)))
        .when(&claim(2, [A, B, C]))
        .then_nothing()
        .when(&claim(3, [A, C]))
        .then([narrowed([B])])
        .when(&claim(4, [A, C, D]))
        .then([staged(4, uris([C, D]), uris([]), uris([A, C, D]))])
        .when(&claim(5, [A, C]))
        .then([superseded(4, None)]);
}

#[test]
fn a_rejected_wish_serves_where_the_rules_have_come_to_admit_it() {
    given(and(waiting(), change_rejected(1)))
        .when(&claim_admitted(2, [A, B, C]))
        .then([staged(2, uris([C]), uris([]), uris([A, B, C])), change_admitted(2)]);
}

#[test]
fn while_it_waits_a_client_may_ask_differently_and_the_administrator_decides_about_that() {
    let after = given([requested()])
        .when(&claim_admitted(1, [A, C]))
        .then([requested_with(uris([A, C]))])
        .when(&claim_admitted(2, [C, A]))
        .then_nothing()
        .state();
    assert_eq!((after.status, after.redirect_uris), (Status::Pending, uris([A, C])));
}

#[test]
fn a_suspended_clients_changes_are_judged_as_ever() {
    given(and(serving(), suspended())).when(&claim(1, [A, C])).then([narrowed([B]), staged(1, uris([C]), uris([B]), uris([A, C]))]);
}

#[test]
fn a_closed_door_hears_withdrawals_and_nothing_else() {
    for closed in [vec![requested(), denied(None)], and(serving(), revoked())] {
        given(closed.clone()).when(&claim(1, [A, B])).then_nothing();
        given(closed.clone()).when(&claim_admitted(1, [A, B, C])).then_nothing();
        given(closed).when(&claim_admitted(1, [A, C])).then([narrowed([B])]).when(&claim_admitted(1, [A, C])).then_nothing();
    }
}

#[test]
fn what_was_withdrawn_from_a_revoked_registration_does_not_come_back_when_it_is_restored() {
    let after = given(and(waiting(), revoked()))
        .when(&claim(2, [A]))
        .then([narrowed([B]), superseded(1, None)])
        .when(&restore())
        .then([restored()])
        .when(&approve_change(1))
        .then_refused(Rejection::StaleChange { asked: change(1), current: None })
        .state();
    assert_eq!((after.status, after.redirect_uris), (Status::Approved, uris([A])));
}

#[test]
fn a_change_goes_on_waiting_through_a_revocation_while_the_client_still_wants_all_of_it() {
    let after = given(and(waiting(), revoked())).when(&claim(2, [A, B, C, D])).then_nothing().when(&restore()).then([restored()]).state();
    assert_eq!(after.staged.unwrap().change_id, change(1));
}

// ---------------------------------------------------------------- the one answer at every door

#[test]
fn standing_names_what_ends_everything_first() {
    use crate::resource_server::WithdrawalRule;
    use crate::standing::{Decision, Facts, Reason, standing};
    use crate::{client, resource_server};
    let good = Facts {
        client: client::Life::Registered,
        registration: Status::Approved,
        resource_server: resource_server::Life::Active,
        mode_suspended: false,
        on_withdrawal: WithdrawalRule::Suspend,
    };
    let table = [
        (good, Reason::Approved, Decision::Allow),
        (Facts { registration: Status::Pending, ..good }, Reason::ApprovalPending, Decision::Pending),
        (Facts { registration: Status::Pending, mode_suspended: true, ..good }, Reason::ModeSuspended, Decision::Deny),
        (Facts { mode_suspended: true, ..good }, Reason::ModeSuspended, Decision::Deny),
        (Facts { client: client::Life::Withdrawn, ..good }, Reason::ManifestWithdrawn, Decision::Deny),
        (Facts { client: client::Life::Withdrawn, registration: Status::Pending, ..good }, Reason::ManifestWithdrawn, Decision::Deny),
        (Facts { client: client::Life::Withdrawn, on_withdrawal: WithdrawalRule::Keep, ..good }, Reason::Approved, Decision::Allow),
        (Facts { registration: Status::Suspended, mode_suspended: true, ..good }, Reason::Suspended, Decision::Deny),
        (Facts { registration: Status::Dormant, ..good }, Reason::Dormant, Decision::Pending),
        (Facts { registration: Status::Returning, ..good }, Reason::Dormant, Decision::Pending),
        (Facts { registration: Status::Dormant, mode_suspended: true, ..good }, Reason::ModeSuspended, Decision::Deny),
        (Facts { registration: Status::Denied, ..good }, Reason::Denied, Decision::Deny),
        (Facts { registration: Status::Revoked, ..good }, Reason::Revoked, Decision::Deny),
        (Facts { registration: Status::None, ..good }, Reason::NotRegistered, Decision::Deny),
        (Facts { client: client::Life::Unregistered, ..good }, Reason::NotRegistered, Decision::Deny),
        (Facts { resource_server: resource_server::Life::None, ..good }, Reason::NotRegistered, Decision::Deny),
        (Facts { resource_server: resource_server::Life::Retired, ..good }, Reason::ResourceServerRetired, Decision::Deny),
        (Facts { client: client::Life::Deleted, registration: Status::Revoked, ..good }, Reason::ClientDeleted, Decision::Deny),
    ];
    for (facts, reason, decision) in table {
        assert_eq!((standing(facts), standing(facts).decision()), (reason, decision), "{facts:?}");
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}
