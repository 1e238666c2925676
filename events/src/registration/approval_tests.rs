//! An approval never lets through what was not shown: the parts of a change, and random lives under random rules.

use std::collections::BTreeSet;

use chrono::TimeZone;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use uuid::Uuid;

use super::*;
use crate::admission::{Admission, Heard};
use crate::metadata::{AuthMethod, GrantType, ResponseType};
use crate::redirect::WebUri;
use crate::scenario::{self, Scene};
use crate::scope::Scope;
use RegistrationCommand as Command;
use RegistrationEvent as Event;

const A: &str = "https://a.example/cb";
const B: &str = "https://b.example/cb";

fn uris<'a>(texts: impl IntoIterator<Item = &'a str>) -> RedirectUris {
    RedirectUris::parse(texts).unwrap()
}

fn change(number: u128) -> ChangeId {
    ChangeId(Uuid::from_u128(number))
}

fn says(name: &str, scope: &str) -> AdmittedMetadata {
    AdmittedMetadata {
        token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
        grant_types: vec![GrantType::AuthorizationCode],
        response_types: vec![ResponseType::Code],
        client_name: Some(name.into()),
        client_uri: None,
        logo_uri: None,
        tos_uri: None,
        policy_uri: None,
        localized: std::collections::BTreeMap::new(),
        scope: Scope::parse(scope).unwrap(),
        contacts: vec![],
        jwks_uri: None,
        jwks: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the member that it fills has it")]
fn wished(metadata: &AdmittedMetadata, heard: Heard) -> Option<Wished> {
    Some(Wished { metadata: Arc::new(metadata.clone()), heard, rule: "admission.dcr" })
}

fn claim(number: u128, claimed: &[&str], metadata: &AdmittedMetadata, heard: Heard) -> Command {
    let claimed = uris(claimed.iter().copied());
    let (change_id, origin) = (change(number), "rfc7592".to_owned());
    Command::Claim { claimed, admission: Admission::Review, metadata: wished(metadata, heard), change_id, origin }
}

fn requested(metadata: Option<&AdmittedMetadata>) -> Event {
    Event::Requested(Requested {
        tenant: TenantId::parse("acme").unwrap(),
        client_id: ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap(),
        registration_type: RegistrationType::Dcr,
        redirect_uris: uris([A]),
        metadata: metadata.cloned().map(Box::new),
    })
}

fn approved() -> Event {
    Event::Approved(Approved { reason: None })
}

fn given(history: impl IntoIterator<Item = Event>) -> Scene<Registration> {
    scenario::given(history)
}

fn staged(number: u128, metadata: Option<&AdmittedMetadata>, added: &[&str], result: &[&str]) -> Event {
    let change = StagedChange {
        change_id: change(number),
        added: uris(added.iter().copied()),
        removed: uris([]),
        result: uris(result.iter().copied()),
        metadata: metadata.cloned().map(Arc::new),
        origin: "rfc7592".to_owned(),
        manifest: None,
        serves_at: None,
    };
    Event::RedirectsStaged(change.into())
}

fn narrowed(metadata: &AdmittedMetadata) -> Event {
    Event::MetadataAdmitted(MetadataAdmitted { metadata: Box::new(metadata.clone()), because: AdmittedBecause::Narrowed })
}

#[test]
fn r3_what_grows_or_changes_the_face_waits_as_one_change_and_what_shrinks_serves_at_once() {
    let (was, wants) = (
        says("App", "read write"),
        AdmittedMetadata { logo_uri: WebUri::parse("https://a.example/l.png").ok(), ..says("Bank", "read admin") },
    );
    let less = says("App", "read");
    let waiting = || {
        given([requested(Some(&was)), approved()])
            .when(&claim(1, &[A, B], &wants, Heard::Staged))
            .then([narrowed(&less), staged(1, Some(&wants), &[B], &[A, B])])
            .when(&claim(2, &[B, A], &wants, Heard::Staged))
            .then_nothing()
    };
    assert_eq!(waiting().state().metadata.as_deref(), Some(&less));
    let approve = Command::ApproveRedirects { change_id: Some(change(1)) };
    let after =
        waiting().when(&approve).then([Event::RedirectsApproved(RedirectsApproved { change_id: change(1), by_policy: false })]).state();
    assert_eq!((after.metadata.as_deref(), after.approved_with.as_deref()), (Some(&wants), Some(&wants)));
    assert_eq!(after.redirect_uris, uris([A, B]));
}

#[test]
fn r3_a_rejected_part_does_not_come_in_with_another() {
    let (was, wants) = (says("App", "read"), says("Bank", "read"));
    let other = says("Shop", "read");
    let after = given([requested(Some(&was)), approved()])
        .when(&claim(1, &[A, B], &wants, Heard::Staged))
        .then([staged(1, Some(&wants), &[B], &[A, B])])
        .when(&Command::RejectRedirects { change_id: Some(change(1)), reason: None })
        .then([Event::RedirectsRejected(RedirectsRejected { change_id: change(1), reason: None })])
        .when(&claim(2, &[A, B], &wants, Heard::Staged))
        .then_nothing()
        .when(&claim(3, &[A, B], &other, Heard::Staged))
        .then([staged(3, Some(&other), &[], &[A])])
        .when(&Command::ApproveRedirects { change_id: None })
        .then([Event::RedirectsApproved(RedirectsApproved { change_id: change(3), by_policy: false })])
        .state();
    assert_eq!((after.redirect_uris, after.metadata.as_deref()), (uris([A]), Some(&other)));
}

#[test]
fn r3_what_waits_serves_when_it_is_claimed_again_under_rules_that_admit_it_and_is_taken_back_by_another_wish() {
    let (was, wants) = (says("App", "read"), says("Bank", "read"));
    let waiting = || given([requested(Some(&was)), approved(), staged(1, Some(&wants), &[], &[A])]);
    let by_policy = Event::RedirectsApproved(RedirectsApproved { change_id: change(1), by_policy: true });
    let live = |number, metadata| Command::Claim {
        claimed: uris([A]),
        admission: Admission::Auto,
        metadata: wished(metadata, Heard::Live),
        change_id: change(number),
        origin: "rfc7592".to_owned(),
    };
    waiting().when(&live(2, &wants)).then([by_policy]);
    let back = Event::RedirectsSuperseded(RedirectsSuperseded { change_id: change(1), by: None });
    waiting().when(&claim(2, &[A], &was, Heard::Staged)).then([back]);
}

#[test]
fn r3_a_method_that_proves_more_than_none_needs_nobodys_word_and_other_keys_do() {
    let public = AdmittedMetadata { token_endpoint_auth_method: AuthMethod::None, ..says("App", "read") };
    let secret = says("App", "read");
    let post = AdmittedMetadata { token_endpoint_auth_method: AuthMethod::ClientSecretPost, ..says("App", "read") };
    let keys = |at: &str| AdmittedMetadata {
        token_endpoint_auth_method: AuthMethod::PrivateKeyJwt,
        jwks_uri: WebUri::parse(at).ok(),
        ..says("App", "read")
    };
    let (own, others) = (keys("https://a.example/jwks"), keys("https://evil.example/jwks"));
    for (now, then) in [(&public, &secret), (&public, &own), (&secret, &post), (&post, &secret)] {
        given([requested(Some(now)), approved()]).when(&claim(1, &[A], then, Heard::Staged)).then([narrowed(then)]);
    }
    for (now, then) in [(&secret, &public), (&own, &public), (&secret, &own), (&own, &secret), (&own, &others)] {
        let after =
            given([requested(Some(now)), approved()]).when(&claim(1, &[A], then, Heard::Staged)).then([staged(1, Some(then), &[], &[A])]);
        assert_eq!(after.state().metadata.as_deref(), Some(now));
    }
}

#[test]
fn r3_while_it_waits_a_client_asks_differently_and_a_closed_door_hears_withdrawals() {
    let (was, wants) = (says("App", "read write"), says("Bank", "read"));
    let asks = requested(Some(&wants));
    given([requested(Some(&was))]).when(&claim(1, &[A], &wants, Heard::Live)).then([asks]);
    let denied = Event::Denied(Denied { reason: None, until: None });
    given([requested(Some(&was)), denied]).when(&claim(1, &[A], &wants, Heard::Live)).then([narrowed(&says("App", "read"))]);
}

#[test]
fn r3_what_served_before_older_builds_wrote_it_down_is_kept_before_it_changes() {
    let (was, wants) = (says("App", "read"), says("Bank", "read"));
    let kept = Event::MetadataAdmitted(MetadataAdmitted { metadata: Box::new(was.clone()), because: AdmittedBecause::Kept });
    given([requested(None), approved()])
        .when(&Command::KeepMetadata { metadata: Arc::new(was.clone()) })
        .then([kept])
        .when(&Command::KeepMetadata { metadata: Arc::new(wants.clone()) })
        .then_nothing()
        .when(&claim(1, &[A], &wants, Heard::Staged))
        .then([staged(1, Some(&wants), &[], &[A])]);
}

#[test]
fn r3_an_order_is_no_wish() {
    let was = AdmittedMetadata { grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken], ..says("App", "read write") };
    let same = AdmittedMetadata { grant_types: vec![GrantType::RefreshToken, GrantType::AuthorizationCode], ..says("App", "write read") };
    given([requested(Some(&was)), approved()]).when(&claim(1, &[A], &same, Heard::Staged)).then_nothing();
}

// ---------------------------------------------------------------- random lives

/// One step of a life: what the client, the rules or an administrator do.
#[derive(Debug, Clone)]
enum Act {
    Claim {
        claimed: RedirectUris,
        admission: Admission,
        metadata: AdmittedMetadata,
        heard: Heard,
    },
    Document {
        claimed: RedirectUris,
        lane: Heard,
        metadata: AdmittedMetadata,
        heard: Heard,
    },
    Approve,
    Revoke,
    Restore,
    /// The administrator read this many events ago and decides by the change that was shown then.
    ApproveShown {
        read_before: usize,
    },
    Reject,
    Ripen,
}

fn anything() -> impl Strategy<Value = AdmittedMetadata> {
    let scope = select(vec!["", "read", "write", "read write", "write read admin", "admin"]);
    let grants = subsequence(vec![GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::ClientCredentials], 1..=3);
    let proof = select(vec![
        (AuthMethod::None, None),
        (AuthMethod::ClientSecretBasic, None),
        (AuthMethod::ClientSecretPost, None),
        (AuthMethod::PrivateKeyJwt, Some("https://a.example/jwks")),
        (AuthMethod::PrivateKeyJwt, Some("https://b.example/jwks")),
    ]);
    let (name, logo) =
        (select(vec![None, Some("App"), Some("Bank")]), select(vec![None, Some("https://a.example/l"), Some("https://b.example/l")]));
    (name, scope, grants, proof, logo).prop_map(|(name, scope, grant_types, (method, keys), logo)| AdmittedMetadata {
        token_endpoint_auth_method: method,
        grant_types,
        client_name: name.map(Into::into),
        logo_uri: logo.map(|uri| WebUri::parse(uri).unwrap()),
        jwks_uri: keys.map(|uri| WebUri::parse(uri).unwrap()),
        ..says("", scope)
    })
}

fn sets() -> impl Strategy<Value = RedirectUris> {
    subsequence(vec![A, B, "https://c.example/cb", "http://127.0.0.1/cb"], 0..=4).prop_map(uris)
}

fn soak() -> Heard {
    Heard::Soak(Utc.timestamp_opt(1, 0).unwrap())
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let lanes = || select(vec![Heard::Staged, Heard::Live, soak(), Heard::Pinned]);
    let admission = || select(vec![Admission::Auto, Admission::Review]);
    let act = prop_oneof![
        4 => (sets(), admission(), anything(), admission()).prop_map(|(claimed, admission, metadata, heard)| Act::Claim { claimed, admission, metadata, heard: heard.into() }),
        4 => (sets(), lanes(), anything(), lanes()).prop_map(|(claimed, lane, metadata, heard)| Act::Document { claimed, lane, metadata, heard }),
        2 => Just(Act::Approve),
        1 => Just(Act::Revoke),
        1 => Just(Act::Restore),
        4 => (0..4_usize).prop_map(|read_before| Act::ApproveShown { read_before }),
        1 => Just(Act::Reject),
        1 => Just(Act::Ripen),
    ];
    proptest::collection::vec(act, 0..40)
}

/// Everything that some approval showed, or that the rules admitted at once.
#[derive(Default)]
struct Allowed {
    uris: BTreeSet<String>,
    names: BTreeSet<Option<String>>,
    logos: BTreeSet<String>,
    tokens: BTreeSet<String>,
    unbounded: bool,
    grants: Vec<GrantType>,
    proofs: Vec<(AuthMethod, Option<WebUri>)>,
}

impl Allowed {
    fn uris(&mut self, all: &RedirectUris) {
        self.uris.extend(all.iter().map(ToString::to_string));
    }

    fn metadata(&mut self, metadata: &AdmittedMetadata) {
        self.names.insert(metadata.client_name.as_deref().map(str::to_owned));
        self.logos.extend(metadata.logo_uri.as_ref().map(|uri| uri.as_str().to_owned()));
        self.unbounded |= metadata.scope.is_none();
        self.tokens.extend(metadata.scope.iter().flat_map(Scope::tokens).map(str::to_owned));
        self.grants.extend(&metadata.grant_types);
        self.proofs.push((metadata.token_endpoint_auth_method, metadata.jwks_uri.clone()));
    }

    fn check(&self, state: &Registration) -> Result<(), TestCaseError> {
        prop_assert!(state.redirect_uris.iter().all(|uri| self.uris.contains(&uri.to_string())), "{state:?}");
        let metadata = state.metadata.as_deref().unwrap();
        prop_assert!(self.names.contains(&metadata.client_name.as_deref().map(str::to_owned)), "{state:?}");
        prop_assert!(metadata.logo_uri.iter().all(|uri| self.logos.contains(uri.as_str())), "{state:?}");
        prop_assert!(metadata.scope.is_some() || self.unbounded, "{state:?}");
        let bounded = metadata.scope.iter().flat_map(Scope::tokens).all(|token| self.unbounded || self.tokens.contains(token));
        prop_assert!(bounded, "{state:?}");
        prop_assert!(metadata.grant_types.iter().all(|grant| self.grants.contains(grant)), "{state:?}");
        // Who was let in without any proof may bring one.
        let proves = |(method, keys): &(AuthMethod, Option<WebUri>)| {
            let secret = |method| matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
            let now = metadata.token_endpoint_auth_method;
            *method == AuthMethod::None || ((*method == now || (secret(*method) && secret(now))) && *keys == metadata.jwks_uri)
        };
        prop_assert!(self.proofs.iter().any(proves), "{state:?}");
        Ok(())
    }
}

fn life(first: &AdmittedMetadata, admission: Admission, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let request = Command::Request {
        tenant: TenantId::parse("acme").unwrap(),
        client_id: ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap(),
        registration_type: RegistrationType::Dcr,
        redirect_uris: uris([A]),
        metadata: Some(Arc::new(first.clone())),
        admission,
        at: Utc.timestamp_opt(0, 0).unwrap(),
    };
    let mut allowed = Allowed::default();
    if admission == Admission::Auto {
        allowed.uris(&uris([A]));
        allowed.metadata(first);
    }
    let mut states = vec![Registration::default()];
    states.extend(scan(&Registration::default(), &request));
    for (number, act) in (1_u128..).zip(acts) {
        let now = states.last().unwrap().clone();
        let manifest = ManifestRef { version: 1, content_hash: ContentHash::of_digest([1; 32]), base: None };
        let command = match act {
            Act::Claim { claimed, admission, metadata, heard } => {
                if admission == Admission::Auto {
                    allowed.uris(&claimed);
                }
                if heard == Heard::Live {
                    allowed.metadata(&metadata);
                }
                Command::Claim {
                    claimed,
                    admission,
                    metadata: wished(&metadata, heard),
                    change_id: change(number),
                    origin: "rfc7592".to_owned(),
                }
            }
            Act::Document { claimed, lane, metadata, heard } => {
                if matches!(lane, Heard::Live | Heard::Soak(_)) {
                    allowed.uris(&claimed);
                }
                if matches!(heard, Heard::Live | Heard::Soak(_)) {
                    allowed.metadata(&metadata);
                }
                Command::FollowManifest { claimed, heard: lane, metadata: wished(&metadata, heard), change_id: change(number), manifest }
            }
            Act::Approve => {
                allowed.uris(&now.redirect_uris);
                allowed.metadata(now.metadata.as_deref().unwrap());
                Command::Approve { reason: None }
            }
            Act::Revoke => Command::Revoke { reason: None },
            Act::Restore => Command::Restore { reason: None },
            Act::ApproveShown { read_before } => {
                let shown = states.iter().rev().nth(read_before).and_then(|state| state.staged.clone());
                let Some(shown) = shown else { continue };
                allowed.uris(&shown.result);
                if let Some(metadata) = &shown.metadata {
                    allowed.metadata(metadata);
                }
                Command::ApproveRedirects { change_id: Some(shown.change_id) }
            }
            Act::Reject => Command::RejectRedirects { change_id: None, reason: None },
            Act::Ripen => Command::Ripen { at: Utc.timestamp_opt(2, 0).unwrap() },
        };
        states.extend(scan(&now, &command));
        let now = states.last().unwrap();
        if now.status == Status::Approved {
            allowed.check(now)?;
        }
    }
    Ok(())
}

/// The states after each event of a command.
fn scan(state: &Registration, command: &Command) -> Vec<Registration> {
    let mut now = state.clone();
    let events = now.decide(command).unwrap_or_default();
    events.iter().map(|event| (now = now.clone().evolve(event), now.clone()).1).collect()
}

proptest! {
    #[test]
    fn r3_an_approval_never_lets_through_what_was_not_shown(
        first in anything(),
        admission in select(vec![Admission::Auto, Admission::Review]),
        acts in acts(),
    ) {
        life(&first, admission, acts)?;
    }
}
