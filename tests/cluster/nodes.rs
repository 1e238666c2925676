//! Nodes on servers of their own, with keys in common, and the few words that the tests are written with.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::instance::{Caller, DEFAULT_SERVER, Instance, gatebook, run, said};
use crate::nats::{self, Nats};

/// The longest that anything here may take before the test says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// NATS servers, and nodes that share a log there.
pub struct Cluster {
    pub nats: Nats,
    nodes: Nodes,
}

/// A place for nodes that share a log. Each node listens where it did before.
pub struct Nodes {
    /// Where a log of some name is.
    uri: Box<dyn Fn(&str) -> String + Send + Sync>,
    /// What else nodes are told of whoever keeps it.
    flags: Vec<String>,
    folder: TempDir,
    ports: Vec<u16>,
}

impl Cluster {
    /// As many servers; none where there is no program for them, which is then said.
    pub fn start(what: &str, servers: usize) -> Option<Self> {
        let nats = match Nats::start(servers) {
            Ok(nats) => nats,
            Err(reason) => {
                nats::not_run(what, &reason);
                return None;
            }
        };
        let base = nats.uri("");
        let flags = vec!["--nats-monitoring".to_owned(), nats.monitoring(0)];
        Some(Self { nats, nodes: Nodes::on(move |name| format!("{base}{name}"), flags) })
    }
}

impl Deref for Cluster {
    type Target = Nodes;

    fn deref(&self) -> &Nodes {
        &self.nodes
    }
}

impl Nodes {
    /// Nodes with keys in common, and none of them started.
    pub fn on(uri: impl Fn(&str) -> String + Send + Sync + 'static, flags: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, key) in [("instance.key", "A".repeat(43)), ("admin.key", "B".repeat(43))] {
            let file = folder.path().join(name);
            fs::write(&file, format!("{key}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self { uri: Box::new(uri), flags, folder, ports: nats::free_ports(2) }
    }

    /// The data folder of a node.
    pub fn data(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("node-{node}"))
    }

    /// A node's mirror.
    pub fn mirror(&self, node: usize) -> PathBuf {
        self.data(node).join("cluster/mirror.db")
    }

    /// Starts a node.
    pub fn node(&self, node: usize, more: &[&str]) -> Instance {
        let key = self.folder.path().join("instance.key");
        let key = ["--instance-key-file", key.to_str().unwrap()];
        Instance::of(self.serve(node, "gatebook", &[&key, more].concat()))
    }

    /// Starts one that draws an instance key of its own.
    pub fn node_with_its_own_key(&self, node: usize) -> Instance {
        Instance::of(self.serve(node, "gatebook", &[]))
    }

    /// What a node says that does not come up with a log of this name.
    pub fn refusal(&self, node: usize, log: &str) -> String {
        let output = self.serve(node, log, &[]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn serve(&self, node: usize, log: &str, more: &[&str]) -> Command {
        let open = ["--registrations-per-minute", "0", "--changes-per-minute", "0", "--changes-per-client-per-hour", "0"];
        let mut command = gatebook(&[&["serve", "--log-level", "warn"], &open[..]].concat());
        command.args(["--listen", &format!("127.0.0.1:{}", self.ports[node])]).arg("--data").arg(self.data(node));
        command.args(["--log", &(self.uri)(log)]).args(&self.flags);
        command.arg("--admin-jwt-secret-file").arg(self.folder.path().join("admin.key"));
        command.args(["--admin-jwt-audience", "gatebook"]).args(more);
        command
    }

    /// An administrator at a node.
    pub fn admin(&self, node: &Instance) -> Caller {
        let key = self.folder.path().join("admin.key");
        let key = ["--admin-jwt-secret-file", key.to_str().unwrap(), "--admin-jwt-audience", "gatebook"];
        Caller::anyone(node).with(said(run(&[&["token", "--role", "admin", "--tenant", "default"][..], &key].concat())).trim_end())
    }
}

/// A client that registers itself: its identifier, and the token that it was given.
pub async fn register(at: &Caller, name: &str) -> (String, String) {
    let body = json!({ "client_name": name, "redirect_uris": ["http://127.0.0.1:7777/cb"], "token_endpoint_auth_method": "none" });
    let answer = at.post("/oauth/register", &body).await;
    let text = |member: &str| answer[member].as_str().unwrap().to_owned();
    (text("client_id"), text("registration_access_token"))
}

/// What a door says of a client at the default resource server.
pub async fn decision(at: &Caller, client_id: &str) -> (u16, Value) {
    at.call(Method::POST, "/oauth/decisions", Some(&json!({ "client_id": client_id }))).await.unwrap()
}

/// The list's rows, from a node that has come as far as `position`; none while it does not answer.
pub async fn listed_after(at: &Caller, position: &str) -> Option<Vec<Value>> {
    let request = at.request(Method::GET, &format!("{DEFAULT_SERVER}/clients?limit=500"), None).header("gatebook-position", position);
    let (status, body) = crate::instance::answer(request).await.unwrap();
    assert!(status == 200 || status == 503, "{body}");
    body["clients"].as_array().cloned()
}

/// What a node says of itself on its page of the cluster.
pub async fn this(at: &Caller) -> Value {
    at.get("/authsec/cluster").await["nodes"][0].clone()
}

/// Waits until a state of things, and says how long that took.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return (found, started.elapsed());
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Files beside the mirror that were put aside.
pub fn put_aside(mirror: &Path) -> Vec<String> {
    let files = fs::read_dir(mirror.parent().unwrap()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("mirror.db.broken")).collect();
    names.sort();
    names
}
