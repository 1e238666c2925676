//! The life of a service token as scenes.

use chrono::TimeZone;

use super::*;
use crate::scenario::{self, Scene};
use ServiceTokenCommand as Command;
use ServiceTokenEvent as Event;

fn given(history: impl IntoIterator<Item = Event>) -> Scene<ServiceToken> {
    scenario::given(history)
}

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn made(expires_at: Option<DateTime<Utc>>) -> Created {
    Created {
        tenant: TenantId::parse("acme").unwrap(),
        label: "keycloak".to_owned(),
        token: TokenHash([7; 32]),
        scopes: vec![ServiceScope::Decide],
        resource_servers: Vec::new(),
        expires_at,
    }
}

fn create(expires_at: Option<DateTime<Utc>>) -> Command {
    Command::Create { created: made(expires_at), at: noon(1) }
}

fn revoke() -> Command {
    Command::Revoke { reason: Some("it leaked".to_owned()) }
}

fn revoked() -> Event {
    Event::Revoked(Revoked { reason: Some("it leaked".to_owned()) })
}

#[test]
fn a_token_is_created_once_and_its_id_is_never_used_for_another() {
    given([]).when(&create(None)).then([Event::Created(made(None))]).when(&create(None)).then_nothing();
    given([Event::Created(made(None))]).when(&create(Some(noon(9)))).then_refused(Rejection::AlreadyExists);
    given([Event::Created(made(None)), revoked()]).when(&create(None)).then_refused(Rejection::AlreadyExists);
}

#[test]
fn a_token_with_which_nothing_could_ever_be_done_is_not_created() {
    given([]).when(&create(Some(noon(1)))).then_refused(Rejection::NeverUsable);
    let without = Command::Create { created: Created { scopes: Vec::new(), ..made(None) }, at: noon(1) };
    given([]).when(&without).then_refused(Rejection::NeverUsable);
}

#[test]
fn a_token_is_revoked_once_and_one_that_nobody_created_is_not() {
    given([]).when(&revoke()).then_refused(Rejection::NoSuchServiceToken);
    given([Event::Created(made(None))]).when(&revoke()).then([revoked()]).when(&revoke()).then_nothing();
}

#[test]
fn a_token_works_until_its_time_or_until_it_is_revoked() {
    let token = ServiceToken::default().evolve(&Event::Created(made(Some(noon(5)))));
    assert_eq!(token.usability(noon(4)), Usability::Active);
    assert_eq!(token.usability(noon(5)), Usability::Expired);
    assert_eq!(token.evolve(&revoked()).usability(noon(4)), Usability::Revoked);
    assert_eq!(ServiceToken::default().usability(noon(1)), Usability::Revoked, "one that nobody created");
}
