//! Others' ways of writing what names a resource server: each that means the same is taken for the same.

use serde_json::{Value, json};

use crate::house::{House, clients};

const ENTERED: &str = "https://mcp.example.com";
const SPELLINGS: [&str; 5] = [
    "https://mcp.example.com",
    "https://mcp.example.com/",
    "HTTPS://MCP.Example.com",
    "https://mcp.example.com:443",
    "https://mcp.example.com:443/",
];
const OTHERS: [&str; 4] =
    ["https://mcp.example.com/mcp", "http://mcp.example.com", "https://mcp.example.com:8443", "https://mcp.example.com/?a"];

fn body(resource: &str) -> Value {
    json!({ "client_name": "Agent", "redirect_uris": ["https://app.example/cb"], "resource": resource })
}

fn in_query(resource: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("resource", resource).finish()
}

#[tokio::test]
async fn w1_every_spelling_of_a_resource_means_the_same_wherever_it_is_named() {
    let house = House::open().await;
    let server = house.server("default", json!({ "name": "Tools", "resource": ENTERED })).await;
    let job = json!({ "client_name": "ci", "grant_types": ["client_credentials"] });
    let job = house.admin("default").post(&clients(&server), job).await.is(201);
    let (job_id, secret) = (job.text("client_id"), job.text("client_secret"));
    let decider = house.decider("default");
    for spelling in SPELLINGS {
        let registered = house.anyone().post("/oauth/register", body(spelling)).await.is(201);
        assert_eq!(registered["gatebook"]["resource_server_id"], *server, "registered with {spelling}");
        let by_query = json!({ "redirect_uris": ["https://app.example/cb"] });
        let by_query = house.anyone().post(&format!("/oauth/register?{}", in_query(spelling)), by_query).await.is(201);
        assert_eq!(by_query["gatebook"]["resource_server_id"], *server, "registered at ?resource={spelling}");
        let id = registered.text("client_id");
        let answer = decider.post("/oauth/decisions", json!({ "client_id": id, "resource": spelling })).await.is(200);
        assert_eq!(answer["decision"], "allow", "decided at {spelling}: {}", answer.text);
        decider.get(&format!("/oauth/clients/{id}?{}", in_query(spelling))).await.is(200);
        let shown = json!({ "client_id": job_id, "client_secret": secret, "resource": spelling });
        let proven = house.decider("default").post("/oauth/authenticate", shown).await.is(200);
        assert_eq!(proven["authenticated"], true, "{}", proven.text);
        let form = format!("grant_type=client_credentials&client_id={job_id}&client_secret={secret}&{}", in_query(spelling));
        let kind = Some("application/x-www-form-urlencoded");
        let token = house.anyone().send(reqwest::Method::POST, "/oauth/token", kind, form.into_bytes()).await.is(200);
        assert_eq!(audience(&token.text("access_token")), ENTERED, "a token names it as it was entered");
    }
    for other in OTHERS {
        let asked = json!({ "client_id": job_id, "resource": other });
        decider.post("/oauth/decisions", asked).await.refuses(400, "invalid_target");
    }
}

fn audience(token: &str) -> String {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["aud"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn w1_a_second_resource_server_that_means_the_same_is_409_and_both_show_what_was_entered() {
    let house = House::open().await;
    let admin = house.admin("acme");
    let first = house.server("acme", json!({ "name": "Tools", "resource": ENTERED })).await;
    let second = house.server("acme", json!({ "name": "Mail", "resource": "https://mail.example/mcp" })).await;
    let (first, second) = (format!("/authsec/resource-servers/{first}"), format!("/authsec/resource-servers/{second}"));
    let head = house.head().await;
    for spelling in SPELLINGS {
        let created = admin.post("/authsec/resource-servers", json!({ "name": "Again", "resource": spelling })).await;
        let told = created.problem(409, "resource-taken").text("detail");
        assert!(told.contains(ENTERED) && told.contains(first.rsplit('/').next().unwrap()), "{told}");
        admin.patch(&second, json!({ "resource": spelling })).await.problem(409, "resource-taken");
    }
    assert_eq!(house.head().await, head, "what is refused leaves nothing");
    // Another tenant's is its own affair, and nobody hears of it.
    house.server("other", json!({ "name": "Theirs", "resource": "https://MCP.example.com/" })).await;
    // Its own identifier can be spelled anew, and is then shown so; another path is another resource.
    assert_eq!(admin.get(&first).await.is(200)["resource"], ENTERED);
    assert_eq!(
        admin.patch(&first, json!({ "resource": "https://MCP.example.com/" })).await.is(200)["resource"],
        "https://MCP.example.com/"
    );
    let registered = house.anyone().post("/oauth/register", body(ENTERED)).await.is(201);
    assert_eq!(registered["gatebook"]["resource_server_id"], *first.rsplit('/').next().unwrap(), "a new spelling is no later claim");
    house.server("acme", json!({ "name": "Path", "resource": "https://mcp.example.com/mcp" })).await;
    house.server("acme", json!({ "name": "Path", "resource": "https://mcp.example.com/mcp/" })).await;
}
