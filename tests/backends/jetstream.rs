//! The log in JetStream, mirrored here: the contract, on one server and on three.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use gatebook::cluster::nats::{Nats, NatsSettings};
use gatebook::event_log::EventLog;
use gatebook::event_log::jetstream::JetStreamLog;
use gatebook::event_log::sqlite::mirror::Mirror;
use tempfile::TempDir;
use uuid::Uuid;

use crate::nats;
use crate::place::{Found, Place};

mod single {
    crate::contract::contract!(super::single);
}
mod three_nodes {
    crate::contract::contract!(super::three_nodes);
}

/// A log of its own on servers that the tests share, and a folder for its mirror.
struct Log {
    uri: String,
    folder: TempDir,
}

async fn single() -> Found {
    place(one_server())
}

async fn three_nodes() -> Found {
    place(three_servers())
}

/// A server that the tests share, or why there is none.
pub fn one_server() -> &'static Result<nats::Nats, String> {
    static SERVER: OnceLock<Result<nats::Nats, String>> = OnceLock::new();
    SERVER.get_or_init(|| nats::Nats::start(1))
}

/// The same with three.
pub fn three_servers() -> &'static Result<nats::Nats, String> {
    static SERVERS: OnceLock<Result<nats::Nats, String>> = OnceLock::new();
    SERVERS.get_or_init(|| nats::Nats::start(3))
}

fn place(servers: &Result<nats::Nats, String>) -> Found {
    let servers = servers.as_ref().map_err(String::clone)?;
    Ok(Box::new(Log { uri: servers.uri(&format!("t{}", Uuid::new_v4().simple())), folder: tempfile::tempdir().unwrap() }))
}

#[async_trait]
impl Place for Log {
    async fn open(&self) -> Arc<dyn EventLog> {
        let nats = Nats::connect(&NatsSettings::parse(&self.uri).unwrap()).await.unwrap();
        let shared = JetStreamLog::open(nats).await.unwrap();
        let mirror = Mirror::open(&self.folder.path().join("mirror.db"), Arc::new(shared), Duration::from_secs(30)).await.unwrap();
        Arc::new(mirror)
    }

    fn keeps(&self) -> bool {
        true
    }
}
