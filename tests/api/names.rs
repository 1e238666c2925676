//! Names for people: one rule at every way in, and what looks alike however it is written.

use serde_json::json;

use crate::house::{DEFAULT, House, client, clients};

const UNSEEN: [&str; 6] = ["\u{3164}", "\u{115f}", "\u{2800}", "\u{a0} ", "\u{fe0f}", "\u{200d}"];

#[tokio::test]
async fn r8_a_name_with_nothing_to_see_is_refused_at_every_way_in() {
    let house = House::open().await;
    let admin = house.admin("default");
    let body = json!({ "client_name": "Agent", "redirect_uris": ["https://app.example/cb"] });
    let own = house.anyone().post("/oauth/register", body).await.is(201);
    let (id, token) = (own.text("client_id"), own.text("registration_access_token"));
    let before = house.head().await;
    for name in UNSEEN {
        let asks = json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"] });
        let refused = house.anyone().post("/oauth/register", asks.clone()).await.refuses(400, "invalid_client_metadata");
        assert!(refused.text("error_description").starts_with("client_name has "), "{}", refused.text);
        let mut replaced = asks.clone();
        replaced["client_id"] = id.clone().into();
        house.holder(&token).put(&format!("/oauth/register/{id}"), replaced).await.refuses(400, "invalid_client_metadata");
        admin.post(&clients(DEFAULT), asks).await.problem(400, "invalid-client-metadata");
        admin.post("/authsec/resource-servers", json!({ "name": name })).await.problem(400, "invalid-request");
        admin.patch(&format!("/authsec/resource-servers/{DEFAULT}"), json!({ "name": name })).await.problem(400, "invalid-request");
        let hook = json!({ "label": name, "url": "https://ops.example/hook" });
        admin.post("/authsec/webhooks", hook).await.problem(400, "invalid-request");
    }
    assert_eq!(house.head().await, before);
    for name in ["\u{646}\u{631}\u{645}\u{200c}\u{627}\u{641}\u{632}\u{627}\u{631}", "\u{1f469}\u{200d}\u{1f4bb} Agent"] {
        let asks = json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"] });
        assert_eq!(house.anyone().post("/oauth/register", asks).await.is(201)["client_name"], name);
    }
}

#[tokio::test]
async fn r8_a_name_dressed_up_with_faint_letters_is_shown_with_whom_it_looks_like() {
    let house = House::open().await;
    let comes = async |name: &str, uri: &str| {
        house.clock.advance(chrono::TimeDelta::milliseconds(1));
        let body = json!({ "client_name": name, "redirect_uris": [uri], "token_endpoint_auth_method": "none" });
        house.anyone().post("/oauth/register", body).await.is(201).text("client_id")
    };
    let first = comes("Claude Code", "http://localhost:33417/cb").await;
    for name in ["Claude Code\u{2bc}\u{2bc}", "Claude\u{640}\u{640} Code", "Claude Code\u{b2}\u{b9}", "Claude\u{2122} Code"] {
        let evil = comes(name, "https://evil.example/cb").await;
        let shown = house.admin("default").get(&client(DEFAULT, &evil)).await.is(200);
        assert_eq!(shown["resembles"]["client_id"], *first, "{name}: {}", shown.text);
        assert_eq!(shown["resembles"]["likeness"], "same_name", "{name}: {}", shown.text);
    }
}

#[tokio::test]
async fn a_refusal_names_the_entry_that_is_at_fault_and_what_is_right() {
    let house = House::open().await;
    let (admin, path) = (house.admin("default"), format!("/authsec/resource-servers/{DEFAULT}"));
    let good = "https://app.example/cb";
    for (body, said) in [
        (json!({ "redirect_uris": [good, good, "https://app.example/#x"] }), "redirect_uris[2] has a fragment"),
        (json!({ "redirect_uris": [good, "javascript:alert(1)"] }), "redirect_uris[1] uses a scheme that is never allowed"),
        (json!({ "redirect_uris": [good], "grant_types": ["implicit"] }), "supported are authorization_code, refresh_token"),
        (json!({ "redirect_uris": [good], "token_endpoint_auth_method": "tls" }), "supported are none, client_secret_basic"),
        (json!({ "redirect_uris": [good], "contacts": ["a", "b\nc"] }), "contacts[1] has a control character"),
    ] {
        for refused in [house.anyone().post("/oauth/register", body.clone()).await, admin.post(&clients(DEFAULT), body.clone()).await] {
            let sentence = if refused.body["detail"].is_string() { "detail" } else { "error_description" };
            assert!(refused.status == 400 && refused.text(sentence).contains(said), "{body}: {}", refused.text);
        }
    }
    for (policy, said) in [
        (json!({ "admision": {} }), vec!["`admision`", "admission, redirect_changes"]),
        (json!({ "admission": { "dcrr": "auto" } }), vec!["`admission.dcrr`", "cimd, dcr, prereg"]),
        (json!({ "admission": { "dcr": "maybe" } }), vec!["policy.admission", "maybe", "auto", "review"]),
        (json!({ "manifests": { "soak_hours": 0 } }), vec!["policy.manifests.soak_hours is 0", "1 to 2160"]),
        (json!({ "private_use_schemes": ["cursor", "My IDE"] }), vec!["private_use_schemes[1] is `My IDE`"]),
        (json!({ "scope_ceiling": "a  b" }), vec!["policy.scope_ceiling is `a  b`"]),
        (
            json!({ "redirect_rules": [{ "kind": "loopback" }, { "kind": "host", "host": "App.example" }] }),
            vec!["redirect_rules[1]", "`App.example`"],
        ),
        (
            json!({ "redirect_rules": [{ "kind": "preset", "preset": "cluade", "version": 1 }] }),
            vec!["redirect_rules[0]", "`cluade`", "`claude` version 1"],
        ),
        (json!({ "dormant_after_days": 9999 }), vec!["dormant_after_days is 9999", "3650"]),
    ] {
        let detail = admin.patch(&path, json!({ "policy": policy })).await.problem(400, "invalid-request").text("detail");
        assert!(said.iter().all(|word| detail.contains(word)), "{policy}: {detail}");
    }
}
