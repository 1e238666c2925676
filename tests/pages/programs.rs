//! What the pages say of programs as a whole, of documents whose hosts are silent, and of whom rules narrow.

use gatebook::credentials::admin::Role;
use serde_json::json;

use crate::guest::Guest;
use crate::house::House;

const SERVER: &str = "/ui/servers/67617465-626f-4f6b-8000-000000000001";

async fn register(house: &House, port: u16) -> String {
    let body = json!({ "client_name": "Codex", "redirect_uris": [format!("http://127.0.0.1:{port}/cb")], "scope": "mcp:tools admin" });
    house.anyone().post("/oauth/register", body).await.is(201).text("client_id")
}

#[tokio::test]
async fn w16_a_clients_page_offers_to_suspend_the_whole_program() {
    let house = House::open().await;
    let first = register(&house, 1).await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let page = guest.get(&format!("{SERVER}/clients/{first}")).await;
    assert!(page.text.contains("name=\"family\""), "{}", page.text);
    let version = page.field("version").unwrap();
    let fields = [("guard", page.guard()), ("action", "suspend".to_owned()), ("family", "1".to_owned()), ("version", version)];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(guest.post(&format!("{SERVER}/clients/{first}/decide"), &fields).await.status, 303);
    let second = register(&house, 2).await;
    let page = guest.get(&format!("{SERVER}/clients/{second}")).await;
    assert!(page.text.contains(&format!("it is of the family of {first}, which is suspended")), "{}", page.text);
    // Many at once, too, as the list by family has them.
    let other = house.anyone().post("/oauth/register", json!({ "client_name": "Cline", "redirect_uris": ["http://127.0.0.1:1/cb"] })).await;
    let other = other.is(201).text("client_id");
    let preview = [("guard", page.guard()), ("action", "suspend".to_owned()), ("client", other.clone())];
    let preview: Vec<(&str, &str)> = preview.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let shown = guest.post(&format!("{SERVER}/clients/preview"), &preview).await;
    assert!(shown.text.contains("name=\"family\""), "{}", shown.text);
    let version = shown.field("version").unwrap();
    let chosen: Vec<(&str, &str)> = preview.into_iter().chain([("family", "1"), ("version", version.as_str())]).collect();
    assert_eq!(guest.post(&format!("{SERVER}/clients/decide"), &chosen).await.status, 303);
    let again = house.anyone().post("/oauth/register", json!({ "client_name": "Cline", "redirect_uris": ["http://127.0.0.1:2/cb"] })).await;
    assert_eq!(again.is(201)["gatebook"]["status"], "suspended");
    let entered = house.entered("ci").await.text("client_id");
    assert!(!guest.get(&format!("{SERVER}/clients/{entered}")).await.text.contains("name=\"family\""));
}

#[tokio::test]
async fn w13_w17_the_settings_say_whom_a_ceiling_shuts_out_and_that_programs_are_reviewed_as_one() {
    let house = House::open().await;
    register(&house, 1).await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let page = guest.get(&format!("{SERVER}/settings")).await;
    for said in ["name=\"authorization_server_scopes\" value=\"openid profile email", "are one client: you approve the program"] {
        assert!(page.text.contains(said), "{said}");
    }
    let rules = [
        ("guard", page.guard()),
        ("action", "rehearse".to_owned()),
        ("admission.dcr", "auto".to_owned()),
        ("admission.cimd", "auto".to_owned()),
        ("admission.prereg", "auto".to_owned()),
        ("redirect_changes", "review".to_owned()),
        ("outside_rules", "refuse".to_owned()),
        ("lane", "staged".to_owned()),
        ("soak_hours", "24".to_owned()),
        ("on_withdrawal", "suspend".to_owned()),
        ("announce", "true".to_owned()),
        ("instances", "separate".to_owned()),
        ("instances_under_review", "share".to_owned()),
        ("scope_ceiling", "mcp:tools".to_owned()),
        ("self_registered_grants", "authorization_code".to_owned()),
    ];
    let rules: Vec<(&str, &str)> = rules.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rehearsed = guest.post(&format!("{SERVER}/settings/rules"), &rules).await;
    for said in ["1 would get less than they ask for", "it asks for admin,"] {
        assert!(rehearsed.text.contains(said), "{said}: {}", rehearsed.text);
    }
}

#[tokio::test]
async fn w15_a_form_takes_the_text_of_a_document_whose_host_is_silent() {
    let house = House::with(|settings| settings.allow_loopback_manifests = Some(true)).await;
    // Nobody listens there.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{silent}/client.json");
    let text = json!({ "client_id": url, "client_name": "Closed App", "redirect_uris": ["https://app.example/cb"] }).to_string();
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let page = guest.get(&format!("{SERVER}/enter")).await;
    assert!(page.text.contains("name=\"text\""), "{}", page.text);
    let guard = page.guard();
    let refused = guest.post(&format!("{SERVER}/enter/document"), &[("guard", &guard), ("document", &url)]).await;
    assert_eq!(refused.status, 303);
    let shown = guest.post(&format!("{SERVER}/enter/document"), &[("guard", &guard), ("document", &url), ("text", &text)]).await;
    assert!(shown.text.contains("this is the text that you entered"), "{}", shown.text);
    let fields = [("guard", guard.as_str()), ("document", &url), ("text", &text), ("confirmed", "1")];
    let entered = guest.post(&format!("{SERVER}/enter/document"), &fields).await;
    assert!(entered.location.contains("/clients/"), "{}", entered.location);
    let page = guest.get(&entered.location).await;
    assert!(page.text.contains("its host has not answered yet; the text that an administrator entered serves"), "{}", page.text);
    let asked = house.decider("default").post("/oauth/decisions", json!({ "client_id": url })).await.is(200);
    assert_eq!(asked["decision"], "allow");
}
