//! Real NATS servers on loopback, one or three of them, that flush what they confirm. They end with the test, however that ends.
#![allow(dead_code, reason = "each test program that starts servers needs a part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Runs a server for as long as somebody holds the other end of standard input, even if that somebody is killed. What the server
/// kept goes with it, unless the last word is to keep it.
const KEEPER: &str = r#"
    "$0" -c "$1" >>"$2.log" 2>&1 </dev/null &
    echo $!
    read -r word
    kill -9 $!
    wait $! 2>/dev/null
    [ "$word" = keep ] || { rm -rf "$2" "$2.log" "$1" && rmdir "${2%/*}" 2>/dev/null; }
"#;

/// The longest that servers may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Servers that belong together.
pub struct Nats {
    servers: Vec<Server>,
    folder: TempDir,
    program: PathBuf,
}

struct Server {
    name: String,
    client: u16,
    monitoring: u16,
    process: Option<Process>,
}

struct Process {
    keeper: Child,
    /// The server itself.
    id: u32,
}

/// Says that something was not run, past the test harness, which keeps what a passing test prints.
pub fn not_run(what: &str, reason: &str) {
    std::io::stderr().write_all(format!("not run: {what}: {reason}\n").as_bytes()).unwrap();
}

/// Where `nats-server` is, or why it is not.
pub fn program() -> Result<PathBuf, String> {
    named("GATEBOOK_NATS_SERVER")
}

fn named(variable: &str) -> Result<PathBuf, String> {
    let program = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    program.ok_or_else(|| format!("{variable} names no nats-server; tests/run installs it"))
}

impl Nats {
    /// Starts as many servers and waits until they are ready to keep things.
    pub fn start(count: usize) -> Result<Self, String> {
        Self::start_with(count, "")
    }

    /// Starts servers in whose configuration these lines stand too.
    pub fn start_with(count: usize, more: &str) -> Result<Self, String> {
        Ok(Self::start_program(program()?, count, &format!(", sync_interval: always, strict: true }}\n{more}")))
    }

    /// Starts one of a version that is too old to keep an event log, and does not know every word of a configuration.
    pub fn start_old() -> Result<Self, String> {
        Ok(Self::start_program(named("GATEBOOK_OLD_NATS_SERVER")?, 1, " }\n"))
    }

    /// `rest` is how the block of JetStream ends, and what stands behind it.
    fn start_program(program: PathBuf, count: usize, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(count * 3);
        let servers: Vec<_> = (0..count)
            .map(|n| Server { name: format!("n{n}"), client: ports[n * 3], monitoring: ports[n * 3 + 1], process: None })
            .collect();
        let routes: Vec<_> = (0..count).map(|n| format!("nats://127.0.0.1:{}", ports[n * 3 + 2])).collect();
        for (n, server) in servers.iter().enumerate() {
            let cluster = if count == 1 {
                String::new()
            } else {
                format!("cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{}] }}\n", ports[n * 3 + 2], routes.join(", "))
            };
            let text = format!(
                "server_name: {0}\nlisten: \"127.0.0.1:{1}\"\nhttp: \"127.0.0.1:{2}\"\nmax_payload: 4MB\n\
                 jetstream {{ store_dir: \"{3}\", max_file: 4GB, max_mem: 256MB{rest}{cluster}",
                server.name,
                server.client,
                server.monitoring,
                folder.path().join(&server.name).display(),
            );
            fs::write(folder.path().join(format!("{}.conf", server.name)), text).unwrap();
        }
        let mut nats = Self { servers, folder, program };
        for n in 0..count {
            nats.run(n);
        }
        nats.until_ready();
        nats
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// The URI of a log of its own in here.
    pub fn uri(&self, name: &str) -> String {
        format!("nats://{}?name={name}", self.at("127.0.0.1"))
    }

    /// The servers, as somebody writes them who knows this machine by that name.
    pub fn at(&self, host: &str) -> String {
        let servers: Vec<_> = self.servers.iter().map(|server| format!("{host}:{}", server.client)).collect();
        servers.join(",")
    }

    /// Where one of them tells about itself.
    pub fn monitoring(&self, n: usize) -> String {
        format!("http://127.0.0.1:{}", self.servers[n].monitoring)
    }

    /// Starts one that does not run.
    pub fn run(&mut self, n: usize) {
        let server = &mut self.servers[n];
        let place = |suffix: &str| self.folder.path().join(format!("{}{suffix}", server.name));
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER]).arg(&self.program).arg(place(".conf")).arg(place(""));
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        server.process = Some(Process { keeper, id: line.trim().parse().unwrap() });
    }

    /// Ends one as a power cut would.
    pub fn kill(&mut self, n: usize) {
        let Process { mut keeper, .. } = self.servers[n].process.take().expect("it runs");
        keeper.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        keeper.wait().unwrap();
    }

    /// Has one stand still, connections and all.
    pub fn pause(&self, n: usize) {
        self.signal(n, "STOP");
    }

    /// Has it go on.
    pub fn go_on(&self, n: usize) {
        self.signal(n, "CONT");
    }

    fn signal(&self, n: usize, signal: &str) {
        let process = self.servers[n].process.as_ref().expect("it runs");
        let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", process.id)]).status().unwrap();
        assert!(status.success());
    }

    /// The number of the server that leads a stream; none while nobody does.
    pub fn leader(&self, stream: &str) -> Option<usize> {
        let running = (0..self.count()).filter(|n| self.servers[*n].process.is_some());
        let told = running.filter_map(|n| get(self.servers[n].monitoring, "/jsz?streams=1"));
        let mut leader = told.filter_map(|jsz| {
            let streams =
                jsz["account_details"].as_array()?.iter().flat_map(|account| account["stream_detail"].as_array().into_iter().flatten());
            let found =
                streams.filter(|found| found["name"] == stream).find_map(|found| found["cluster"]["leader"].as_str().map(str::to_owned));
            found.filter(|leader| !leader.is_empty())
        });
        // Whoever was deposed a moment ago may not know it yet; any of them is good enough to be struck.
        let leader = leader.next_back()?;
        self.servers.iter().position(|server| server.name == leader)
    }

    /// Waits until every server that runs is well, by its own word.
    pub fn until_ready(&self) {
        let started = Instant::now();
        let ready = |server: &Server| get(server.monitoring, "/healthz").is_some_and(|health| health["status"] == "ok");
        while !self.servers.iter().filter(|server| server.process.is_some()).all(ready) {
            assert!(started.elapsed() < PATIENCE, "the servers are not ready\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the servers said.
    pub fn log(&self) -> String {
        let read = |server: &Server| fs::read_to_string(self.folder.path().join(format!("{}.log", server.name))).unwrap_or_default();
        self.servers.iter().map(read).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for process in self.servers.iter_mut().filter_map(|server| server.process.as_mut()) {
            drop(process.keeper.stdin.take());
            let _already_waited_for = process.keeper.wait();
        }
    }
}

/// Ports that nobody had a moment ago.
pub fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// What a server answers over HTTP; none if it does not.
fn get(port: u16, path: &str) -> Option<Value> {
    let mut connection = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(1)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    serde_json::from_str(&answer[answer.find('{')?..=answer.rfind('}')?]).ok()
}
