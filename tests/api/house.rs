//! A running service of its own for each test, a clock that stands still until it is told to move, and the people who call.

use std::net::SocketAddr;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook::bootstrap::App;
use gatebook::config::{Config, Settings};
use gatebook::credentials::admin::{Admin, AdminMinter, Role};
use gatebook::platform::clock::Clock;
use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::answer::Answer;

/// The resource server that a fresh instance has.
pub const DEFAULT: &str = "67617465-626f-4f6b-8000-000000000001";
/// The base of every URL in an answer.
pub const PUBLIC: &str = "https://gate.example";

/// A running service.
pub struct House {
    pub app: App,
    pub clock: Clock,
    pub folder: TempDir,
    url: String,
    http: Client,
    minter: AdminMinter,
    /// Every secret and token that was seen issued.
    issued: Mutex<Vec<String>>,
    /// Every answer, without what it was meant to issue.
    heard: Mutex<Vec<(String, String)>>,
    server: tokio::task::JoinHandle<()>,
}

impl House {
    /// A fresh instance, without a ceiling for registrations.
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// A fresh instance with other settings.
    pub async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::begin(tempfile::tempdir().unwrap(), DateTime::from_timestamp(1_800_000_000, 0).unwrap(), adjust).await
    }

    /// The instance in a folder, at a time.
    pub async fn begin(folder: TempDir, time: DateTime<Utc>, adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::begin_at(PUBLIC, folder, time, adjust).await
    }

    /// A fresh instance that clients reach at this URL.
    pub async fn at(public_url: &str, adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::begin_at(public_url, tempfile::tempdir().unwrap(), DateTime::from_timestamp(1_800_000_000, 0).unwrap(), adjust).await
    }

    async fn begin_at(public_url: &str, folder: TempDir, time: DateTime<Utc>, adjust: impl FnOnce(&mut Settings)) -> Self {
        let data = folder.path().join("data");
        let mut settings = Settings {
            data: Some(data),
            registrations_per_minute: Some(0),
            changes_per_minute: Some(0),
            changes_per_client_per_hour: Some(0),
            ..Settings::default()
        };
        adjust(&mut settings);
        let config = Config::try_new(settings).unwrap();
        let clock = Clock::standing_at(time);
        let admin = config.admin.clone();
        let app = App::start(config, public_url.to_owned(), clock.clone()).await.unwrap();
        let minter = AdminMinter::try_new(&admin, clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = gatebook::server::router(app.services().clone()).into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let http = Client::builder().no_proxy().build().unwrap();
        Self { app, clock, folder, url, http, minter, issued: Mutex::default(), heard: Mutex::default(), server }
    }

    /// Ends the service; its folder stays.
    pub async fn end(mut self) -> TempDir {
        self.app.stop();
        self.server.abort();
        self.app.close().await;
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Somebody without any credentials.
    pub fn anyone(&self) -> Caller<'_> {
        Caller { house: self, bearer: None, headers: Vec::new() }
    }

    /// Whoever holds this token.
    pub fn holder(&self, token: &str) -> Caller<'_> {
        Caller { bearer: Some(token.to_owned()), ..self.anyone() }
    }

    /// An administrator of a tenant.
    pub fn admin(&self, tenant: &str) -> Caller<'_> {
        self.holder(&self.token(tenant, Role::Admin, "ada"))
    }

    /// An authorization server of a tenant.
    pub fn decider(&self, tenant: &str) -> Caller<'_> {
        self.holder(&self.token(tenant, Role::Decider, "authorization-server"))
    }

    /// Somebody who reads all of a tenant and changes nothing.
    pub fn auditor(&self, tenant: &str) -> Caller<'_> {
        self.holder(&self.token(tenant, Role::Auditor, "otto"))
    }

    /// Somebody who looks at a tenant's clients and resource servers.
    pub fn viewer(&self, tenant: &str) -> Caller<'_> {
        self.holder(&self.token(tenant, Role::Viewer, "vera"))
    }

    pub fn token(&self, tenant: &str, role: Role, subject: &str) -> String {
        self.token_for(tenant, role, subject, TimeDelta::hours(1))
    }

    /// A token that is good for so long.
    pub fn token_for(&self, tenant: &str, role: Role, subject: &str, life: TimeDelta) -> String {
        let admin = Admin { tenant: TenantId::parse(tenant).unwrap(), subject: subject.to_owned(), role };
        let token = self.minter.mint(&admin, life).unwrap();
        self.saw_issued(&token);
        token
    }

    /// A client that registered itself with one https redirect URI, and has a secret.
    pub async fn registered(&self, name: &str) -> Answer {
        self.anyone().post("/oauth/register", json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"] })).await.is(201)
    }

    /// A client that an administrator of the default tenant entered.
    pub async fn entered(&self, name: &str) -> Answer {
        self.admin("default").post(&clients(DEFAULT), json!({ "client_name": name })).await.is(201)
    }

    /// A resource server of a tenant; its id.
    pub async fn server(&self, tenant: &str, members: Value) -> String {
        self.admin(tenant).post("/authsec/resource-servers", members).await.is(201).text("id")
    }

    /// Changes the default resource server.
    pub async fn edit_default(&self, members: Value) -> Answer {
        self.admin("default").patch(&format!("/authsec/resource-servers/{DEFAULT}"), members).await.is(200)
    }

    /// What `GET …/clients/{client_id}` at the default resource server says to its administrator.
    pub async fn shown(&self, client_id: &str) -> Answer {
        self.admin("default").get(&client(DEFAULT, client_id)).await.is(200)
    }

    /// A client's events, oldest first, as an auditor of the default tenant reads them.
    pub async fn events_of(&self, client_id: &str) -> Vec<Value> {
        let path = format!("/authsec/audit/events?order=oldest&limit=500&client_id={client_id}");
        self.auditor("default").get(&path).await.is(200)["events"].as_array().unwrap().clone()
    }

    /// The names of a client's events, oldest first.
    pub async fn names_of(&self, client_id: &str) -> Vec<String> {
        self.events_of(client_id).await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// The last position of the log: whoever left an event behind moved it.
    pub async fn head(&self) -> Position {
        self.app.log.head().await.unwrap()
    }

    /// Every secret and token that was seen issued so far.
    pub fn issued(&self) -> Vec<String> {
        self.issued.lock().unwrap().clone()
    }

    /// Every call with its answer, without the secrets and tokens that it was meant to issue.
    pub fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().unwrap().clone()
    }

    fn saw_issued(&self, secret: &str) {
        let mut issued = self.issued.lock().unwrap();
        if !issued.iter().any(|known| known == secret) {
            issued.push(secret.to_owned());
        }
    }

    fn remember(&self, method: &Method, path: &str, answer: &Answer) {
        for member in
            ["client_secret", "registration_access_token", "initial_access_token", "service_token", "access_token", "signing_secret"]
        {
            if let Some(secret) = answer.body[member].as_str() {
                self.saw_issued(secret);
            }
        }
        let page = path.split('?').next().unwrap();
        let issues = *method == Method::POST && ["/oauth/register", "/clients", "/rotate-secret"].iter().any(|end| page.ends_with(end));
        let mut shown = answer.body.clone();
        if let Value::Object(members) = &mut shown
            && answer.status < 400
        {
            // The holder of a registration access token is given it back (RFC 7592 §3).
            if issues || page.starts_with("/oauth/register/") {
                members.remove("registration_access_token");
            }
            // A secret is shown by what issues it, once.
            if issues || *method == Method::PUT {
                members.remove("client_secret");
            }
            if page == "/oauth/token" {
                members.remove("access_token");
            }
            if *method == Method::POST && page.ends_with("/registration-tokens") {
                members.remove("initial_access_token");
            }
            if *method == Method::POST && page.ends_with("/service-tokens") {
                members.remove("service_token");
            }
            if *method == Method::POST && (page.ends_with("/webhooks") || page.ends_with("/rotate-secret")) {
                members.remove("signing_secret");
            }
        }
        let shown = if shown.is_null() { answer.text.clone() } else { shown.to_string() };
        self.heard.lock().unwrap().push((format!("{method} {path}"), shown));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.app.stop();
        self.server.abort();
    }
}

/// Somebody who calls the service.
#[derive(Clone)]
pub struct Caller<'a> {
    house: &'a House,
    bearer: Option<String>,
    headers: Vec<(String, String)>,
}

impl Caller<'_> {
    /// The same caller, who sends this header too.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Any call; a JSON body, or none.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let (kind, body) = body.map_or((None, Vec::new()), |body| (Some("application/json"), serde_json::to_vec(&body).unwrap()));
        self.send(method, path, kind, body).await
    }

    /// Any call with any bytes.
    pub async fn send(&self, method: Method, path: &str, content_type: Option<&str>, body: Vec<u8>) -> Answer {
        let mut request = self.request(method.clone(), path).body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = Answer::read(request.send().await.unwrap()).await;
        answer.keeps_its_promises(&method, path);
        self.house.remember(&method, path, &answer);
        answer
    }

    /// A call whose answer is read elsewhere.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.house.http.request(method, format!("{}{path}", self.house.url));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }
}

/// The path of a resource server's clients.
pub fn clients(server: &str) -> String {
    format!("/authsec/resource-servers/{server}/clients")
}

/// The path of one client at a resource server.
pub fn client(server: &str, client_id: &str) -> String {
    format!("/authsec/resource-servers/{server}/clients/{client_id}")
}
