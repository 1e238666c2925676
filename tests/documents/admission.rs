//! No way gets what another is refused: random rules, and every way in. Beside it, which ways need a token.

use gatebook::application::register::DrawnHashes;
use gatebook::application::register::rules::{Guarantor, Rules};
use gatebook_events::admission::Status;
use gatebook_events::admission::{Admission, RegistrationType};
use gatebook_events::client::Client;
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::metadata::{ClientMetadata, Parsed};
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::{Coming, Warrant};
use gatebook_events::stream::Stream;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::HERE;
use crate::ask;
use crate::author::Author;
use crate::house::{DEFAULT, House, clients};
use crate::open;
use crate::rules;

#[tokio::test]
async fn r2_a_document_comes_without_a_token_unless_the_policy_wants_one_of_documents_too() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "require_initial_access_token": true })).await;
    house.anyone().post("/oauth/register", json!({ "redirect_uris": [HERE] })).await.refuses(401, "invalid_token");
    rules(&house, json!({ "initial_access_token_for": ["dcr", "cimd"] })).await;
    let head = house.head().await;
    let refused = ask(&house, &author, json!({})).await;
    assert_eq!((&refused["decision"], &refused["reason"]), (&json!("deny"), &json!("initial_access_token_required")));
    assert!(refused["cure"].as_str().unwrap().contains("initial access token"));
    house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.refuses(401, "invalid_token");
    assert_eq!((house.head().await, author.asked()), (head, (0, 0)), "nothing is stored, and nothing is even read");

    let tokens = format!("/authsec/resource-servers/{DEFAULT}/registration-tokens");
    let issued = house.admin("default").post(&tokens, json!({ "label": "agents", "max_uses": 1 })).await.is(201);
    let holder = house.holder(&issued.text("initial_access_token"));
    let clamped = json!({ "label": "clamped", "clamps": { "grant_types": ["authorization_code"] } });
    let clamped = house.holder(&house.admin("default").post(&tokens, clamped).await.is(201).text("initial_access_token"));
    let told = clamped.post("/oauth/register", json!({ "client_id": author.url() })).await.refuses(400, "invalid_client_metadata");
    assert!(told.text("error_description").contains("initial access token"), "{}", told.text);
    holder.post("/oauth/register", json!({ "client_id": author.url() })).await.is(201);
    holder.post("/oauth/register", json!({ "client_id": author.url() })).await.refuses(401, "invalid_token");
    assert_eq!(ask(&house, &author, json!({})).await["decision"], "allow");

    let other = Author::publish(&[HERE]).await;
    let entry = json!({ "client_id": other.url() });
    house.admin("default").post(&format!("/authsec/resource-servers/{DEFAULT}/clients/cimd"), entry).await.is(201);
    assert_eq!(ask(&house, &other, json!({})).await["decision"], "allow", "an administrator answers for it");
}

#[tokio::test]
async fn r2_by_default_documents_come_in_without_a_token() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "require_initial_access_token": true })).await;
    assert_eq!(ask(&house, &author, json!({})).await["decision"], "allow");
}

#[tokio::test]
async fn r1_a_document_that_is_met_at_a_door_counts_against_the_ceiling() {
    let house = open().await;
    rules(&house, json!({ "registrations_per_minute": 1 })).await;
    let (first, second) = (Author::publish(&[HERE]).await, Author::publish(&[HERE]).await);
    assert_eq!(ask(&house, &first, json!({})).await["decision"], "allow");
    let late = ask(&house, &second, json!({})).await;
    assert_eq!((&late["decision"], &late["reason"]), (&json!("pending"), &json!("too_many_registrations")));
    assert_eq!(ask(&house, &first, json!({})).await["decision"], "allow", "who is in is not counted again");
}

#[tokio::test]
async fn r6_a_preview_tells_nothing_of_what_other_tenants_know() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    ask(&house, &author, json!({})).await;
    let server = house.server("acme", json!({ "name": "Acme" })).await;
    let path = format!("{}/cimd/preview", clients(&server));
    let there = house.admin("acme").post(&path, json!({ "client_id": author.url() })).await.is(200);
    assert!(there.body.get("known_version").is_none() && there.body.get("differences").is_none(), "{}", there.text);
    let here = format!("{}/cimd/preview", clients(DEFAULT));
    assert_eq!(house.admin("default").post(&here, json!({ "client_id": author.url() })).await.is(200)["known_version"], 1);
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Alone,
    WithToken,
    Prereg,
    Met,
    ByUrl,
    Entered,
    BoundLater,
    Changed,
    Imported,
}

const WAYS: [Way; 9] =
    [Way::Alone, Way::WithToken, Way::Prereg, Way::Met, Way::ByUrl, Way::Entered, Way::BoundLater, Way::Changed, Way::Imported];

const URIS: [&str; 5] = ["https://app.example/cb", "https://other.example/cb", "http://127.0.0.1/cb", "zed://cb", "com.example.app:/cb"];
const GRANTS: [&str; 4] = ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"];

fn some_rules() -> impl Strategy<Value = Value> {
    let admission = || select(vec!["auto", "review"]);
    let redirects = subsequence(
        vec![json!({ "kind": "host", "host": "app.example" }), json!({ "kind": "loopback" }), json!({ "kind": "scheme", "scheme": "zed" })],
        0..=2,
    );
    let tokens = select(vec![json!(["dcr"]), json!(["cimd"]), json!(["dcr", "cimd"])]);
    let modes = subsequence(vec!["dcr", "cimd", "prereg"], 1..=3);
    let grants = subsequence(GRANTS.to_vec(), 1..=4);
    let scope = select(vec![Value::Null, json!("read"), json!("read write")]);
    let schemes = select(vec![json!([]), json!(["zed"])]);
    let others = (any::<bool>(), tokens, admission(), admission(), any::<bool>(), modes);
    (redirects, select(vec!["refuse", "review"]), grants, scope, schemes, others).prop_map(
        |(redirects, outside, grants, scope, schemes, (token, tokens, dcr, cimd, share, modes))| {
            let policy = json!({ "redirect_rules": redirects, "outside_rules": outside, "self_registered_grants": grants, "scope_ceiling": scope,
                "private_use_schemes": schemes, "require_initial_access_token": token, "initial_access_token_for": tokens,
                "admission": { "dcr": dcr, "cimd": cimd }, "instances": if share { "share" } else { "separate" } });
            json!({ "policy": policy, "registration_modes": modes })
        },
    )
}

fn some_client() -> impl Strategy<Value = Value> {
    let uris = subsequence(URIS.to_vec(), 1..=2);
    let grants = subsequence(GRANTS[1..].to_vec(), 0..=2);
    (uris, grants, select(vec![None, Some("read"), Some("write"), Some("read write")]), any::<bool>()).prop_map(
        |(uris, more, scope, native)| {
            let grants: Vec<&str> = ["authorization_code"].into_iter().chain(more).collect();
            let mut client = json!({ "client_name": "Example App", "redirect_uris": uris, "grant_types": grants,
            "token_endpoint_auth_method": if native { "none" } else { "client_secret_basic" } });
            if let Some(scope) = scope {
                client["scope"] = scope.into();
            }
            client
        },
    )
}

/// A resource server under some rules, and a client that tries one way in.
struct Try<'a> {
    house: &'a House,
    server: String,
    resource: String,
    rules: Value,
}

impl Try<'_> {
    async fn new(house: &House, number: usize, rules: Value) -> Try<'_> {
        let resource = format!("https://server{number}.example/mcp");
        let server = house.server("default", json!({ "name": "tried", "resource": resource })).await;
        Try { house, server, resource, rules }
    }

    fn id(&self) -> ResourceServerId {
        self.server.parse().unwrap()
    }

    /// From now on the rules hold.
    async fn rule(&self) {
        let path = format!("/authsec/resource-servers/{}", self.server);
        self.house.admin("default").patch(&path, self.rules.clone()).await.is(200);
    }

    async fn ask(&self, client_id: &str) {
        let question = json!({ "client_id": client_id, "resource": self.resource });
        self.house.decider("default").post("/oauth/decisions", question).await.is(200);
    }

    /// Comes in by this way, as far as it is let; the client's identifier, if it has one.
    async fn comes(&self, way: Way, client: &Value) -> Option<String> {
        let path = format!("/rs/{}/oauth/register", self.server);
        let anyone = self.house.anyone();
        let id = |answer: crate::answer::Answer| answer["client_id"].as_str().map(str::to_owned);
        match way {
            Way::Alone => id(anyone.post(&path, client.clone()).await),
            Way::WithToken => {
                let tokens = format!("/authsec/resource-servers/{}/registration-tokens", self.server);
                let made = self.house.admin("default").post(&tokens, json!({ "label": "one" })).await.is(201);
                id(self.house.holder(&made.text("initial_access_token")).post(&path, client.clone()).await)
            }
            Way::Prereg => id(self.house.admin("default").post(&clients(&self.server), client.clone()).await),
            Way::Met | Way::ByUrl | Way::Entered => {
                let author = Author::publish(&[]).await;
                let mut document = client.clone();
                document["client_id"] = author.url().into();
                document["token_endpoint_auth_method"] = "none".into();
                author.says(document);
                let named = json!({ "client_id": author.url() });
                match way {
                    Way::Met => self.ask(&author.url()).await,
                    Way::ByUrl => drop(anyone.post(&path, named).await),
                    _ => drop(self.house.admin("default").post(&format!("{}/cimd", clients(&self.server)), named).await),
                }
                Some(author.url())
            }
            Way::BoundLater => {
                let unbound = id(anyone.post("/oauth/register", client.clone()).await)?;
                self.ask(&unbound).await;
                Some(unbound)
            }
            Way::Changed => {
                let minimal = json!({ "client_name": "Example App", "redirect_uris": [URIS[0]], "scope": "read",
                    "token_endpoint_auth_method": client["token_endpoint_auth_method"] });
                let first = anyone.post(&path, minimal).await;
                let holder = self.house.holder(first["registration_access_token"].as_str()?);
                let mut changed = client.clone();
                changed["client_id"] = first["client_id"].clone();
                holder.put(&format!("/oauth/register/{}", first.text("client_id")), changed).await;
                id(first)
            }
            Way::Imported => {
                let commands = &self.house.app.commands;
                let Ok(mut import) = commands.begin_import(self.id(), None).await else { return None };
                let name = format!("imported-{}", self.server);
                let newcomer = gatebook::application::register::import::Newcomer {
                    client_id: ClientId::parse(&name).unwrap(),
                    from: gatebook_events::client::ImportedFrom {
                        format: gatebook_events::client::ImportFormat::Rfc7591,
                        realm: None,
                        id: Some(name.clone().into()),
                    },
                    parsed: gatebook_events::metadata::parse(client.as_object().unwrap().clone()).ok()?,
                    secret_expires_at: None,
                };
                let verdict = import.judge(&newcomer).await.ok()?;
                import.entrance().enter(newcomer, verdict, DrawnHashes::default()).await.unwrap();
                import.finish().await;
                Some(name)
            }
        }
    }

    /// What serves there must be what the judge lets in for a client that comes so.
    async fn holds(&self, way: Way, client_id: &str) -> TestCaseResult {
        let commands = &self.house.app.commands;
        let key = ClientId::parse(client_id).unwrap().key();
        let client: Client = commands.load(Stream::Client(key)).await.unwrap();
        let registration: Registration = commands.load(Stream::Registration(self.id(), key)).await.unwrap();
        if registration.status == Status::None {
            return Ok(());
        }
        let Rules { server, .. } = commands.rules(self.id()).await.unwrap();
        let profile = client.registered().unwrap();
        let by = profile.registration_type;
        let none = gatebook_events::clamps::Clamps::default();
        let coming = match way {
            Way::WithToken => Coming { by, warrant: Warrant::Token(&none) },
            Way::Prereg | Way::Entered | Way::Imported => Coming::entered(by),
            Way::Alone | Way::Met | Way::ByUrl | Way::BoundLater | Way::Changed => Coming::alone(by),
        };
        let serves = ClientMetadata { redirect_uris: registration.redirect_uris.clone(), ..profile.metadata.clone() };
        let judged = server.judge(coming, serves.clone());
        prop_assert!(judged.is_ok(), "{way:?} got what is refused with {:?}: {serves:?}", judged.err());
        let judged = judged.unwrap();
        if registration.status == Status::Approved {
            prop_assert!(way == Way::Changed || judged.admission == Admission::Auto, "{way:?} skipped a review: {serves:?}");
        }
        // Of what it says, no door gives more than the rules leave.
        let shown =
            self.house.decider("default").post("/oauth/decisions", json!({ "client_id": client_id, "resource": self.resource })).await;
        if shown["decision"] == "allow" {
            let members = judged.metadata.members();
            for name in ["grant_types", "scope", "redirect_uris"] {
                // Whoever says no scope and has no ceiling is bounded by nothing; what a change of scope leaves meanwhile is not what is
                // claimed, and shown elsewhere.
                if name == "scope" && (way == Way::Changed || members.get(name).is_none()) {
                    continue;
                }
                prop_assert!(
                    shown["client"].get(name) == members.get(name) || within(&shown["client"][name], &members[name]),
                    "{way:?}: {name} of {}",
                    shown.text
                );
            }
        }
        if server.policy.instances == gatebook_events::resource_server::Instances::Share {
            let welcome =
                commands.rules(self.id()).await.unwrap().judge(by, Guarantor::Nobody, Parsed { metadata: serves, ignored: vec![] });
            let shares = by == RegistrationType::Dcr && way != Way::WithToken && welcome.is_ok_and(|welcome| welcome.shares().is_some());
            prop_assert!(
                !shares || way == Way::Changed || profile.registration_token.is_none(),
                "{way:?}: a client of its own where they are shared"
            );
        }
        Ok(())
    }
}

/// Whether all of one is in the other: lists of words, or words in a text.
fn within(less: &Value, more: &Value) -> bool {
    let words = |value: &Value| -> Vec<String> {
        match value {
            Value::Array(all) => all.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect(),
            Value::String(text) => text.split(' ').map(str::to_owned).collect(),
            _ => vec![],
        }
    };
    let more = words(more);
    words(less).iter().all(|word| more.contains(word))
}

#[test]
fn r1_no_way_in_gets_what_another_one_would_be_refused() {
    let runtime = Runtime::new().unwrap();
    let house = runtime.block_on(House::with(|settings| {
        settings.allow_loopback_manifests = Some(true);
        settings.manifests_per_host_per_minute = Some(0);
        settings.fetches_per_source_per_minute = Some(0);
        settings.fetches_per_tenant_per_minute = Some(0);
        settings.max_unbound_clients = Some(10_000);
    }));
    runtime.block_on(house.server("default", json!({ "name": "another" })));
    let number = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 48, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let came = std::cell::Cell::new(0);
    let outcome = runner.run(&(some_rules(), some_client()), |(rules, client)| {
        for way in WAYS {
            number.set(number.get() + 1);
            runtime.block_on(async {
                let tried = Try::new(&house, number.get(), rules.clone()).await;
                tried.rule().await;
                if let Some(id) = tried.comes(way, &client).await {
                    came.set(came.get() + 1);
                    tried.holds(way, &id).await?;
                }
                Ok::<(), TestCaseError>(())
            })?;
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(came.get() > 48, "hardly anybody came in: {}", came.get());
}
