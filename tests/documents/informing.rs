//! Documents with something in them that cannot be used: what only informs is left out, and nobody is shut out for it.

use serde_json::json;

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::DEFAULT;
use crate::open;
use crate::refresh;
use crate::rules;
use crate::serves;
use crate::shown;
use crate::with_a_client;

#[tokio::test]
async fn w4_a_logo_that_cannot_be_used_shuts_nobody_out_and_is_named() {
    let (house, author) = with_a_client().await;
    let mut document = author.document(&[HERE]);
    document["logo_uri"] = json!("/l.png");
    document["client_name"] = json!("Renamed App");
    author.says(document);
    assert_eq!(refresh(&house, &author).await["refresh"]["changed"], true);
    let answer = ask(&house, &author, json!({ "redirect_uri": HERE })).await;
    assert_eq!((&answer["decision"], &answer["client"]["client_name"]), (&json!("allow"), &json!("Renamed App")), "{}", answer.text);
    assert!(answer["client"].get("logo_uri").is_none());
    let versions = admin(&house).get(&format!("{}/manifest", author.path())).await.is(200);
    let newest = &versions["versions"][0];
    assert_eq!(newest["left_out"], json!([{ "member": "logo_uri", "problem": "is not an absolute URI" }]), "{newest}");
    assert!(newest["warnings"].as_array().unwrap().contains(&json!("member_left_out")));
    // At first contact too.
    let other = Author::publish(&[HERE]).await;
    let mut document = other.document(&[HERE]);
    document["logo_uri"] = json!("/l.png");
    other.says(document);
    let path = format!("/authsec/resource-servers/{DEFAULT}/clients/cimd/preview");
    let preview = admin(&house).post(&path, json!({ "client_id": other.url() })).await.is(200);
    assert_eq!(preview["left_out"][0]["member"], "logo_uri");
    assert_eq!(ask(&house, &other, json!({ "redirect_uri": HERE })).await["decision"], "allow");
}

#[tokio::test]
async fn w4_a_redirect_uri_that_is_not_welcome_does_not_refuse_the_others() {
    let (house, author) = (open().await, Author::publish(&[HERE, THERE, "javascript:alert(1)"]).await);
    rules(&house, json!({ "redirect_rules": [{ "kind": "host", "host": "app.example" }] })).await;
    assert_eq!(ask(&house, &author, json!({ "redirect_uri": HERE })).await["decision"], "allow", "at first contact");
    assert!(!serves(&house, &author, THERE).await);
    assert_eq!(shown(&house, &author).await["redirect_uris"], json!([HERE]));
    let path = format!("/authsec/resource-servers/{DEFAULT}/policy/rehearse");
    author.claims(&[HERE, "https://app.example/other"]);
    refresh(&house, &author).await;
    admin(&house).put(&format!("{}/approve-redirects", author.path()), json!({})).await.is(200);
    let exact = json!({ "policy": { "redirect_rules": [{ "kind": "exact", "uri": HERE }] } });
    let rehearsed = admin(&house).post(&path, exact).await.is(200);
    assert_eq!((&rehearsed["would_be_refused"], &rehearsed["would_be_narrowed"]), (&json!(0), &json!(1)), "{}", rehearsed.text);
    assert_eq!(rehearsed["clients"][0]["detail"], "1 of its redirect URIs would not serve");
    // An earlier version's is no reason to refuse the way back either.
    author.claims(&["https://app.example/new"]);
    refresh(&house, &author).await;
    let back = admin(&house).post(&format!("{}/roll-back", author.path()), json!({ "version": 1 })).await.is(200);
    assert_eq!(back["redirect_uris"], json!([HERE]));
}

#[tokio::test]
async fn w4_a_document_that_cannot_be_used_is_said_to_be_so_by_its_member() {
    let (house, author) = with_a_client().await;
    let mut document = author.document(&[HERE]);
    document["redirect_uris"] = json!(["/cb"]);
    author.says(document);
    refresh(&house, &author).await;
    assert_eq!(ask(&house, &author, json!({ "redirect_uri": HERE })).await["reason"], "manifest_withdrawn");
    let events = house.auditor("default").get(&format!("/authsec/audit/events?client_id={}", author.encoded())).await.is(200);
    let told = events["events"].as_array().unwrap().iter().find(|event| event["type"] == "client.manifest_withdrawn").unwrap().clone();
    assert!(told["data"]["detail"].as_str().unwrap().starts_with("redirect_uris[0] is not an absolute URI"), "{told}");
    let path = format!("/authsec/resource-servers/{DEFAULT}/clients/cimd/preview");
    let refused = admin(&house).post(&path, json!({ "client_id": author.url() })).await.problem(400, "document-unusable");
    assert!(refused["problem"].as_str().unwrap().starts_with("redirect_uris[0] is not an absolute URI"), "{}", refused.text);
}
