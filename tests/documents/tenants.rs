//! A document whose host does not answer, of which several tenants' administrators entered a text each.

use serde_json::{Value, json};

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::answer::Answer;
use crate::author::Author;
use crate::house::{DEFAULT, House, client, clients};
use crate::open;
use crate::refresh;

const AT_ACME: &str = "https://acme.example/mcp";

/// A house with a resource server of another tenant, and a document whose host does not answer.
async fn two_tenants() -> (House, String, Author) {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    let acme = house.server("acme", json!({ "name": "acme", "resource": AT_ACME })).await;
    author.answers(503);
    (house, acme, author)
}

fn text(author: &Author, name: &str, uri: &str) -> Value {
    let mut document = author.document(&[uri]);
    document["client_name"] = name.into();
    json!({ "client_id": author.url(), "document": document })
}

async fn enter(house: &House, tenant: &str, server: &str, body: Value) -> Answer {
    house.admin(tenant).post(&format!("{}/cimd", clients(server)), body).await
}

/// What a decision at a tenant's resource server says.
async fn decision(house: &House, tenant: &str, author: &Author) -> Answer {
    let resource = if tenant == "acme" { json!({ "resource": AT_ACME }) } else { json!({}) };
    let mut question = resource;
    question["client_id"] = author.url().into();
    house.decider(tenant).post("/oauth/decisions", question).await.is(200)
}

/// Everything that a tenant's administrator can read of the client.
async fn everything(house: &House, tenant: &str, server: &str, author: &Author) -> String {
    let (admin, path) = (house.admin(tenant), client(server, &author.encoded()));
    let mut all = String::new();
    for path in [
        path.clone(),
        format!("{path}/manifest"),
        clients(server),
        format!("{}?q=app", clients(server)),
        "/authsec/approvals".to_owned(),
        "/authsec/audit/events?limit=200".to_owned(),
    ] {
        all.push_str(&admin.get(&path).await.is(200).text);
    }
    all
}

#[tokio::test]
async fn w15_each_tenant_enters_a_text_of_its_own_and_is_told_nothing_of_another_ones() {
    let (house, acme, author) = two_tenants().await;
    let first = enter(&house, "default", DEFAULT, text(&author, "App of one", HERE)).await.is(201);
    let other = enter(&house, "acme", &acme, text(&author, "App of another", THERE)).await.is(201);
    assert_eq!((&first["redirect_uris"], &other["redirect_uris"]), (&json!([HERE]), &json!([THERE])));
    assert_eq!(first["registration_version"], other["registration_version"], "neither tells how often others entered one");
    for (tenant, server, own, others, uri, not) in [
        ("default", DEFAULT, "App of one", "App of another", HERE, THERE),
        ("acme", acme.as_str(), "App of another", "App of one", THERE, HERE),
    ] {
        let answer = decision(&house, tenant, &author).await;
        assert_eq!((&answer["decision"], &answer["client"]["redirect_uris"]), (&json!("allow"), &json!([uri])), "{}", answer.text);
        let told = everything(&house, tenant, server, &author).await + &answer.text;
        assert!(told.contains(own) && told.contains(uri), "{tenant}: {told}");
        assert!(!told.contains(others) && !told.contains(not), "{tenant}: {told}");
        let versions = house.admin(tenant).get(&format!("{}/manifest", client(server, &author.encoded()))).await.is(200);
        assert_eq!(versions["versions"].as_array().unwrap().len(), 1);
        let found = house.admin(tenant).get(&format!("{}?q=app%20of", clients(server))).await.is(200);
        assert_eq!(found["clients"].as_array().unwrap().len(), 1);
    }
    // A tenant that entered none knows nothing of it.
    house.server("hooli", json!({ "name": "hooli" })).await;
    let question = json!({ "client_id": author.url() });
    let none = house.decider("hooli").post("/oauth/decisions", question).await.is(200);
    assert_eq!((&none["reason"], none.body.get("client")), (&json!("document_not_reached"), None), "{}", none.text);
}

#[tokio::test]
async fn w15_another_text_of_one_tenant_changes_nothing_for_the_other() {
    let (house, acme, author) = two_tenants().await;
    enter(&house, "default", DEFAULT, text(&author, "App", HERE)).await.is(201);
    enter(&house, "acme", &acme, text(&author, "App", HERE)).await.is(201);
    let before = everything(&house, "default", DEFAULT, &author).await;
    enter(&house, "acme", &acme, text(&author, "Renamed", THERE)).await.is(201);
    assert_eq!(everything(&house, "default", DEFAULT, &author).await, before);
    // What it adds waits at the tenant that entered it, as what a host adds does.
    let waiting = house.admin("acme").get("/authsec/approvals").await.is(200);
    assert_eq!(waiting["approvals"][0]["added"], json!([THERE]), "{}", waiting.text);
    let approved = house.admin("acme").put(&format!("{}/approve-redirects", client(&acme, &author.encoded())), json!({})).await.is(200);
    assert_eq!((&approved["redirect_uris"], &approved["client_name"]), (&json!([THERE]), &json!("Renamed")));
    assert_eq!(everything(&house, "default", DEFAULT, &author).await, before);
    assert_eq!(decision(&house, "default", &author).await["client"]["client_name"], "App");
    assert_eq!(decision(&house, "acme", &author).await["client"]["client_name"], "Renamed");
}

#[tokio::test]
async fn w15_what_the_host_answers_takes_the_place_of_every_tenants_text() {
    let (house, acme, author) = two_tenants().await;
    enter(&house, "default", DEFAULT, text(&author, "App of one", HERE)).await.is(201);
    enter(&house, "acme", &acme, text(&author, "App of another", THERE)).await.is(201);
    author.answers(200);
    let mut said = author.document(&[HERE]);
    said["client_name"] = "App of its host".into();
    author.says(said);
    refresh(&house, &author).await;
    for (tenant, server, others) in [("default", DEFAULT, "App of another"), ("acme", acme.as_str(), "App of one")] {
        let shown = house.admin(tenant).get(&client(server, &author.encoded())).await.is(200);
        assert_eq!(shown["manifest"]["version"], 2, "{}", shown.text);
        assert!(shown["manifest"].get("entered").is_none());
        let versions = house.admin(tenant).get(&format!("{}/manifest", client(server, &author.encoded()))).await.is(200);
        let entered: Vec<bool> = versions["versions"].as_array().unwrap().iter().map(|one| one.get("entered").is_some()).collect();
        assert_eq!(entered, [false, true], "the newest first: {}", versions.text);
        assert!(!everything(&house, tenant, server, &author).await.contains(others));
    }
    // What the other tenant served and the host does not claim serves no more.
    let there = decision(&house, "acme", &author).await;
    assert!(!there["client"]["redirect_uris"].as_array().unwrap().contains(&json!(THERE)), "{}", there.text);
    author.answers(503);
    enter(&house, "acme", &acme, text(&author, "App of another", THERE)).await.problem(409, "document-known");
}

#[tokio::test]
async fn w15_a_tenant_goes_back_to_a_text_of_its_own_and_to_no_other_tenants() {
    let (house, acme, author) = two_tenants().await;
    for name in ["App 1", "App 2", "App 3"] {
        enter(&house, "default", DEFAULT, text(&author, name, HERE)).await.is(201);
    }
    enter(&house, "acme", &acme, text(&author, "App of another", THERE)).await.is(201);
    let back = format!("{}/roll-back", client(&acme, &author.encoded()));
    house.admin("acme").post(&back, json!({ "version": 2 })).await.problem(404, "no-such-version");
    let back = format!("{}/roll-back", client(DEFAULT, &author.encoded()));
    assert_eq!(admin(&house).post(&back, json!({ "version": 2 })).await.is(200)["client_name"], "App 2");
}

#[tokio::test]
async fn w15_the_answer_that_a_decision_goes_on_from_is_one_of_the_same_tenant() {
    let (house, acme, author) = two_tenants().await;
    enter(&house, "default", DEFAULT, text(&author, "App of one", HERE)).await.is(201);
    enter(&house, "acme", &acme, text(&author, "App of another", THERE)).await.is(201);
    let began = decision(&house, "acme", &author).await;
    enter(&house, "acme", &acme, text(&author, "App again", THERE)).await.is(201);
    let version = began["registration_version"].clone();
    let question = json!({ "client_id": author.url(), "resource": AT_ACME, "registration_version": version, "redirect_uri": THERE });
    let goes_on = house.decider("acme").post("/oauth/decisions", question).await.is(200);
    assert_eq!(goes_on["decision"], "allow", "{}", goes_on.text);
    let question = json!({ "client_id": author.url(), "resource": AT_ACME, "registration_version": version, "redirect_uri": HERE });
    let refused = house.decider("acme").post("/oauth/decisions", question).await.is(200);
    assert_eq!(refused["decision"], "deny", "{}", refused.text);
}

#[tokio::test]
async fn w15_a_tenant_enters_a_hundred_texts_of_a_document_and_no_more() {
    let house = House::with(|settings| {
        settings.allow_loopback_manifests = Some(true);
        settings.manifests_per_host_per_minute = Some(0);
    })
    .await;
    let acme = house.server("acme", json!({ "name": "acme", "resource": AT_ACME })).await;
    let author = Author::publish(&[HERE]).await;
    author.answers(503);
    for number in 1..=100 {
        enter(&house, "default", DEFAULT, text(&author, &format!("App {number}"), HERE)).await.is(201);
    }
    let head = house.head().await;
    enter(&house, "default", DEFAULT, text(&author, "App 101", HERE)).await.problem(409, "too-many-texts");
    assert_eq!(house.head().await, head, "what is refused leaves nothing stored");
    enter(&house, "default", DEFAULT, text(&author, "App 100", HERE)).await.is(201);
    enter(&house, "acme", &acme, text(&author, "App 101", HERE)).await.is(201);
}
