//! What was answered so far, and the questions whether it still stands.

use std::collections::HashSet;
use std::fmt;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;

use crate::chance::Chance;
use crate::instance::{Caller, DEFAULT_SERVER, answer};
use crate::listed;
use crate::load::{Done, Entry, Outcome, Registered};

/// How many of the earlier rounds' clients are asked for their own registration each time; all are, in the end.
const SAMPLE: usize = 200;

/// Everything that was answered in any round.
#[derive(Default)]
pub struct Kept {
    clients: Vec<Registered>,
    entries: Vec<Entry>,
    /// From where on the clients came in the last round.
    fresh: (usize, usize),
    unanswered_entries: HashSet<String>,
}

impl Kept {
    /// Remembers another round.
    pub fn add(&mut self, done: Done) {
        self.fresh = (self.clients.len(), self.entries.len());
        self.clients.extend(done.clients);
        self.entries.extend(done.entries);
    }

    /// All of it stands in the administrator's list, and each client of the last round and some of the earlier ones can read
    /// their registration with the token that they were given.
    pub async fn check(&mut self, anyone: &Caller, admin: &Caller, chance: &mut Chance) {
        assert_eq!(anyone.get("/health").await["status"], "ok");
        // The repeated calls finish what a kill cut in two, so the list is asked for afterwards.
        self.repeat_entries(admin).await;
        let listed = listed(admin).await;
        for client in &mut self.clients {
            let row = listed.get(&client.client_id).unwrap_or_else(|| panic!("{client:?} was answered 201 and is not in the list"));
            settle(client, row);
        }
        for entry in &self.entries {
            let (client_id, _) = entry.answered.as_ref().unwrap();
            assert_eq!(listed[client_id]["registration_type"], "prereg", "{entry:?}");
        }
        let names: HashSet<&str> = listed.values().filter_map(|row| row["client_name"].as_str()).collect();
        assert_eq!(names.len(), listed.len(), "what one call entered is listed more than once");

        let mut asked: Vec<&Registered> = self.clients[self.fresh.0..].iter().collect();
        asked.extend((0..SAMPLE.min(self.fresh.0)).filter_map(|_| chance.pick(&self.clients[..self.fresh.0])));
        read_own(anyone, asked).await;
    }

    /// Every client of every round can read its own registration.
    pub async fn check_everyone(&self, anyone: &Caller) {
        read_own(anyone, self.clients.iter().collect()).await;
    }

    /// A caller who got no answer asks again with the same key, and one who got one gets the same again.
    async fn repeat_entries(&mut self, admin: &Caller) {
        for entry in &mut self.entries[self.fresh.1..] {
            let request = admin.request(Method::POST, &format!("{DEFAULT_SERVER}/clients"), Some(&entry.body));
            let (status, body) = answer(request.header("idempotency-key", &entry.key)).await.unwrap();
            assert_eq!(status, 201, "{entry:?}: {body}");
            let word = |name: &str| body[name].as_str().unwrap().to_owned();
            let given = (word("client_id"), word("client_secret"));
            if let Some(first) = &entry.answered {
                assert_eq!(&given, first, "the same key was answered in two ways");
            } else {
                self.unanswered_entries.insert(entry.key.clone());
                entry.answered = Some(given);
            }
        }
    }
}

/// What was answered must hold. What was not, may or may not; from now on it is as it was found.
fn settle(client: &mut Registered, row: &Value) {
    let found = row["status"] == "suspended";
    match client.suspended {
        Outcome::Not => assert!(!found, "nobody asked to suspend {client:?}: {row}"),
        Outcome::Stands => assert!(found, "the suspension of {client:?} was answered and is gone: {row}"),
        Outcome::Unknown => client.suspended = if found { Outcome::Stands } else { Outcome::Not },
    }
    // What the client claims: a change that was cut off between its two appends is claimed and not admitted.
    let name = row["claimed"].get("client_name").unwrap_or(&row["client_name"]);
    let Some(change) = &mut client.change else {
        assert_eq!(*name, client.name.as_str());
        return;
    };
    let renamed = *name == change.name.as_str();
    let staged = row["staged_change"]["added"].as_array().is_some_and(|added| added.iter().any(|uri| *uri == change.added.as_str()));
    assert!(renamed || *name == client.name.as_str(), "{row}");
    match change.outcome {
        Outcome::Stands => assert!(renamed && staged, "{change:?} was answered and is gone: {row}"),
        // Two appends: the client's own first, then what it claims here.
        Outcome::Unknown => {
            assert!(renamed || !staged, "a change waits that the client does not have: {row}");
            if renamed && staged {
                change.outcome = Outcome::Stands;
            } else if renamed {
                client.name.clone_from(&change.name);
                client.change = None;
            } else {
                client.change = None;
            }
        }
        Outcome::Not => {}
    }
}

async fn read_own(anyone: &Caller, clients: Vec<&Registered>) {
    let asked = clients.into_iter().map(|client| async move {
        let holder = anyone.with(&client.token);
        let body = holder.get(&format!("/oauth/register/{}", client.client_id)).await;
        let name = client.change.as_ref().filter(|change| change.outcome == Outcome::Stands).map_or(&client.name, |change| &change.name);
        assert_eq!(body["client_id"], client.client_id.as_str());
        assert_eq!(body["client_name"], name.as_str(), "{client:?}");
        assert_eq!(body["gatebook"]["status"] == "suspended", client.suspended == Outcome::Stands, "{client:?}: {body}");
    });
    futures_util::stream::iter(asked).buffer_unordered(16).collect::<Vec<()>>().await;
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suspended = self.clients.iter().filter(|client| client.suspended == Outcome::Stands).count();
        let (entries, again) = (self.entries.len(), self.unanswered_entries.len());
        write!(
            f,
            "{} clients, {suspended} of them suspended, and {entries} entries, {again} of them answered at the second try",
            self.clients.len()
        )
    }
}
