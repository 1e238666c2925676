//! How many clients can register in a second, and what one registration costs: `cargo bench --bench http`.
//!
//! The release binary in a process of its own answers durable public registrations over keep-alive connections. Beside it
//! stands the least that could be asked of the same framework: a handler that reads the body as JSON and answers 201 with
//! JSON, and keeps nothing. Server and load share the machine, so the ratio of the two says more than either figure.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: [usize; 3] = [1, 32, 128];
/// Set for the process that is the bare handler.
const BARE: &str = "GATEBOOK_BENCH_BARE";
/// How long each load lasts, in seconds. At most [`MOST`] requests are made in that time.
const SECONDS: &str = "GATEBOOK_BENCH_SECONDS";
const MOST: usize = 200_000;
/// How many clients there are to decide about, unless said otherwise.
const REGISTERED: usize = 10_000;
/// How many instead.
const CLIENTS: &str = "GATEBOOK_BENCH_CLIENTS";
/// Which part is measured, `registrations`, `doors` or `flood`; all of them, if absent.
const PART: &str = "GATEBOOK_BENCH_PART";

fn main() {
    let threads = |builder: &mut tokio::runtime::Builder| builder.enable_all().build().unwrap();
    if std::env::var_os(BARE).is_some() {
        return threads(&mut tokio::runtime::Builder::new_multi_thread()).block_on(bare());
    }
    // One thread makes the load, so that it takes as little from the server as it can.
    threads(&mut tokio::runtime::Builder::new_current_thread()).block_on(measure());
}

async fn measure() {
    let seconds = std::env::var(SECONDS).map_or(5, |text| text.parse().unwrap());
    let folder = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let part = std::env::var(PART).ok();
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    println!("server and load on {} cores", std::thread::available_parallelism().unwrap());
    if wanted("registrations") {
        registrations(folder.path(), seconds).await;
    }
    if wanted("doors") {
        doors(&folder.path().join("doors"), seconds).await;
    }
    if wanted("flood") {
        flood(&folder.path().join("flood"), seconds).await;
    }
}

/// What it costs to register a public client.
async fn registrations(folder: &Path, seconds: u64) {
    println!("\nregistrations of a public client");
    println!(
        "{:>12} {:>12} {:>12} {:>10} {:>10} {:>16} {:>12}",
        "connections", "server", "requests/s", "p50", "p99", "CPU µs/request", "peak RSS MB"
    );
    for connections in CONNECTIONS {
        let gatebook = Server::gatebook(&folder.join(connections.to_string())).load(connections, seconds).await;
        let bare = Server::bare().load(connections, seconds).await;
        println!("{connections:>12} {:>12} {gatebook}", "gatebook");
        println!("{connections:>12} {:>12} {bare}", "bare handler");
        let (rate, cpu) = (gatebook.rate() / bare.rate(), gatebook.cpu_each() / bare.cpu_each());
        println!("{connections:>12} {:>12} {rate:>12.2} {:>10} {:>10} {cpu:>16.1}", "ratio", "", "");
    }
}

/// What an authorization server waits for: a decision about one of many public clients, beside a bare handler that
/// takes the same JSON.
async fn doors(data: &Path, seconds: u64) {
    let registered = std::env::var(CLIENTS).map_or(REGISTERED, |text| text.parse().unwrap());
    println!("\ndecisions and look-ups, {registered} clients registered");
    println!(
        "{:>12} {:>12} {:>12} {:>10} {:>10} {:>16} {:>12}",
        "connections", "server", "requests/s", "p50", "p99", "CPU µs/request", "peak RSS MB"
    );
    let server = Server::gatebook(data);
    let clients = server.registered(registered).await;
    server.settled().await;
    let token = Server::decider(data);
    for connections in [1, 64] {
        let bare = Server::bare().load_of(connections, seconds, "201", &|_| request("")).await;
        println!("{connections:>12} {:>22} {bare}", "bare handler");
        for (of, among) in [("all in turn", clients.len()), ("a thousand", 1000.min(clients.len()))] {
            let client = |number: usize| clients.get(number % among).map_or("", String::as_str);
            let ask = |number: usize| {
                let question = json!({ "client_id": client(number), "redirect_uri": "http://localhost:4711/oauth/callback", "grant_type": "authorization_code" });
                post("/oauth/decisions", &format!("authorization: Bearer {token}\r\n"), &question)
            };
            let look_up = |number: usize| {
                format!("GET /oauth/clients/{} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n", client(number))
            };
            let decisions = server.load_of(connections, seconds, "200", &ask).await;
            println!("{connections:>12} {:>22} {decisions} {:>8.2} of bare", format!("decisions, {of}"), decisions.rate() / bare.rate());
            let look_ups = server.load_of(connections, seconds, "200", &look_up).await;
            println!("{connections:>12} {:>22} {look_ups} {:>8.2} of bare", format!("look-ups, {of}"), look_ups.rate() / bare.rate());
        }
    }
}

/// What callers from other sources notice of one that keeps calling although it is over its ceiling: one connection whose
/// every registration comes from another source, alone, beside a flood of about a thousand requests a second, and beside one that
/// takes all it can get. Each is run twice, in turns, because the machine is shared.
async fn flood(data: &Path, seconds: u64) {
    const FLOOD: usize = 32;
    println!("\none connection, every request from another source, beside one source over its ceiling");
    println!("{:>34} {:>12} {:>10} {:>10} {:>12}", "flood", "requests/s", "p50", "p99", "refused/s");
    let server = Server::behind_a_proxy(data);
    server.quiet(Duration::from_millis(500), 0).await;
    server.loud(1, &AtomicBool::new(false), Some(Duration::from_millis(1)), Some(Duration::from_millis(500))).await;
    let mut sources = 1 << 16;
    for turn in 1..=2 {
        let mut alone = None;
        for (name, pace) in
            [("none", None), ("1000 requests/s", Some(Duration::from_millis(FLOOD as u64))), ("all it can", Some(Duration::ZERO))]
        {
            let over = AtomicBool::new(false);
            let during = Duration::from_secs(seconds);
            let quiet = async {
                let waits = server.quiet(during, sources).await;
                over.store(true, Ordering::Relaxed);
                waits
            };
            let loud = async { if pace.is_some() { server.loud(FLOOD, &over, pace, None).await } else { 0 } };
            let (mut waits, refused) = tokio::join!(quiet, loud);
            sources += 1 << 20;
            waits.sort_unstable();
            let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
            let (rate, refused) = (waits.len() as u64 / seconds, refused as u64 / seconds);
            println!("{:>34} {rate:>12} {:>10.2?} {:>10.2?} {refused:>12}", format!("{name} (turn {turn})"), at(50), at(99));
            let (p50, p99) = *alone.get_or_insert((at(50), at(99)));
            println!(
                "{:>34} {:>12} {:>10.2} {:>10.2}",
                "ratio",
                "",
                at(50).as_secs_f64() / p50.as_secs_f64(),
                at(99).as_secs_f64() / p99.as_secs_f64()
            );
        }
    }
}

/// A server in a process of its own.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn gatebook(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatebook"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--registrations-per-minute", "0", "--data"]).arg(data);
        Self::start(&mut command)
    }

    /// With the ceiling that a fresh instance has, and trusting the load to say where it comes from.
    fn behind_a_proxy(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatebook"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1", "--data"]).arg(data);
        Self::start(&mut command)
    }

    /// Registers over one connection, each time from another source.
    async fn quiet(&self, during: Duration, first: u32) -> Vec<Duration> {
        let (mut stream, end) = (self.connect().await, Instant::now() + during);
        let (mut waits, mut answer) = (Vec::new(), Vec::with_capacity(4096));
        for source in first.. {
            if Instant::now() >= end {
                break;
            }
            let [_, b, c, d] = source.to_be_bytes();
            let request = request(&format!("x-forwarded-for: 10.{b}.{c}.{d}\r\n"));
            let asked = Instant::now();
            stream.write_all(request.as_bytes()).await.unwrap();
            whole_answer(&mut stream, &mut answer, "201").await;
            waits.push(asked.elapsed());
        }
        waits
    }

    /// Calls from one source, over so many connections with so much rest after each answer, until `over` or for `during`.
    /// Says how often it was refused.
    async fn loud(&self, connections: usize, over: &AtomicBool, rest: Option<Duration>, during: Option<Duration>) -> usize {
        let end = during.map(|during| Instant::now() + during);
        let request = request("x-forwarded-for: 192.0.2.1\r\n");
        let one = async || {
            let mut stream = self.connect().await;
            let (mut refused, mut answer) = (0, Vec::with_capacity(4096));
            while !over.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
                stream.write_all(request.as_bytes()).await.unwrap();
                refused += usize::from(whole_answer(&mut stream, &mut answer, "").await == "429");
                if let Some(rest) = rest.filter(|rest| !rest.is_zero()) {
                    tokio::time::sleep(rest).await;
                }
            }
            refused
        };
        futures_util::future::join_all((0..connections).map(|_| one())).await.iter().sum()
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn bare() -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).env(BARE, "1"))
    }

    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { process, address }
    }

    async fn load(self, connections: usize, seconds: u64) -> Measured {
        self.load_of(connections, seconds, "201", &|_| request("")).await
    }

    /// Registers so many clients; their identifiers.
    async fn registered(&self, clients: usize) -> Vec<String> {
        const AT_ONCE: usize = 64;
        let request = request("");
        let some = async |clients: usize| {
            let (mut stream, mut answer) = (self.connect().await, Vec::with_capacity(4096));
            let mut ids = Vec::new();
            for _ in 0..clients {
                stream.write_all(request.as_bytes()).await.unwrap();
                whole_answer(&mut stream, &mut answer, "201").await;
                let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                let body: Value = serde_json::from_slice(answer.get(body..).unwrap()).unwrap();
                ids.push(body.get("client_id").and_then(Value::as_str).unwrap().to_owned());
            }
            ids
        };
        futures_util::future::join_all((0..AT_ONCE).map(|_| some(clients / AT_ONCE))).await.concat()
    }

    /// A token that asks, for the instance in this folder.
    fn decider(data: &Path) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatebook"));
        let output = command.args(["token", "--role", "decider", "--tenant", "default", "--data"]).arg(data).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    async fn load_of(&self, connections: usize, seconds: u64, expected: &str, request: &impl Fn(usize) -> String) -> Measured {
        // Connections, caches and the first pages of every file are there before anything is counted.
        self.requests(connections, Duration::from_millis(500), expected, request).await;
        self.settled().await;
        let (cpu, started) = (self.cpu(), Instant::now());
        let mut waits = self.requests(connections, Duration::from_secs(seconds), expected, request).await;
        let took = started.elapsed();
        // What an answer leaves to be done afterwards, such as bringing the lists up to date, is part of its price.
        self.settled().await;
        waits.sort_unstable();
        Measured { took, waits, cpu: self.cpu().saturating_sub(cpu), peak: self.status("VmHWM:") }
    }

    async fn requests(&self, connections: usize, during: Duration, expected: &str, request: &impl Fn(usize) -> String) -> Vec<Duration> {
        let end = Instant::now() + during;
        let left = AtomicUsize::new(MOST);
        let one = async || {
            let mut stream = self.connect().await;
            let (mut waits, mut answer) = (Vec::new(), Vec::with_capacity(4096));
            while Instant::now() < end {
                let Ok(number) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) else { break };
                let request = request(number);
                let asked = Instant::now();
                stream.write_all(request.as_bytes()).await.unwrap();
                whole_answer(&mut stream, &mut answer, expected).await;
                waits.push(asked.elapsed());
            }
            waits
        };
        futures_util::future::join_all((0..connections).map(|_| one())).await.concat()
    }

    /// Waits until the server has nothing more to do.
    async fn settled(&self) {
        let mut before = self.cpu();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.cpu();
            if now.saturating_sub(before) <= Duration::from_millis(10) {
                return;
            }
            before = now;
        }
    }

    /// The processor time of all its threads, those that ended included.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        // Linux counts in hundredths of a second here whatever its own clock does.
        Duration::from_millis(10 * ticks)
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Reads one answer and gives its status; one that does not begin as expected ends the measurement.
async fn whole_answer(stream: &mut TcpStream, answer: &mut Vec<u8>, expected: &str) -> String {
    answer.clear();
    loop {
        assert!(stream.read_buf(answer).await.unwrap() > 0, "the server hung up: {}", String::from_utf8_lossy(answer));
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(answer.get(..head).unwrap()).unwrap();
        let status = text.get(9..12).unwrap();
        assert!(status.starts_with(expected), "{}", String::from_utf8_lossy(answer));
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if answer.len() >= head + 4 + length.parse::<usize>().unwrap() {
            return status.to_owned();
        }
    }
}

/// A registration as a client on somebody's machine sends it, with more header lines.
fn request(headers: &str) -> String {
    let body = json!({
        "client_name": "Claude Code",
        "client_uri": "https://claude.ai/code",
        "redirect_uris": ["http://localhost:33417/oauth/callback", "http://127.0.0.1:33417/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "software_id": "claude-code",
        "software_version": "2.0.14",
        "scope": "openid profile tools:read tools:write",
    });
    post("/oauth/register", headers, &body)
}

fn post(path: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// The bare handler: JSON in, the same members and a few more out.
async fn bare() {
    let register = async |axum::Json(mut body): axum::Json<Value>| {
        let client_id = uuid::Uuid::now_v7().to_string();
        let uri = format!("http://localhost/oauth/register/{client_id}");
        let members = body.as_object_mut().unwrap();
        members.insert("client_id".to_owned(), client_id.into());
        members.insert("client_id_issued_at".to_owned(), 1_700_000_000.into());
        members.insert("registration_access_token".to_owned(), "gbr_0123456789abcdef0123456789abcdef0123456789a".into());
        members.insert("registration_client_uri".to_owned(), uri.into());
        (axum::http::StatusCode::CREATED, axum::Json(body))
    };
    let router = axum::Router::new().route("/oauth/register", axum::routing::post(register));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap()), router).await.unwrap();
}

struct Measured {
    took: Duration,
    /// From the shortest to the longest.
    waits: Vec<Duration>,
    cpu: Duration,
    /// In kB.
    peak: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below the point where precision is lost")]
impl Measured {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.waits.len() as f64
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: usize| self.waits.get(self.waits.len() * share / 100).copied().unwrap_or_default();
        let (rate, cpu, peak) = (self.rate(), self.cpu_each(), self.peak / 1024);
        write!(f, "{rate:>12.0} {:>10.2?} {:>10.2?} {cpu:>16.1} {peak:>12}", at(50), at(99))
    }
}
