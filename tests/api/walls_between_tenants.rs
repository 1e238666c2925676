//! Nothing that is done in one tenant changes a byte of what another one reads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{Caller, DEFAULT, House, client, clients};

/// Something that tenant A does. Numbers choose among A's clients and resource servers; some mean B's, which must not help.
#[derive(Debug, Clone)]
pub enum Deed {
    Register { server: usize, name: String, resource: bool },
    Enter { server: usize, name: String },
    Decide { server: usize, client: usize, decision: &'static str },
    Settle { server: usize, client: usize, verb: &'static str },
    Rotate { server: usize, client: usize },
    Claim { client: usize, path: String },
    Leave { client: usize },
    Create { resource: bool },
    Edit { server: usize, edit: Value },
    Retire { server: usize },
    Issue { server: usize, max_uses: usize },
    Come { token: usize },
    EndToken { server: usize, token: usize },
}

pub fn deed() -> impl Strategy<Value = Deed> {
    let (server, client, name) = (0..4_usize, 0..8_usize, "[a-z]{1,8}");
    let decision = prop::sample::select(vec!["approve", "deny", "suspend", "reinstate", "revoke", "restore"]);
    let verb = prop::sample::select(vec!["approve-redirects", "reject-redirects"]);
    let edit = prop::sample::select(vec![
        json!({ "registration_modes": ["prereg"], "effect_on_existing": "suspend" }),
        json!({ "registration_modes": ["dcr", "cimd", "prereg"] }),
        json!({ "policy": { "admission": { "dcr": "review" } } }),
        json!({ "policy": { "redirect_changes": "auto", "scope_ceiling": "a" } }),
        json!({ "name": "renamed" }),
        json!({ "resource": "https://b.example/mcp" }),
    ]);
    prop_oneof![
        4 => (server.clone(), name, any::<bool>()).prop_map(|(server, name, resource)| Deed::Register { server, name, resource }),
        2 => (server.clone(), name).prop_map(|(server, name)| Deed::Enter { server, name }),
        6 => (server.clone(), client.clone(), decision).prop_map(|(server, client, decision)| Deed::Decide { server, client, decision }),
        2 => (server.clone(), client.clone(), verb).prop_map(|(server, client, verb)| Deed::Settle { server, client, verb }),
        1 => (server.clone(), client.clone()).prop_map(|(server, client)| Deed::Rotate { server, client }),
        3 => (client.clone(), name).prop_map(|(client, path)| Deed::Claim { client, path }),
        1 => client.prop_map(|client| Deed::Leave { client }),
        1 => any::<bool>().prop_map(|resource| Deed::Create { resource }),
        2 => (server.clone(), edit).prop_map(|(server, edit)| Deed::Edit { server, edit }),
        1 => server.clone().prop_map(|server| Deed::Retire { server }),
        2 => (server.clone(), 1..3_usize).prop_map(|(server, max_uses)| Deed::Issue { server, max_uses }),
        2 => (0..4_usize).prop_map(|token| Deed::Come { token }),
        1 => (server, 0..4_usize).prop_map(|(server, token)| Deed::EndToken { server, token }),
    ]
}

#[test]
fn nothing_that_is_done_in_one_tenant_changes_a_byte_of_what_another_one_reads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 30, failure_persistence: None, max_shrink_iters: 200, ..Config::default() });
    runner
        .run(&prop::collection::vec(deed(), 1..14), |deeds| {
            runtime.block_on(async {
                let house = House::open().await;
                let theirs = Theirs::settle(&house).await;
                let before = theirs.all(&house).await;
                prop_assert!(before.len() > 20);
                Ours::new().do_all(&house, &theirs, deeds).await;
                let after = theirs.all(&house).await;
                for (page, text) in &before {
                    prop_assert_eq!(Some(text), after.get(page), "{}", page);
                }
                prop_assert_eq!(before.len(), after.len());
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn the_same_eyes_see_what_the_tenant_itself_changes() {
    let house = House::open().await;
    let theirs = Theirs::settle(&house).await;
    let before = theirs.all(&house).await;
    house.admin("b").post(&format!("{}/reinstate", client(&theirs.server, &theirs.clients[1])), json!({})).await.is(200);
    let after = theirs.all(&house).await;
    let changed = before.iter().filter(|(page, text)| after.get(*page) != Some(text)).count();
    assert!(changed >= 5, "only {changed} pages show it");
}

fn tokens(server: &str) -> String {
    format!("/authsec/resource-servers/{server}/registration-tokens")
}

/// Tenant B, with something of everything.
pub struct Theirs {
    server: String,
    clients: Vec<String>,
    token: String,
    /// The id of their service token.
    service: String,
    /// The id of their webhook, which rests.
    hook: String,
}

impl Theirs {
    pub async fn settle(house: &House) -> Self {
        let made = json!({ "name": "B", "resource": "https://b.example/mcp", "policy": { "admission": { "prereg": "review" } } });
        let server = house.server("b", made).await;
        let admin = house.admin("b");
        let mut ids = Vec::new();
        for index in 0..3 {
            let body = json!({ "client_name": format!("b{index}"), "redirect_uris": ["https://b.example/cb"], "resource": "https://b.example/mcp" });
            let own = house.anyone().post("/oauth/register", body).await.is(201);
            ids.push(own.text("client_id"));
            let wider = json!({ "client_id": ids[index], "redirect_uris": ["https://b.example/cb", "https://b.example/new"] });
            if index == 0 {
                let holder = house.holder(&own.text("registration_access_token"));
                holder.put(&format!("/oauth/register/{}", ids[0]), wider).await.is(200);
            }
        }
        ids.push(admin.post(&clients(&server), json!({ "client_name": "b-ci" })).await.is(201).text("client_id"));
        admin.post(&format!("{}/suspend", client(&server, &ids[1])), json!({})).await.is(200);
        let made = admin.post(&tokens(&server), json!({ "label": "b", "max_uses": 9 })).await.is(201);
        let body = json!({ "client_name": "b-token", "redirect_uris": ["https://b.example/cb"] });
        ids.push(house.holder(&made.text("initial_access_token")).post("/oauth/register", body).await.is(201).text("client_id"));
        let service = json!({ "label": "b", "scopes": ["gatebook:decide"], "resource_servers": [server] });
        let service = admin.post("/authsec/service-tokens", service).await.is(201).text("id");
        let hook = admin.post("/authsec/webhooks", json!({ "label": "b", "url": "https://b.example/hook" })).await.is(201).text("id");
        admin.post(&format!("/authsec/webhooks/{hook}/disable"), json!({})).await.is(200);
        Self { server, clients: ids, token: made.text("id"), service, hook }
    }

    /// Everything that B's administrators can read, page by page.
    async fn all(&self, house: &House) -> BTreeMap<String, String> {
        let mut pages = vec![
            "/authsec/resource-servers".to_owned(),
            format!("/authsec/resource-servers/{}", self.server),
            "/authsec/approvals".to_owned(),
            "/authsec/service-tokens".to_owned(),
            format!("/authsec/service-tokens/{}", self.service),
            "/authsec/webhooks".to_owned(),
            format!("/authsec/webhooks/{}", self.hook),
            format!("/authsec/webhooks/{}/dead-letters", self.hook),
            "/authsec/audit/events?limit=500".to_owned(),
            "/authsec/audit/events?order=oldest&limit=2".to_owned(),
            "/authsec/audit/export?format=csv".to_owned(),
            format!("/authsec/resource-servers/{DEFAULT}"),
            clients(DEFAULT),
        ];
        pages.extend([tokens(&self.server), format!("{}/{}", tokens(&self.server), self.token)]);
        for query in ["", "?as_of=9", "?sort=name&limit=2", "?sort=oldest", "?type=dcr", "?status=suspended", "?q=b"] {
            pages.push(format!("{}{query}", clients(&self.server)));
        }
        pages.extend(self.clients.iter().map(|id| client(&self.server, id)));
        let admin = house.admin("b");
        let trail = admin.get("/authsec/audit/events?limit=500").await.is(200);
        let events = trail["events"].as_array().unwrap();
        pages.extend(events.iter().map(|event| format!("/authsec/audit/events/{}", event["event_id"].as_str().unwrap())));
        let mut texts = BTreeMap::new();
        for page in pages {
            let answer = admin.get(&page).await;
            // The request id in a problem document is the call's own.
            let text = answer.text.replace(answer.header("x-request-id"), "");
            texts.insert(page, format!("{} {text}", answer.status));
        }
        texts
    }
}

/// Tenant A, the default one, which tries everything.
pub struct Ours {
    pub servers: Vec<String>,
    /// Clients, with their registration access tokens where they have one.
    pub clients: Vec<(String, String)>,
    /// Initial access tokens by their ids.
    tokens: Vec<(String, String)>,
}

impl Ours {
    pub fn new() -> Self {
        Self { servers: vec![DEFAULT.to_owned()], clients: Vec::new(), tokens: Vec::new() }
    }

    pub async fn do_all(&mut self, house: &House, theirs: &Theirs, deeds: Vec<Deed>) {
        let admin = house.admin("default");
        for deed in deeds {
            house.clock.advance(chrono::TimeDelta::seconds(1));
            self.do_one(house, &admin, theirs, deed).await;
        }
    }

    async fn do_one(&mut self, house: &House, admin: &Caller<'_>, theirs: &Theirs, deed: Deed) {
        // One number past our own is theirs.
        let server = |number: usize| self.servers.iter().chain([&theirs.server]).cycle().nth(number).unwrap().clone();
        let client_of = |number: usize| {
            let their = (theirs.clients[number % theirs.clients.len()].clone(), String::new());
            self.clients.iter().cloned().chain([their]).cycle().nth(number).unwrap()
        };
        match deed {
            Deed::Register { server: number, name, resource } => {
                let at = self.servers[number % self.servers.len()].clone();
                let mut body = json!({ "client_name": name, "redirect_uris": [format!("https://{name}.example/cb")] });
                if resource {
                    body["resource"] = "https://a.example/mcp".into();
                }
                let answer = house.anyone().post(&format!("/rs/{at}/oauth/register"), body).await;
                if answer.status == 201 {
                    self.clients.push((answer.text("client_id"), answer.text("registration_access_token")));
                }
            }
            Deed::Enter { server: number, name } => {
                let answer = admin.post(&clients(&server(number)), json!({ "client_name": name })).await;
                if answer.status == 201 {
                    self.clients.push((answer.text("client_id"), String::new()));
                }
            }
            Deed::Decide { server: at, client: who, decision } => {
                admin.post(&format!("{}/{decision}", client(&server(at), &client_of(who).0)), json!({})).await;
            }
            Deed::Settle { server: at, client: who, verb } => {
                admin.put(&format!("{}/{verb}", client(&server(at), &client_of(who).0)), json!({})).await;
            }
            Deed::Rotate { server: at, client: who } => {
                admin.post(&format!("{}/rotate-secret", client(&server(at), &client_of(who).0)), json!({})).await;
            }
            Deed::Claim { client: who, path } => {
                let (id, token) = client_of(who);
                let body = json!({ "client_id": id, "redirect_uris": [format!("https://{path}.example/cb")] });
                house.holder(&token).put(&format!("/oauth/register/{id}"), body).await;
            }
            Deed::Leave { client: who } => {
                let (id, token) = client_of(who);
                house.holder(&token).delete(&format!("/oauth/register/{id}")).await;
            }
            Deed::Create { resource } => {
                let resource = if resource { "https://a.example/mcp" } else { "https://b.example/mcp" };
                let answer = admin.post("/authsec/resource-servers", json!({ "name": "A", "resource": resource })).await;
                if answer.status == 201 {
                    self.servers.push(answer.text("id"));
                }
            }
            Deed::Edit { server: number, edit } => {
                admin.patch(&format!("/authsec/resource-servers/{}", server(number)), edit).await;
            }
            Deed::Issue { server: number, max_uses } => {
                let service = json!({ "label": "a", "scopes": ["gatebook:decide"], "resource_servers": [server(number)] });
                let made = admin.post("/authsec/service-tokens", service).await;
                if made.status == 201 {
                    let question = json!({ "client_id": theirs.clients[0], "resource": "https://b.example/mcp" });
                    house.holder(&made.text("service_token")).post("/oauth/decisions", question).await;
                }
                let answer = admin.post(&tokens(&server(number)), json!({ "label": "a", "max_uses": max_uses })).await;
                if answer.status == 201 {
                    self.tokens.push((answer.text("id"), answer.text("initial_access_token")));
                }
            }
            Deed::Come { token } => {
                let Some((_, secret)) = self.tokens.get(token) else { return };
                // The ids in a token are no proof: one of ours that says it is theirs opens nothing.
                let forged = format!("gbi_{}_{}{}", theirs.server.replace('-', ""), theirs.token.replace('-', ""), &secret[69..]);
                let body = json!({ "redirect_uris": ["https://a.example/cb"] });
                house.holder(&forged).post("/oauth/register", body.clone()).await.refuses(401, "invalid_token");
                let answer = house.holder(secret).post("/oauth/register", body).await;
                if answer.status == 201 {
                    self.clients.push((answer.text("client_id"), answer.text("registration_access_token")));
                }
            }
            Deed::EndToken { server: number, token } => {
                admin.delete(&format!("/authsec/service-tokens/{}", theirs.service)).await.problem(404, "not-found");
                admin.delete(&format!("/authsec/webhooks/{}", theirs.hook)).await.problem(404, "not-found");
                admin.post(&format!("/authsec/webhooks/{}/enable", theirs.hook), json!({})).await.problem(404, "not-found");
                let their = (theirs.token.clone(), String::new());
                let (id, _) = self.tokens.iter().chain([&their]).cycle().nth(token).unwrap();
                admin.delete(&format!("{}/{id}", tokens(&server(number)))).await;
            }
            Deed::Retire { server: number } => {
                admin.call(Method::DELETE, &format!("/authsec/resource-servers/{}", server(number)), None).await;
            }
        }
    }
}
