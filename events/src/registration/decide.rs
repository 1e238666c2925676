//! When a registration may change.

use super::event::{
    Approved, Denied, RedirectsApproved, RedirectsNarrowed, RedirectsRejected, RedirectsStaged, RedirectsSuperseded, Reinstated, Requested,
    Restored, Revoked, Suspended,
};
use super::{ChangeOutcome, Registration, RegistrationCommand as Command, RegistrationEvent as Event, StagedChange, Status};
use crate::Rejection;
use crate::identity::ChangeId;
use crate::redirect::RedirectUris;
use crate::resource_server::Admission;

#[expect(clippy::match_same_arms, reason = "one command a paragraph, one rule an arm")]
pub(super) fn decide(registration: &Registration, command: &Command) -> Result<Vec<Event>, Rejection> {
    let status = registration.status;
    let wrong = |attempted| Err(Rejection::WrongStatus { status, attempted });
    match (status, command) {
        (Status::None, Command::Request { .. }) => Ok(request(command)),
        // Asking again never opens a door that was closed; after a denial's time it opens a place in the queue.
        (Status::Denied, Command::Request { at, .. }) if registration.denied_until.is_some_and(|until| until <= *at) => {
            Ok(request(command).into_iter().filter(|event| matches!(event, Event::Requested(_))).collect())
        }
        (Status::Pending | Status::Approved | Status::Denied | Status::Suspended | Status::Revoked, Command::Request { .. }) => Ok(vec![]),
        (Status::None, _) => Err(Rejection::NoSuchRegistration),

        (Status::Pending | Status::Denied, Command::Approve { reason }) => Ok(vec![Event::Approved(Approved { reason: reason.clone() })]),
        (Status::Approved, Command::Approve { .. }) => Ok(vec![]),
        (Status::Suspended | Status::Revoked, Command::Approve { .. }) => wrong("approved"),

        (Status::Pending, Command::Deny { reason, until }) => Ok(vec![Event::Denied(Denied { reason: reason.clone(), until: *until })]),
        (Status::Denied, Command::Deny { .. }) => Ok(vec![]),
        (Status::Approved | Status::Suspended | Status::Revoked, Command::Deny { .. }) => wrong("denied"),

        (Status::Approved, Command::Suspend { reason }) => Ok(vec![Event::Suspended(Suspended { reason: reason.clone() })]),
        (Status::Suspended, Command::Suspend { .. }) => Ok(vec![]),
        (Status::Pending | Status::Denied | Status::Revoked, Command::Suspend { .. }) => wrong("suspended"),

        (Status::Suspended, Command::Reinstate { reason }) => Ok(vec![Event::Reinstated(Reinstated { reason: reason.clone() })]),
        (Status::Approved, Command::Reinstate { .. }) => Ok(vec![]),
        (Status::Pending | Status::Denied | Status::Revoked, Command::Reinstate { .. }) => wrong("reinstated"),

        (Status::Revoked, Command::Revoke { .. }) => Ok(vec![]),
        (_, Command::Revoke { reason }) => Ok(vec![Event::Revoked(Revoked { reason: reason.clone() })]),

        (Status::Revoked, Command::Restore { reason }) => Ok(vec![Event::Restored(Restored { reason: reason.clone() })]),
        (Status::Approved, Command::Restore { .. }) => Ok(vec![]),
        (status, Command::Restore { .. }) if registration.before_revocation == Some(status) => Ok(vec![]),
        (Status::Pending | Status::Denied | Status::Suspended, Command::Restore { .. }) => wrong("restored"),

        (Status::Denied | Status::Revoked, Command::ClaimRedirects { claimed, .. }) => Ok(withdraw(registration, claimed)),
        (Status::Pending, Command::ClaimRedirects { claimed, .. }) => Ok(ask_differently(registration, claimed)),
        (Status::Approved | Status::Suspended, Command::ClaimRedirects { claimed, admission, change_id, origin }) => {
            Ok(claim(registration, claimed, *admission, *change_id, origin))
        }

        (_, Command::ApproveRedirects { change_id }) => Ok(settle(registration, *change_id, ChangeOutcome::Approved)?
            .map(|change_id| Event::RedirectsApproved(RedirectsApproved { change_id, by_policy: false }))
            .into_iter()
            .collect()),
        (_, Command::RejectRedirects { change_id, reason }) => Ok(settle(registration, *change_id, ChangeOutcome::Rejected)?
            .map(|change_id| Event::RedirectsRejected(RedirectsRejected { change_id, reason: reason.clone() }))
            .into_iter()
            .collect()),
    }
}

fn request(command: &Command) -> Vec<Event> {
    let Command::Request { tenant, client_id, registration_type, redirect_uris, admission, .. } = command else { return vec![] };
    let requested = Event::Requested(Requested {
        tenant: tenant.clone(),
        client_id: client_id.clone(),
        registration_type: *registration_type,
        redirect_uris: redirect_uris.clone(),
    });
    match admission {
        Admission::Auto => vec![requested, Event::Approved(Approved::default())],
        Admission::Review => vec![requested],
    }
}

/// While nothing serves, a client's newer wish simply replaces the older one, and the administrator decides about that.
fn ask_differently(registration: &Registration, claimed: &RedirectUris) -> Vec<Event> {
    match (&registration.tenant, &registration.client_id, registration.registration_type) {
        (Some(tenant), Some(client_id), Some(registration_type)) if !claimed.same_set(&registration.redirect_uris) => {
            vec![Event::Requested(Requested {
                tenant: tenant.clone(),
                client_id: client_id.clone(),
                registration_type,
                redirect_uris: claimed.clone(),
            })]
        }
        _ => vec![],
    }
}

/// A closed door hears only withdrawals: what the client gave up must not serve if an administrator opens the door later.
fn withdraw(registration: &Registration, claimed: &RedirectUris) -> Vec<Event> {
    let removed = registration.redirect_uris.without(claimed);
    let mut events = Vec::new();
    if !removed.is_empty() {
        events.push(Event::RedirectsNarrowed(RedirectsNarrowed { removed }));
    }
    if let Some(staged) = registration.staged.as_ref().filter(|staged| !staged.result.without(claimed).is_empty()) {
        events.push(Event::RedirectsSuperseded(RedirectsSuperseded { change_id: staged.change_id, by: None }));
    }
    events
}

/// Narrowing serves at once, widening waits, and a newer or reverted wish supersedes the one that waits.
fn claim(registration: &Registration, claimed: &RedirectUris, admission: Admission, change_id: ChangeId, origin: &str) -> Vec<Event> {
    let serving = &registration.redirect_uris;
    let (added, removed) = (claimed.without(serving), serving.without(claimed));
    let mut events = Vec::new();
    if !removed.is_empty() {
        events.push(Event::RedirectsNarrowed(RedirectsNarrowed { removed: removed.clone() }));
    }
    let waiting = registration.staged.as_ref();
    if let Some(same) = waiting.filter(|staged| staged.added.same_set(&added) && staged.result.same_set(claimed)) {
        // The rules may have changed while it waited.
        if admission == Admission::Auto {
            events.push(Event::RedirectsApproved(RedirectsApproved { change_id: same.change_id, by_policy: true }));
        }
        return events;
    }
    let unwanted = added.is_empty() || admission == Admission::Review && added.same_set(&registration.rejected);
    if let Some(staged) = waiting {
        let by = (!unwanted).then_some(change_id);
        events.push(Event::RedirectsSuperseded(RedirectsSuperseded { change_id: staged.change_id, by }));
    }
    if unwanted {
        return events;
    }
    let change = StagedChange { change_id, added, removed, result: claimed.clone(), origin: origin.to_owned() };
    events.push(Event::RedirectsStaged(RedirectsStaged { change }));
    if admission == Admission::Auto {
        events.push(Event::RedirectsApproved(RedirectsApproved { change_id, by_policy: true }));
    }
    events
}

/// The change to settle; none where it was settled in the same way before.
fn settle(registration: &Registration, asked: Option<ChangeId>, outcome: ChangeOutcome) -> Result<Option<ChangeId>, Rejection> {
    let current = registration.staged.as_ref().map(|staged| staged.change_id);
    match (current, asked) {
        (Some(current), None) => Ok(Some(current)),
        (Some(current), Some(asked)) if current == asked => Ok(Some(current)),
        (_, Some(asked)) if registration.last_change == Some((asked, outcome)) => Ok(None),
        (None, None) if registration.last_change.is_some_and(|(_, last)| last == outcome) => Ok(None),
        (current, Some(asked)) => Err(Rejection::StaleChange { asked, current }),
        (None, None) => Err(Rejection::NothingStaged),
    }
}
