//! `gatebook import`: clients come from elsewhere with the names and secrets that they have, each once, and whoever cannot come
//! is named.

use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Instant;

use base64::Engine;
use gatebook::credentials::secrets::{ClientSecret, verify_secret};
use reqwest::Method;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::flag;
use crate::instance::{Caller, DEFAULT_SERVER, Instance, PATIENCE, gatebook, refusal, run, said, text, token};
use crate::place;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/import").join(name)
}

fn import(data: &Path, from: &str, file: &Path, more: &[&str]) -> Output {
    run(&[&["import", "--from", from, flag(file), "--data", flag(data)], more].concat())
}

/// What an import said that refused some of the clients, and that it says so to scripts.
fn reported(output: Output) -> String {
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
    assert!(err.contains("clients were refused"), "{err}");
    out
}

/// A data folder in which the service was once.
fn house() -> (tempfile::TempDir, PathBuf) {
    let (folder, data) = place();
    Instance::start(&data).stop();
    (folder, data)
}

/// Name and data of every event, in order.
fn log(data: &Path) -> Vec<(String, Value)> {
    let connection = Connection::open_with_flags(data.join("log.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut events = connection.prepare("SELECT name, data FROM events ORDER BY position").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let events = events.query_map([], row).unwrap();
    events.map(Result::unwrap).map(|(name, data)| (name, serde_json::from_str(&data).unwrap())).collect()
}

fn registered(data: &Path) -> Vec<Value> {
    log(data).into_iter().filter(|(name, _)| name == "client.registered").map(|(_, data)| data).collect()
}

fn named<'a>(clients: &'a [Value], id: &str) -> &'a Value {
    clients.iter().find(|client| client["client_id"] == id).unwrap_or_else(|| panic!("there is no {id} in {clients:#?}"))
}

fn opens(secret: &str, client: &Value) -> bool {
    verify_secret(&ClientSecret::received(secret), client["secret"]["hash"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_comes_with_its_names_and_secrets_and_says_whom_it_leaves_behind() {
    let (_folder, data) = house();
    let told = reported(import(&data, "keycloak", &fixture("realm.json"), &[]));
    let expected = [
        r#"realm shop, client 1, "account": skipped, it belongs to Keycloak itself"#,
        r#"realm shop, client 2, "portal": imported without the grant password, which is not supported here"#,
        r#"realm shop, client 3, "spa": refused, the redirect URI https://app.example.com/* contains a wildcard"#,
        r#"realm shop, client 4, "nightly": imported without a secret, because the file shows a mask instead of it: rotate it here"#,
        r#"realm shop, client 7, "orders-api": skipped, it only checks tokens (bearerOnly): enter it as a resource server"#,
        r#"realm shop, client 8, "https://sp.example.com/saml": skipped, its protocol is saml"#,
        r#"realm shop, client 9, "retired": skipped, it is disabled there"#,
        r#"realm shop, client 10, "passwords": refused, it has no flow that is supported here"#,
        r#"realm shop, client 11, "certified": refused, it authenticates in a way that is not supported here, client-x509"#,
        "4 imported, 0 were here already, 4 skipped, 3 refused",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);

    let events = registered(&data);
    assert_eq!(events.len(), 4);
    let portal = named(&events, "portal");
    assert_eq!(portal["imported_from"], json!({ "format": "keycloak", "realm": "shop", "id": "portal" }));
    assert_eq!((&portal["registration_type"], &portal["home"]), (&"prereg".into(), &"default".into()));
    assert!(opens("Wq3nVb8sTz1LkYx5RmCd7Pf2Gh9Jt4Ua", portal) && !opens("wq3nvb8stz1lkyx5rmcd7pf2gh9jt4ua", portal));
    assert!(named(&events, "nightly").get("secret").is_none());
    assert_eq!(named(&events, "signed")["metadata"]["jwks_uri"], "https://signed.example.com/jwks.json");
    for file in ["log.db", "log.db-wal"].map(|name| data.join(name)) {
        let bytes = std::fs::read(file).unwrap_or_default();
        assert!(!bytes.windows(12).any(|bytes| bytes == b"Wq3nVb8sTz1L"), "a secret is kept in the clear");
    }

    // They go on working as who they are.
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    let portal = admin.get(&format!("{DEFAULT_SERVER}/clients/portal")).await;
    assert_eq!(portal["redirect_uris"], json!(["https://portal.example.com/oidc/callback", "https://portal.example.com/silent"]));
    assert_eq!(
        (&portal["client_name"], &portal["status"], &portal["has_secret"]),
        (&"Customer portal".into(), &"approved".into(), &true.into())
    );
    assert_eq!(portal["scope"], "profile email offline_access orders:read");
    assert_eq!(portal["grant_types"], json!(["authorization_code", "refresh_token"]));
    let came = portal["history"].as_array().unwrap().iter().find(|event| event["type"] == "client.registered").unwrap();
    assert_eq!((&came["actor"]["id"], &came["data"]["imported_from"]["realm"]), (&"import".into(), &"shop".into()), "{came}");
    let decider = Caller::anyone(&service).with(&token(&data, "decider", "default"));
    let asked =
        json!({ "client_id": "portal", "redirect_uri": "https://portal.example.com/oidc/callback", "grant_type": "authorization_code" });
    assert_eq!(decider.post("/oauth/decisions", &asked).await["decision"], "allow");
    let tv = admin.get(&format!("{DEFAULT_SERVER}/clients/tv")).await;
    assert_eq!(tv["grant_types"], json!(["urn:ietf:params:oauth:grant-type:device_code"]));
    // A client that came without its secret gets one.
    let rotated = admin.post(&format!("{DEFAULT_SERVER}/clients/nightly/rotate-secret"), &json!({})).await;
    assert!(rotated["client_secret"].as_str().unwrap().starts_with("gbs_"));
    assert_eq!(admin.get(&format!("{DEFAULT_SERVER}/clients/nightly")).await["has_secret"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn w7_a_basic_header_is_good_in_both_readings_and_a_wrong_one_is_one_guess() {
    let (folder, data) = house();
    let lines = [("a+b", "x+y%41z 9"), ("plain", "q%20w+e:r"), ("50%41", "p&#=p&#=p")];
    let mut text = String::new();
    for (id, secret) in lines {
        let line = json!({ "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"], "redirect_uris": [] });
        writeln!(text, "{line}").unwrap();
    }
    let file = folder.path().join("signs.jsonl");
    std::fs::write(&file, text).unwrap();
    assert!(said(import(&data, "rfc7591", &file, &[])).contains("3 imported"));
    let service = Instance::start(&data);
    let anyone = Caller::anyone(&service);
    let ask = async |id: &str, secret: &str| {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        let request = anyone.request(Method::POST, "/oauth/token", None).header("authorization", format!("Basic {login}"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body("grant_type=client_credentials");
        request.send().await.unwrap().status().as_u16()
    };
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    for (id, secret) in lines {
        for (id, secret) in [
            (id.to_owned(), secret.to_owned()),
            (encoded(id), encoded(secret)),
            (id.to_owned(), encoded(secret)),
            (encoded(id), secret.to_owned()),
        ] {
            assert_eq!(ask(&id, &secret).await, 200, "{id}:{secret}");
        }
    }
    // Ten wrong ones are let through, each of which can be read in two ways.
    for _ in 0..10 {
        assert_eq!(ask("plain", "wrong%41+").await, 401);
    }
    assert_eq!(ask("plain", "wrong%41+").await, 429);
}

#[test]
fn lines_are_imported_one_by_one_and_again_without_effect() {
    let (_folder, data) = house();
    let told = reported(import(&data, "rfc7591", &fixture("clients.jsonl"), &[]));
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some(r#"line 1, "billing": imported with a secret that is valid until 2031-01-01T00:00:00Z"#));
    assert_eq!(lines.next(), Some(r#"line 2, "s6BhdRkqt3": imported without the members x_team, which have no meaning here"#));
    let drawn = lines.next().unwrap();
    let drawn = drawn.strip_prefix("line 4: imported with the client_id ").unwrap().strip_suffix(", because the file names none").unwrap();
    assert!(lines.next().unwrap().starts_with("line 6: refused, the line is not acceptable JSON: EOF"), "{told}");
    let expected = [
        "line 7: refused, the line is not acceptable JSON: a key appears twice at column 43",
        r#"line 8, "https://app.example.com/client.json": refused, a client_id that is a URL is kept for clients that host their own document"#,
        r#"line 9, "fragment": refused, the redirect URI https://fragment.example.com/cb#here has a fragment"#,
        // The second line of one client is not a second client.
        r#"line 10, "billing": passed over, it is the client of line 1"#,
        "line 11: refused, the line is not a JSON object",
        "4 imported, 1 were here already, 5 refused",
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    assert!(!told.contains("sesame"), "a report shows no secret");

    let events = registered(&data);
    let billing = named(&events, "billing");
    assert_eq!(
        (&billing["metadata"]["client_name"], &billing["secret"]["expires_at"]),
        (&"Billing".into(), &"2031-01-01T00:00:00Z".into())
    );
    assert!(opens("open-sesame-1", billing));
    assert!(billing["secret"]["hash"].as_str().unwrap().starts_with("$argon2id$v=19$m=19456,t=2,"), "people may have chosen it");
    assert!(opens("password", named(&events, "hashed")), "an argon2id hash is taken as it is");
    let desktop = named(&events, "s6BhdRkqt3");
    assert_eq!((&desktop["ignored"], desktop.get("secret")), (&json!(["x_team"]), None));
    let nameless = events.iter().find(|client| client["imported_from"].get("id").is_none()).unwrap();
    assert_eq!((&nameless["imported_from"], &nameless["client_id"]), (&json!({ "format": "rfc7591" }), &drawn.into()));

    let before = log(&data);
    let told = reported(import(&data, "rfc7591", &fixture("clients.jsonl"), &[]));
    assert!(told.ends_with("0 imported, 5 were here already, 5 refused\n"), "{told}");
    assert_eq!(log(&data), before);
}

/// What an import of a fixture said, and the secrets that were kept: client by client, none where there is none.
fn imported(from: &str, name: &str) -> (String, Vec<(String, Option<String>)>) {
    let (_folder, data) = house();
    let told = said(import(&data, from, &fixture(name), &[]));
    let kept = registered(&data)
        .into_iter()
        .map(|client| (client["client_id"].as_str().unwrap().to_owned(), client["secret"]["hash"].as_str().map(str::to_owned)));
    (told, kept.collect())
}

/// Whether this very text is the client's secret.
fn signs_in(text: &str, kept: &[(String, Option<String>)], id: &str) -> bool {
    let hash = kept.iter().find(|(client, _)| client == id).and_then(|(_, hash)| hash.as_deref());
    hash.is_some_and(|hash| verify_secret(&ClientSecret::received(text), hash).unwrap())
}

#[test]
fn w8_what_django_keeps_of_a_secret_signs_nobody_in() {
    let (told, kept) = imported("rfc7591", "django.jsonl");
    let expected = [
        r#"line 1, "dj-web": imported without the members algorithm, skip_authorization, which have no meaning here; without a secret, because the file has only a hash of it: rotate it here"#,
        r#"line 2, "dj-machine": imported without its redirect URIs, which its grants do not use"#,
        r#"line 3, "dj-clear": imported without the redirect URI https://clear.example.com/*, which contains a wildcard"#,
        "3 imported, 0 were here already, 0 refused",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let stored = "pbkdf2_sha256$1000000$Nw1zS8n2$Y1QyPbmVdlEFBhKgUYHhMBUPkgdqlnGmZV2Ux2I8sVY=";
    assert!(!signs_in(stored, &kept, "dj-web"), "the text of a hash signs in");
    assert!(signs_in("password", &kept, "dj-machine") && signs_in("Zk3vQ9mT2xLp7WbN", &kept, "dj-clear"));
}

#[test]
fn w8_what_spring_keeps_of_a_secret_signs_nobody_in() {
    let (told, kept) = imported("rfc7591", "spring.jsonl");
    let expected = [
        r#"line 1, "messaging-client": imported without a secret, because the file has only a hash of it: rotate it here"#,
        r#"line 3, "noop-client": imported without a secret, because the file has only a hash of it: rotate it here"#,
        r#"line 4, "template-client": imported without a secret, because the file has a reference to it: rotate it here"#,
        "5 imported, 0 were here already, 0 refused",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    for (id, text) in [
        ("messaging-client", "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG"),
        ("noop-client", "{noop}secret"),
        ("template-client", "${MESSAGING_CLIENT_SECRET}"),
    ] {
        assert!(!signs_in(text, &kept, id), "{text} signs in");
    }
    assert!(signs_in("password", &kept, "argon2-client"));
}

#[test]
fn w9_a_realm_whose_only_fault_is_keycloaks_own_clients_is_imported_without_a_failure() {
    let (told, kept) = imported("keycloak", "realm_of_a_shop.json");
    let expected = [
        r#"realm store, client 1, "account": skipped, it belongs to Keycloak itself"#,
        r#"realm store, client 2, "broker": skipped, it belongs to Keycloak itself"#,
        r#"realm store, client 3, "stock": imported without its redirect URIs, which its grants do not use; without the settings protocolMappers, which have no meaning here"#,
        r#"realm store, client 4, "till": imported without the redirect URI https://till.example.com/*, which contains a wildcard; with a secret that is valid until 2031-01-01T00:00:00Z"#,
        "2 imported, 0 were here already, 2 skipped, 0 refused",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    assert!(signs_in("Qm4tVx8KpLz2Rn6WbYc9", &kept, "stock"));
}

#[test]
fn w9_a_report_for_programs_names_every_client_and_what_became_of_it() {
    let (_folder, data) = house();
    let out = reported(import(&data, "rfc7591", &fixture("clients.jsonl"), &["--json"]));
    assert!(!out.contains("sesame"), "a report shows no secret");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<&str> = lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
    let expected = ["imported", "imported", "imported", "imported", "refused", "refused", "refused", "refused", "duplicate", "refused"];
    assert_eq!(outcomes, expected);
    assert_eq!((&lines[0]["client_id"], &lines[0]["status"]), (&"billing".into(), &"approved".into()));
    assert_eq!(lines[8]["same_as"], "line 1");
    assert!(lines[2]["client_id"].is_string() && lines[2].get("id").is_none(), "{}", lines[2]);
    let summary = json!({ "imported": 4, "pending": 0, "already_here": 1, "skipped": 0, "refused": 5 });
    assert_eq!(lines.last().unwrap()["summary"], summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_a_redirect_uri_that_the_rules_do_not_welcome_is_left_out_and_the_client_comes() {
    let (folder, data) = house();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    let host = json!({ "kind": "host", "host": "app.example.com" });
    let strict = admin.post("/authsec/resource-servers", &json!({ "name": "Strict", "policy": { "redirect_rules": [host] } })).await;
    service.stop();
    let file = folder.path().join("one.jsonl");
    let line = json!({ "client_id": "two-homes", "redirect_uris": ["https://app.example.com/cb", "https://else.example.com/cb"], "token_endpoint_auth_method": "none" });
    std::fs::write(&file, line.to_string()).unwrap();
    let told = said(import(&data, "rfc7591", &file, &["--resource-server", strict["id"].as_str().unwrap()]));
    let note = "without the redirect URI https://else.example.com/cb, which the resource server's rules do not welcome";
    assert!(told.contains(note) && told.ends_with("1 imported, 0 were here already, 0 refused\n"), "{told}");
    assert_eq!(registered(&data)[0]["metadata"]["redirect_uris"], json!(["https://app.example.com/cb"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_hydra_brings_clients_whose_secrets_stay_behind() {
    let (folder, data) = house();
    let told = reported(import(&data, "hydra", &fixture("hydra.json"), &[]));
    let expected = [
        "the file is one page of a longer list: import the other pages too",
        r#"client 1, "3494ea93-c868-4e12-9ad8-e918b8b6f24b": imported without the grants implicit, which are not supported here; without the members audience, which have no meaning here; without a secret, because Hydra keeps only a hash of it: rotate it here"#,
        r#"client 2, "machine": imported without a secret, because Hydra keeps only a hash of it: rotate it here"#,
        r#"client 4, "backed-up": imported without a secret, because the file has only a hash of it: rotate it here"#,
        r#"client 5, "legacy": refused, grant_types has no grant that is supported here; supported are authorization_code, refresh_token, client_credentials and urn:ietf:params:oauth:grant-type:device_code"#,
        "4 imported, 0 were here already, 1 refused",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    // The API answers an array: they are the same clients.
    let page: Value = serde_json::from_slice(&std::fs::read(fixture("hydra.json")).unwrap()).unwrap();
    let array = folder.path().join("array.json");
    std::fs::write(&array, serde_json::to_vec(&page["items"]).unwrap()).unwrap();
    let told = reported(import(&data, "hydra", &array, &[]));
    assert!(told.ends_with("0 imported, 4 were here already, 1 refused\n"), "{told}");

    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    let photos = admin.get(&format!("{DEFAULT_SERVER}/clients/3494ea93-c868-4e12-9ad8-e918b8b6f24b")).await;
    assert_eq!((&photos["scope"], &photos["has_secret"]), (&"openid offline photos.read".into(), &false.into()));
    assert_eq!(admin.all(&format!("{DEFAULT_SERVER}/clients?type=prereg"), "clients").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_the_same_beside_a_service_and_writes_nothing() {
    let (_folder, data) = house();
    let service = Instance::start(&data);
    let before = log(&data);
    let told = refusal(import(&data, "keycloak", &fixture("realm.json"), &[]));
    assert!(told.contains("a service that runs has to be stopped first"), "{told}");
    let dry = reported(import(&data, "keycloak", &fixture("realm.json"), &["--dry-run"]));
    assert!(
        dry.ends_with("4 would be imported, 0 are here already, 4 would be skipped, 3 would be refused; nothing was written\n"),
        "{dry}"
    );
    assert_eq!(log(&data), before);
    service.stop();
    let real = reported(import(&data, "keycloak", &fixture("realm.json"), &[]));
    let lines = |told: &str| told.replace("would be imported", "imported").lines().rev().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&dry), lines(&real));
}

/// As many public clients, one a line.
fn many(folder: &Path, clients: usize) -> PathBuf {
    let mut lines = String::new();
    for number in 0..clients {
        let line = json!({ "client_id": format!("client-{number}"), "redirect_uris": ["https://app.example.com/cb"], "token_endpoint_auth_method": "none" });
        writeln!(lines, "{line}").unwrap();
    }
    let file = folder.join("many.jsonl");
    std::fs::write(&file, lines).unwrap();
    file
}

#[test]
fn an_import_that_was_killed_goes_on_and_enters_everybody_once() {
    const CLIENTS: usize = 20_000;
    let (folder, data) = house();
    let file = many(folder.path(), CLIENTS);
    let entered = |name: &str| log(&data).iter().filter(|(event, _)| event == name).count();
    let arguments = ["import", "--from", "rfc7591", flag(&file), "--data", flag(&data)];
    let mut command = gatebook(&arguments).stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while entered("client.registered") < 100 {
        assert!(started.elapsed() < PATIENCE, "nobody was entered");
        std::thread::yield_now();
    }
    command.kill().unwrap();
    assert_eq!(command.wait().unwrap().signal(), Some(9), "it was done before it was killed");
    let there = entered("client.registered");
    assert!(there < CLIENTS);

    // As a crash between a client and its registration would leave it.
    let log_file = Connection::open(data.join("log.db")).unwrap();
    let last: String = log_file.query_row("SELECT name FROM events ORDER BY position DESC LIMIT 1", [], |row| row.get(0)).unwrap();
    if last == "registration.requested" {
        log_file.execute("DELETE FROM events WHERE position = (SELECT max(position) FROM events)", []).unwrap();
        log_file.execute("DELETE FROM streams WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.stream = streams.id)", []).unwrap();
    }
    drop(log_file);

    let told = said(run(&arguments));
    assert!(told.ends_with("were here already, 0 refused\n") && !told.contains(" 0 were here"), "{told}");
    assert_eq!((entered("client.registered"), entered("registration.requested")), (CLIENTS, CLIENTS));
    assert_eq!(said(run(&arguments)), format!("0 imported, {CLIENTS} were here already, 0 refused\n"));
    assert!(said(run(&["verify", "--data", flag(&data)])).contains("the chain holds"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resource_servers_rules_hold_for_whoever_is_imported() {
    let (folder, data) = house();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    let server = |name: &str, policy: Value| json!({ "name": name, "policy": policy });
    let full =
        admin.post("/authsec/resource-servers", &server("Small", json!({ "max_clients": 2, "admission": { "prereg": "review" } }))).await;
    let host = json!({ "kind": "host", "host": "else.example.com" });
    let strict = admin.post("/authsec/resource-servers", &server("Strict", json!({ "redirect_rules": [host] }))).await;
    let closed = admin.post("/authsec/resource-servers", &json!({ "name": "Closed", "registration_modes": ["dcr"] })).await;
    service.stop();
    let file = many(folder.path(), 3);
    let at = |server: &Value| import(&data, "rfc7591", &file, &["--resource-server", server["id"].as_str().unwrap()]);

    let told = refusal(import(&data, "rfc7591", &file, &[]));
    assert!(told.contains("--resource-server says which one is meant"), "{told}");
    let told = refusal(at(&closed));
    assert!(told.contains("does not admit clients that come by prereg"), "{told}");
    let before = log(&data);
    let told = reported(at(&strict));
    assert!(told.contains("the redirect URI https://app.example.com/cb is outside the resource server's rules"), "{told}");
    assert!(told.ends_with("0 imported, 0 were here already, 3 refused\n"), "{told}");
    assert_eq!(log(&data), before, "a refusal leaves nothing behind");

    let told = reported(at(&full));
    assert!(told.contains(r#"line 3, "client-2": refused, the register of the resource server is full"#), "{told}");
    assert!(told.ends_with("2 imported (2 of them wait for an approval), 0 were here already, 1 refused\n"), "{told}");
    assert_eq!(log(&data).last().unwrap().0, "resource_server.cap_neared");
    let told = reported(at(&full));
    assert!(told.ends_with("0 imported, 2 were here already, 1 refused\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_somebody_else_has_or_had_is_not_taken() {
    let (folder, data) = house();
    said(import(&data, "rfc7591", &many(folder.path(), 2), &[]));
    let mut events = log(&data);
    // The client 1 of another realm is another client.
    let file = folder.path().join("realm.json");
    let realm = |clients: Value| std::fs::write(&file, json!({ "realm": "other", "clients": clients }).to_string()).unwrap();
    realm(json!([{ "clientId": "client-1", "publicClient": true, "redirectUris": ["https://other.example.com/cb"] }]));
    let told = reported(import(&data, "keycloak", &file, &[]));
    assert!(told.contains(r#""client-1": refused, the identifier is taken"#), "{told}");
    assert_eq!(log(&data), events);

    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    let anyone = Caller::anyone(&service);
    let own = anyone.post("/oauth/register", &json!({ "redirect_uris": ["https://own.example.com/cb"] })).await;
    let path = format!("/oauth/register/{}", own["client_id"].as_str().unwrap());
    let holder = anyone.with(own["registration_access_token"].as_str().unwrap());
    assert_eq!(holder.call(Method::DELETE, &path, None).await.unwrap().0, 204);
    let (status, _) = admin.call(Method::DELETE, &format!("{DEFAULT_SERVER}/clients/client-0"), None).await.unwrap();
    assert!(status < 300, "{status}");
    service.stop();
    events = log(&data);
    realm(json!([{ "clientId": own["client_id"], "publicClient": true, "redirectUris": ["https://other.example.com/cb"] }]));
    let told = reported(import(&data, "keycloak", &file, &[]));
    assert!(told.contains("refused, the identifier is taken"), "{told}");
    // Whoever was imported and revoked since stays revoked.
    said(import(&data, "rfc7591", &many(folder.path(), 2), &[]));
    assert_eq!(log(&data), events);
}

#[test]
fn what_is_no_file_of_clients_is_refused_and_leaves_nothing_behind() {
    let (folder, data) = place();
    let told = refusal(import(&data, "hydra", &fixture("hydra.json"), &[]));
    assert!(told.contains("there is no event log at"), "{told}");
    assert!(!data.exists());
    Instance::start(&data).stop();
    let before = log(&data);
    let file = folder.path().join("file.json");
    for (from, text, why) in [
        ("keycloak", r#"{"realm": "shop"}"#, "neither a realm with clients nor a client"),
        ("keycloak", "[1]", "is not JSON with clients in it, at line 1"),
        ("hydra", r#"{"items": ["a"]}"#, "items is not an array of objects"),
        ("hydra", r#"["open sesame"]"#, "is not JSON with clients in it, at line 1"),
        ("hydra", r#"[{"client_id": "#, "is not JSON with clients in it, at line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let told = refusal(import(&data, from, &file, &[]));
        assert!(told.contains(why) && !told.contains("sesame"), "{text}: {told}");
    }
    let told = refusal(import(&data, "hydra", &folder.path().join("missing.json"), &[]));
    assert!(told.contains("failed to read the file"), "{told}");
    assert_eq!(log(&data), before);
}
