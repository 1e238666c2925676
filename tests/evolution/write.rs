//! Writes a log that has every stored shape of this build with every member, through the doors that everybody uses.
//!
//! `WRITE_FIXTURE=log-2 cargo test --test evolution writes_a_log` keeps it as `tests/fixtures/log-2`, with what is answered
//! from it. Without that it goes when the test ends, and has shown that it can be written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use chrono::{DateTime, TimeDelta, Utc};
use gatebook::aggregates::Cause;
use gatebook::application::register::DrawnHashes;
use gatebook::application::register::import::Newcomer;
use gatebook_events::client::{ClientCommand, ImportFormat, ImportedFrom, Party};
use gatebook_events::envelope::{Actor, ActorKind, EventId};
use gatebook_events::identity::{ClientId, ResourceServerId, TenantId};
use gatebook_events::metadata;
use gatebook_events::projection::{EventSkipped, ProjectionName, SkipTakenBack};
use gatebook_events::secret::{KeptSecret, Rotation, SecretHash, TokenHash};
use gatebook_events::webhook::{EventDropped, WebhookCommand};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::answers;
use crate::author::Author;
use crate::events;
use crate::fixtures_folder;
use crate::house::{DEFAULT, House, client, clients};
use crate::shapes;

#[tokio::test]
async fn a_log_with_every_shape_and_every_member_can_be_written() {
    let house = House::with(|settings| settings.allow_loopback_manifests = Some(true)).await;
    clients_that_register_themselves(&house).await;
    house.clock.advance(TimeDelta::hours(30));
    resource_servers(&house).await;
    tokens_statements_and_sharing(&house).await;
    house.clock.advance(TimeDelta::hours(20));
    documents(&house).await;
    house.clock.advance(TimeDelta::hours(26));
    decisions(&house).await;
    caps(&house).await;
    dormancy(&house).await;
    imported(&house).await;
    upkeep(&house).await;
    let (ends, issued) = (house.clock.now(), house.issued());
    let folder = house.end().await;
    let data = folder.path().join("data");

    let missing = missing(&data).await;
    assert!(missing.is_empty(), "the log lacks {missing:#?}");
    if let Some(name) = std::env::var_os("WRITE_FIXTURE") {
        keep(&data, &fixtures_folder().join(name), ends).await;
    }
    let log = std::fs::read(data.join("log.db")).unwrap();
    for secret in issued {
        assert!(!log.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "a secret is in the log");
    }
}

async fn keep(data: &Path, fixture: &Path, ends: DateTime<Utc>) {
    std::fs::create_dir(fixture).unwrap();
    std::fs::copy(data.join("log.db"), fixture.join("log.db")).unwrap();
    std::fs::write(fixture.join("ends"), format!("{}\n", ends.to_rfc3339())).unwrap();
    answers::write(fixture).await;
}

/// Every `name@version` of this build, and every member that its golden files have, that does not occur in the log.
async fn missing(data: &Path) -> BTreeSet<String> {
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for envelope in events(data).await {
        let shape = format!("{}@{}", envelope.event.name, envelope.event.version);
        members("", &serde_json::from_str(&envelope.event.data).unwrap(), there.entry(shape).or_default());
    }
    let mut missing = BTreeSet::new();
    for (name, version) in shapes() {
        let shape = format!("{name}@{version}");
        let Some(there) = there.get(&shape) else {
            missing.insert(shape);
            continue;
        };
        missing.extend(golden_members(&shape).difference(there).map(|member| format!("{shape}{member}")));
    }
    missing
}

fn golden_members(shape: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events/tests/shapes");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().strip_prefix(shape).is_some_and(|rest| rest.starts_with('.')) {
            members("", &serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(), &mut found);
        }
    }
    found
}

/// The path of every member. What clients name themselves is not looked into.
fn members(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !path.ends_with("/jwks") => {
            for (name, value) in object.iter().filter(|(name, _)| !name.contains('#')) {
                let path = format!("{path}/{name}");
                members(&path, value, found);
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(path, item, found)),
        _ => {}
    }
}

// ---------------------------------------------------------------- what happens

async fn clients_that_register_themselves(house: &House) {
    for port in 0..6 {
        house.anyone().post("/oauth/register", claude(33_417 + port)).await.is(201);
    }
    let answer = house.anyone().post("/oauth/register", full()).await.is(201);
    // One rotates, is given up and deleted by its holder.
    let id = answer.text("client_id");
    let secrets = |end: &str| format!("{}/{end}", client(DEFAULT, &id));
    house.admin("default").post(&secrets("rotate-secret"), json!({ "overlap_seconds": 3600 })).await.is(200);
    house.admin("default").post(&secrets("revoke-old-secret"), json!({})).await.is(204);
    house.admin("default").with("Idempotency-Key", "once").post(&secrets("rotate-secret"), json!({})).await.is(200);
    let (tenant, key) = (TenantId::default_tenant(), ClientId::parse(&id).unwrap().key());
    let target = (ResourceServerId::DEFAULT, key);
    let hash = SecretHash::try_new("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g").unwrap();
    let secret = KeptSecret { hash, expires_at: Some(house.clock.now() + TimeDelta::days(90)) };
    let rotation = Rotation { at: house.clock.now(), old_valid_until: None, end_overlap: false, repeat_key: None };
    let rotate = |by: Party| ClientCommand::RotateSecret { by, secret, rotation };
    house.app.commands.decide_client(&cause(), &tenant, target, rotate).await.unwrap();
    let mut same_again = full();
    same_again["client_id"] = id.clone().into();
    same_again["client_name"] = "Example".into();
    replace(house, &answer, same_again).await;
    let rotate = |by: Party| ClientCommand::RotateRegistrationToken { by, registration_token: TokenHash([0x3c; 32]) };
    house.app.commands.decide_client(&cause(), &tenant, target, rotate).await.unwrap();
    let delete = |by: Party| ClientCommand::Delete { by, reason: Some("unused for 30 days".to_owned()) };
    house.app.commands.decide_client(&cause(), &tenant, target, delete).await.unwrap();

    let jwks = json!({ "keys": [vendor().1] });
    let by_keys = json!({ "client_name": "By keys", "redirect_uris": ["https://keys.example/cb"], "jwks": jwks,
        "token_endpoint_auth_method": "none" });
    house.anyone().post("/oauth/register", by_keys).await.is(201);
    changes_of_redirect_uris(house).await;
}

async fn changes_of_redirect_uris(house: &House) {
    let approve = |id: &str| format!("{}/approve-redirects", client(DEFAULT, id));
    let reject = |id: &str| format!("{}/reject-redirects", client(DEFAULT, id));
    let mut waiting = Vec::new();
    for (name, host) in [("Dashboard", "dash"), ("Mail", "mail"), ("Notes", "notes")] {
        let first =
            json!({ "client_name": name, "redirect_uris": [format!("https://{host}.example/cb")], "token_endpoint_auth_method": "none" });
        let entered = house.anyone().post("/oauth/register", first).await.is(201);
        let mut body = json!({ "client_id": entered["client_id"], "client_name": name, "token_endpoint_auth_method": "none" });
        body["redirect_uris"] = json!([format!("https://{host}.example/cb"), format!("https://{host}-staging.example/cb")]);
        replace(house, &entered, body.clone()).await;
        waiting.push((entered, body));
    }
    // Approved; then what was is no longer claimed, and a first secret is wanted.
    let (entered, mut body) = waiting.remove(0);
    house.admin("default").put(&approve(&entered.text("client_id")), json!({})).await.is(200);
    body["redirect_uris"] = json!(["https://dash-staging.example/cb"]);
    body["token_endpoint_auth_method"] = "client_secret_basic".into();
    body["favourite_colour"] = "blue".into();
    replace(house, &entered, body).await;
    // Rejected, with a reason and without.
    let (entered, mut body) = waiting.remove(0);
    house.admin("default").put(&reject(&entered.text("client_id")), json!({ "reason": "not their host" })).await.is(200);
    body["redirect_uris"] = json!(["https://mail.example/cb", "https://relay.example/cb"]);
    replace(house, &entered, body).await;
    house.admin("default").put(&reject(&entered.text("client_id")), json!({})).await.is(200);
    // Superseded by another wish, which is taken back; and one waits to this day.
    let (entered, mut body) = waiting.remove(0);
    body["redirect_uris"] = json!(["https://notes.example/cb", "https://relay.example/cb"]);
    replace(house, &entered, body.clone()).await;
    body["redirect_uris"] = json!(["https://notes.example/cb"]);
    replace(house, &entered, body.clone()).await;
    body["redirect_uris"] = json!(["https://notes.example/cb", "https://third.example/cb"]);
    replace(house, &entered, body).await;
}

async fn resource_servers(house: &House) {
    let policy = json!({
        "admission": { "dcr": "review" }, "redirect_changes": "auto", "outside_rules": "review", "private_use_schemes": ["cursor", "zed"],
        "redirect_rules": [{ "kind": "exact", "uri": "https://app.example/cb" }, { "kind": "host", "host": "app.example", "path_prefix": "/oauth/" },
            { "kind": "loopback" }, { "kind": "scheme", "scheme": "com.example.app" }, { "kind": "preset", "preset": "claude", "version": 1 }],
        "scope_ceiling": "billing:read billing:write", "self_registered_grants": ["authorization_code", "client_credentials"],
        "registrations_per_minute": 600, "max_clients": 1000, "max_metadata_bytes": 32768, "instances": "share",
        "manifests": { "lane": "soak", "soak_hours": 72, "on_withdrawal": "keep", "announce": false },
        "authorization_server_scopes": ["offline_access"],
    });
    let members = json!({ "name": "Billing", "resource": "https://billing.acme.example/mcp", "policy": policy });
    let billing = house.server("acme", members).await;
    let path = format!("/authsec/resource-servers/{billing}");
    let edit = json!({ "name": "Billing API", "resource": "https://billing.acme.example/v2", "policy": { "max_clients": 900 } });
    house.admin("acme").patch(&path, edit).await.is(200);
    let asks = json!({ "client_name": "Invoice Agent", "redirect_uris": ["https://agent.example.org/cb"] });
    for _ in 0..3 {
        house.anyone().post(&format!("/rs/{billing}/oauth/register"), asks.clone()).await.is(201);
    }
    house.admin("acme").post(&clients(&billing), json!({ "client_name": "nightly-ci", "scope": "billing:read" })).await.is(201);
    for edit in
        [json!({ "registration_modes": ["prereg", "cimd"], "effect_on_existing": "keep" }), json!({ "effect_on_existing": "suspend" })]
    {
        house.admin("acme").patch(&path, edit).await.is(200);
    }

    let old = house.server("acme", json!({ "name": "Old API" })).await;
    house.admin("acme").post(&clients(&old), json!({ "client_name": "report" })).await.is(201);
    let path = format!("/authsec/resource-servers/{old}");
    house.admin("acme").call(reqwest::Method::DELETE, &path, Some(json!({ "reason": "replaced" }))).await.is(204);
}

async fn tokens_statements_and_sharing(house: &House) {
    let path = format!("/authsec/resource-servers/{DEFAULT}/registration-tokens");
    let clamps = json!({ "scope": "mcp:read", "redirect_rules": [{ "kind": "loopback" }], "grant_types": ["authorization_code"] });
    let members = json!({ "label": "Nightly build", "expires_at": "2027-06-01T00:00:00Z", "max_uses": 3, "clamps": clamps });
    let issued = house.admin("default").post(&path, members).await.is(201);
    let bearer = house.holder(&issued.text("initial_access_token"));
    for port in 0..2 {
        bearer.post("/oauth/register", claude(44_000 + port)).await.is(201);
    }
    let leaked = house.admin("default").post(&path, json!({ "label": "Laptop" })).await.is(201);
    let end = format!("{path}/{}", leaked.text("id"));
    house.admin("default").call(reqwest::Method::DELETE, &end, Some(json!({ "reason": "it leaked" }))).await.is(204);

    let service = json!({ "label": "Authorization server", "scopes": ["gatebook:decide", "gatebook:authenticate"],
        "resource_servers": [DEFAULT], "expires_at": "2027-06-01T00:00:00Z" });
    let service = house.admin("default").post("/authsec/service-tokens", service).await.is(201);
    let end = format!("/authsec/service-tokens/{}", service.text("id"));
    house.admin("default").call(reqwest::Method::DELETE, &end, Some(json!({ "reason": "it leaked" }))).await.is(204);

    let hook = json!({ "label": "SIEM", "url": "https://siem.example/hook", "types": ["client."], "resource_servers": [DEFAULT],
        "start": "4" });
    let hook = house.admin("default").post("/authsec/webhooks", hook).await.is(201);
    let page = format!("/authsec/webhooks/{}", hook.text("id"));
    house.admin("default").patch(&page, json!({ "types": ["client.", "registration."] })).await.is(200);
    let rotation = json!({ "overlap_seconds": 60 });
    house.admin("default").with("Idempotency-Key", "once").post(&format!("{page}/rotate-secret"), rotation).await.is(200);
    house.admin("default").post(&format!("{page}/disable"), json!({ "reason": "it moves" })).await.is(200);
    house.admin("default").post(&format!("{page}/enable"), json!({})).await.is(200);
    let dropped = WebhookCommand::DropEvent(EventDropped { event_id: EventId(Uuid::from_u128(7)), reason: Some("not needed".to_owned()) });
    let (id, tenant) = (hook.text("id").parse().unwrap(), TenantId::default_tenant());
    let by = Cause { tenant: Some(tenant.clone()), ..cause() };
    house.app.commands.change_webhook(&by, id, &tenant, &dropped).await.unwrap();
    house.admin("default").call(reqwest::Method::DELETE, &page, Some(json!({ "reason": "replaced" }))).await.is(204);

    let (key, jwk) = vendor();
    let issuers = json!([{ "issuer": "https://vendor.example", "jwks": { "keys": [jwk] } },
        { "issuer": "https://other.example", "jwks_uri": "https://other.example/jwks.json" }]);
    rules(house, json!({ "software_statement_issuers": issuers, "require_software_statement": true })).await;
    let claims = json!({ "iss": "https://vendor.example", "iat": house.clock.now().timestamp(), "software_id": "vendor-app",
        "client_name": "Vendor App", "redirect_uris": ["https://vendor.example/cb"], "token_endpoint_auth_method": "none" });
    let header = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::ES256) };
    let statement = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    house.anyone().post("/oauth/register", json!({ "software_statement": statement })).await.is(201);
    rules(house, json!({ "require_software_statement": false, "software_statement_issuers": [], "require_initial_access_token": true }))
        .await;
    bearer.post("/oauth/register", claude(44_100)).await.is(201);
    rules(house, json!({ "initial_access_token_for": ["dcr", "cimd"] })).await;
    rules(house, json!({ "initial_access_token_for": null })).await;
    rules(house, json!({ "require_initial_access_token": false, "instances": "share", "registrations_per_minute": 600 })).await;

    let shared =
        json!({ "client_name": "Codex", "redirect_uris": ["http://127.0.0.1:1455/auth/callback"], "token_endpoint_auth_method": "none" });
    let first = house.anyone().post("/oauth/register", shared.clone()).await.is(201);
    house.anyone().post("/oauth/register", shared.clone()).await.is(201);
    let target = (ResourceServerId::DEFAULT, ClientId::parse(&first.text("client_id")).unwrap().key());
    let delete = |by: Party| ClientCommand::Delete { by, reason: None };
    house.app.commands.decide_client(&cause(), &TenantId::default_tenant(), target, delete).await.unwrap();
    house.anyone().post("/oauth/register", shared).await.is(201);
    rules(house, json!({ "instances": "separate", "registrations_per_minute": null })).await;
}

const HERE: &str = "https://app.example/cb";
const THERE: &str = "https://relay.example/cb";
const THIRD: &str = "https://third.example/cb";

async fn documents(house: &House) {
    let (kept, lost, gone) = (Author::publish(&[HERE]).await, Author::publish(&[HERE]).await, Author::publish(&[HERE]).await);
    for author in [&kept, &lost, &gone] {
        for tenant in ["default", "acme"] {
            let asked = json!({ "client_id": author.url(), "redirect_uri": HERE });
            house.decider(tenant).post("/oauth/decisions", asked).await.is(200);
        }
    }
    let of = |author: &Author, end: &str| format!("{}/{end}", client(DEFAULT, &author.encoded()));
    let refresh = async |author: &Author| drop(house.admin("default").post(&of(author, "refresh"), json!({})).await.is(200));
    // Widened, approved; back to the first version; then other grants, a name and members that mean nothing.
    kept.claims(&[HERE, THERE]);
    refresh(&kept).await;
    house.admin("default").put(&of(&kept, "approve-redirects"), json!({})).await.is(200);
    house.admin("default").post(&of(&kept, "roll-back"), json!({ "version": 1, "reason": "the relay is not theirs" })).await.is(200);
    let mut document = kept.document(&[HERE, THERE, THIRD]);
    document["grant_types"] = json!(["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]);
    document["client_name"] = "Renamed App".into();
    document["x_unknown"] = json!(1);
    document["logo_uri"] = "/logo.png".into();
    kept.says(document);
    refresh(&kept).await;
    // By the rules at once, and after some hours that are over; the last one soaks to this day.
    rules(house, json!({ "manifests": { "lane": "live" } })).await;
    lost.claims(&[HERE, THERE]);
    refresh(&lost).await;
    rules(house, json!({ "manifests": { "lane": "soak", "soak_hours": 24 } })).await;
    lost.claims(&[HERE, THERE, THIRD]);
    refresh(&lost).await;
    house.clock.advance(TimeDelta::hours(25));
    house.admin("default").post("/authsec/manifests/poll", json!({})).await.is(202);
    let started = Instant::now();
    while house.shown(&lost.encoded()).await.body.get("staged_change").is_some() {
        assert!(started.elapsed() < Duration::from_secs(30), "the change did not ripen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rules(house, json!({ "manifests": { "soak_hours": 2000, "on_withdrawal": "keep" } })).await;
    gone.claims(&[HERE, THERE]);
    refresh(&gone).await;
    rules(house, json!({ "manifests": { "lane": "pinned" } })).await;
    // Out of reach and found again; taken away.
    lost.answers(503);
    refresh(&lost).await;
    lost.answers(200);
    refresh(&lost).await;
    gone.answers(410);
    refresh(&gone).await;
    rules(house, json!({ "manifests": { "lane": "staged", "soak_hours": null, "on_withdrawal": null } })).await;
    // Entered where its host is silent, found, and of no use at last.
    let silent = Author::publish(&[HERE]).await;
    silent.answers(503);
    let entered = json!({ "client_id": silent.url(), "document": silent.document(&[HERE]) });
    house.admin("default").post(&format!("/authsec/resource-servers/{DEFAULT}/clients/cimd"), entered).await.is(201);
    silent.answers(200);
    refresh(&silent).await;
    silent.claims(&["/cb"]);
    refresh(&silent).await;
}

async fn decisions(house: &House) {
    rules(house, json!({ "admission": { "dcr": "review", "prereg": "review" } })).await;
    let decide = async |id: &str, decision: &str, body: Value| {
        house.admin("default").post(&format!("{}/{decision}", client(DEFAULT, id)), body).await.is(200);
    };
    let (one, two) = (house.entered("release-ci").await.text("client_id"), house.registered("Agent").await.text("client_id"));
    decide(&one, "approve", json!({ "reason": "asked for by the release team" })).await;
    decide(&one, "suspend", json!({ "reason": "laptop reported lost" })).await;
    decide(&one, "reinstate", json!({ "reason": "found again" })).await;
    decide(&one, "revoke", json!({ "reason": "a mistake" })).await;
    decide(&one, "restore", json!({ "reason": "as agreed" })).await;
    // Approved with a secret; then it wants another name and none, and keeps the secret until that is decided.
    let own = house.registered("Ledger").await;
    decide(&own.text("client_id"), "approve", json!({})).await;
    let mut body = json!({ "client_id": own["client_id"], "client_name": "General Ledger", "token_endpoint_auth_method": "none" });
    body["redirect_uris"] = json!(["https://app.example/cb"]);
    replace(house, &own, body).await;
    decide(&two, "deny", json!({ "reason": "nobody knows it", "until": "2027-06-01T00:00:00Z" })).await;
    for decision in ["approve", "suspend", "reinstate", "revoke", "restore", "revoke"] {
        let id = house.registered(&format!("Agent to {decision}")).await.text("client_id");
        if decision != "approve" {
            decide(&id, "approve", json!({})).await;
        }
        for step in steps_to(decision) {
            decide(&id, step, json!({})).await;
        }
    }
    house.registered("Agent who waits").await;
    let program = house.registered("Program").await.text("client_id");
    decide(&program, "approve", json!({})).await;
    decide(&program, "suspend", json!({ "reason": "it leaks", "family": true })).await;
    house.registered("Program").await;
    decide(&program, "reinstate", json!({ "reason": "it was mended" })).await;
    rules(house, json!({ "admission": { "dcr": "auto", "prereg": "auto" } })).await;
}

/// What has to happen to an approved registration before and with a decision.
fn steps_to(decision: &str) -> &[&str] {
    match decision {
        "reinstate" => &["suspend", "reinstate"],
        "restore" => &["revoke", "restore"],
        "suspend" => &["suspend"],
        "revoke" => &["revoke"],
        _ => &["approve"],
    }
}

async fn caps(house: &House) {
    let small = house.server("default", json!({ "name": "Small", "policy": { "max_clients": 5 } })).await;
    let path = format!("/rs/{small}/oauth/register");
    let mut ids = Vec::new();
    for port in 0..5 {
        ids.push(house.anyone().post(&path, claude(52_000 + port)).await.is(201).text("client_id"));
    }
    house.anyone().post(&path, claude(53_000)).await.is(403);
    for id in &ids[..3] {
        house.admin("default").post(&format!("{}/revoke", client(&small, id)), json!({})).await.is(200);
    }
    house.anyone().post(&path, claude(54_000)).await.is(201);
}

/// A client comes from elsewhere, with a secret that ends.
async fn imported(house: &House) {
    let members = json!({ "redirect_uris": ["https://portal.example/cb"] });
    let newcomer = Newcomer {
        client_id: ClientId::brought("portal").unwrap(),
        from: ImportedFrom { format: ImportFormat::Keycloak, realm: Some("shop".into()), id: Some("portal".into()) },
        parsed: metadata::parse(members.as_object().unwrap().clone()).unwrap(),
        secret_expires_at: Some(house.clock.now() + TimeDelta::days(90)),
    };
    let mut import = house.app.commands.begin_import(ResourceServerId::DEFAULT, None).await.unwrap();
    let verdict = import.judge(&newcomer).await.unwrap();
    let hash = SecretHash::try_new("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g").unwrap();
    let hashes = DrawnHashes { secret: Some(hash), registration_token: None };
    import.entrance().enter(newcomer, verdict, hashes).await.unwrap();
}

/// Nobody uses a client for days; then it is asked about, and an administrator lets it back in. Another is used again and
/// nobody notices.
async fn dormancy(house: &House) {
    let idle = house.server("default", json!({ "name": "Seldom used", "resource": "https://seldom.example/mcp" })).await;
    let path = format!("/authsec/resource-servers/{idle}");
    let rule = |revive: &str| json!({ "policy": { "dormant_after_days": 1, "revive": revive } });
    house.admin("default").patch(&path, rule("review")).await.is(200);
    let mut ids = Vec::new();
    for port in 0..2 {
        ids.push(house.anyone().post(&format!("/rs/{idle}/oauth/register"), claude(55_000 + port)).await.is(201).text("client_id"));
    }
    // The page waits for the directory to show them.
    house.admin("default").get(&clients(&idle)).await.is(200);
    for _ in 0..4 {
        house.app.dormancy.sweep(Duration::ZERO).await.unwrap();
        house.clock.advance(TimeDelta::hours(20));
    }
    for (id, decision) in [(&ids[0], "pending"), (&ids[1], "allow")] {
        let question = json!({ "client_id": id, "resource": "https://seldom.example/mcp" });
        assert_eq!(house.decider("default").post("/oauth/decisions", question).await.is(200)["decision"], decision);
        house.admin("default").patch(&path, rule("at_next_use")).await.is(200);
    }
    let approve = format!("{}/approve", client(&idle, &ids[0]));
    house.admin("default").post(&approve, json!({ "reason": "still needed" })).await.is(200);
}

/// An event is left out by a version that nobody runs any more.
async fn upkeep(house: &House) {
    let skipped = EventSkipped {
        projection_version: 1,
        event_id: EventId(Uuid::from_u128(1)),
        event_name: "client.exploded".into(),
        position: "7".into(),
        reason: "from a build that was withdrawn".into(),
    };
    let name = ProjectionName::parse("directory").unwrap();
    let back = SkipTakenBack { projection_version: 1, event_id: skipped.event_id, reason: "it can be read now".into() };
    house.app.commands.skip_event(&cause(), name, skipped).await.unwrap();
    house.app.commands.take_skip_back(&cause(), name, back).await.unwrap();
}

async fn rules(house: &House, policy: Value) {
    house.edit_default(json!({ "policy": policy })).await;
}

async fn replace(house: &House, entered: &Answer, body: Value) {
    let path = format!("/oauth/register/{}", entered.text("client_id"));
    house.holder(&entered.text("registration_access_token")).put(&path, body).await.is(200);
}

/// Everything that a client can say about itself, but keys by value.
fn full() -> Value {
    json!({
        "client_name": "Example \u{4f8b}", "client_name#ja": "\u{4f8b}", "redirect_uris": ["https://app.example/cb", "https://app.example/other"],
        "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "client_uri": "https://app.example/", "logo_uri": "https://app.example/logo.png",
        "tos_uri": "https://app.example/tos", "policy_uri": "https://app.example/policy", "scope": "mcp:read mcp:write",
        "contacts": ["ops@app.example"], "jwks_uri": "https://app.example/jwks.json", "software_id": "example-app",
        "software_version": "1.2.3", "application_type": "web", "favourite_colour": "blue"
    })
}

/// What Claude Code sends when it registers.
fn claude(port: u16) -> Value {
    json!({ "client_name": "Claude Code", "redirect_uris": [format!("http://localhost:{port}/callback")],
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none" })
}

/// A key drawn on the spot, and its public half.
fn vendor() -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("1".to_owned());
    (key, serde_json::to_value(jwk).unwrap())
}

fn cause() -> Cause {
    Cause { actor: Actor { kind: ActorKind::System, id: None, via: None }, tenant: None, request_id: None, origin: None }
}
