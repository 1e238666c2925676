//! `gatebook demo`: fills an instance with what it promises.

use crate::flag;
use crate::instance::{Caller, DEFAULT_SERVER, Instance, refusal, run, said, token};
use crate::place;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_what_it_says_it_is() {
    let (_folder, data) = place();
    // With the ceiling that a fresh instance has.
    let service = Instance::start_with(&data, &[]);
    let told = said(run(&["demo", "--url", &service.url, "--data", flag(&data)]));
    assert!(told.contains("tenant default: 30 instances of Claude Code"), "{told}");
    assert!(told.contains("tenant acme: "), "{told}");

    let admin = Caller::admin(&service, &data);
    let list = format!("{DEFAULT_SERVER}/clients");
    let clients = admin.all(&list, "clients").await;
    let named = |name: &str| clients.iter().filter(|client| client["client_name"] == name).collect::<Vec<_>>();
    let claude = named("Claude Code");
    assert_eq!(claude.len(), 30);
    assert!(claude.iter().all(|client| client["registration_type"] == "dcr" && client["family"] == claude[0]["family"]));
    assert_eq!(claude.iter().filter(|client| client["status"] == "suspended").count(), 1);
    assert_eq!(claude.iter().filter(|client| client["status"] == "approved").count(), 29);
    assert_eq!(named("Codex").len(), 1);
    for name in ["nightly-ci", "release-ci"] {
        assert_eq!(named(name).len(), 1, "{name}");
        assert_eq!((&named(name)[0]["registration_type"], &named(name)[0]["has_secret"]), (&"prereg".into(), &true.into()), "{name}");
    }
    assert_eq!(named("Acme Dashboard")[0]["redirect_uris"], serde_json::json!(["https://dash.example.com/cb"]));
    assert_eq!((named("ChatGPT").len(), named("Cursor").len()), (4, 3));
    assert_eq!(clients.len(), 30 + 14 + 2 + 1);
    let counts = admin.get(&list).await["counts"].clone();
    assert_eq!(counts["by_type"], serde_json::json!({ "cimd": 0, "dcr": 45, "prereg": 2 }), "{counts}");

    let waiting = admin.get("/authsec/approvals").await;
    assert_eq!(waiting["count"], 3, "{waiting}");
    let change = &waiting["approvals"][0];
    assert_eq!(change["kind"], "redirects");
    assert_eq!(change["added"], serde_json::json!(["https://dash-staging.example.net/cb"]));
    let alike = &waiting["approvals"][2];
    assert_eq!((&alike["client_name"], &alike["resembles"]["client_name"]), (&"CIaude Code".into(), &"Claude Code".into()), "{waiting}");

    let acme = Caller::anyone(&service).with(&token(&data, "admin", "acme"));
    let servers = acme.get("/authsec/resource-servers").await;
    assert_eq!(servers["resource_servers"].as_array().unwrap().len(), 1, "{servers}");
    assert_eq!(servers["resource_servers"][0]["name"], "Billing API");
    let waiting = acme.get("/authsec/approvals").await;
    assert_eq!((&waiting["count"], &waiting["approvals"][0]["client_name"]), (&1.into(), &"Invoice Agent".into()), "{waiting}");
}

#[test]
fn where_nobody_listens_it_says_so() {
    let (_folder, data) = place();
    // A port that nobody has just now.
    let url = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let told = refusal(run(&["demo", "--url", &url, "--data", flag(&data)]));
    assert!(told.contains("failed to reach") && told.contains(&url), "{told}");
}
