//! What it costs to share the log: registrations in a second on a file, on one NATS server and on three: `cargo bench --bench cluster`.
//!
//! `GATEBOOK_NATS_SERVER` has to name a nats-server; `tests/run` installs one. All of it, load included, is on one machine and one disk,
//! and every server flushes what it confirms, so the ratios say more than the figures.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on is of no use"
)]

#[path = "../tests/instance/mod.rs"]
mod instance;
#[path = "../tests/nats/mod.rs"]
mod nats;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use instance::{Caller, Instance};
use nats::Nats;

const CONNECTIONS: [usize; 3] = [1, 32, 128];
const SECONDS: u64 = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("registrations of a public client, servers and load on {} cores", std::thread::available_parallelism().unwrap());
    println!("{:>12} {:>24} {:>12} {:>10} {:>10}", "connections", "log", "requests/s", "p50", "p99");
    for connections in CONNECTIONS {
        measure(connections, "sqlite", None).await;
        for (count, name) in [(1, "jetstream, one server"), (3, "jetstream, three servers")] {
            let servers = Nats::start(count).unwrap_or_else(|reason| panic!("{reason}"));
            measure(connections, name, Some(&servers)).await;
        }
    }
}

async fn measure(connections: usize, name: &str, servers: Option<&Nats>) {
    let folder = tempfile::tempdir().unwrap();
    let mut flags = vec!["--registrations-per-minute".to_owned(), "0".to_owned(), "--log-level".to_owned(), "error".to_owned()];
    if let Some(servers) = servers {
        flags.extend(["--log".to_owned(), servers.uri("gatebook")]);
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let data = folder.path().join("data");
    let fixed = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let service = Instance::of(instance::gatebook(&[&fixed, &flags[..]].concat()));
    let _warm = load(&service, connections, Duration::from_secs(1)).await;
    let mut waits = load(&service, connections, Duration::from_secs(SECONDS)).await;
    waits.sort_unstable();
    let at = |share: usize| waits[waits.len() * share / 100];
    println!("{connections:>12} {name:>24} {:>12} {:>10.2?} {:>10.2?}", waits.len() as u64 / SECONDS, at(50), at(99));
    service.stop();
}

async fn load(service: &Instance, connections: usize, during: Duration) -> Vec<Duration> {
    let until = Instant::now() + during;
    let callers = (0..connections).map(|_| async {
        let caller = Caller::anyone(service);
        let mut waits = Vec::new();
        while Instant::now() < until {
            let body = json!({ "client_name": "Claude Code", "redirect_uris": ["http://localhost:33417/oauth/callback"],
                "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none" });
            let began = Instant::now();
            let (status, answer) = caller.call(Method::POST, "/oauth/register", Some(&body)).await.unwrap();
            assert_eq!(status, 201, "{answer}");
            waits.push(began.elapsed());
        }
        waits
    });
    futures_util::future::join_all(callers).await.concat()
}
