//! What holds after any sequence of commands whatever (the invariants of the design's aggregates).
//! Why this file is long: the generators of random histories are shared by all its properties.
//!
//! Commands are drawn from a small world, so that they meet: four redirect URIs, two tenants, a few change ids.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::num::{NonZeroU16, NonZeroU32};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use gatebook_events::Aggregate;
use gatebook_events::admission::Status;
use gatebook_events::admission::Usability;
use gatebook_events::admission::{Admission, CapOf, Heard, Modes, RegistrationType, Revival};
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{Client, ClientCommand, ClientEvent, ContentHash, Life, Party};
use gatebook_events::identity::{ChangeId, ClientId, TenantId};
use gatebook_events::initial_access_token::{InitialAccessToken, InitialAccessTokenCommand, InitialAccessTokenEvent};
use gatebook_events::metadata::{ClientMetadata, GrantType, ResponseType};
use gatebook_events::redirect::RedirectUris;
use gatebook_events::redirect_rule::RedirectRule;
use gatebook_events::registration::{
    Approved, Denied, Dormant, ManifestRef, RedirectsApproved, RedirectsNarrowed, RedirectsRejected, RedirectsSuperseded, Registration,
    RegistrationCommand, RegistrationEvent, Reinstated, Requested, Restored, RevivalAsked, Revived, Revoked, RolledBack, StagedChange,
    Suspended,
};
use gatebook_events::resource_server::{
    self, Admissions, Coming, EffectOnExisting, Fill, Judgement, OutsideRules, Policy, ResourceServer, ResourceServerCommand,
    ResourceServerEvent,
};
use gatebook_events::secret::{KeptSecret, Rotation, SecretHash, TokenHash};
use gatebook_events::stored::Stored;
use gatebook_events::{Rejection, metadata};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use uuid::Uuid;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

// ---------------------------------------------------------------- the small world

fn day(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn days() -> impl Strategy<Value = DateTime<Utc>> {
    (1u32..20).prop_map(day)
}

fn change(number: u128) -> ChangeId {
    ChangeId(Uuid::from_u128(number))
}

fn tenants() -> impl Strategy<Value = TenantId> {
    select(vec!["acme", "globex"]).prop_map(|name| TenantId::parse(name).unwrap())
}

fn kinds() -> impl Strategy<Value = RegistrationType> {
    select(RegistrationType::ALL.to_vec())
}

fn admissions() -> impl Strategy<Value = Admission> {
    select(vec![Admission::Auto, Admission::Review])
}

fn uri_sets() -> impl Strategy<Value = RedirectUris> {
    let world = vec!["https://a.example/cb", "https://b.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"];
    subsequence(world, 0..=4).prop_shuffle().prop_map(|uris| RedirectUris::parse(uris).unwrap())
}

fn reasons() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(select(vec!["spam".to_owned(), "known".to_owned()]))
}

fn revivals() -> impl Strategy<Value = Revival> {
    select(vec![Revival::AtNextUse, Revival::Review])
}

fn client_id() -> ClientId {
    ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap()
}

// ---------------------------------------------------------------- registrations

fn registration_command() -> impl Strategy<Value = RegistrationCommand> {
    use RegistrationCommand as Command;
    let ids = || proptest::option::of((1u128..30).prop_map(change));
    prop_oneof![
        2 => (tenants(), kinds(), uri_sets(), admissions(), days()).prop_map(|(tenant, registration_type, redirect_uris, admission, at)| {
            Command::Request { tenant, client_id: client_id(), registration_type, redirect_uris, metadata: None, admission, at }
        }),
        2 => reasons().prop_map(|reason| Command::Approve { reason }),
        1 => (reasons(), proptest::option::of(days())).prop_map(|(reason, until)| Command::Deny { reason, until }),
        1 => reasons().prop_map(|reason| Command::Suspend { reason }),
        1 => reasons().prop_map(|reason| Command::Reinstate { reason }),
        1 => reasons().prop_map(|reason| Command::Revoke { reason }),
        1 => reasons().prop_map(|reason| Command::Restore { reason }),
        2 => (days(), 0..9_i64, 1..9_u16).prop_map(|(since, watched, after_days)| Command::NoteIdleness {
            since,
            watched: TimeDelta::days(watched),
            after_days: NonZeroU16::new(after_days).unwrap(),
        }),
        2 => revivals().prop_map(|revive| Command::Use { revive }),
        8 => (uri_sets(), admissions()).prop_map(|(claimed, admission)| Command::Claim {
            claimed,
            admission,
            metadata: None,
            change_id: change(0),
            origin: "manifest".to_owned(),
        }),
        3 => ids().prop_map(|change_id| Command::ApproveRedirects { change_id }),
        2 => (ids(), reasons()).prop_map(|(change_id, reason)| Command::RejectRedirects { change_id, reason }),
    ]
}

/// What becomes of a client that hosts its own document: its versions are heard in any lane, and an administrator goes back.
fn manifest_command() -> impl Strategy<Value = RegistrationCommand> {
    use RegistrationCommand as Command;
    let heard = || prop_oneof![Just(Heard::Staged), Just(Heard::Live), Just(Heard::Pinned), days().prop_map(Heard::Soak)];
    let version = |version| ManifestRef { version, content_hash: ContentHash::of_digest([1; 32]), base: None };
    prop_oneof![
        6 => registration_command(),
        6 => (uri_sets(), heard(), 1u32..5).prop_map(move |(claimed, heard, number)| Command::FollowManifest {
            claimed,
            heard,
            metadata: None,
            change_id: change(0),
            manifest: version(number),
        }),
        1 => days().prop_map(|at| Command::Ripen { at }),
        1 => (1u32..5, uri_sets(), uri_sets(), reasons()).prop_map(|(version, redirect_uris, claimed, reason)| {
            Command::RollBack { version, redirect_uris, claimed, metadata: None, reason }
        }),
    ]
}

/// Commands in the order in which they are asked. Every claim carries a change id of its own, as it does in life.
fn in_order(commands: impl Strategy<Value = RegistrationCommand>) -> impl Strategy<Value = Vec<RegistrationCommand>> {
    proptest::collection::vec(commands, 0..40).prop_map(|mut commands| {
        for (number, command) in (1u128..).zip(&mut commands) {
            if let RegistrationCommand::Claim { change_id, .. } | RegistrationCommand::FollowManifest { change_id, .. } = command {
                *change_id = change(number);
            }
        }
        commands
    })
}

fn registration_life() -> impl Strategy<Value = Vec<RegistrationCommand>> {
    in_order(registration_command())
}

fn manifest_life() -> impl Strategy<Value = Vec<RegistrationCommand>> {
    in_order(manifest_command())
}

fn any_registration_event() -> impl Strategy<Value = RegistrationEvent> {
    use RegistrationEvent as Event;
    let id = || (1u128..4).prop_map(change);
    prop_oneof![
        (tenants(), kinds(), uri_sets()).prop_map(|(tenant, registration_type, redirect_uris)| Event::Requested(Requested {
            tenant,
            client_id: client_id(),
            registration_type,
            redirect_uris,
            metadata: None
        })),
        reasons().prop_map(|reason| Event::Approved(Approved { reason })),
        (reasons(), proptest::option::of(days())).prop_map(|(reason, until)| Event::Denied(Denied { reason, until })),
        reasons().prop_map(|reason| Event::Suspended(Suspended { reason })),
        reasons().prop_map(|reason| Event::Reinstated(Reinstated { reason })),
        reasons().prop_map(|reason| Event::Revoked(Revoked { reason })),
        reasons().prop_map(|reason| Event::Restored(Restored { reason })),
        days().prop_map(|idle_since| Event::Dormant(Dormant { idle_since })),
        Just(Event::RevivalAsked(RevivalAsked {})),
        reasons().prop_map(|reason| Event::Revived(Revived { reason })),
        (id(), uri_sets(), uri_sets(), uri_sets()).prop_map(|(change_id, added, removed, result)| Event::RedirectsStaged(
            StagedChange {
                change_id,
                added,
                removed,
                result,
                metadata: None,
                origin: "rfc7592".to_owned(),
                manifest: None,
                serves_at: None
            }
            .into()
        )),
        (uri_sets(), uri_sets(), reasons()).prop_map(|(redirect_uris, overridden, reason)| Event::RolledBack(RolledBack {
            version: 1,
            redirect_uris,
            overridden,
            metadata: None,
            overridden_metadata: None,
            reason
        })),
        (id(), any::<bool>()).prop_map(|(change_id, by_policy)| Event::RedirectsApproved(RedirectsApproved { change_id, by_policy })),
        (id(), reasons()).prop_map(|(change_id, reason)| Event::RedirectsRejected(RedirectsRejected { change_id, reason })),
        (id(), proptest::option::of(id())).prop_map(|(change_id, by)| Event::RedirectsSuperseded(RedirectsSuperseded { change_id, by })),
        uri_sets().prop_map(|removed| Event::RedirectsNarrowed(RedirectsNarrowed { removed })),
    ]
}

fn is_part_of(part: &RedirectUris, whole: &RedirectUris) -> bool {
    part.without(whole).is_empty()
}

fn fold<A: Aggregate>(state: A, events: &[A::Event]) -> A {
    events.iter().fold(state, A::evolve)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_serving_set_changes_only_by_admission_approval_of_the_current_change_narrowing_or_rollback(commands in manifest_life()) {
        let mut state = Registration::default();
        for command in &commands {
            for event in state.decide(command).unwrap_or_default() {
                let before = state.clone();
                state = state.evolve(&event);
                if state.redirect_uris == before.redirect_uris {
                    continue;
                }
                match &event {
                    RegistrationEvent::Requested(_) => {
                        prop_assert!(matches!(before.status, Status::None | Status::Pending | Status::Denied), "{:?}", before.status);
                    }
                    RegistrationEvent::RedirectsApproved(approved) => {
                        let current = before.staged.clone().unwrap();
                        prop_assert_eq!(current.change_id, approved.change_id);
                        prop_assert!(is_part_of(&state.redirect_uris, &before.redirect_uris.with(&current.added)), "more than was staged");
                        let kept = before.redirect_uris.without(&current.removed);
                        prop_assert!(is_part_of(&kept, &state.redirect_uris), "less than served before and was not said");
                    }
                    RegistrationEvent::RolledBack(_) => {
                        let asked = matches!(command, RegistrationCommand::RollBack { .. });
                        prop_assert!(asked, "nobody asked to go back");
                    }
                    RegistrationEvent::RedirectsNarrowed(_) => prop_assert!(is_part_of(&state.redirect_uris, &before.redirect_uris)),
                    other => prop_assert!(false, "{other:?} changed the serving set"),
                }
            }
        }
    }

    /// Nothing that the client took back serves, or would serve once it is approved, until the client claims it again.
    #[test]
    fn what_was_withdrawn_is_never_served_again_by_approving_restoring_or_reinstating(commands in registration_life()) {
        let mut state = Registration::default();
        let mut wish = RedirectUris::default();
        for command in &commands {
            let Ok(events) = state.decide(command) else {
                // A refused claim would be a withdrawal that nobody heard.
                let unheard = state.status != Status::None && matches!(command, RegistrationCommand::Claim { .. });
                prop_assert!(!unheard, "{command:?} was refused");
                continue;
            };
            for event in &events {
                if let RegistrationEvent::Requested(requested) = event {
                    wish = requested.redirect_uris.clone();
                }
            }
            if let RegistrationCommand::Claim { claimed, .. } = command {
                wish = claimed.clone();
            }
            state = fold(state, &events);
            prop_assert!(is_part_of(&state.redirect_uris, &wish), "{:?} serves, {wish:?} is claimed", state.redirect_uris);
            if let Some(staged) = &state.staged {
                prop_assert!(is_part_of(&staged.result, &wish), "{staged:?} waits, {wish:?} is claimed");
                prop_assert!(staged.result.same_set(&state.redirect_uris.with(&staged.added)), "{staged:?} is outdated");
            }
        }
    }

    #[test]
    fn asking_the_same_twice_in_a_row_does_nothing_the_second_time(commands in manifest_life()) {
        let mut state = Registration::default();
        for command in &commands {
            let Ok(events) = state.decide(command) else { continue };
            state = fold(state, &events);
            prop_assert_eq!(state.decide(command), Ok(vec![]), "{:?}", command);
        }
    }

    #[test]
    fn a_claim_that_the_rules_admit_serves_to_the_letter(commands in registration_life(), claimed in uri_sets()) {
        let state = commands.iter().fold(Registration::default(), |state, command| {
            let events = state.decide(command).unwrap_or_default();
            fold(state, &events)
        });
        if state.status.is_dormant() || matches!(state.status, Status::Approved | Status::Suspended) {
            let claim = RegistrationCommand::Claim {
                claimed: claimed.clone(),
                admission: Admission::Auto,
                metadata: None,
                change_id: change(99),
                origin: "manifest".to_owned(),
            };
            let events = state.decide(&claim).unwrap();
            let after = fold(state, &events);
            prop_assert!(after.redirect_uris.same_set(&claimed));
            prop_assert_eq!(after.staged, None);
        }
    }

    #[test]
    fn only_an_administrator_turns_denied_suspended_or_revoked_into_approved(commands in registration_life()) {
        use RegistrationCommand as Command;
        let mut state = Registration::default();
        for command in &commands {
            let before = state.status;
            let events = state.decide(command).unwrap_or_default();
            state = fold(state, &events);
            if before == Status::Approved || state.status != Status::Approved {
                continue;
            }
            let opened_by_an_administrator = matches!(
                (before, command),
                (Status::Pending | Status::Denied, Command::Approve { .. })
                    | (Status::Suspended, Command::Reinstate { .. })
                    | (Status::Revoked, Command::Restore { .. })
                    | (Status::Dormant | Status::Returning, Command::Approve { .. })
            );
            let back_in_use = before.is_dormant() && matches!(command, Command::Use { revive: Revival::AtNextUse });
            let admitted_by_the_rules = before == Status::None && matches!(command, Command::Request { admission: Admission::Auto, .. });
            prop_assert!(opened_by_an_administrator || admitted_by_the_rules || back_in_use, "{before:?} became approved by {command:?}");
        }
    }

    /// Dormancy is no decision: it closes nothing that was not open, and loses nothing of what serves or waits.
    #[test]
    fn only_an_approved_client_falls_dormant_and_it_comes_back_as_it_was(commands in manifest_life(), revive in revivals()) {
        let state = commands.iter().fold(Registration::default(), |state, command| {
            let events = state.decide(command).unwrap_or_default();
            fold(state, &events)
        });
        let idle = RegistrationCommand::NoteIdleness { since: day(1), watched: TimeDelta::days(9), after_days: NonZeroU16::new(9).unwrap() };
        let events = state.decide(&idle).unwrap_or_default();
        prop_assert_eq!(events.is_empty(), state.status != Status::Approved, "{:?}", state.status);
        let asleep = fold(state.clone(), &events);
        let events = asleep.decide(&RegistrationCommand::Use { revive }).unwrap_or_default();
        let used = fold(asleep.clone(), &events);
        if !asleep.status.is_dormant() {
            prop_assert_eq!(&used, &asleep, "a use opened what was not dormant");
            return Ok(());
        }
        let awake = fold(used.clone(), &used.decide(&RegistrationCommand::Approve { reason: None }).unwrap());
        let expected = if revive == Revival::AtNextUse { Status::Approved } else { Status::Returning };
        prop_assert_eq!(used.status, expected);
        prop_assert_eq!(awake, Registration { status: Status::Approved, ..state });
    }

    #[test]
    fn a_stale_change_id_changes_nothing(commands in manifest_life(), asked in 1u128..30) {
        let mut state = Registration::default();
        for command in &commands {
            let events = state.decide(command).unwrap_or_default();
            state = fold(state, &events);
            let current = state.staged.as_ref().map(|staged| staged.change_id);
            if state.status == Status::None || current == Some(change(asked)) {
                continue;
            }
            for ask in [
                RegistrationCommand::ApproveRedirects { change_id: Some(change(asked)) },
                RegistrationCommand::RejectRedirects { change_id: Some(change(asked)), reason: None },
            ] {
                let stale = Err(Rejection::StaleChange { asked: change(asked), current });
                let answer = state.decide(&ask);
                prop_assert!(answer == Ok(vec![]) || answer == stale, "{answer:?}");
            }
        }
    }

    #[test]
    fn any_event_on_any_registration_is_survived_and_none_creates_one_but_a_request(
        events in proptest::collection::vec(any_registration_event(), 0..30),
        command in registration_command(),
    ) {
        let mut state = Registration::default();
        for event in &events {
            let existed = state.status != Status::None;
            state = state.evolve(event);
            let exists = state.status != Status::None;
            prop_assert!(exists == existed || matches!(event, RegistrationEvent::Requested(_)), "{event:?}");
            if !exists {
                prop_assert_eq!(&state, &Registration::default());
            }
        }
        let _ = state.decide(&command);
    }

    #[test]
    fn every_registration_event_reads_back_as_it_was_written(event in any_registration_event()) {
        let (name, version) = event.shape();
        prop_assert_eq!(RegistrationEvent::decode(name, version, &event.encode().unwrap()).unwrap(), event);
    }
}

// ---------------------------------------------------------------- resource servers

fn modes() -> impl Strategy<Value = Modes> {
    subsequence(RegistrationType::ALL.to_vec(), 0..=3).prop_map(|modes| modes.into_iter().collect())
}

fn policies() -> impl Strategy<Value = Policy> {
    let rules = vec![
        RedirectRule::Loopback,
        RedirectRule::Scheme { scheme: "com.example.app".to_owned() },
        RedirectRule::Host { host: "a.example".to_owned(), path_prefix: "/".to_owned() },
    ];
    (
        (admissions(), admissions(), admissions()),
        subsequence(rules, 0..=3),
        select(vec![OutsideRules::Refuse, OutsideRules::Review]),
        subsequence(GrantType::ALL.to_vec(), 0..=4),
    )
        .prop_map(|((dcr, cimd, prereg), redirect_rules, outside_rules, self_registered_grants)| Policy {
            admission: Admissions { dcr, cimd, prereg },
            redirect_rules,
            outside_rules,
            self_registered_grants,
            ..Policy::default()
        })
}

fn resource_server_command() -> impl Strategy<Value = ResourceServerCommand> {
    use ResourceServerCommand as Command;
    let names = || select(vec!["docs".to_owned(), "files".to_owned()]);
    let effects = select(vec![EffectOnExisting::Keep, EffectOnExisting::Suspend]);
    prop_oneof![
        2 => (tenants(), names(), modes(), policies())
            .prop_map(|(tenant, name, modes, policy)| Command::Create { tenant, name, resource: None, modes, policy }),
        12 => (proptest::option::of(names()), proptest::option::of(modes()), effects, proptest::option::of(policies())).prop_map(
            |(name, modes, effect_on_existing, policy)| Command::Edit { name, resource: None, modes, effect_on_existing, policy }
        ),
        2 => (select(vec![CapOf::ResourceServer, CapOf::Tenant]), 1..4_u32, 0..5_u64).prop_map(|(of, cap, count)| {
            Command::NoteFill(Fill { of, cap: NonZeroU32::MIN.saturating_add(cap), count })
        }),
        1 => reasons().prop_map(|reason| Command::Retire { reason }),
    ]
}

fn metadata_of_some_client() -> impl Strategy<Value = ClientMetadata> {
    let grants = subsequence(GrantType::ALL.to_vec(), 1..=4);
    (uri_sets(), grants).prop_filter_map("metadata that cannot be registered anywhere", |(uris, grants)| {
        let members = json!({
            "redirect_uris": uris,
            "grant_types": grants,
            "token_endpoint_auth_method": "client_secret_basic",
        });
        metadata::parse(members.as_object()?.clone()).ok().map(|parsed| parsed.metadata)
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_mode_outside_the_modes_is_never_admitted_and_a_review_is_never_skipped(
        commands in proptest::collection::vec(resource_server_command(), 0..20),
        kind in kinds(),
        metadata in metadata_of_some_client(),
    ) {
        let mut server = ResourceServer::default();
        for command in &commands {
            let events = server.decide(command).unwrap_or_default();
            server = fold(server, &events);
            let coming = if kind == RegistrationType::Prereg { Coming::entered(kind) } else { Coming::alone(kind) };
            let answer = server.judge(coming, metadata.clone());
            if server.life != resource_server::Life::Active {
                prop_assert_eq!(answer, Err(Rejection::NoSuchResourceServer));
            } else if !server.modes.contains(&kind) {
                prop_assert_eq!(answer, Err(Rejection::ModeNotAdmitted(kind)));
            } else if let Ok(Judgement { metadata: admitted, admission }) = answer {
                prop_assert!(admission == Admission::Review || server.policy.admission.of(kind) == Admission::Auto);
                prop_assert!(admission == Admission::Review || server.policy.judge(&admitted.redirect_uris) == Ok(Admission::Auto));
                // A document's redirect URI that is not welcome is no reason to refuse the others.
                let welcome = metadata.redirect_uris.filter(|uri| admitted.redirect_uris.contains(uri));
                prop_assert_eq!(&admitted.redirect_uris, if kind == RegistrationType::Cimd { &welcome } else { &metadata.redirect_uris });
                let with_code = admitted.grant_types.contains(&GrantType::AuthorizationCode);
                prop_assert_eq!(admitted.response_types.contains(&ResponseType::Code), with_code, "RFC 7591 section 2.1");
                if kind != RegistrationType::Prereg {
                    prop_assert!(admitted.grant_types.iter().all(|grant| server.policy.self_registered_grants.contains(grant)));
                }
            }
        }
    }

    #[test]
    fn a_type_is_suspended_from_the_edit_that_says_so_until_it_is_admitted_again(
        commands in proptest::collection::vec(resource_server_command(), 0..20),
    ) {
        let mut server = ResourceServer::default();
        let mut suspended = Modes::new();
        for command in &commands {
            let Ok(events) = server.decide(command) else { continue };
            server = fold(server, &events);
            for kind in RegistrationType::ALL {
                if server.modes.contains(&kind) {
                    suspended.remove(&kind);
                } else if matches!(command, ResourceServerCommand::Edit { effect_on_existing: EffectOnExisting::Suspend, .. }) {
                    suspended.insert(kind);
                }
            }
            prop_assert_eq!(&server.suspended, &suspended);
            prop_assert!(server.suspended.is_disjoint(&server.modes));
        }
    }

    #[test]
    fn the_second_edit_of_the_same_kind_does_nothing(commands in proptest::collection::vec(resource_server_command(), 0..20)) {
        let mut server = ResourceServer::default();
        let mut history = Vec::new();
        for command in &commands {
            let Ok(events) = server.decide(command) else { continue };
            server = fold(server, &events);
            prop_assert_eq!(server.decide(command), Ok(vec![]), "{:?}", command);
            history.extend(events);
        }
        // Totality: the same events in any order are survived, and nothing exists before it was created.
        let mut backwards = ResourceServer::default();
        for event in history.iter().rev() {
            backwards = backwards.evolve(event);
            let (name, version) = event.shape();
            prop_assert_eq!(&ResourceServerEvent::decode(name, version, &event.encode().unwrap()).unwrap(), event);
        }
        if server.life == resource_server::Life::None {
            prop_assert_eq!(backwards, ResourceServer::default());
        }
    }
}

// ---------------------------------------------------------------- clients

fn secrets() -> impl Strategy<Value = KeptSecret> {
    (select(vec!["YQ", "Yg", "Yw"]), proptest::option::of(days())).prop_map(|(hash, expires_at)| KeptSecret {
        hash: SecretHash::try_new(&format!("$argon2id$v=19$m=64,t=1,p=1$c2FsdA${hash}")).unwrap(),
        expires_at,
    })
}

fn parties() -> impl Strategy<Value = Party> {
    prop_oneof![tenants().prop_map(Party::Admin), Just(Party::Holder), Just(Party::System)]
}

fn public_or_confidential() -> impl Strategy<Value = ClientMetadata> {
    (metadata_of_some_client(), select(metadata::AuthMethod::ALL.to_vec())).prop_map(|(mut metadata, method)| {
        metadata.token_endpoint_auth_method = method;
        metadata
    })
}

fn client_command() -> impl Strategy<Value = ClientCommand> {
    use ClientCommand as Command;
    let tokens = || any::<u8>().prop_map(|byte| TokenHash([byte; 32]));
    prop_oneof![
        2 => (kinds(), proptest::option::of(tenants()), public_or_confidential(), secrets(), tokens(), days()).prop_map(
            |(registration_type, home, metadata, secret, token, at)| Command::Register {
                client_id: client_id(),
                registration_type,
                home,
                secret: Some(secret).filter(|_| metadata.needs_secret()),
                metadata,
                registration_token: Some(token),
                ignored: vec![],
                initial_access_token: None,
                clamps: Clamps::default(),
                imported_from: None,
                at,
            }
        ),
        4 => (parties(), public_or_confidential(), secrets())
            .prop_map(|(by, metadata, secret)| Command::UpdateMetadata { by, metadata, secret: Some(secret), keep_secret: false, ignored: vec![] }),
        4 => (parties(), secrets(), proptest::option::of(days()))
            .prop_map(|(by, secret, old_valid_until)| Command::RotateSecret { by, secret, rotation: rotation(old_valid_until) }),
        2 => parties().prop_map(|by| Command::RevokeOldSecret { by }),
        2 => (parties(), tokens()).prop_map(|(by, registration_token)| Command::RotateRegistrationToken { by, registration_token }),
        1 => (parties(), reasons()).prop_map(|(by, reason)| Command::Delete { by, reason }),
    ]
}

fn rotation(old_valid_until: Option<DateTime<Utc>>) -> Rotation {
    Rotation { at: DateTime::UNIX_EPOCH, old_valid_until, end_overlap: true, repeat_key: None }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_client_has_the_credentials_that_its_method_needs_and_a_deleted_one_has_none(
        commands in proptest::collection::vec(client_command(), 0..30),
    ) {
        let mut client = Client::default();
        for command in &commands {
            let before = client.clone();
            let Ok(events) = client.decide(command) else { continue };
            client = fold(client, &events);
            prop_assert_eq!(client.decide(command), Ok(vec![]), "{:?}", command);
            prop_assert!(before.life != Life::Deleted || client == before, "a deleted client changed");
            let Some(profile) = &client.profile else { continue };
            let needs_secret = client.life == Life::Registered && profile.metadata.needs_secret();
            prop_assert_eq!(profile.secret.is_some(), needs_secret);
            prop_assert!(profile.previous_secret.is_none() || needs_secret);
            prop_assert_eq!(profile.registration_token.is_some(), client.life == Life::Registered);
            if let (Some((_, until)), Some(old)) = (&profile.previous_secret, before.profile.and_then(|profile| profile.secret))
                && matches!(events.as_slice(), [ClientEvent::SecretRotated(_)])
            {
                prop_assert!(old.expires_at.is_none_or(|expires_at| *until <= expires_at), "a rotation made the old secret live longer");
            }
        }
    }

    #[test]
    fn another_tenants_administrator_changes_nothing(
        commands in proptest::collection::vec(client_command(), 0..30),
    ) {
        let mut client = Client::default();
        for command in &commands {
            let Ok(events) = client.decide(command) else { continue };
            let by = match command {
                ClientCommand::Register { .. }
                | ClientCommand::SeeDocument { .. }
                | ClientCommand::EnterDocument { .. }
                | ClientCommand::MissDocument { .. }
                | ClientCommand::LoseDocument { .. } => None,
                ClientCommand::UpdateMetadata { by, .. }
                | ClientCommand::RotateSecret { by, .. }
                | ClientCommand::RevokeOldSecret { by }
                | ClientCommand::RotateRegistrationToken { by, .. }
                | ClientCommand::Delete { by, .. } => Some(by),
            };
            if let (Some(Party::Admin(tenant)), Some(profile)) = (by, client.registered()) {
                prop_assert_eq!(profile.home.as_ref(), Some(tenant));
            }
            client = fold(client, &events);
        }
    }

    #[test]
    fn any_event_on_any_client_is_survived_and_read_back_as_it_was_written(
        lives in proptest::collection::vec(proptest::collection::vec(client_command(), 0..10), 2),
    ) {
        let mut history = Vec::new();
        for commands in &lives {
            let mut client = Client::default();
            for command in commands {
                let events = client.decide(command).unwrap_or_default();
                client = fold(client, &events);
                history.extend(events);
            }
        }
        let mut backwards = Client::default();
        for event in history.iter().rev() {
            backwards = backwards.evolve(event);
            let (name, version) = event.shape();
            prop_assert_eq!(&ClientEvent::decode(name, version, &event.encode().unwrap()).unwrap(), event);
        }
    }
}

// ---------------------------------------------------------------- initial access tokens

fn token_command() -> impl Strategy<Value = InitialAccessTokenCommand> {
    use InitialAccessTokenCommand as Command;
    prop_oneof![
        2 => (tenants(), any::<u8>(), proptest::option::of(days()), proptest::option::of(0..4u32), days()).prop_map(
            |(tenant, byte, expires_at, max_uses, at)| Command::Issue {
                tenant,
                label: "ci".to_owned(),
                token: TokenHash([byte; 32]),
                expires_at,
                max_uses,
                clamps: Clamps::default(),
                at,
            }
        ),
        8 => days().prop_map(|at| Command::Use { client_id: client_id(), at }),
        1 => reasons().prop_map(|reason| Command::Revoke { reason }),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_token_is_used_as_often_as_it_may_be_and_never_after_it_ended(
        commands in proptest::collection::vec(token_command(), 0..30),
    ) {
        let mut token = InitialAccessToken::default();
        let (mut uses, mut revoked, mut history) = (0, false, Vec::new());
        for command in &commands {
            let before = token.clone();
            let Ok(events) = token.decide(command) else { continue };
            if let InitialAccessTokenCommand::Use { at, .. } = command {
                uses += 1;
                prop_assert!(!revoked, "a use after the revocation");
                prop_assert!(before.expires_at.is_none_or(|end| end > *at), "a use after its time");
                prop_assert!(before.max_uses.is_none_or(|most| uses <= most), "a use too many");
                prop_assert_eq!(before.usability(*at), Usability::Active);
            }
            revoked |= matches!(events.as_slice(), [InitialAccessTokenEvent::Revoked(_)]);
            token = fold(token, &events);
            prop_assert_eq!(token.uses, uses);
            history.extend(events);
        }
        // Totality: the same events in any order are survived.
        let mut backwards = InitialAccessToken::default();
        for event in history.iter().rev() {
            backwards = backwards.evolve(event);
            let (name, version) = event.shape();
            prop_assert_eq!(&InitialAccessTokenEvent::decode(name, version, &event.encode().unwrap()).unwrap(), event);
        }
    }
}
