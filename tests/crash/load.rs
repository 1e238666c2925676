//! What comes in while the service is killed: sixteen callers who register, change, pre-register and suspend, and who write
//! down what they were answered.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::instance::{Caller, DEFAULT_SERVER, Instance, answer};

const CALLERS: u64 = 16;

/// Callers at work.
pub struct Load {
    callers: JoinSet<Done>,
    /// From here on a call that fails is no surprise, and nobody makes another one after it.
    ending: Arc<AtomicBool>,
    /// Nobody makes another call.
    stopped: Arc<AtomicBool>,
}

/// What the callers were answered.
#[derive(Debug, Default)]
pub struct Done {
    pub clients: Vec<Registered>,
    pub entries: Vec<Entry>,
}

/// A client that was answered 201, and what became of it.
#[derive(Debug, Clone)]
pub struct Registered {
    pub client_id: String,
    pub token: String,
    pub name: String,
    pub confidential: bool,
    /// Another name and one more redirect URI, if they were sent.
    pub change: Option<Change>,
    pub suspended: Outcome,
}

/// A change by the client itself.
#[derive(Debug, Clone)]
pub struct Change {
    pub name: String,
    pub added: String,
    pub outcome: Outcome,
}

/// A pre-registration.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub body: Value,
    /// `client_id` and `client_secret`, if it was answered.
    pub answered: Option<(String, String)>,
}

/// What is known of a call's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not made, or has no effect that anybody could know of.
    Not,
    /// It was made and not answered: it stands or it does not.
    Unknown,
    /// It was answered, so it stands.
    Stands,
}

impl Load {
    /// Sets the callers to work.
    pub fn start(service: &Instance, admin: &Caller, chance: &Chance, round: u32) -> Self {
        let (ending, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let mut worker = Worker {
                // A connection of its own for each.
                anyone: Caller::anyone(service),
                admin: admin.clone(),
                chance: chance.branch(u64::from(round) * CALLERS + number + 1),
                name: format!("{round}-{number}"),
                ending: ending.clone(),
                done: Done::default(),
            };
            let stopped = stopped.clone();
            callers.spawn(async move {
                while !stopped.load(Ordering::Acquire) && worker.step().await.is_some() {}
                worker.done
            });
        }
        Self { callers, ending, stopped }
    }

    /// The service is about to be killed.
    pub fn expect_the_end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// The callers finish what they are at.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// What they were answered, once all of them have ended.
    pub async fn finish(mut self) -> Done {
        let mut all = Done::default();
        while let Some(done) = self.callers.join_next().await {
            let done = done.expect("a caller was surprised");
            all.clients.extend(done.clients);
            all.entries.extend(done.entries);
        }
        all
    }
}

impl Done {
    pub fn registered(&self) -> usize {
        self.clients.len()
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suspended = |outcome| self.clients.iter().filter(|client| client.suspended == outcome).count();
        let changed = |outcome| self.clients.iter().filter(|client| client.change.as_ref().is_some_and(|c| c.outcome == outcome)).count();
        write!(
            f,
            "{} registered, {} changed (+{} unknown), {} suspended (+{} unknown), {} of {} entered",
            self.clients.len(),
            changed(Outcome::Stands),
            changed(Outcome::Unknown),
            suspended(Outcome::Stands),
            suspended(Outcome::Unknown),
            self.entries.iter().filter(|entry| entry.answered.is_some()).count(),
            self.entries.len(),
        )
    }
}

struct Worker {
    anyone: Caller,
    admin: Caller,
    chance: Chance,
    name: String,
    ending: Arc<AtomicBool>,
    done: Done,
}

impl Worker {
    /// One call. None once the service is gone.
    async fn step(&mut self) -> Option<()> {
        match self.chance.below(10) {
            0..=5 => self.register().await,
            6 | 7 => self.change().await,
            8 => self.suspend().await,
            _ => self.enter().await,
        }
    }

    async fn register(&mut self) -> Option<()> {
        let name = format!("client {} {}", self.name, self.done.clients.len());
        let confidential = self.chance.below(2) == 0;
        let body = if confidential {
            json!({ "client_name": name, "redirect_uris": ["https://app.example.com/cb"] })
        } else {
            json!({ "client_name": name, "redirect_uris": ["http://127.0.0.1:7777/cb"], "token_endpoint_auth_method": "none" })
        };
        let created = self.expect(self.anyone.request(Method::POST, "/oauth/register", Some(&body)), 201).await?;
        assert_eq!(created["client_secret"].is_string(), confidential, "{created}");
        self.done.clients.push(Registered {
            client_id: text(&created, "client_id"),
            token: text(&created, "registration_access_token"),
            name,
            confidential,
            change: None,
            suspended: Outcome::Not,
        });
        Some(())
    }

    async fn change(&mut self) -> Option<()> {
        let Some(at) = self.done.clients.iter().rposition(|client| client.change.is_none()) else { return Some(()) };
        let client = self.done.clients[at].clone();
        let name = format!("{} renamed", client.name);
        let (base, method) =
            if client.confidential { ("https://app.example.com", "client_secret_basic") } else { ("http://127.0.0.1:7777", "none") };
        let added = format!("{base}/more");
        let body = json!({ "client_id": client.client_id, "client_name": name, "redirect_uris": [format!("{base}/cb"), added],
            "token_endpoint_auth_method": method });
        self.done.clients[at].change = Some(Change { name, added, outcome: Outcome::Unknown });
        let holder = self.anyone.with(&client.token);
        let path = format!("/oauth/register/{}", client.client_id);
        self.expect(holder.request(Method::PUT, &path, Some(&body)), 200).await?;
        self.done.clients[at].change.as_mut().unwrap().outcome = Outcome::Stands;
        Some(())
    }

    async fn suspend(&mut self) -> Option<()> {
        let Some(at) = self.done.clients.iter().position(|client| client.suspended == Outcome::Not) else { return Some(()) };
        self.done.clients[at].suspended = Outcome::Unknown;
        let path = format!("{DEFAULT_SERVER}/clients/{}/suspend", self.done.clients[at].client_id);
        let shown = self.expect(self.admin.request(Method::POST, &path, Some(&json!({ "reason": "for the test" }))), 200).await?;
        assert_eq!(shown["status"], "suspended", "{shown}");
        self.done.clients[at].suspended = Outcome::Stands;
        Some(())
    }

    async fn enter(&mut self) -> Option<()> {
        let key = format!("key {} {}", self.name, self.done.entries.len());
        let body = json!({ "client_name": format!("job {key}"), "redirect_uris": ["https://ci.example.com/cb"] });
        self.done.entries.push(Entry { key: key.clone(), body: body.clone(), answered: None });
        let request = self.admin.request(Method::POST, &format!("{DEFAULT_SERVER}/clients"), Some(&body)).header("idempotency-key", key);
        let created = self.expect(request, 201).await?;
        self.done.entries.last_mut().unwrap().answered = Some((text(&created, "client_id"), text(&created, "client_secret")));
        Some(())
    }

    /// The answer with the status that it must have; none if there is no service any more to give one.
    async fn expect(&self, request: reqwest::RequestBuilder, expected: u16) -> Option<Value> {
        match answer(request).await {
            Ok((status, body)) => {
                assert_eq!(status, expected, "{body}");
                Some(body)
            }
            Err(error) => {
                assert!(self.ending.load(Ordering::Acquire), "a call failed before the service was killed: {error:?}");
                None
            }
        }
    }
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}
