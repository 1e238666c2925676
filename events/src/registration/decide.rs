//! When a registration may change.

use std::sync::Arc;

use super::event::{
    AdmittedBecause, Approved, Denied, Dormant, MetadataAdmitted, RedirectsApproved, RedirectsNarrowed, RedirectsRejected,
    RedirectsSuperseded, Reinstated, Requested, Restored, RevivalAsked, Revived, Revoked, RolledBack, Suspended,
};
use super::{
    AdmittedMetadata, ChangeOutcome, ManifestRef, Registration, RegistrationCommand as Command, RegistrationEvent as Event, StagedChange,
    Status, Wished,
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::Rejection;
use crate::admission::{Admission, Heard, Revival};
use crate::identity::ChangeId;
use crate::redirect::RedirectUris;

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

        (_, Command::KeepMetadata { metadata }) if registration.metadata.is_none() => Ok(vec![admitted(metadata, AdmittedBecause::Kept)]),
        (_, Command::KeepMetadata { .. }) => Ok(vec![]),
        (_, Command::Claim { claimed, admission, metadata, change_id, origin }) => {
            let heard = Heard::from(*admission);
            Ok(hear(registration, &Wish { claimed, heard, metadata: metadata.as_ref(), change_id: *change_id, origin, manifest: None }))
        }

        (_, Command::FollowManifest { claimed, heard, metadata, change_id, manifest }) => {
            let (origin, manifest) = ("manifest", Some(manifest));
            let wish = Wish { claimed, heard: *heard, metadata: metadata.as_ref(), change_id: *change_id, origin, manifest };
            Ok(if is_overridden(registration, &wish) { vec![] } else { hear(registration, &wish) })
        }
        (_, Command::Ripen { at }) => Ok(ripen(registration, *at)),
        (Status::Pending | Status::Denied | Status::Revoked, Command::RollBack { .. }) => wrong("rolled back"),
        (_, Command::RollBack { version, redirect_uris, claimed, metadata, reason }) => {
            let (wanted, newest) = metadata.clone().unzip();
            let held = registration
                .overridden
                .as_ref()
                .is_some_and(|overridden| overridden.redirect_uris.same_set(claimed) && overridden.metadata == newest);
            let serves = registration.redirect_uris.same_set(redirect_uris) && (wanted.is_none() || registration.metadata == wanted);
            if registration.staged.is_none() && held && serves {
                return Ok(vec![]);
            }
            Ok(vec![Event::RolledBack(RolledBack {
                version: *version,
                redirect_uris: redirect_uris.clone(),
                overridden: claimed.clone(),
                metadata: wanted.as_deref().cloned().map(Box::new),
                overridden_metadata: newest.as_deref().cloned().map(Box::new),
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
    let Command::Request { tenant, client_id, registration_type, redirect_uris, metadata, admission, .. } = command else { return vec![] };
    let requested = Event::Requested(Requested {
        tenant: tenant.clone(),
        client_id: client_id.clone(),
        registration_type: *registration_type,
        redirect_uris: redirect_uris.clone(),
        metadata: metadata.as_deref().cloned().map(Box::new),
    });
    match admission {
        Admission::Auto => vec![requested, Event::Approved(Approved::default())],
        Admission::Review => vec![requested],
    }
}

fn admitted(metadata: &AdmittedMetadata, because: AdmittedBecause) -> Event {
    Event::MetadataAdmitted(MetadataAdmitted { metadata: Box::new(metadata.clone()), because })
}

/// What a client wishes, and how each part of it is heard.
struct Wish<'a> {
    claimed: &'a RedirectUris,
    heard: Heard,
    metadata: Option<&'a Wished>,
    change_id: ChangeId,
    origin: &'a str,
    manifest: Option<&'a ManifestRef>,
}

impl Wish<'_> {
    /// What it says beside redirect URIs; an order of its own is no wish.
    fn metadata(&self, registration: &Registration) -> Option<AdmittedMetadata> {
        let wished = self.metadata?.metadata.as_ref().clone();
        Some(match &registration.metadata {
            Some(admitted) => wished.in_order_of(admitted),
            None => wished,
        })
    }
}

/// A client's wish, heard wherever the registration stands.
fn hear(registration: &Registration, wish: &Wish<'_>) -> Vec<Event> {
    match (registration.status, wish.heard) {
        // A document that is pinned is not heard by a registration that serves nothing.
        (Status::Denied | Status::Revoked, Heard::Pinned) | (Status::None, _) => vec![],
        (Status::Denied | Status::Revoked, _) => withdraw(registration, wish),
        (Status::Pending, _) => ask_differently(registration, wish),
        (Status::Approved | Status::Dormant | Status::Returning | Status::Suspended, _) => claim(registration, wish),
    }
}

/// While nothing serves, a client's newer wish simply replaces the older one, and the administrator decides about that.
fn ask_differently(registration: &Registration, wish: &Wish<'_>) -> Vec<Event> {
    let metadata = wish.metadata(registration);
    let other = metadata.is_some() && metadata.as_ref() != registration.metadata.as_deref();
    match (&registration.tenant, &registration.client_id, registration.registration_type) {
        (Some(tenant), Some(client_id), Some(registration_type)) if other || !wish.claimed.same_set(&registration.redirect_uris) => {
            vec![Event::Requested(Requested {
                tenant: tenant.clone(),
                client_id: client_id.clone(),
                registration_type,
                redirect_uris: wish.claimed.clone(),
                metadata: metadata.or_else(|| registration.metadata.as_deref().cloned()).map(Box::new),
            })]
        }
        _ => vec![],
    }
}

/// A closed door hears only withdrawals: what the client gave up must not serve if an administrator opens the door later.
fn withdraw(registration: &Registration, wish: &Wish<'_>) -> Vec<Event> {
    let removed = registration.redirect_uris.without(wish.claimed);
    let metadata = wish.metadata(registration);
    let mut events = Vec::new();
    if !removed.is_empty() {
        events.push(Event::RedirectsNarrowed(RedirectsNarrowed { removed }));
    }
    match (&registration.metadata, &metadata) {
        (Some(now), Some(wished)) => {
            let narrowed = now.narrowed_to(wished);
            if narrowed != **now {
                events.push(admitted(&narrowed, AdmittedBecause::Narrowed));
            }
        }
        (None, Some(wished)) => events.push(admitted(wished, AdmittedBecause::Kept)),
        (_, None) => {}
    }
    let less = |waiting: &Arc<AdmittedMetadata>| wish.metadata.is_some_and(|wished| !waiting.is_within(&wished.metadata));
    let gone = |staged: &&StagedChange| !staged.result.without(wish.claimed).is_empty() || staged.metadata.as_ref().is_some_and(less);
    if let Some(staged) = registration.staged.as_ref().filter(gone) {
        events.push(Event::RedirectsSuperseded(RedirectsSuperseded { change_id: staged.change_id, by: None }));
    }
    events
}

/// What a wish comes to for the redirect URIs.
struct Redirects {
    added: RedirectUris,
    removed: RedirectUris,
    /// Whether there is something that the narrowing alone does not give.
    grow: bool,
    /// Whether that was rejected already.
    rejected: bool,
}

impl Redirects {
    fn of(registration: &Registration, wish: &Wish<'_>) -> Self {
        let (added, removed) = (wish.claimed.without(&registration.redirect_uris), registration.redirect_uris.without(wish.claimed));
        let pinned = wish.heard == Heard::Pinned;
        let same_addition = !added.is_empty() && added.same_set(&registration.rejected.added);
        let same_wish = pinned && wish.claimed.same_set(&registration.rejected.result);
        // Where all of a wish waits, what it takes away is a part of the change.
        let grow = !added.is_empty() || (pinned && !removed.is_empty());
        Self { added, removed, grow, rejected: same_addition || same_wish }
    }
}

/// What a wish comes to for the other metadata: what serves of them at once, and what waits.
#[derive(Default)]
struct Metadata {
    at_once: Option<Event>,
    waits: Option<Arc<AdmittedMetadata>>,
}

impl Metadata {
    fn of(registration: &Registration, wish: &Wish<'_>) -> Self {
        let (Some(wished), Some(heard)) = (wish.metadata(registration), wish.metadata.map(|wished| wished.heard)) else {
            return Self::default();
        };
        let Some(now) = &registration.metadata else {
            // It serves whatever the client says, so it serves this; from now on it is written down.
            return Self { at_once: Some(admitted(&wished, AdmittedBecause::Kept)), waits: None };
        };
        if wished == **now {
            return Self::default();
        }
        let narrowed = now.narrowed_to(&wished);
        match heard {
            Heard::Live if narrowed == wished => Self { at_once: Some(admitted(&wished, AdmittedBecause::Narrowed)), waits: None },
            Heard::Live => Self { at_once: Some(admitted(&wished, AdmittedBecause::Policy)), waits: None },
            Heard::Pinned => Self { at_once: None, waits: Some(Arc::new(wished)) },
            Heard::Staged | Heard::Soak(_) => {
                let at_once = (narrowed != **now).then(|| admitted(&narrowed, AdmittedBecause::Narrowed));
                Self { at_once, waits: (narrowed != wished).then(|| Arc::new(wished)) }
            }
        }
    }
}

/// What takes away serves at once, what adds or changes waits as one change, and a newer or reverted wish supersedes the one that
/// waits.
fn claim(registration: &Registration, wish: &Wish<'_>) -> Vec<Event> {
    let redirects = Redirects::of(registration, wish);
    let metadata = Metadata::of(registration, wish);
    let mut events = Vec::new();
    if !redirects.removed.is_empty() && wish.heard != Heard::Pinned {
        events.push(Event::RedirectsNarrowed(RedirectsNarrowed { removed: redirects.removed.clone() }));
    }
    let waiting = registration.staged.as_ref();
    let metadata_wait = metadata.waits.clone().filter(|wished| registration.rejected.metadata.as_ref() != Some(wished));
    // Parts of one wish wait together: what may serve at once alone waits for the rest where the rest is about who the client is.
    let live = wish.heard == Heard::Live && metadata_wait.is_none();
    let redirects_wait = redirects.grow && (live || !redirects.rejected);
    // The rules may have changed while it waited.
    let ripened = waiting.filter(|staged| {
        let now_live = wish.metadata.is_none_or(|wished| wished.heard == Heard::Live);
        let same_metadata = staged.metadata.as_deref().is_none_or(|waits| wish.metadata(registration).as_ref() == Some(waits));
        live && now_live && same_metadata && staged.added.same_set(&redirects.added) && staged.result.same_set(wish.claimed)
    });
    if let Some(same) = ripened {
        if same.metadata.is_none() {
            events.extend(metadata.at_once);
        }
        events.push(Event::RedirectsApproved(RedirectsApproved { change_id: same.change_id, by_policy: true }));
        return events;
    }
    events.extend(metadata.at_once);
    let change =
        (redirects_wait || metadata_wait.is_some()).then(|| staged(registration, wish, &redirects, (redirects_wait, metadata_wait)));
    if let (Some(waiting), Some(change)) = (waiting, &change)
        && waiting.added.same_set(&change.added)
        && waiting.result.same_set(&change.result)
        && waiting.metadata == change.metadata
    {
        return events;
    }
    if let Some(staged) = waiting {
        let by = change.as_ref().map(|change| change.change_id);
        events.push(Event::RedirectsSuperseded(RedirectsSuperseded { change_id: staged.change_id, by }));
    }
    if let Some(change) = change {
        events.push(Event::RedirectsStaged(change.into()));
        if live {
            events.push(Event::RedirectsApproved(RedirectsApproved { change_id: wish.change_id, by_policy: true }));
        }
    }
    events
}

/// The change that waits: of each part what was wished, or what serves.
fn staged(
    registration: &Registration,
    wish: &Wish<'_>,
    redirects: &Redirects,
    (redirects_wait, metadata): (bool, Option<Arc<AdmittedMetadata>>),
) -> StagedChange {
    let heard = [redirects_wait.then_some(wish.heard), metadata.as_ref().and(wish.metadata).map(|wished| wished.heard)];
    // One that waits for a word has none to serve without it.
    let serves_at = heard.into_iter().flatten().map(|heard| if let Heard::Soak(at) = heard { Some(at) } else { None });
    let serves_at = serves_at.min().flatten();
    let pinned = wish.heard == Heard::Pinned;
    let (added, removed, result) = if redirects_wait {
        (redirects.added.clone(), redirects.removed.clone(), wish.claimed.clone())
    } else {
        let stays = if pinned { registration.redirect_uris.clone() } else { registration.redirect_uris.without(&redirects.removed) };
        (RedirectUris::default(), RedirectUris::default(), stays)
    };
    StagedChange {
        change_id: wish.change_id,
        added,
        removed,
        result,
        metadata,
        origin: wish.origin.to_owned(),
        manifest: wish.manifest.cloned(),
        serves_at,
    }
}

/// Whether an administrator went back behind this very wish.
fn is_overridden(registration: &Registration, wish: &Wish<'_>) -> bool {
    registration.overridden.as_ref().is_some_and(|overridden| {
        let wished = wish.metadata.map(|wished| &wished.metadata);
        overridden.redirect_uris.same_set(wish.claimed)
            && (overridden.metadata.is_none() || wished.is_none() || overridden.metadata.as_ref() == wished)
    })
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

/// The rule of the resource server's policy that an event follows from, where nobody else decided it.
pub(super) fn rule(command: &Command, event: &Event) -> Option<&'static str> {
    match (command, event) {
        (Command::Request { registration_type, .. }, Event::Approved(_)) => Some(registration_type.admission_rule()),
        (Command::Claim { metadata, .. } | Command::FollowManifest { metadata, .. }, Event::MetadataAdmitted(admitted))
            if admitted.because == AdmittedBecause::Policy =>
        {
            metadata.as_ref().map(|wished| wished.rule)
        }
        (Command::Claim { .. }, Event::RedirectsApproved(_)) => Some("redirect_changes"),
        (Command::FollowManifest { .. }, Event::RedirectsApproved(_)) => Some("manifests.lane"),
        (Command::Ripen { .. }, Event::RedirectsApproved(_)) => Some("manifests.soak_hours"),
        (Command::Use { .. }, Event::Revived(_)) => Some("revive"),
        (Command::RequestSuspended { .. }, Event::Suspended(_)) => Some("suspended_families"),
        _ => None,
    }
}
