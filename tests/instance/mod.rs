//! The real binary as a user starts it: on a data folder, on a port that is free, told apart from every other instance.
#![allow(dead_code, reason = "each test program that starts the binary needs a part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The longest that anything here may take before the test says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The resource server that a fresh instance has, as a path.
pub const DEFAULT_SERVER: &str = "/authsec/resource-servers/67617465-626f-4f6b-8000-000000000001";

/// A `gatebook serve` that is ready. It is killed when it is dropped.
pub struct Instance {
    /// Where it listens, such as `http://127.0.0.1:41234`.
    pub url: String,
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// The `gatebook` command, without anything that the environment of the test would set.
pub fn gatebook(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatebook"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GATEBOOK_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a `gatebook` command to its end.
pub fn run(arguments: &[&str]) -> Output {
    gatebook(arguments).output().unwrap()
}

/// What a command said on standard output, if it succeeded.
pub fn said(output: Output) -> String {
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "the command failed\n{out}\n{err}");
    out
}

/// What a command said on standard error, if it failed in the way of commands: one line, no panic.
pub fn refusal(output: Output) -> String {
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.code().is_some_and(|code| code != 0 && code != 101), "{:?}\n{out}\n{err}", output.status);
    assert_eq!(out, "", "a refusal goes to standard error");
    assert!(!err.contains("panicked"), "{err}");
    err
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// An administrator's token for the instance in this data folder.
pub fn token(data: &Path, role: &str, tenant: &str) -> String {
    let data = data.to_str().unwrap();
    said(run(&["token", "--data", data, "--role", role, "--tenant", tenant])).trim_end().to_owned()
}

impl Instance {
    /// Starts on a data folder without a ceiling for registrations.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &["--registrations-per-minute", "0"])
    }

    /// Starts on a data folder with these flags, and without rate limits for clients' changes unless a flag says otherwise.
    pub fn start_with(data: &Path, flags: &[&str]) -> Self {
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--log-level", "warn", "--data", data.to_str().unwrap()];
        let mut command = gatebook(&[&fixed, flags].concat());
        command.env("GATEBOOK_CHANGES_PER_MINUTE", "0").env("GATEBOOK_CHANGES_PER_CLIENT_PER_HOUR", "0");
        Self::of(command)
    }

    /// Starts a `serve` command and waits until it says where it listens.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut all = String::new();
            let _cut_short = errors.read_to_string(&mut all);
            all
        });
        let output = BufReader::new(child.stdout.take().unwrap());
        let (told, ready) = mpsc::channel();
        let stdout = std::thread::spawn(move || {
            let mut all = String::new();
            for line in output.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _nobody_waits = told.send(url.to_owned());
                }
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        let mut instance = Self { url: String::new(), child, stdout: Some(stdout), stderr: Some(stderr) };
        if let Ok(url) = ready.recv_timeout(PATIENCE) {
            instance.url = url;
        } else {
            let _already_gone = instance.child.kill();
            panic!("the service did not come up: {:?}\n{}", instance.child.wait(), instance.stderr.take().unwrap().join().unwrap());
        }
        instance
    }

    /// Ends it as a power cut would: SIGKILL, with no chance to finish anything.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it had ended before: {status}\n{}", self.stderr.take().unwrap().join().unwrap());
    }

    /// Asks it to stop, as a supervisor does. Returns at once.
    pub fn terminate(&self) {
        let status = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end, which must come in time.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < patience, "the service did not stop within {patience:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and its successful end within seconds. Says what it had written to standard output and standard error.
    pub fn stop(mut self) -> (String, String) {
        self.terminate();
        let status = self.wait(Duration::from_secs(5));
        let (out, err) = (self.stdout.take().unwrap().join().unwrap(), self.stderr.take().unwrap().join().unwrap());
        assert!(status.success(), "{status}\n{err}");
        (out, err)
    }

    /// The memory, descriptors and so on of the process are under this number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
    }
}

/// One who talks to an instance, with or without a token.
#[derive(Clone)]
pub struct Caller {
    http: Client,
    url: String,
    bearer: Option<String>,
}

impl Caller {
    pub fn anyone(instance: &Instance) -> Self {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, url: instance.url.clone(), bearer: None }
    }

    pub fn with(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    /// An administrator of the tenant `default`.
    pub fn admin(instance: &Instance, data: &Path) -> Self {
        Self::anyone(instance).with(&token(data, "admin", "default"))
    }

    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request
    }

    /// The answer's status and its body, which is null where there is none.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), reqwest::Error> {
        answer(self.request(method, path, body)).await
    }

    /// What a page shows; it must be there.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await.unwrap();
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// What a call led to; it must have been accepted.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, Some(body)).await.unwrap();
        assert!((200..300).contains(&status), "POST {path} {body}: {status} {answer}");
        answer
    }

    /// Every entry of a list, page after page. `name` is what the list is called in the body.
    pub async fn all(&self, path: &str, name: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{mark}limit=500{cursor}")).await;
            all.extend(page[name].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Everything that this caller's tenant is shown: what must be the same after every rebuild.
    pub async fn everything(&self) -> Value {
        let servers = self.get("/authsec/resource-servers").await;
        let mut clients = Vec::new();
        for server in servers["resource_servers"].as_array().unwrap() {
            let path = format!("/authsec/resource-servers/{}/clients", server["id"].as_str().unwrap());
            for sort in ["newest", "oldest", "name"] {
                clients.push(self.all(&format!("{path}?sort={sort}"), "clients").await);
            }
            clients.push(vec![self.get(&path).await["counts"].clone()]);
        }
        json!({
            "servers": servers,
            "clients": clients,
            "approvals": self.all("/authsec/approvals", "approvals").await,
            "history": self.all("/authsec/audit/events", "events").await,
        })
    }
}

/// Sends a request; see [`Caller::call`].
pub async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

/// What Claude Code sends when it registers.
pub fn claude(port: u16) -> Value {
    json!({ "client_name": "Claude Code", "redirect_uris": [format!("http://localhost:{port}/callback")],
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none" })
}

/// Whether a program that a test calls is there.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| fs::metadata(folder.join(program)).is_ok_and(|file| file.is_file()))
}
