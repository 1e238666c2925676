//! The doors agree: whatever happened to a client, everybody who is asked about it tells the same.

use std::time::Duration;

use chrono::TimeDelta;
use gatebook::aggregates::Cause;
use gatebook_events::client::{ContentHash, Document, Withdrawal};
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::ClientId;
use gatebook_events::metadata;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use serde_json::{Value, json};

use crate::house::{DEFAULT, House, client, clients};

/// Something that happens. Numbers choose among the clients, documents and resource servers that there are.
#[derive(Debug, Clone)]
enum Deed {
    Register {
        server: usize,
    },
    /// Without saying where, so that the first resource server which is asked about it gets it.
    Arrive,
    Enter {
        server: usize,
    },
    /// A document is published, changed, or taken away.
    Publish {
        document: usize,
        version: u8,
    },
    Withdraw {
        document: usize,
    },
    Decide {
        client: usize,
        server: usize,
        decision: &'static str,
    },
    Leave {
        client: usize,
    },
    Edit {
        server: usize,
        edit: Value,
    },
    Retire,
    /// Days in which nobody but those who ask below is used.
    Rest,
    Ask {
        client: usize,
        server: usize,
        first: usize,
    },
}

fn deed() -> impl Strategy<Value = Deed> {
    let (server, who) = (0..2_usize, 0..8_usize);
    let decision = prop::sample::select(vec!["approve", "deny", "suspend", "reinstate", "revoke", "restore"]);
    let edit = prop::sample::select(vec![
        json!({ "registration_modes": ["prereg"], "effect_on_existing": "suspend" }),
        json!({ "registration_modes": ["dcr", "cimd", "prereg"] }),
        json!({ "policy": { "admission": { "dcr": "review", "cimd": "review" } } }),
        json!({ "policy": { "admission": { "dcr": "auto", "cimd": "auto" } } }),
        json!({ "policy": { "dormant_after_days": 1, "revive": "review" } }),
        json!({ "policy": { "dormant_after_days": 1, "revive": "at_next_use" } }),
        json!({ "policy": { "manifests": { "on_withdrawal": "keep" } } }),
        json!({ "policy": { "max_clients": 2 } }),
    ]);
    prop_oneof![
        4 => server.clone().prop_map(|server| Deed::Register { server }),
        1 => Just(Deed::Arrive),
        2 => server.clone().prop_map(|server| Deed::Enter { server }),
        3 => (0..2_usize, 0..3_u8).prop_map(|(document, version)| Deed::Publish { document, version }),
        1 => (0..2_usize).prop_map(|document| Deed::Withdraw { document }),
        6 => (who.clone(), server.clone(), decision).prop_map(|(client, server, decision)| Deed::Decide { client, server, decision }),
        1 => who.clone().prop_map(|client| Deed::Leave { client }),
        5 => (server.clone(), edit).prop_map(|(server, edit)| Deed::Edit { server, edit }),
        1 => Just(Deed::Retire),
        3 => Just(Deed::Rest),
        4 => (who, server, 0..4_usize).prop_map(|(client, server, first)| Deed::Ask { client, server, first }),
    ]
}

#[test]
fn the_doors_agree() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, max_shrink_iters: 100, ..Config::default() });
    runner
        .run(&prop::collection::vec(deed(), 4..24), |deeds| {
            runtime.block_on(async {
                let mut world = World::open().await;
                for deed in deeds {
                    world.house.clock.advance(TimeDelta::seconds(1));
                    world.happens(deed).await?;
                }
                for number in 0..world.clients.len() {
                    for server in 0..2 {
                        world.agrees(number, server, number + server).await?;
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}

/// Nothing above would show anything if its histories did not lead everywhere.
#[tokio::test]
async fn the_doors_agree_wherever_a_history_may_lead() {
    let mut world = World::open().await;
    let edit = |edit: Value| Deed::Edit { server: 0, edit: json!({ "policy": edit }) };
    let decide = |decision| Deed::Decide { client: 0, server: 0, decision };
    let modes = |modes: Value| Deed::Edit { server: 0, edit: json!({ "registration_modes": modes, "effect_on_existing": "suspend" }) };
    let idle = |revive: &str| edit(json!({ "dormant_after_days": 1, "revive": revive }));
    let every_mode = json!(["dcr", "cimd", "prereg"]);
    let steps = [
        (vec![edit(json!({ "admission": { "dcr": "review" } })), Deed::Register { server: 0 }], "approval_pending"),
        (vec![decide("deny")], "denied"),
        (vec![decide("approve")], "approved"),
        (vec![decide("suspend")], "suspended"),
        (vec![decide("reinstate"), modes(json!(["prereg"]))], "mode_suspended"),
        (vec![modes(every_mode), idle("review"), Deed::Rest], "dormant"),
        (vec![decide("revoke")], "revoked"),
        (vec![decide("restore")], "dormant"),
        (vec![decide("approve")], "approved"),
        (vec![Deed::Rest], "dormant"),
        (vec![idle("at_next_use")], "approved"),
        (vec![Deed::Rest, Deed::Rest], "approved"),
        (vec![Deed::Leave { client: 0 }], "client_deleted"),
    ];
    for (first, (deeds, reason)) in steps.into_iter().enumerate() {
        for deed in deeds {
            world.house.clock.advance(TimeDelta::seconds(1));
            world.happens(deed).await.unwrap();
        }
        assert_eq!(world.agrees(0, 0, first).await.unwrap(), reason);
        assert_eq!(world.agrees(0, 1, first).await.unwrap(), "not_registered", "what happens elsewhere is told to none");
    }
    // One that has the grant for tokens, at each door first.
    let job = world.clients.len();
    world.happens(Deed::Enter { server: 0 }).await.unwrap();
    let decide = |decision| Deed::Decide { client: job, server: 0, decision };
    let steps = [
        (vec![], "approved"),
        (vec![decide("suspend")], "suspended"),
        (vec![decide("reinstate"), idle("review"), Deed::Rest], "dormant"),
        (vec![idle("at_next_use")], "approved"),
        (vec![decide("revoke")], "revoked"),
        (vec![decide("restore")], "approved"),
    ];
    for (deeds, reason) in steps {
        for deed in deeds {
            world.happens(deed).await.unwrap();
        }
        for first in [2, 0, 1, 3] {
            assert_eq!(world.agrees(job, 0, first).await.unwrap(), reason);
            assert_eq!(world.agrees(job, 1, first).await.unwrap(), "not_registered");
        }
    }
    let document = world.clients.len();
    world.happens(Deed::Publish { document: 0, version: 0 }).await.unwrap();
    world.happens(Deed::Edit { server: 1, edit: json!({ "registration_modes": ["dcr"] }) }).await.unwrap();
    assert_eq!(world.agrees(document, 0, 0).await.unwrap(), "approved");
    assert_eq!(world.agrees(document, 1, 0).await.unwrap(), "mode_not_admitted");
    world.happens(edit(json!({ "max_clients": 1 }))).await.unwrap();
    world.happens(Deed::Publish { document: 1, version: 1 }).await.unwrap();
    assert_eq!(world.agrees(document + 1, 0, 0).await.unwrap(), "register_full");
    world.happens(Deed::Withdraw { document: 0 }).await.unwrap();
    assert_eq!(world.agrees(document, 0, 0).await.unwrap(), "manifest_withdrawn");
    world.happens(Deed::Retire).await.unwrap();
    assert_eq!(world.agrees(document, 1, 0).await.unwrap(), "invalid_target");
}

/// Two resource servers of one tenant, and who came so far.
struct World {
    house: House,
    servers: [String; 2],
    clients: Vec<Who>,
}

#[derive(Clone)]
struct Who {
    id: String,
    secret: Option<String>,
    token: Option<String>,
}

const RESOURCES: [&str; 2] = ["https://one.example/mcp", "https://two.example/mcp"];

impl World {
    async fn open() -> Self {
        let house = House::with(|settings| settings.max_unbound_clients = Some(10_000)).await;
        house.edit_default(json!({ "resource": RESOURCES[0] })).await;
        let other = house.server("default", json!({ "name": "Two", "resource": RESOURCES[1] })).await;
        Self { house, servers: [DEFAULT.to_owned(), other], clients: Vec::new() }
    }

    fn client(&self, number: usize) -> Option<&Who> {
        self.clients.get(number % self.clients.len().max(1))
    }

    fn path(&self, server: usize, id: &str) -> String {
        client(&self.servers[server], &id.replace(':', "%3A").replace('/', "%2F"))
    }

    async fn happens(&mut self, deed: Deed) -> TestCaseResult {
        let admin = self.house.admin("default");
        match deed {
            Deed::Register { server } => {
                let body = json!({ "redirect_uris": ["https://app.example/cb"] });
                let answer = self.house.anyone().post(&format!("/rs/{}/oauth/register", self.servers[server]), body).await;
                if answer.status == 201 {
                    let number = self.comes(&answer.body);
                    // What the client was told when it registered is what everybody says.
                    let reason = self.agrees(number, server, number).await?;
                    prop_assert_eq!(&answer["gatebook"]["reason"], &reason);
                }
            }
            Deed::Arrive => {
                let answer = self.house.anyone().post("/oauth/register", json!({ "redirect_uris": ["https://app.example/cb"] })).await;
                if answer.status == 201 {
                    self.comes(&answer.body);
                }
            }
            Deed::Enter { server } => {
                let answer = admin.post(&clients(&self.servers[server]), json!({ "client_name": "ci" })).await;
                if answer.status == 201 {
                    self.comes(&answer.body);
                }
            }
            Deed::Publish { document, version } => {
                let id = ClientId::parse(&format!("https://app{document}.example/client.json")).unwrap();
                let read = published(version);
                if self.house.app.commands.see_document(&reader(), &id, &[], read).await.is_ok() && !self.knows(id.as_str()) {
                    self.clients.push(Who { id: id.as_str().to_owned(), secret: None, token: None });
                }
            }
            Deed::Withdraw { document } => {
                let id = ClientId::parse(&format!("https://app{document}.example/client.json")).unwrap();
                if self.knows(id.as_str()) {
                    self.house.app.commands.lose_document(&reader(), id.key(), Withdrawal::Gone, ("status_404", None)).await.unwrap();
                }
            }
            Deed::Decide { client: number, server, decision } => {
                let Some(who) = self.client(number) else { return Ok(()) };
                admin.post(&format!("{}/{decision}", self.path(server, &who.id)), json!({})).await;
            }
            Deed::Leave { client: number } => {
                let Some(Who { id, token: Some(token), .. }) = self.client(number) else { return Ok(()) };
                self.house.holder(token).delete(&format!("/oauth/register/{id}")).await;
            }
            Deed::Edit { server, edit } => {
                admin.patch(&format!("/authsec/resource-servers/{}", self.servers[server]), edit).await;
            }
            Deed::Retire => {
                admin.delete(&format!("/authsec/resource-servers/{}", self.servers[1])).await;
            }
            Deed::Rest => {
                // The page waits for the directory to show what came before.
                admin.get(&clients(DEFAULT)).await.is(200);
                for _ in 0..4 {
                    self.house.app.dormancy.sweep(Duration::ZERO).await.unwrap();
                    self.house.clock.advance(TimeDelta::hours(20));
                }
                self.house.app.dormancy.sweep(Duration::ZERO).await.unwrap();
            }
            Deed::Ask { client: number, server, first } => {
                if !self.clients.is_empty() {
                    self.agrees(number % self.clients.len(), server, first).await?;
                }
            }
        }
        Ok(())
    }

    fn knows(&self, id: &str) -> bool {
        self.clients.iter().any(|who| who.id == id)
    }

    fn comes(&mut self, answer: &Value) -> usize {
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        self.clients.push(Who { id: text("client_id").unwrap(), secret: text("client_secret"), token: text("registration_access_token") });
        self.clients.len() - 1
    }

    /// Asks at every door, beginning with the `first`, and then reads every page. The reason that all of them give.
    async fn agrees(&self, number: usize, server: usize, first: usize) -> Result<String, TestCaseError> {
        let who = &self.clients[number];
        let mut said: Vec<(String, String)> = Vec::new();
        for door in 0..4 {
            match (first + door) % 4 {
                0 => said.push(self.decision(who, server).await),
                1 => said.extend(self.proof(who, server).await),
                2 => said.extend(self.token(who, server).await),
                _ => said.extend(self.look_up(who, server).await),
            }
        }
        // Whether a silent host was asked just now or is left alone for a while is a matter of time.
        for (_, reason) in &mut said {
            if ["document_not_reached", "document_not_tried"].contains(&reason.as_str()) {
                "document_not_read".clone_into(reason);
            }
        }
        // A look-up says no more than that there is no such client.
        let (decision, reason) = said.iter().find(|(_, reason)| reason != "-").unwrap().clone();
        for (other, why) in &said {
            prop_assert!(*other == decision || (why == "-" && decision != "allow"), "{} at {}: {:?}", who.id, server, said);
            prop_assert!(*why == reason || why == "-", "{} at {}: {:?}", who.id, server, said);
        }
        prop_assert_eq!(&decision, meant(&reason), "{}", &reason);
        self.pages_agree(who, server, &decision, &reason).await?;
        Ok(reason)
    }

    async fn decision(&self, who: &Who, server: usize) -> (String, String) {
        let question = json!({ "client_id": who.id, "resource": RESOURCES[server] });
        let answer = self.house.decider("default").post("/oauth/decisions", question).await;
        match answer.status {
            200 => (answer.text("decision"), answer.text("reason")),
            // A retired resource server is named by nobody any more.
            _ => ("deny".to_owned(), answer.refuses(400, "invalid_target").text("error")),
        }
    }

    /// What the door for credentials says of a client that shows the right ones.
    async fn proof(&self, who: &Who, server: usize) -> Option<(String, String)> {
        let mut shown = json!({ "client_id": who.id, "resource": RESOURCES[server] });
        if let Some(secret) = &who.secret {
            shown["client_secret"] = json!(secret);
        }
        let answer = self.house.decider("default").post("/oauth/authenticate", shown).await;
        if answer.status != 200 {
            return Some(("deny".to_owned(), answer.refuses(400, "invalid_target").text("error")));
        }
        let (decision, reason) = (answer.text("decision"), answer.text("reason"));
        assert_eq!(answer["authenticated"], decision == "allow" && who.secret.is_some(), "{}", answer.text);
        let can_be_cured = ["dormant", "document_not_reached", "document_not_tried"].contains(&reason.as_str());
        assert_eq!(answer.body.get("cure").is_some(), can_be_cured, "{}", answer.text);
        Some((decision, if reason == "public_client" { "approved".to_owned() } else { reason }))
    }

    /// What a client is told that asks for a token. One that may act and may not have a token is told that it lacks the grant.
    async fn token(&self, who: &Who, server: usize) -> Option<(String, String)> {
        let secret = who.secret.as_ref()?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "client_credentials"), ("client_id", &who.id), ("client_secret", secret)])
            .append_pair("resource", RESOURCES[server])
            .finish();
        let kind = Some("application/x-www-form-urlencoded");
        let answer = self.house.anyone().send(reqwest::Method::POST, "/oauth/token", kind, form.into_bytes()).await;
        let refused = || answer.text("error_description").strip_prefix("the client gets no token there: ").unwrap().to_owned();
        let reason = match (answer.status, answer.body["error"].as_str()) {
            (200, None) => "approved".to_owned(),
            (401, Some("invalid_client")) => return Some(("deny".to_owned(), "-".to_owned())),
            (400, Some("invalid_target")) => {
                // This door binds nobody, and speaks of nobody who is not registered there.
                let page = self.house.admin("default").get(&self.path(server, &who.id)).await;
                assert!(page.status == 404 || page["reason"] == "resource_server_retired", "{}", page.text);
                return None;
            }
            (400, Some("unauthorized_client")) => refused(),
            other => panic!("{other:?}: {}", answer.text),
        };
        let (reason, cure) = reason.split_once("; ").map_or((reason.as_str(), None), |(reason, cure)| (reason, Some(cure)));
        assert_eq!(cure.is_some(), reason == "dormant", "{}", answer.text);
        let reason = if reason == "grant_type_not_registered" { "approved" } else { reason };
        Some((meant(reason).to_owned(), reason.to_owned()))
    }

    async fn look_up(&self, who: &Who, server: usize) -> Option<(String, String)> {
        let id = who.id.replace(':', "%3A").replace('/', "%2F");
        let path = format!("/oauth/clients/{id}?resource={}", RESOURCES[server]);
        let answer = self.house.decider("default").get(&path).await;
        match answer.status {
            200 => {
                let said = |member: &str| answer["gatebook"][member].as_str().unwrap().to_owned();
                assert_eq!((said("decision").as_str(), said("status").as_str()), ("allow", "approved"), "{}", answer.text);
                Some((said("decision"), said("reason")))
            }
            400 => Some(("deny".to_owned(), answer.refuses(400, "invalid_target").text("error"))),
            // A document that was not asked for just now is no verdict.
            503 => Some(("pending".to_owned(), "-".to_owned())),
            _ => {
                answer.refuses(404, "invalid_client");
                Some(("deny".to_owned(), "-".to_owned()))
            }
        }
    }

    /// The list, its badges and counts, the client's page, and what the client itself may read.
    async fn pages_agree(&self, who: &Who, server: usize, decision: &str, reason: &str) -> TestCaseResult {
        let admin = self.house.admin("default");
        let page = admin.get(&self.path(server, &who.id)).await;
        let list = format!("{}?limit=500", clients(&self.servers[server]));
        if page.status == 404 {
            prop_assert_eq!(decision == "deny", reason != "document_not_read", "{} at {}: {}", &who.id, server, decision);
            let known = ["not_registered", "mode_not_admitted", "register_full", "invalid_target", "client_deleted", "document_not_read"];
            let known = known.contains(&reason);
            prop_assert!(known, "{} has no page at {} and is {}", &who.id, server, reason);
            return Ok(());
        }
        let status = page.is(200);
        let (shown, badge) = (status.text("reason"), status.text("status"));
        // At a retired resource server nobody can ask; the pages still say how it stood.
        if reason == "invalid_target" {
            prop_assert!(["retired", "deleted"].contains(&badge.as_str()), "{}", badge);
            return Ok(());
        }
        prop_assert_eq!(shown, reason, "{} at {}", &who.id, server);
        let listed = admin.get(&format!("{list}&status={badge}")).await.is(200);
        let rows = listed["clients"].as_array().unwrap();
        let row = rows.iter().find(|row| row["client_id"] == *who.id);
        prop_assert_eq!(row.map(|row| &row["reason"]), Some(&json!(reason)));
        prop_assert_eq!(&listed["counts"]["by_status"][&badge], rows.len());
        if let Some(token) = &who.token {
            let own = self.house.holder(token).get(&format!("/oauth/register/{}", who.id)).await;
            prop_assert_eq!(own.status == 401, reason == "client_deleted");
            if own["gatebook"]["resource_server_id"] == *self.servers[server] {
                prop_assert_eq!((&own["gatebook"]["reason"], &own["gatebook"]["status"]), (&json!(reason), &json!(badge)));
            }
        }
        Ok(())
    }
}

/// The decision that goes with a reason.
fn meant(reason: &str) -> &'static str {
    match reason {
        "approved" => "allow",
        "approval_pending" | "dormant" | "document_not_read" => "pending",
        _ => "deny",
    }
}

fn published(version: u8) -> Document {
    let says = json!({ "client_name": "App", "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none",
        "software_version": version.to_string() });
    let Value::Object(says) = says else { panic!("an object was written") };
    let text = Value::Object(says.clone()).to_string().into();
    let metadata = metadata::parse(says).unwrap().metadata;
    Document { content_hash: ContentHash::of_digest([version; 32]), text, metadata, warnings: vec![], left_out: vec![], ignored: vec![] }
}

fn reader() -> Cause {
    let actor = Actor { kind: ActorKind::System, id: Some("documents".to_owned()), via: None };
    Cause { actor, tenant: None, request_id: None, origin: None }
}
