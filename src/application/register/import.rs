//! Clients that were registered elsewhere are entered here, each once, however often its file is imported.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::admission::{Admission, CapOf, RegistrationType};
use gatebook_events::client::{Client, ImportedFrom, Life};
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId};
use gatebook_events::metadata::Parsed;
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::{Coming, Fill, takes_room};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands};
use crate::application::register::rules::{Guarantor, Rules, Welcome};
use crate::application::register::{DrawnHashes, Identity};

/// A client as it comes from elsewhere.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// The identifier that it keeps.
    pub client_id: ClientId,
    /// Where it was registered before.
    pub from: ImportedFrom,
    /// What it says about itself.
    pub parsed: Parsed,
    /// When its secret stops working; never, if absent.
    pub secret_expires_at: Option<DateTime<Utc>>,
}

/// What importing a client comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is entered, and approved at once or waits.
    New(Admission),
    /// It is there, and only its registration is missing: something ended between the two.
    Unfinished(Admission),
    /// It was imported before.
    AlreadyHere,
}

/// An import at one resource server. Clients are judged one after the other, and those that were judged entered side by side.
pub struct Import {
    entrance: Arc<Entrance>,
    /// How full each register with a cap is, with those that were judged to be let in.
    fills: Vec<Fill>,
    judged: HashMap<ClientKey, ImportedFrom>,
}

/// Where those that were judged come in.
pub struct Entrance {
    commands: Commands,
    cause: Cause,
    /// As they were read when the import began: all who come are judged by the same.
    rules: Rules,
}

impl Commands {
    /// Begins to import at a resource server that admits clients which an administrator enters. Where there is a cap, everybody
    /// who takes room is counted in the log first: there may be no directory to ask.
    pub async fn begin_import(&self, id: ResourceServerId, max_clients_per_tenant: Option<NonZeroU32>) -> Result<Import, CommandError> {
        let rules = self.rules(id).await?;
        let (server, tenant) = (&rules.server, &rules.tenant);
        server.receives(Coming::entered(RegistrationType::Prereg))?;
        let mut fills = Vec::new();
        if let Some(cap) = server.policy.max_clients {
            fills.push(Fill { of: CapOf::ResourceServer, cap, count: self.count_at(id).await? });
        }
        if let Some(cap) = max_clients_per_tenant {
            let mut count = 0;
            for own in self.roster.now().of_same_tenant(tenant) {
                count += self.count_at(own).await?;
            }
            fills.push(Fill { of: CapOf::Tenant, cap, count });
        }
        let actor = Actor { kind: ActorKind::System, id: Some("import".to_owned()), via: Some("import".to_owned()) };
        let cause = Cause { actor, tenant: Some(tenant.clone()), request_id: None, origin: None };
        let entrance = Arc::new(Entrance { commands: self.clone(), cause, rules });
        Ok(Import { entrance, fills, judged: HashMap::new() })
    }

    async fn count_at(&self, id: ResourceServerId) -> Result<u64, CommandError> {
        let mut count = 0;
        for name in self.log.streams(&format!("registration-{id}-")).await? {
            let Ok(Stream::Registration(_, key)) = Stream::parse(&name) else { continue };
            let registration: Registration = self.load(Stream::Registration(id, key)).await?;
            if takes_room(registration.status) && self.load::<Client>(Stream::Client(key)).await?.life != Life::Deleted {
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Import {
    /// Where those that were judged come in.
    pub fn entrance(&self) -> Arc<Entrance> {
        self.entrance.clone()
    }

    /// What importing this client comes to, after those that were judged before it. Appends nothing. A client whose identifier
    /// somebody else has, or had, is refused, and so is what the resource server's rules refuse.
    pub async fn judge(&mut self, newcomer: &Newcomer) -> Result<Verdict, CommandError> {
        let key = newcomer.client_id.key();
        let verdict = match self.judged.get(&key) {
            Some(from) if *from == newcomer.from => Verdict::AlreadyHere,
            Some(_) => return Err(Rejection::AlreadyExists.into()),
            None => self.entrance.judge(key, newcomer).await?,
        };
        if verdict != Verdict::AlreadyHere {
            self.fills.iter().try_for_each(|fill| fill.room())?;
            for fill in &mut self.fills {
                fill.count += 1;
            }
        }
        self.judged.insert(key, newcomer.from.clone());
        Ok(verdict)
    }

    /// Has the resource server remember how full it is now, where that is news.
    pub async fn finish(self) {
        for fill in self.fills {
            self.entrance.commands.note_fill(self.entrance.rules.id, || fill).await;
        }
    }
}

impl Entrance {
    async fn judge(&self, key: ClientKey, newcomer: &Newcomer) -> Result<Verdict, CommandError> {
        let client: Client = self.commands.load(Stream::Client(key)).await?;
        match client.registered() {
            None if client.life == Life::Unregistered => Ok(Verdict::New(self.welcome(newcomer.parsed.clone())?.admission())),
            Some(profile) if profile.imported_from.as_ref() == Some(&newcomer.from) => {
                let registration: Registration = self.commands.load(Stream::Registration(self.rules.id, key)).await?;
                if registration != Registration::default() {
                    return Ok(Verdict::AlreadyHere);
                }
                if profile.home.as_ref() != Some(&self.rules.tenant) {
                    return Err(Rejection::NotHome.into());
                }
                let parsed = Parsed { metadata: profile.metadata.clone(), ignored: vec![] };
                Ok(Verdict::Unfinished(self.welcome(parsed)?.admission()))
            }
            // An identifier that was given up is never given again.
            None | Some(_) => Err(Rejection::AlreadyExists.into()),
        }
    }

    fn welcome(&self, parsed: Parsed) -> Result<Welcome, Rejection> {
        self.rules.judge(RegistrationType::Prereg, Guarantor::Administrator, parsed)
    }

    /// Enters a client that was judged, with the hash of its secret if it brings one.
    pub async fn enter(&self, newcomer: Newcomer, verdict: Verdict, hashes: DrawnHashes) -> Result<(), CommandError> {
        let key = newcomer.client_id.key();
        match verdict {
            Verdict::AlreadyHere => Ok(()),
            Verdict::New(_) => {
                let identity = Identity {
                    client_id: newcomer.client_id,
                    imported_from: Some(newcomer.from),
                    secret_expires_at: newcomer.secret_expires_at,
                };
                let welcome = self.welcome(newcomer.parsed)?;
                self.commands.enter(&self.cause, identity, welcome, hashes).await.map(drop)
            }
            Verdict::Unfinished(_) => {
                let client: Client = self.commands.load(Stream::Client(key)).await?;
                let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
                self.commands.complete(&self.cause, &self.rules, key, profile).await.map(drop)
            }
        }
    }
}
