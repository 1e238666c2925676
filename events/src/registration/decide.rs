//! When a registration may change.

use super::event::{
    Approved, Denied, Dormant, RedirectsApproved, RedirectsNarrowed, RedirectsRejected, RedirectsSuperseded, Reinstated, Requested,
    Restored, RevivalAsked, Revived, Revoked, RolledBack, Suspended,
};
use super::{ChangeOutcome, ManifestRef, Registration, RegistrationCommand as Command, RegistrationEvent as Event, StagedChange, Status};
use chrono::{DateTime, TimeDelta, Utc};

use crate::Rejection;
use crate::identity::ChangeId;
use crate::redirect::RedirectUris;
use crate::resource_server::{Admission, Heard, Revival};

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
        (Status::None | Status::Denied, Command::RequestSuspended { request, reason }) => {
            let asked = decide(registration, request)?.into_iter().filter(|event| matches!(event, Event::Requested(_)));
            let suspended = |asked| [asked, Event::Suspended(Suspended { reason: Some(reason.clone()) })];
            Ok(asked.flat_map(suspended).collect())
        }
        (_, Command::RequestSuspended { .. }) => Ok(vec![]),
        (Status::None, _) => Err(Rejection::NoSuchRegistration),
        (_, Command::Request { .. }) => Ok(vec![]),

        (Status::Pending | Status::Denied, Command::Approve { reason }) => Ok(vec![Event::Approved(Approved { reason: reason.clone() })]),
        (Status::Dormant | Status::Returning, Command::Approve { reason }) => Ok(vec![Event::Revived(Revived { reason: reason.clone() })]),
        (Status::Approved, Command::Approve { .. }) => Ok(vec![]),
        (Status::Suspended | Status::Revoked, Command::Approve { .. }) => wrong("approved"),

        (Status::Pending | Status::Dormant | Status::Returning, Command::Deny { reason, until }) => {
            // Who is turned away has nothing waiting: asking again later, it asks for what it wants then.
            let staged = registration
                .staged
                .as_ref()
                .map(|staged| Event::RedirectsRejected(RedirectsRejected { change_id: staged.change_id, reason: reason.clone() }));
            Ok(staged.into_iter().chain([Event::Denied(Denied { reason: reason.clone(), until: *until })]).collect())
        }
        (Status::Denied, Command::Deny { .. }) => Ok(vec![]),
        (Status::Approved | Status::Suspended | Status::Revoked, Command::Deny { .. }) => wrong("denied"),

        (Status::Approved | Status::Dormant | Status::Returning, Command::Suspend { reason }) => {
            Ok(vec![Event::Suspended(Suspended { reason: reason.clone() })])
        }
        (Status::Suspended, Command::Suspend { .. }) => Ok(vec![]),
        (Status::Pending | Status::Denied | Status::Revoked, Command::Suspend { .. }) => wrong("suspended"),

        (Status::Suspended, Command::Reinstate { reason }) => Ok(vec![Event::Reinstated(Reinstated { reason: reason.clone() })]),
        (Status::Approved, Command::Reinstate { .. }) => Ok(vec![]),
        (Status::Pending | Status::Denied | Status::Revoked | Status::Dormant | Status::Returning, Command::Reinstate { .. }) => {
            wrong("reinstated")
        }

        (Status::Revoked, Command::Revoke { .. }) => Ok(vec![]),
        (_, Command::Revoke { reason }) => Ok(vec![Event::Revoked(Revoked { reason: reason.clone() })]),

        (Status::Revoked, Command::Restore { reason }) => Ok(vec![Event::Restored(Restored { reason: reason.clone() })]),
        (Status::Approved, Command::Restore { .. }) => Ok(vec![]),
        (status, Command::Restore { .. }) if registration.before_revocation == Some(status) => Ok(vec![]),
        (Status::Pending | Status::Denied | Status::Suspended | Status::Dormant | Status::Returning, Command::Restore { .. }) => {
            wrong("restored")
        }

        (Status::Approved, Command::NoteIdleness { since, watched, after_days })
            if *watched >= TimeDelta::days(after_days.get().into()) =>
        {
            Ok(vec![Event::Dormant(Dormant { idle_since: *since })])
        }
        (_, Command::NoteIdleness { .. }) => Ok(vec![]),
        (Status::Dormant | Status::Returning, Command::Use { revive: Revival::AtNextUse }) => Ok(vec![Event::Revived(Revived::default())]),
        (Status::Dormant, Command::Use { revive: Revival::Review }) => Ok(vec![Event::RevivalAsked(RevivalAsked {})]),
        (_, Command::Use { .. }) => Ok(vec![]),

        (Status::Denied | Status::Revoked, Command::ClaimRedirects { claimed, .. }) => Ok(withdraw(registration, claimed)),
        (Status::Pending, Command::ClaimRedirects { claimed, .. }) => Ok(ask_differently(registration, claimed)),
        (_, Command::ClaimRedirects { claimed, admission, change_id, origin }) => {
            let heard = Heard::from(*admission);
            Ok(claim(registration, &Wish { claimed, heard, change_id: *change_id, origin, manifest: None }))
        }

        (_, Command::FollowManifest { claimed, heard, change_id, manifest }) => {
            Ok(follow(registration, &Wish { claimed, heard: *heard, change_id: *change_id, origin: "manifest", manifest: Some(manifest) }))
        }
        (_, Command::Ripen { at }) => Ok(ripen(registration, *at)),
        (Status::Pending | Status::Denied | Status::Revoked, Command::RollBack { .. }) => wrong("rolled back"),
        (_, Command::RollBack { version, redirect_uris, claimed, reason }) => {
            let held = registration.overridden.as_ref().is_some_and(|overridden| overridden.same_set(claimed));
            if registration.staged.is_none() && held && registration.redirect_uris.same_set(redirect_uris) {
                return Ok(vec![]);
            }
            Ok(vec![Event::RolledBack(RolledBack {
                version: *version,
                redirect_uris: redirect_uris.clone(),
                overridden: claimed.clone(),
                reason: reason.clone(),
            })])
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

/// Where a wish for other redirect URIs comes from.
struct Wish<'a> {
    claimed: &'a RedirectUris,
    heard: Heard,
    change_id: ChangeId,
    origin: &'a str,
    manifest: Option<&'a ManifestRef>,
}

/// Narrowing serves at once, widening waits, and a newer or reverted wish supersedes the one that waits.
fn claim(registration: &Registration, wish: &Wish<'_>) -> Vec<Event> {
    let (claimed, serving) = (wish.claimed, &registration.redirect_uris);
    let (added, removed) = (claimed.without(serving), serving.without(claimed));
    let mut events = Vec::new();
    // Where all of a wish waits, what it takes away is a part of the change.
    let wanted = if wish.heard == Heard::Pinned { !added.is_empty() || !removed.is_empty() } else { !added.is_empty() };
    if !removed.is_empty() && wish.heard != Heard::Pinned {
        events.push(Event::RedirectsNarrowed(RedirectsNarrowed { removed: removed.clone() }));
    }
    let waiting = registration.staged.as_ref();
    if let Some(same) = waiting.filter(|staged| staged.added.same_set(&added) && staged.result.same_set(claimed)) {
        // The rules may have changed while it waited.
        if wish.heard == Heard::Live {
            events.push(Event::RedirectsApproved(RedirectsApproved { change_id: same.change_id, by_policy: true }));
        }
        return events;
    }
    let same_addition = !added.is_empty() && added.same_set(&registration.rejected.added);
    let same_wish = wish.heard == Heard::Pinned && claimed.same_set(&registration.rejected.result);
    let wanted = wanted && (wish.heard == Heard::Live || !(same_addition || same_wish));
    if let Some(staged) = waiting {
        let by = wanted.then_some(wish.change_id);
        events.push(Event::RedirectsSuperseded(RedirectsSuperseded { change_id: staged.change_id, by }));
    }
    if !wanted {
        return events;
    }
    let change = StagedChange {
        change_id: wish.change_id,
        added,
        removed,
        result: claimed.clone(),
        origin: wish.origin.to_owned(),
        manifest: wish.manifest.cloned(),
        serves_at: if let Heard::Soak(serves_at) = wish.heard { Some(serves_at) } else { None },
    };
    events.push(Event::RedirectsStaged(change.into()));
    if wish.heard == Heard::Live {
        events.push(Event::RedirectsApproved(RedirectsApproved { change_id: wish.change_id, by_policy: true }));
    }
    events
}

/// A document's newest version, heard wherever the registration stands.
fn follow(registration: &Registration, wish: &Wish<'_>) -> Vec<Event> {
    if registration.overridden.as_ref().is_some_and(|overridden| overridden.same_set(wish.claimed)) {
        return vec![];
    }
    match (registration.status, wish.heard) {
        (Status::Denied | Status::Revoked, Heard::Staged | Heard::Live | Heard::Soak(_)) => withdraw(registration, wish.claimed),
        (Status::None | Status::Denied | Status::Revoked, _) => vec![],
        (Status::Pending, _) => ask_differently(registration, wish.claimed),
        (Status::Approved | Status::Dormant | Status::Returning | Status::Suspended, _) => claim(registration, wish),
    }
}

/// A change whose time has come serves where the client may act, or could again.
fn ripen(registration: &Registration, at: DateTime<Utc>) -> Vec<Event> {
    let ripe = registration.staged.as_ref().filter(|staged| staged.serves_at.is_some_and(|serves_at| serves_at <= at));
    let open = matches!(registration.status, Status::Approved | Status::Dormant | Status::Returning | Status::Suspended);
    let approved = |staged: &StagedChange| Event::RedirectsApproved(RedirectsApproved { change_id: staged.change_id, by_policy: true });
    ripe.filter(|_| open).map(approved).into_iter().collect()
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
