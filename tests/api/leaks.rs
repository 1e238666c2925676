//! A plaintext secret appears once, in the answer that issues it: never on disk, in a log line, or in any other answer.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatebook::credentials::secrets::ClientSecret;
use reqwest::Method;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::house::{DEFAULT, House, client, clients};

/// Everything that is logged by this process, from the moment it is listened to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Where a secret must not be: a name for people, and the bytes.
type Place = (String, Vec<u8>);

#[tokio::test]
async fn no_secret_or_token_is_on_disk_in_a_log_line_or_in_another_answer() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(lines.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let house = House::open().await;
    a_busy_day(&house).await;

    let issued = house.issued();
    let kinds = |prefix: &str| issued.iter().filter(|secret| secret.starts_with(prefix)).count();
    assert!(
        kinds("gbs_") >= 6 && kinds("gbr_") >= 3 && kinds("gbi_") >= 2 && kinds("eyJ") >= 3 && kinds("whsec_") >= 2,
        "too little was issued to prove anything"
    );
    let mut places = files(house.folder.path());
    for file in ["log.db", "log.db-wal", "directory@", "history@", "approvals@", "webhooks.db"] {
        assert!(places.iter().any(|(name, bytes)| name.contains(file) && !bytes.is_empty()), "{file} was not looked at");
    }
    places.extend(house.heard().into_iter().map(|(call, text)| (call, text.into_bytes())));
    let logged = lines.0.lock().unwrap().clone();
    assert!(String::from_utf8_lossy(&logged).contains("TRACE"), "nothing was logged");
    places.push(("the log lines".to_owned(), logged));
    assert_eq!(leaks(&places, &issued), Vec::<String>::new());

    // The same eyes see a canary wherever one is put.
    let canary = ClientSecret::try_draw().unwrap().expose().to_owned();
    assert_eq!(leaks(&places, std::slice::from_ref(&canary)), Vec::<String>::new());
    tracing::trace!(secret = %canary, "a canary");
    std::fs::write(house.folder.path().join("data/read-models/canary.db"), format!("\0\u{1}{canary}\u{2}")).unwrap();
    let drawn = URL_SAFE_NO_PAD.decode(&canary[4..]).unwrap();
    std::fs::write(house.folder.path().join("data/raw.db"), drawn).unwrap();
    house.admin("default").post("/authsec/resource-servers", json!({ "name": canary })).await.is(201);
    let mut places = files(house.folder.path());
    places.push(("the log lines".to_owned(), lines.0.lock().unwrap().clone()));
    places.extend(house.heard().into_iter().map(|(call, text)| (call, text.into_bytes())));
    let found = leaks(&places, &[canary]).join("\n");
    for place in ["the log lines", "canary.db", "raw.db", "log.db", "history@", "directory@", "POST /authsec/resource-servers"] {
        assert!(found.contains(place), "the canary in {place} was not seen:\n{found}");
    }
}

/// Every way to be given a secret or a token, and every answer, good or bad, that follows.
async fn a_busy_day(house: &House) {
    let admin = house.admin("default");
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        let body = json!({ "client_name": method, "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": method });
        let own = house.anyone().post("/oauth/register", body).await.is(201);
        let (id, holder) = (own.text("client_id"), house.holder(&own.text("registration_access_token")));
        let path = format!("/oauth/register/{id}");
        holder.get(&path).await.is(200);
        let wider = json!({ "client_id": id, "client_secret": own.body.get("client_secret").cloned().unwrap_or_default(),
            "redirect_uris": ["https://app.example/cb", "https://app.example/new"] });
        holder.put(&path, wider).await.is(200);
        holder.put(&path, json!({ "client_id": id, "client_secret": own["registration_access_token"] })).await.is(400);
        holder.send(Method::PUT, &path, Some("text/plain"), own.text.clone().into_bytes()).await.is(415);
        house.holder(&format!("{}x", own.text("registration_access_token"))).get(&path).await.is(401);
        admin.get(&format!("/authsec/audit/events?actor={}", own.text("registration_access_token"))).await.is(200);
        admin.put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({})).await.is(200);
        house.shown(&id).await;
    }
    let tokens = format!("/authsec/resource-servers/{DEFAULT}/registration-tokens");
    for uses in [1, 5] {
        let made = admin.post(&tokens, json!({ "label": "ci", "max_uses": uses })).await.is(201);
        let holder = house.holder(&made.text("initial_access_token"));
        let body = json!({ "redirect_uris": ["https://app.example/cb"] });
        holder.post("/oauth/register", body.clone()).await.is(201);
        holder.post("/oauth/register", json!({ "redirect_uris": [made["initial_access_token"]] })).await;
        holder.post("/oauth/register", body).await;
        admin.get(&format!("{tokens}/{}", made.text("id"))).await.is(200);
        admin.delete(&format!("{tokens}/{}", made.text("id"))).await.is(204);
    }
    admin.get(&tokens).await.is(200);
    let body = json!({ "label": "as", "scopes": ["gatebook:decide", "gatebook:authenticate"] });
    let made = admin.post("/authsec/service-tokens", body).await.is(201);
    let service = house.holder(&made.text("service_token"));
    service.post("/oauth/decisions", json!({ "client_id": made["service_token"] })).await.is(200);
    service.post("/oauth/decisions", json!({ "client_id": "x", "scope": made["service_token"] })).await.is(200);
    house.holder(&format!("{}x", made.text("service_token"))).post("/oauth/decisions", json!({})).await.is(401);
    admin.get("/authsec/service-tokens").await.is(200);
    admin.delete(&format!("/authsec/service-tokens/{}", made.text("id"))).await.is(204);
    service.post("/oauth/decisions", json!({ "client_id": "x" })).await.is(401);
    let hook = json!({ "label": "siem", "url": "https://siem.example/hook" });
    let hook = admin.post("/authsec/webhooks", hook).await.is(201);
    let page = format!("/authsec/webhooks/{}", hook.text("id"));
    admin.post(&format!("{page}/rotate-secret"), json!({ "overlap_seconds": 60 })).await.is(200);
    admin.patch(&page, json!({ "signing_secret": hook["signing_secret"] })).await.is(400);
    admin.get(&page).await.is(200);
    admin.get("/authsec/webhooks").await.is(200);
    admin.delete(&page).await.is(204);
    let entered =
        house.admin("default").with("idempotency-key", "once").post(&clients(DEFAULT), json!({ "client_name": "ci" })).await.is(201);
    house.admin("default").with("idempotency-key", "once").post(&clients(DEFAULT), json!({ "client_name": "ci" })).await.is(201);
    let page = |verb: &str| format!("{}/{verb}", client(DEFAULT, entered["client_id"].as_str().unwrap()));
    let login = STANDARD.encode(format!("{}:{}", entered.text("client_id"), entered.text("client_secret")));
    let job = house.anyone().with("authorization", &format!("Basic {login}"));
    let kind = Some("application/x-www-form-urlencoded");
    let token = job.send(Method::POST, "/oauth/token", kind, b"grant_type=client_credentials".to_vec()).await.is(200);
    let asked = format!("token={}", token.text("access_token")).into_bytes();
    house.decider("default").send(Method::POST, "/oauth/introspect", kind, asked).await.is(200);
    job.send(Method::POST, "/oauth/token", kind, format!("grant_type={}", token.text("access_token")).into_bytes()).await.is(400);
    admin.get("/authsec/signing-keys").await.is(200);
    admin.post(&page("rotate-secret"), json!({ "overlap_seconds": 60 })).await.is(200);
    admin.post(&page("rotate-secret"), json!({ "end_overlap": true })).await.is(200);
    house.admin("default").with("idempotency-key", "once").post(&clients(DEFAULT), json!({ "client_name": "ci" })).await.is(409);
    admin.post(&page("revoke-old-secret"), json!({})).await.is(204);
    for decision in ["suspend", "reinstate", "revoke", "restore"] {
        admin.post(&page(decision), json!({})).await.is(200);
    }
    admin.get(&clients(DEFAULT)).await.is(200);
    house.viewer("default").get(&clients(DEFAULT)).await.is(200);
    admin.get(&format!("{}?as_of={}", clients(DEFAULT), house.head().await)).await.is(200);
    for format in ["ndjson", "csv"] {
        house.auditor("default").get(&format!("/authsec/audit/export?format={format}")).await.is(200);
    }
    for path in ["/authsec/approvals", "/authsec/audit/events?limit=500", "/authsec/projections", "/authsec/resource-servers"] {
        house.auditor("default").get(path).await.is(200);
    }
}

/// Every file below a folder, as it lies on the disk.
fn files(folder: &Path) -> Vec<Place> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// Every place that has one of the secrets: as text without its prefix, or as the bytes that were drawn.
fn leaks(places: &[Place], secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in places {
        let text = String::from_utf8_lossy(bytes);
        for secret in secrets {
            // Of an administrator's token the signature is what nobody else may have.
            let told = secret.strip_prefix("gbs_").or(secret.strip_prefix("gbr_")).or(secret.rsplit('.').next()).unwrap();
            // An initial access token and a service token begin with ids, which are no secret.
            let told = if told.starts_with("gbi_") || told.starts_with("gbt_") { &told[told.len() - 43..] } else { told };
            let hook = told.strip_prefix("whsec_");
            let (told, drawn) = match hook {
                Some(told) => (told, STANDARD.decode(told).unwrap()),
                None => (told, URL_SAFE_NO_PAD.decode(told).unwrap()),
            };
            if text.contains(told) || bytes.windows(drawn.len()).any(|window| window == drawn) {
                found.push(format!("{name} has {secret}"));
            }
        }
    }
    found
}
