//! What was ever stored stays readable: one golden file per stored shape, for ever.
//! Why this file is long: it holds a sample of every shape.
//!
//! A golden file holds the bytes that are stored, and a line feed. It is named `<name>@<version>.json`, or
//! `<name>@<version>.<variant>.json` where one file does not show it all: `minimal` lacks every optional member.
//! Files are added and never edited:
//!
//! - An added optional member keeps the version: add a sample with a new variant that has it.
//! - Any other change adds one version, one step in `upcast.rs` and a golden file of the new version.
//!
//! `UPDATE_SHAPES=1 cargo test -p gatebook-events --test shapes` writes the files that are missing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where it stopped")]

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use gatebook_events::admission::{Admission, CapOf, Lane, Modes, RegistrationType, Revival};
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{
    ClientEvent, ContentHash, Deleted, Difference, ImportFormat, ImportedFrom, ManifestRecovered, ManifestUnreachable, ManifestVersioned,
    ManifestWithdrawn, MetadataUpdated, Registered, RegistrationTokenRotated, SecretRevoked, SecretRotated, Withdrawal,
};
use gatebook_events::envelope::{Actor, ActorKind, EventId, Meta};
use gatebook_events::family::FamilyName;
use gatebook_events::identity::{ChangeId, ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, TenantId};
use gatebook_events::initial_access_token::{self, InitialAccessTokenEvent, Issued, Used};
use gatebook_events::metadata::{self, ClientMetadata, GrantType, LeftOut, SoftwareStatement};
use gatebook_events::projection::{EventSkipped, ProjectionEvent, SkipTakenBack};
use gatebook_events::redirect::{RedirectUris, WebUri};
use gatebook_events::redirect_rule::RedirectRule;
use gatebook_events::registration::{
    AdmittedBecause, AdmittedMetadata, Approved, Denied, Dormant, ManifestRef, MetadataAdmitted, RedirectsApproved, RedirectsNarrowed,
    RedirectsRejected, RedirectsSuperseded, RegistrationEvent, Reinstated, Requested, Restored, RevivalAsked, Revived, Revoked, RolledBack,
    StagedChange, Suspended,
};
use gatebook_events::reservation::{ReservationEvent, Taken};
use gatebook_events::resource_server::{
    Admissions, CapEased, CapNeared, Created, EffectOnExisting, FamilyReinstated, FamilySuspended, Instances, ManifestRules, ModesChanged,
    OutsideRules, Policy, PolicyChanged, Renamed, ResourceServerEvent, Retired, StatementIssuer, WithdrawalRule,
};
use gatebook_events::scope::Scope;
use gatebook_events::secret::{KeptSecret, SecretHash, TokenHash};
use gatebook_events::service_token::{self, ServiceScope, ServiceTokenEvent};
use gatebook_events::stored::{CodecError, Stored};
use gatebook_events::webhook::{self, DisabledBecause, Start, TypePrefix, WebhookEvent, WebhookUrl, Wish};
use serde_json::{Value, json};
use uuid::Uuid;

// ---------------------------------------------------------------- the promises

#[test]
fn every_stored_shape_has_a_golden_file_and_is_written_as_the_file_says() {
    let goldens = goldens();
    for sample in samples() {
        let file = sample.file();
        match goldens.get(&file) {
            Some(golden) => assert_eq!(
                golden, &sample.encoded,
                "{file} is not what this build writes. Golden files are never edited: restore the shape. If an optional member was \
                 added, leave it out of this sample and add a sample with a new variant; otherwise add a version and an upcast step"
            ),
            None if std::env::var_os("UPDATE_SHAPES").is_some() => write_new(&file, &sample.encoded),
            None => panic!("{file} is missing: run with UPDATE_SHAPES=1 to write it, look at it, and commit it"),
        }
    }
    for (name, newest) in shapes() {
        let shown = samples().iter().any(|sample| sample.name == name && sample.version == newest && sample.variant.is_empty());
        assert!(shown, "{name} version {newest} has no sample: add one to `samples`, with every optional member");
    }
}

#[test]
fn every_golden_file_is_read_and_one_of_the_newest_version_is_written_back_to_the_byte() {
    let newest: BTreeMap<&str, u16> = shapes().collect();
    for (file, golden) in goldens() {
        let (name, version) = name_and_version(&file);
        let Some(newest) = newest.get(name.as_str()).copied() else {
            panic!("{file} shows a name that this build does not know: stored names are for ever, bring it back")
        };
        assert!(version >= 1 && version <= newest, "{file} shows a version that this build does not read");
        let written = read_and_write(&name, version, &golden).unwrap_or_else(|error| {
            panic!("{file} cannot be read any more: {error}. What was stored stays readable: add an upcast step, or restore the shape")
        });
        if version == newest {
            assert_eq!(written, golden, "{file} is read, but written back differently");
        }
    }
}

/// A variant shows the same in each version.
#[test]
fn what_an_old_version_says_is_what_the_newest_says_in_other_words() {
    let (goldens, newest): (_, BTreeMap<&str, u16>) = (goldens(), shapes().collect());
    let mut stepped = BTreeMap::new();
    for (file, golden) in &goldens {
        let (name, version) = name_and_version(file);
        let newest = newest[name.as_str()];
        if version < newest {
            let of_now = file.replace(&format!("@{version}."), &format!("@{newest}."));
            let now = goldens.get(&of_now).unwrap_or_else(|| panic!("{of_now} is missing: the same as {file} in the newest version"));
            assert_eq!(read_and_write(&name, version, golden).unwrap(), *now, "{file}");
            *stepped.entry((name, version)).or_insert(0) += 1;
        }
    }
    assert!(stepped.len() >= 3, "{stepped:?}");
}

#[test]
fn a_version_newer_than_this_build_is_refused_and_named() {
    for sample in samples().iter().filter(|sample| sample.name != META) {
        let needed = sample.version + 1;
        match read_and_write(sample.name, needed, &sample.encoded) {
            Err(error @ CodecError::Newer { version, newest, .. }) => {
                assert_eq!((version, newest), (needed, sample.version));
                let sentence = error.to_string();
                assert!(sentence.contains(sample.name) && sentence.contains(&format!("version {needed}")), "{sentence}");
            }
            other => panic!("{} version {needed}: {other:?}", sample.name),
        }
    }
}

#[test]
fn a_name_is_known_in_its_own_kind_of_stream_only() {
    for sample in samples().iter().filter(|sample| sample.name != META) {
        let readers = [
            ClientEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            RegistrationEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            ResourceServerEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            InitialAccessTokenEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            ReservationEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            ProjectionEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            ServiceTokenEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
            WebhookEvent::decode(sample.name, sample.version, &sample.encoded).map(drop),
        ];
        assert_eq!(readers.iter().filter(|read| read.is_ok()).count(), 1, "{}", sample.name);
        assert_eq!(readers.iter().filter(|read| matches!(read, Err(CodecError::UnknownName(_)))).count(), 7, "{}", sample.name);
    }
    for unknown in ["", "client.exploded", "Client.Registered", "registered", "client.registered@1"] {
        assert!(matches!(ClientEvent::decode(unknown, 1, "{}"), Err(CodecError::UnknownName(name)) if name == unknown));
    }
}

#[test]
fn a_member_that_a_newer_build_added_to_a_version_is_passed_over() {
    for sample in samples() {
        let with_news = format!("{},\"added_later\":{{\"by\":[1]}}}}", sample.encoded.strip_suffix('}').unwrap()).replace("{,", "{");
        assert_eq!(read_and_write(sample.name, sample.version, &with_news).unwrap(), sample.encoded, "{}", sample.name);
    }
}

#[test]
fn a_shape_that_lacks_what_its_version_promises_is_malformed_and_never_guessed() {
    let newest = [
        ("registration.redirects_staged", r#"{"change":{"added":[],"removed":[],"result":[]},"source":{"origin":"rfc7592"}}"#),
        (
            "registration.redirects_staged",
            r#"{"change_id":"00000000-0000-0000-0000-000000000001","added":[],"removed":[],"result":[],"origin":"a"}"#,
        ),
        ("resource_server.policy_changed", r#"{"policy":{}}"#),
    ];
    for (name, data) in newest {
        assert!(matches!(read_and_write(name, 2, data), Err(CodecError::Malformed { version: 2, .. })), "{name} {data}");
    }
    let table = [
        ("client.registered", "{}"),
        ("client.secret_rotated", r#"{"secret":"gbs_plain"}"#),
        ("client.registration_token_rotated", r#"{"registration_token":"gbr_plain"}"#),
        ("registration.requested", r#"{"tenant":"acme"}"#),
        ("registration.redirects_staged", r#"{"change_id":"00000000-0000-0000-0000-000000000001"}"#),
        ("registration.redirects_staged", "[]"),
        ("resource_server.policy_changed", r#"{"policy":[]}"#),
        ("resource_server.policy_changed", r#"{"policy":{"soak_hours":"a day"}}"#),
        ("registration.redirects_approved", "[]"),
        ("registration.denied", r#"{"until":"tomorrow"}"#),
        ("resource_server.modes_changed", r#"{"old":["dcr"],"new":["telepathy"],"effect_on_existing":"keep"}"#),
        ("reservation.taken", "{}"),
        ("resource_server.retired", "not json"),
        ("initial_access_token.issued", r#"{"tenant":"acme","label":"ci","token":"gbi_plain"}"#),
        ("initial_access_token.used", r#"{"client_id":"a"}"#),
        ("service_token.created", r#"{"tenant":"acme","label":"as","token":"gbt_plain","scopes":[]}"#),
        ("webhook.created", r#"{"tenant":"acme","label":"siem","url":"https://siem.example/","types":["Client"],"start":"now"}"#),
    ];
    for (name, data) in table {
        let answer = read_and_write(name, 1, data);
        assert!(matches!(answer, Err(CodecError::Malformed { version: 1, .. })), "{name} {data}: {answer:?}");
    }
}

#[test]
fn rules_that_were_stored_before_a_rule_existed_have_its_default() {
    let lean = r#"{"tenant":"acme","name":"docs","registration_modes":[],"policy":{}}"#;
    let ResourceServerEvent::Created(created) = ResourceServerEvent::decode("resource_server.created", 1, lean).unwrap() else {
        panic!("another event")
    };
    assert_eq!(created.policy, plain_policy());
    let lean = r#"{"policy":{"admission":{"dcr":"review"},"redirect_rules":[{"kind":"host","host":"a.example"}]}}"#;
    let ResourceServerEvent::PolicyChanged(changed) = ResourceServerEvent::decode("resource_server.policy_changed", 1, lean).unwrap()
    else {
        panic!("another event")
    };
    assert_eq!(changed.policy.admission, Admissions { dcr: Admission::Review, ..Admissions::default() });
    assert_eq!(changed.policy.redirect_rules, [RedirectRule::Host { host: "a.example".to_owned(), path_prefix: "/".to_owned() }]);
}

#[test]
fn names_are_unique_and_begin_with_the_kind_of_their_stream() {
    let kinds: [(&str, &[(&str, u16)]); 8] = [
        ("client.", ClientEvent::SHAPES),
        ("registration.", RegistrationEvent::SHAPES),
        ("resource_server.", ResourceServerEvent::SHAPES),
        ("initial_access_token.", InitialAccessTokenEvent::SHAPES),
        ("reservation.", ReservationEvent::SHAPES),
        ("projection.", ProjectionEvent::SHAPES),
        ("service_token.", ServiceTokenEvent::SHAPES),
        ("webhook.", WebhookEvent::SHAPES),
    ];
    for (kind, shapes) in kinds {
        for (name, version) in shapes {
            let rest = name.strip_prefix(kind).unwrap_or_default();
            assert!(!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(*version >= 1, "{name}: versions count from 1");
            assert_eq!(self::shapes().filter(|(other, _)| other == name).count(), 1, "{name}");
        }
    }
}

// ---------------------------------------------------------------- reading and writing

/// The file name under which [`Meta`], what surrounds every event, has its golden files.
const META: &str = "meta";

fn shapes() -> impl Iterator<Item = (&'static str, u16)> {
    let events = [
        ClientEvent::SHAPES,
        RegistrationEvent::SHAPES,
        ResourceServerEvent::SHAPES,
        InitialAccessTokenEvent::SHAPES,
        ReservationEvent::SHAPES,
        ProjectionEvent::SHAPES,
        ServiceTokenEvent::SHAPES,
        WebhookEvent::SHAPES,
    ];
    events.into_iter().flatten().copied().chain([(META, 1)])
}

fn read_and_write(name: &str, version: u16, data: &str) -> Result<String, CodecError> {
    fn through<E: Stored>(name: &str, version: u16, data: &str) -> Result<String, CodecError> {
        E::decode(name, version, data)?.encode()
    }
    match name.split('.').next() {
        Some(META) => serde_json::from_str::<Meta>(data)
            .and_then(|meta| serde_json::to_string(&meta))
            .map_err(|source| CodecError::Malformed { name: name.to_owned(), version, source }),
        Some("client") => through::<ClientEvent>(name, version, data),
        Some("registration") => through::<RegistrationEvent>(name, version, data),
        Some("initial_access_token") => through::<InitialAccessTokenEvent>(name, version, data),
        Some("reservation") => through::<ReservationEvent>(name, version, data),
        Some("projection") => through::<ProjectionEvent>(name, version, data),
        Some("service_token") => through::<ServiceTokenEvent>(name, version, data),
        Some("webhook") => through::<WebhookEvent>(name, version, data),
        _ => through::<ResourceServerEvent>(name, version, data),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes")
}

/// Every golden file by its name, without the line feed at its end.
fn goldens() -> BTreeMap<String, String> {
    let Ok(files) = std::fs::read_dir(folder()) else { return BTreeMap::new() };
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let golden = text.strip_suffix('\n').unwrap_or_else(|| panic!("{file} does not end with a line feed"));
        assert!(!golden.contains('\n'), "{file} has more than one line: it holds the stored bytes, not a pretty print of them");
        (file, golden.to_owned())
    };
    files.map(|file| read(file.unwrap().path())).collect()
}

fn write_new(file: &str, encoded: &str) {
    let path = folder().join(file);
    std::fs::create_dir_all(folder()).unwrap();
    assert!(!path.exists(), "{file} is there: golden files are never overwritten");
    std::fs::write(path, format!("{encoded}\n")).unwrap();
}

fn name_and_version(file: &str) -> (String, u16) {
    let parts = file.split_once('@').and_then(|(name, rest)| {
        let version = rest.strip_suffix(".json")?.split('.').next()?.parse().ok()?;
        Some((name.to_owned(), version))
    });
    parts.unwrap_or_else(|| panic!("{file} is not named <name>@<version>.json or <name>@<version>.<variant>.json"))
}

// ---------------------------------------------------------------- samples

/// What this build writes for one event.
struct Sample {
    name: &'static str,
    version: u16,
    /// Empty, or what is special about it.
    variant: &'static str,
    encoded: String,
}

impl Sample {
    fn file(&self) -> String {
        let Self { name, version, variant, .. } = self;
        if variant.is_empty() { format!("{name}@{version}.json") } else { format!("{name}@{version}.{variant}.json") }
    }
}

fn sample<E: Stored>(variant: &'static str, event: &E) -> Sample {
    let (name, version) = event.shape();
    Sample { name, version, variant, encoded: event.encode().unwrap() }
}

const FULL: &str = "";
const MINIMAL: &str = "minimal";

fn samples() -> Vec<Sample> {
    [
        client_samples(),
        client_document_samples(),
        registration_samples(),
        redirect_change_samples(),
        resource_server_samples(),
        initial_access_token_samples(),
        reservation_samples(),
        projection_samples(),
        service_token_samples(),
        webhook_samples(),
        meta_samples(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn client_id() -> ClientId {
    ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap()
}

fn uris<const N: usize>(texts: [&str; N]) -> RedirectUris {
    RedirectUris::parse(texts).unwrap()
}

fn kept_secret(expires_at: Option<DateTime<Utc>>) -> KeptSecret {
    let phc = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    KeptSecret { hash: SecretHash::try_new(phc).unwrap(), expires_at }
}

fn metadata_of(request: Value) -> ClientMetadata {
    let Value::Object(members) = request else { panic!("a request is an object") };
    metadata::parse(members).unwrap().metadata
}

/// Every member but `jwks`, which excludes `jwks_uri`.
fn full_metadata() -> ClientMetadata {
    metadata_of(json!({
        "redirect_uris": ["https://app.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "client_name": "Example \u{4f8b}",
        "client_name#ja-Jpan-JP": "\u{4f8b}",
        "tos_uri#fr": "https://app.example/fr/tos",
        "client_uri": "https://app.example/",
        "logo_uri": "https://app.example/logo.png",
        "tos_uri": "https://app.example/tos",
        "policy_uri": "https://app.example/policy",
        "scope": "mcp:read mcp:write",
        "contacts": ["ops@app.example"],
        "jwks_uri": "https://app.example/jwks.json",
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.2",
    }))
}

fn metadata_with_keys() -> ClientMetadata {
    metadata_of(json!({
        "redirect_uris": ["http://localhost/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": { "keys": [{ "alg": "ES256", "crv": "P-256", "kid": "1", "kty": "EC", "use": "sig",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }] },
    }))
}

fn minimal_metadata() -> ClientMetadata {
    metadata_of(json!({ "redirect_uris": ["http://127.0.0.1/cb"] }))
}

fn vouched_metadata() -> ClientMetadata {
    let statement = SoftwareStatement { statement: "eyJhbGciOiJFUzI1NiJ9.e30.c2ln".into(), issuer: "https://vendor.example".into() };
    ClientMetadata { software_statement: Some(statement), ..minimal_metadata() }
}

fn client_samples() -> Vec<Sample> {
    let registered = |metadata| Registered {
        client_id: ClientId::parse("https://app.example/client.json").unwrap(),
        registration_type: RegistrationType::Cimd,
        home: None,
        issued_at: time("2026-03-01T12:00:00Z"),
        metadata,
        secret: None,
        registration_token: None,
        ignored: vec![],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    };
    let full = Registered {
        client_id: client_id(),
        registration_type: RegistrationType::Dcr,
        home: Some(tenant()),
        issued_at: time("2026-03-01T12:00:00.000001Z"),
        metadata: full_metadata(),
        secret: Some(kept_secret(Some(time("2027-03-01T12:00:00Z")))),
        registration_token: Some(TokenHash([0xa5; 32])),
        ignored: vec!["client_id".into(), "software_statement".into()],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    };
    let by_token =
        Registered { initial_access_token: Some(InitialAccessTokenId(uuid(5))), clamps: clamps(), ..registered(minimal_metadata()) };
    let from = ImportedFrom { format: ImportFormat::Keycloak, realm: Some("shop".into()), id: Some("billing".into()) };
    let imported = Registered { imported_from: Some(from), ..registered(minimal_metadata()) };
    let entered = Registered { entered_for: Some(tenant()), ..registered(minimal_metadata()) };
    let keeps_secret = MetadataUpdated { metadata: minimal_metadata(), secret: None, keeps_secret: true, ignored: vec![] };
    let updated = MetadataUpdated {
        metadata: full_metadata(),
        secret: Some(kept_secret(None)),
        keeps_secret: false,
        ignored: vec!["x_unknown".into()],
    };
    vec![
        sample(FULL, &ClientEvent::Registered(full)),
        sample("jwks", &ClientEvent::Registered(registered(metadata_with_keys()))),
        sample("token", &ClientEvent::Registered(by_token)),
        sample("statement", &ClientEvent::Registered(registered(vouched_metadata()))),
        sample("imported", &ClientEvent::Registered(imported)),
        sample("entered", &ClientEvent::Registered(entered)),
        sample(MINIMAL, &ClientEvent::Registered(registered(minimal_metadata()))),
        sample(FULL, &ClientEvent::MetadataUpdated(updated)),
        sample("keeps_secret", &ClientEvent::MetadataUpdated(keeps_secret)),
        sample(
            MINIMAL,
            &ClientEvent::MetadataUpdated(MetadataUpdated {
                metadata: minimal_metadata(),
                secret: None,
                keeps_secret: false,
                ignored: vec![],
            }),
        ),
        sample(
            FULL,
            &ClientEvent::SecretRotated(SecretRotated {
                secret: kept_secret(Some(time("2027-03-01T12:00:00Z"))),
                old_valid_until: Some(time("2026-03-02T12:00:00Z")),
                repeat_key: None,
            }),
        ),
        sample(
            "repeatable",
            &ClientEvent::SecretRotated(SecretRotated {
                secret: kept_secret(None),
                old_valid_until: None,
                repeat_key: Some("0f1e2d3c4b5a69788796a5b4c3d2e1f0".into()),
            }),
        ),
        sample(MINIMAL, &ClientEvent::SecretRotated(SecretRotated { secret: kept_secret(None), old_valid_until: None, repeat_key: None })),
        sample(FULL, &ClientEvent::SecretRevoked(SecretRevoked {})),
        sample(FULL, &ClientEvent::RegistrationTokenRotated(RegistrationTokenRotated { registration_token: TokenHash([0x0f; 32]) })),
        sample(FULL, &ClientEvent::Deleted(Deleted { reason: Some("unused for 30 days".to_owned()) })),
        sample(MINIMAL, &ClientEvent::Deleted(Deleted { reason: None })),
    ]
}

fn client_document_samples() -> Vec<Sample> {
    vec![
        sample(
            FULL,
            &ClientEvent::ManifestVersioned(ManifestVersioned {
                number: 2,
                content_hash: ContentHash::of_digest([0x5a; 32]),
                document: r#"{"client_id":"https://app.example/client.json"}"#.into(),
                metadata: minimal_metadata(),
                differences: [Difference::RedirectsWidened, Difference::DisplayIdentity].into(),
                warnings: vec!["logo_on_another_host".into()],
                left_out: vec![],
                entered_for: None,
                ignored: vec!["x_unknown".into()],
            }),
        ),
        sample(
            "left_out",
            &ClientEvent::ManifestVersioned(ManifestVersioned {
                number: 3,
                content_hash: ContentHash::of_digest([0x5b; 32]),
                document: r#"{"client_id":"https://app.example/client.json","logo_uri":"/l.png"}"#.into(),
                metadata: minimal_metadata(),
                differences: [Difference::Cosmetic].into(),
                warnings: vec!["member_left_out".into()],
                left_out: vec![LeftOut { member: "logo_uri".into(), problem: "is not an absolute URI".into() }],
                entered_for: None,
                ignored: vec![],
            }),
        ),
        sample(
            "entered",
            &ClientEvent::ManifestVersioned(ManifestVersioned {
                number: 1,
                content_hash: ContentHash::of_digest([0x5c; 32]),
                document: r#"{"client_id":"https://app.example/client.json"}"#.into(),
                metadata: minimal_metadata(),
                differences: [].into(),
                warnings: vec![],
                left_out: vec![],
                entered_for: Some(tenant()),
                ignored: vec![],
            }),
        ),
        sample(
            MINIMAL,
            &ClientEvent::ManifestVersioned(ManifestVersioned {
                number: 1,
                content_hash: ContentHash::of_digest([0xa5; 32]),
                document: "{}".into(),
                metadata: minimal_metadata(),
                differences: [].into(),
                warnings: vec![],
                left_out: vec![],
                entered_for: None,
                ignored: vec![],
            }),
        ),
        sample(
            FULL,
            &ClientEvent::ManifestUnreachable(ManifestUnreachable { since: time("2026-03-01T12:00:00Z"), failure: "timeout".into() }),
        ),
        sample(FULL, &ClientEvent::ManifestRecovered(ManifestRecovered {})),
        sample(
            FULL,
            &ClientEvent::ManifestWithdrawn(ManifestWithdrawn { cause: Withdrawal::Gone, failure: "status_404".into(), detail: None }),
        ),
        sample(
            "detail",
            &ClientEvent::ManifestWithdrawn(ManifestWithdrawn {
                cause: Withdrawal::Invalid,
                failure: "metadata_invalid".into(),
                detail: Some("redirect_uris is required for the authorization_code grant".into()),
            }),
        ),
    ]
}

fn registration_samples() -> Vec<Sample> {
    use RegistrationEvent as Event;
    let because = || Some("seen on a list".to_owned());
    vec![
        sample(
            FULL,
            &Event::Requested(Requested {
                tenant: tenant(),
                client_id: client_id(),
                registration_type: RegistrationType::Prereg,
                redirect_uris: uris(["https://app.example/cb", "http://127.0.0.1/cb"]),
                metadata: None,
            }),
        ),
        sample(
            "metadata",
            &Event::Requested(Requested {
                tenant: tenant(),
                client_id: client_id(),
                registration_type: RegistrationType::Dcr,
                redirect_uris: uris(["https://app.example/cb"]),
                metadata: Some(AdmittedMetadata::of(&full_metadata()).into()),
            }),
        ),
        sample(FULL, &Event::Approved(Approved { reason: because() })),
        sample(MINIMAL, &Event::Approved(Approved { reason: None })),
        sample(FULL, &Event::Denied(Denied { reason: because(), until: Some(time("2026-04-01T00:00:00Z")) })),
        sample(MINIMAL, &Event::Denied(Denied { reason: None, until: None })),
        sample(FULL, &Event::Suspended(Suspended { reason: because() })),
        sample(MINIMAL, &Event::Suspended(Suspended { reason: None })),
        sample(FULL, &Event::Reinstated(Reinstated { reason: because() })),
        sample(MINIMAL, &Event::Reinstated(Reinstated { reason: None })),
        sample(FULL, &Event::Revoked(Revoked { reason: because() })),
        sample(MINIMAL, &Event::Revoked(Revoked { reason: None })),
        sample(FULL, &Event::Restored(Restored { reason: because() })),
        sample(MINIMAL, &Event::Restored(Restored { reason: None })),
        sample(FULL, &Event::Dormant(Dormant { idle_since: time("2026-03-01T12:00:00Z") })),
        sample(FULL, &Event::RevivalAsked(RevivalAsked {})),
        sample(FULL, &Event::Revived(Revived { reason: because() })),
        sample(MINIMAL, &Event::Revived(Revived { reason: None })),
    ]
}

fn redirect_change_samples() -> Vec<Sample> {
    use RegistrationEvent as Event;
    let (change_id, newer) = (ChangeId(uuid(1)), ChangeId(uuid(2)));
    let change = StagedChange {
        change_id,
        added: uris(["https://new.example/cb"]),
        removed: uris(["https://old.example/cb"]),
        result: uris(["https://app.example/cb", "https://new.example/cb"]),
        metadata: None,
        origin: "rfc7592".to_owned(),
        manifest: None,
        serves_at: None,
    };
    let manifest = ManifestRef { version: 3, content_hash: ContentHash::of_digest([0x5a; 32]), base: Some(2) };
    let of_a_document = StagedChange {
        origin: "manifest".to_owned(),
        manifest: Some(manifest),
        serves_at: Some(time("2026-03-02T12:00:00Z")),
        ..change.clone()
    };
    let of_metadata = StagedChange { metadata: Some(AdmittedMetadata::of(&minimal_metadata()).into()), ..change.clone() };
    let admitted = |because| {
        let metadata = AdmittedMetadata::of(&minimal_metadata()).into();
        Event::MetadataAdmitted(MetadataAdmitted { metadata, because })
    };
    let rolled_back = |reason| {
        Event::RolledBack(RolledBack {
            version: 2,
            redirect_uris: uris(["https://old.example/cb"]),
            overridden: uris(["https://new.example/cb"]),
            metadata: None,
            overridden_metadata: None,
            reason,
        })
    };
    let all_rolled_back = Event::RolledBack(RolledBack {
        version: 2,
        redirect_uris: uris(["https://old.example/cb"]),
        overridden: uris(["https://new.example/cb"]),
        metadata: Some(AdmittedMetadata::of(&minimal_metadata()).into()),
        overridden_metadata: Some(AdmittedMetadata::of(&minimal_metadata()).into()),
        reason: None,
    });
    vec![
        sample("metadata", &Event::RedirectsStaged(of_metadata.into())),
        sample("metadata", &all_rolled_back),
        sample(FULL, &admitted(AdmittedBecause::Kept)),
        sample("narrowed", &admitted(AdmittedBecause::Narrowed)),
        sample("policy", &admitted(AdmittedBecause::Policy)),
        sample(FULL, &Event::RedirectsStaged(change.into())),
        sample("manifest", &Event::RedirectsStaged(of_a_document.into())),
        sample(FULL, &rolled_back(Some("the new host is not theirs".to_owned()))),
        sample(MINIMAL, &rolled_back(None)),
        sample(FULL, &Event::RedirectsApproved(RedirectsApproved { change_id, by_policy: true })),
        sample(FULL, &Event::RedirectsRejected(RedirectsRejected { change_id, reason: Some("not theirs".to_owned()) })),
        sample(MINIMAL, &Event::RedirectsRejected(RedirectsRejected { change_id, reason: None })),
        sample(FULL, &Event::RedirectsSuperseded(RedirectsSuperseded { change_id, by: Some(newer) })),
        sample(MINIMAL, &Event::RedirectsSuperseded(RedirectsSuperseded { change_id, by: None })),
        sample(FULL, &Event::RedirectsNarrowed(RedirectsNarrowed { removed: uris(["https://old.example/cb"]) })),
    ]
}

fn resource_server_samples() -> Vec<Sample> {
    use ResourceServerEvent as Event;
    let resource = || Some(WebUri::parse("https://mcp.example/").unwrap());
    let every_mode = || Modes::from(RegistrationType::ALL);
    let policy = || Policy {
        admission: Admissions { dcr: Admission::Review, cimd: Admission::Auto, prereg: Admission::Auto },
        redirect_changes: Admission::Auto,
        redirect_rules: vec![
            RedirectRule::Exact { uri: "https://app.example/cb".to_owned() },
            RedirectRule::Host { host: "app.example".to_owned(), path_prefix: "/oauth/".to_owned() },
            RedirectRule::Loopback,
            RedirectRule::Scheme { scheme: "com.example.app".to_owned() },
        ],
        outside_rules: OutsideRules::Review,
        private_use_schemes: vec!["cursor".to_owned()],
        scope_ceiling: Scope::parse("mcp:read mcp:write").unwrap(),
        self_registered_grants: GrantType::ALL.to_vec(),
        ..plain_policy()
    };
    let of_documents = || Policy {
        manifests: ManifestRules { lane: Lane::Soak, soak_hours: 72, on_withdrawal: WithdrawalRule::Keep, announce: true },
        ..plain_policy()
    };
    let idle = || Policy { dormant_after_days: NonZeroU16::new(90), revive: Revival::Review, ..plain_policy() };
    let capped = || Policy { registrations_per_minute: NonZeroU32::new(600), max_clients: NonZeroU32::new(1000), ..policy() };
    let cap = NonZeroU32::new(1000).unwrap();
    let named =
        |resource, policy| Created { tenant: tenant(), name: "Documents".to_owned(), resource, registration_modes: every_mode(), policy };
    vec![
        sample(FULL, &Event::Created(named(resource(), policy()))),
        sample(MINIMAL, &Event::Created(named(None, plain_policy()))),
        sample(FULL, &Event::Renamed(Renamed { name: "Files".to_owned(), resource: resource() })),
        sample(MINIMAL, &Event::Renamed(Renamed { name: "Files".to_owned(), resource: None })),
        sample(
            FULL,
            &Event::ModesChanged(ModesChanged {
                old: every_mode(),
                new: Modes::from([RegistrationType::Prereg]),
                effect_on_existing: EffectOnExisting::Suspend,
                also_suspended: Modes::new(),
            }),
        ),
        sample(
            "off_already",
            &Event::ModesChanged(ModesChanged {
                old: Modes::from([RegistrationType::Prereg]),
                new: Modes::from([RegistrationType::Prereg]),
                effect_on_existing: EffectOnExisting::Suspend,
                also_suspended: Modes::from([RegistrationType::Dcr, RegistrationType::Cimd]),
            }),
        ),
        sample(FULL, &Event::PolicyChanged(PolicyChanged { policy: policy() })),
        sample(MINIMAL, &Event::PolicyChanged(PolicyChanged { policy: plain_policy() })),
        sample("manifests", &Event::PolicyChanged(PolicyChanged { policy: of_documents() })),
        sample("dormancy", &Event::PolicyChanged(PolicyChanged { policy: idle() })),
        sample("token", &Event::PolicyChanged(PolicyChanged { policy: Policy { require_initial_access_token: true, ..plain_policy() } })),
        sample("tokens", &Event::PolicyChanged(PolicyChanged { policy: tokens_for_documents_too() })),
        sample("statement", &Event::PolicyChanged(PolicyChanged { policy: believing_policy() })),
        sample(
            "long_metadata",
            &Event::PolicyChanged(PolicyChanged {
                policy: Policy {
                    max_metadata_bytes: NonZeroU32::new(65_536),
                    instances_under_review: Instances::Separate,
                    ..Policy::default()
                },
            }),
        ),
        sample("capped", &Event::PolicyChanged(PolicyChanged { policy: capped() })),
        sample("outside", &Event::PolicyChanged(PolicyChanged { policy: outside_the_ceiling() })),
        sample("shared", &Event::PolicyChanged(PolicyChanged { policy: Policy { instances: Instances::Share, ..policy() } })),
        sample(FULL, &Event::CapNeared(CapNeared { of: CapOf::ResourceServer, cap, count: 800 })),
        sample("tenant", &Event::CapNeared(CapNeared { of: CapOf::Tenant, cap, count: 1000 })),
        sample(FULL, &Event::CapEased(CapEased { of: CapOf::ResourceServer, cap, count: 699 })),
        sample(
            FULL,
            &Event::FamilySuspended(FamilySuspended {
                family: family(),
                client_id: client_id(),
                reason: Some("it phones home".to_owned()),
            }),
        ),
        sample(MINIMAL, &Event::FamilySuspended(FamilySuspended { family: family(), client_id: client_id(), reason: None })),
        sample(
            FULL,
            &Event::FamilyReinstated(FamilyReinstated {
                family: family(),
                client_id: client_id(),
                reason: Some("it was mended".to_owned()),
            }),
        ),
        sample(MINIMAL, &Event::FamilyReinstated(FamilyReinstated { family: family(), client_id: client_id(), reason: None })),
        sample(FULL, &Event::Retired(Retired { reason: Some("replaced".to_owned()) })),
        sample(MINIMAL, &Event::Retired(Retired { reason: None })),
    ]
}

fn family() -> FamilyName {
    FamilyName::of(&client_id(), RegistrationType::Dcr, &minimal_metadata())
}

/// What was there before programs were reviewed as one.
fn plain_policy() -> Policy {
    Policy { instances_under_review: Instances::Separate, ..Policy::default() }
}

fn outside_the_ceiling() -> Policy {
    let manifests = ManifestRules { announce: false, ..ManifestRules::default() };
    Policy { authorization_server_scopes: vec!["offline_access".to_owned()], manifests, ..Policy::default() }
}

fn tokens_for_documents_too() -> Policy {
    let both = Modes::from([RegistrationType::Dcr, RegistrationType::Cimd]);
    Policy { require_initial_access_token: true, initial_access_token_for: both, ..plain_policy() }
}

fn believing_policy() -> Policy {
    let by_uri = StatementIssuer {
        issuer: "https://vendor.example".to_owned(),
        jwks_uri: Some(WebUri::parse("https://vendor.example/jwks.json").unwrap()),
        jwks: None,
    };
    let by_value = StatementIssuer { issuer: "https://app.example".to_owned(), jwks_uri: None, jwks: metadata_with_keys().jwks };
    Policy { software_statement_issuers: vec![by_uri, by_value], require_software_statement: true, ..plain_policy() }
}

fn clamps() -> Clamps {
    Clamps {
        scope: Scope::parse("mcp:read").unwrap(),
        redirect_rules: vec![RedirectRule::Loopback],
        grant_types: vec![GrantType::AuthorizationCode],
    }
}

fn initial_access_token_samples() -> Vec<Sample> {
    use InitialAccessTokenEvent as Event;
    let (label, token) = (|| "Nightly build".to_owned(), TokenHash([0x3c; 32]));
    let expires_at = Some(time("2026-04-01T00:00:00Z"));
    let full = Issued { tenant: tenant(), label: label(), token, expires_at, max_uses: Some(5), clamps: clamps() };
    let minimal = Issued { tenant: tenant(), label: label(), token, expires_at: None, max_uses: None, clamps: Clamps::default() };
    vec![
        sample(FULL, &Event::Issued(full)),
        sample(MINIMAL, &Event::Issued(minimal)),
        sample(FULL, &Event::Used(Used { client_id: client_id(), count: 3 })),
        sample(FULL, &Event::Revoked(initial_access_token::Revoked { reason: Some("it leaked".to_owned()) })),
        sample(MINIMAL, &Event::Revoked(initial_access_token::Revoked { reason: None })),
    ]
}

fn reservation_samples() -> Vec<Sample> {
    let taken = |instead_of| ReservationEvent::Taken(Taken { client_key: ClientKey(uuid(2)), instead_of });
    vec![sample(FULL, &taken(Some(ClientKey(uuid(1))))), sample(MINIMAL, &taken(None))]
}

fn projection_samples() -> Vec<Sample> {
    let skipped = EventSkipped {
        projection_version: 2,
        event_id: EventId(uuid(4)),
        event_name: "client.exploded".into(),
        position: "4711".into(),
        reason: "written by a build that was withdrawn".into(),
    };
    let back = SkipTakenBack { projection_version: 2, event_id: EventId(uuid(4)), reason: "this build knows it".into() };
    vec![sample(FULL, &ProjectionEvent::EventSkipped(skipped)), sample(FULL, &ProjectionEvent::SkipTakenBack(back))]
}

fn service_token_samples() -> Vec<Sample> {
    use ServiceTokenEvent as Event;
    let minimal = service_token::Created {
        tenant: tenant(),
        label: "Authorization server".to_owned(),
        token: TokenHash([0x5a; 32]),
        scopes: vec![ServiceScope::Decide],
        resource_servers: Vec::new(),
        expires_at: None,
    };
    let full = service_token::Created {
        scopes: vec![ServiceScope::Decide, ServiceScope::Authenticate, ServiceScope::Introspect],
        resource_servers: vec![ResourceServerId(uuid(7)), ResourceServerId(uuid(8))],
        expires_at: Some(time("2027-01-01T00:00:00Z")),
        ..minimal.clone()
    };
    vec![
        sample(FULL, &Event::Created(full)),
        sample(MINIMAL, &Event::Created(minimal)),
        sample(FULL, &Event::Revoked(service_token::Revoked { reason: Some("it leaked".to_owned()) })),
        sample(MINIMAL, &Event::Revoked(service_token::Revoked { reason: None })),
    ]
}

fn webhook_samples() -> Vec<Sample> {
    use WebhookEvent as Event;
    let url = WebhookUrl::parse("https://siem.example:8443/hooks/gatebook?source=acme").unwrap();
    let minimal = Wish { label: "SIEM".to_owned(), url, types: Vec::new(), resource_servers: Vec::new() };
    let prefix = |text: &str| TypePrefix::try_from(text.to_owned()).unwrap();
    let full = Wish {
        types: vec![prefix("client."), prefix("registration.revoked")],
        resource_servers: vec![ResourceServerId(uuid(7)), ResourceServerId(uuid(8))],
        ..minimal.clone()
    };
    let created = |wish: &Wish, start| Event::Created(webhook::Created { tenant: tenant(), wish: wish.clone(), start });
    let rotated = |old_valid_until| Event::SecretRotated(webhook::SecretRotated { generation: 2, old_valid_until, repeat_key: None });
    let repeat_key = Some("0f1e2d3c4b5a69788796a5b4c3d2e1f0".into());
    let repeatable = Event::SecretRotated(webhook::SecretRotated { generation: 3, old_valid_until: None, repeat_key });
    let disabled = |because, reason| Event::Disabled(webhook::Disabled { because, reason });
    let dropped = |reason| Event::EventDropped(webhook::EventDropped { event_id: EventId(uuid(4)), reason });
    let why = || Some("the receiver moved".to_owned());
    vec![
        sample(FULL, &created(&full, Start::After(4711))),
        sample(MINIMAL, &created(&minimal, Start::Beginning)),
        sample("now", &created(&minimal, Start::Now)),
        sample(FULL, &Event::Edited(webhook::Edited { wish: full.clone() })),
        sample(MINIMAL, &Event::Edited(webhook::Edited { wish: minimal })),
        sample(FULL, &rotated(Some(time("2027-01-01T00:00:00Z")))),
        sample(MINIMAL, &rotated(None)),
        sample("repeatable", &repeatable),
        sample(FULL, &disabled(DisabledBecause::Administrator, why())),
        sample(MINIMAL, &disabled(DisabledBecause::Failing, None)),
        sample("gone", &disabled(DisabledBecause::Gone, None)),
        sample(FULL, &Event::Enabled(webhook::Enabled {})),
        sample(FULL, &dropped(why())),
        sample(MINIMAL, &dropped(None)),
        sample(FULL, &Event::Deleted(webhook::Deleted { reason: why() })),
        sample(MINIMAL, &Event::Deleted(webhook::Deleted { reason: None })),
    ]
}

fn meta_samples() -> Vec<Sample> {
    let meta = |variant, meta: &Meta| Sample { name: META, version: 1, variant, encoded: serde_json::to_string(meta).unwrap() };
    let full = Meta {
        tenant: Some(tenant()),
        actor: Actor { kind: ActorKind::Admin, id: Some("ada@acme.example".to_owned()), via: Some("admin-api".to_owned()) },
        request_id: Some("01900000-0000-7000-8000-000000000003".to_owned()),
        causation_id: Some(EventId(uuid(4))),
        origin: Some("203.0.113.0/24".to_owned()),
    };
    let by = |kind| Meta { tenant: None, actor: Actor { kind, id: None, via: None }, request_id: None, causation_id: None, origin: None };
    vec![
        meta(FULL, &full),
        meta(MINIMAL, &by(ActorKind::System)),
        meta("anonymous", &by(ActorKind::Anonymous)),
        meta("client", &by(ActorKind::Client)),
        meta("policy", &by(ActorKind::Policy)),
    ]
}
