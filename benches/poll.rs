//! How long ten thousand documents take that are due at once, and what registrations notice of it: `cargo bench --bench poll`.
//!
//! The release binary in a process of its own reads documents from three hosts that answer after ten milliseconds, as hosts
//! elsewhere do. Meanwhile clients register at a modest, fixed rate, which they also do before and after, for comparison. Hosts,
//! load and server share the machine.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The only names of this very machine, each a host of its own to the poller.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// How long a host takes to answer.
const LATENCY: Duration = Duration::from_millis(10);
/// Registrations each second.
const PACE: Duration = Duration::from_millis(10);
/// How many documents there are.
const DOCUMENTS: &str = "GATEBOOK_BENCH_DOCUMENTS";
/// The most polls under way, and the most of them at one host, as the settings are by default.
const AT_ONCE: (usize, usize) = (16, 4);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let documents: usize = std::env::var(DOCUMENTS).map_or(10_000, |text| text.parse().unwrap());
    let folder = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let data = folder.path().join("data");
    let hosts = Hosts::start().await;
    let server = Server::start(&data, &["--manifests-per-host-per-minute", "0"]);
    server.enter(&hosts, documents, &data).await;
    println!("{documents} documents at {} hosts, due at once", HOSTS.len());
    println!("{:>10} {:>10} {:>10} {:>12} {:>12}", "", "took", "polls/s", "most at once", "at one host");
    let mut table = Vec::new();
    for turn in 1..=2 {
        let alone = server.registrations(Duration::from_secs(8)).await;
        let unchanged = server.polled(&hosts, "unchanged", documents).await;
        let again = server.registrations(Duration::from_secs(8)).await;
        hosts.0.edition.fetch_add(1, Ordering::Relaxed);
        let changed = server.polled(&hosts, "changed", documents).await;
        table.extend([(turn, "none", alone), (turn, "unchanged", unchanged), (turn, "none", again), (turn, "changed", changed)]);
    }
    println!(
        "\n{:>6} {:>10} {:>12} {:>10} {:>10}  registrations at {}/s",
        "turn",
        "polls",
        "registered",
        "p50",
        "p99",
        1000 / PACE.as_millis()
    );
    for (turn, polls, waits) in table {
        println!("{turn:>6} {polls:>10} {:>12} {:>10.2?} {:>10.2?}", waits.len(), share(&waits, 50), share(&waits, 99));
    }
    drop(server);
    rate(&data, &hosts).await;
}

/// With a bound on how often a host is asked, no host is asked more often.
async fn rate(data: &Path, hosts: &Hosts) {
    const PER_MINUTE: usize = 600;
    const SECONDS: usize = 10;
    let server = Server::start(data, &["--manifests-per-host-per-minute", &PER_MINUTE.to_string()]);
    hosts.forget();
    server.post("/authsec/manifests/poll", &json!({})).await;
    tokio::time::sleep(Duration::from_secs(SECONDS as u64)).await;
    let cpu = server.cpu();
    tokio::time::sleep(Duration::from_secs(SECONDS as u64)).await;
    let most = hosts.0.asked.lock().unwrap().values().copied().max().unwrap_or_default();
    let allowed = PER_MINUTE + 2 * SECONDS * PER_MINUTE / 60;
    println!("\nbound of {PER_MINUTE} a minute: after {} s the busiest host was asked {most} times, {allowed} are allowed", 2 * SECONDS);
    println!("CPU meanwhile: {} % of a core", server.cpu().saturating_sub(cpu).as_millis() / 10 / SECONDS as u128);
    assert!(most <= allowed);
}

fn share(sorted: &[Duration], share: usize) -> Duration {
    sorted.get(sorted.len() * share / 100).copied().unwrap_or_default()
}

/// Hosts that answer any path with a document.
struct Hosts(Arc<Shared>);

#[derive(Default)]
struct Shared {
    ports: HashMap<String, u16>,
    edition: AtomicUsize,
    asked: Mutex<HashMap<String, usize>>,
    under_way: Mutex<HashMap<String, usize>>,
    most: AtomicUsize,
    most_at_one: AtomicUsize,
}

impl Hosts {
    async fn start() -> Self {
        let four = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = four.local_addr().unwrap().port();
        let six = TcpListener::bind(("::1", port)).await.unwrap();
        let ports = HOSTS.iter().map(|host| ((*host).to_owned(), port)).collect();
        let shared = Arc::new(Shared { ports, ..Shared::default() });
        for listener in [four, six] {
            let router = Router::new().fallback(document).with_state(shared.clone());
            tokio::spawn(axum::serve(listener, router).into_future());
        }
        Self(shared)
    }

    fn url(&self, number: usize) -> String {
        let host = HOSTS.get(number % HOSTS.len()).unwrap();
        format!("http://{host}:{}/{number}/client.json", self.0.ports.get(*host).unwrap())
    }

    fn forget(&self) {
        self.0.asked.lock().unwrap().clear();
        self.0.most.store(0, Ordering::Relaxed);
        self.0.most_at_one.store(0, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.0.asked.lock().unwrap().values().sum()
    }
}

async fn document(State(shared): State<Arc<Shared>>, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).unwrap().to_str().unwrap().to_owned();
    *shared.asked.lock().unwrap().entry(host.clone()).or_default() += 1;
    {
        let mut under_way = shared.under_way.lock().unwrap();
        let here = under_way.entry(host.clone()).or_default();
        *here += 1;
        shared.most_at_one.fetch_max(*here, Ordering::Relaxed);
        shared.most.fetch_max(under_way.values().sum(), Ordering::Relaxed);
    }
    tokio::time::sleep(LATENCY).await;
    *shared.under_way.lock().unwrap().get_mut(&host).unwrap() -= 1;
    let etag = format!("\"{}\"", shared.edition.load(Ordering::Relaxed));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let document = json!({
        "client_id": format!("http://{host}{}", uri.path()),
        "client_name": "Example App",
        "redirect_uris": ["https://app.example.com/cb"],
        "token_endpoint_auth_method": "none",
        "software_version": etag,
    });
    ([(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, etag)], document.to_string()).into_response()
}

/// A server in a process of its own.
struct Server {
    process: Child,
    url: String,
    http: reqwest::Client,
    token: String,
}

impl Server {
    fn start(data: &Path, flags: &[&str]) -> Self {
        let binary = env!("CARGO_BIN_EXE_gatebook");
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--registrations-per-minute", "0", "--allow-loopback-manifests"]);
        command.args(["--log-level", "error"]).args(flags).arg("--data").arg(data).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let minted = Command::new(binary).args(["token", "--role", "admin", "--tenant", "default", "--data"]).arg(data).output().unwrap();
        let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
        Self { process, url, http: reqwest::Client::builder().no_proxy().build().unwrap(), token }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    /// Every document is met.
    async fn enter(&self, hosts: &Hosts, documents: usize, data: &Path) {
        let servers = self.http.get(format!("{}/authsec/resource-servers", self.url)).bearer_auth(&self.token).send().await.unwrap();
        let servers: Value = servers.json().await.unwrap();
        let id = servers.pointer("/resource_servers/0/id").unwrap().as_str().unwrap().to_owned();
        let path = format!("/authsec/resource-servers/{id}/clients/cimd");
        let started = Instant::now();
        let enter = |number: usize| {
            let (path, body) = (path.clone(), json!({ "client_id": hosts.url(number) }));
            async move { self.post(&path, &body).await }
        };
        stream::iter(0..documents).map(enter).buffer_unordered(12).for_each(|_| async {}).await;
        println!("entered in {:.1?}, in {}", started.elapsed(), data.display());
    }

    /// Makes all documents due, and says how long registrations take until every one was read.
    async fn polled(&self, hosts: &Hosts, name: &str, documents: usize) -> Vec<Duration> {
        hosts.forget();
        let over = AtomicBool::new(false);
        let started = Instant::now();
        let polls = async {
            self.post("/authsec/manifests/poll", &json!({})).await;
            while hosts.asked() < documents {
                assert!(started.elapsed() < Duration::from_secs(600), "{} of {documents} were polled", hosts.asked());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            over.store(true, Ordering::Relaxed);
            started.elapsed()
        };
        let polled = || over.load(Ordering::Relaxed);
        let (took, waits) = tokio::join!(polls, self.register_until(&polled));
        let (most, most_at_one) = (hosts.0.most.load(Ordering::Relaxed), hosts.0.most_at_one.load(Ordering::Relaxed));
        let each = documents as u128 * 1000 / took.as_millis().max(1);
        println!("{name:>10} {took:>10.1?} {each:>10} {most:>12} {most_at_one:>12}");
        assert!(most <= AT_ONCE.0 && most_at_one <= AT_ONCE.1);
        waits
    }

    async fn registrations(&self, during: Duration) -> Vec<Duration> {
        let end = Instant::now() + during;
        self.register_until(&|| Instant::now() >= end).await
    }

    /// Registers at a fixed rate. A registration that is late is counted from when it should have begun.
    async fn register_until(&self, over: &dyn Fn() -> bool) -> Vec<Duration> {
        let body = json!({ "client_name": "Claude Code", "redirect_uris": ["http://localhost:33417/oauth/callback"], "token_endpoint_auth_method": "none" });
        let mut waits = Vec::new();
        let mut begins = Instant::now();
        while !over() {
            tokio::time::sleep_until(begins.into()).await;
            let response = self.http.post(format!("{}/oauth/register", self.url)).json(&body).send().await.unwrap();
            assert_eq!(response.status(), 201);
            drop(response.bytes().await.unwrap());
            waits.push(begins.elapsed());
            begins += PACE;
        }
        waits.sort_unstable();
        waits
    }

    /// The processor time of all its threads.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        // Linux counts in hundredths of a second here whatever its own clock does.
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
