//! What is answered from a log: every list, every single thing and the whole history, of every tenant; and the rows behind it.
//!
//! Beside each fixture log stand `answers.json`, what the API says, and `rows.txt`, a hash of what each projection writes.
//! A version of a projection writes the same rows from the same log in every build; new rows are a new version.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use gatebook_projections::{Approvals, Directory, History, Projection, ReadModel};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::copy;
use crate::events;
use crate::house::{Caller, House, client, clients};

/// Keeps what this build answers as what every later one has to.
pub async fn write(fixture: &Path) {
    let (house, rows) = (open(fixture).await, rows(fixture).await);
    std::fs::write(fixture.join("answers.json"), lines(&everything(&house).await)).unwrap();
    let kept = std::fs::read_to_string(fixture.join("rows.txt")).unwrap_or_default();
    for line in kept.lines() {
        let (version, _) = line.split_once(' ').unwrap();
        let same = rows.lines().find(|now| now.starts_with(&format!("{version} "))).is_none_or(|now| now == line);
        assert!(same, "{version} writes other rows than before, and a version never does: take its line out only if nobody runs it yet");
    }
    std::fs::write(fixture.join("rows.txt"), rows).unwrap();
}

/// JSON with an answer a line, so that a difference names the path.
fn lines(answers: &Value) -> String {
    let mut text = String::from("{");
    for (at, (tenant, answers)) in answers.as_object().unwrap().iter().enumerate() {
        write!(text, "{}\n\"{tenant}\": {{", if at == 0 { "" } else { "," }).unwrap();
        for (at, (path, answer)) in answers.as_object().unwrap().iter().enumerate() {
            write!(text, "{}\n{}: {answer}", if at == 0 { "" } else { "," }, json!(path)).unwrap();
        }
        text.push('}');
    }
    text + "}\n"
}

/// A service on a copy of a fixture log, at the time at which its last event was written.
pub async fn open(fixture: &Path) -> House {
    House::begin(copy(fixture), ended(fixture), |_| {}).await
}

/// A service on a data folder that was such a copy.
pub async fn open_again(folder: TempDir, fixture: &Path) -> House {
    House::begin(folder, ended(fixture), |_| {}).await
}

fn ended(fixture: &Path) -> DateTime<Utc> {
    std::fs::read_to_string(fixture.join("ends")).unwrap().trim_end().parse().unwrap()
}

/// Path by path, what the administrators of both tenants are answered.
pub async fn everything(house: &House) -> Value {
    let mut tenants = BTreeMap::new();
    for tenant in ["default", "acme"] {
        tenants.insert(tenant, of_tenant(&house.admin(tenant)).await);
    }
    json!(tenants)
}

async fn of_tenant(admin: &Caller<'_>) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    let mut get = async |path: String| -> Value {
        let body = admin.get(&path).await.is(200).body;
        assert!(body.get("next_cursor").is_none(), "{path} has more than one page");
        // Whom a list has in which order; what is said of each stands in one of the lists.
        let said = if path.contains("/clients?") && !path.contains("sort=oldest") {
            json!(texts(&body["clients"], "client_id"))
        } else {
            body.clone()
        };
        answers.insert(path, said);
        body
    };
    get("/authsec/approvals?limit=500".to_owned()).await;
    get("/authsec/audit/events?order=oldest&limit=500".to_owned()).await;
    let servers = get("/authsec/resource-servers".to_owned()).await;
    for server in texts(&servers["resource_servers"], "id") {
        let list = clients(&server);
        let all = get(format!("{list}?limit=500&sort=oldest")).await;
        for order in ["sort=name", "sort=newest&status=approved", "status=deleted", "q=claude"] {
            get(format!("{list}?limit=500&{order}")).await;
        }
        for id in texts(&all["clients"], "client_id") {
            let of_client = client(&server, &id.replace(':', "%3A").replace('/', "%2F"));
            let shown = get(of_client.clone()).await;
            if shown.get("manifest").is_some() {
                get(format!("{of_client}/manifest")).await;
            }
        }
        let tokens = format!("/authsec/resource-servers/{server}/registration-tokens");
        for id in texts(&get(tokens.clone()).await["registration_tokens"], "id") {
            get(format!("{tokens}/{id}")).await;
        }
    }
    answers
}

fn texts(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry[member].as_str().unwrap().to_owned()).collect()
}

/// One line a projection: its name and version, how many rows it writes, and their hash.
pub async fn rows(fixture: &Path) -> String {
    let folder = copy(fixture);
    let events = events(&folder.path().join("data")).await;
    let mut lines = String::new();
    line::<Approvals>(&mut lines, folder.path(), &events);
    line::<Directory>(&mut lines, folder.path(), &events);
    line::<History>(&mut lines, folder.path(), &events);
    lines
}

fn line<P: Projection>(lines: &mut String, folder: &Path, events: &[gatebook_events::envelope::Envelope]) {
    let mut model = ReadModel::<P>::open(folder).unwrap();
    for batch in events.chunks(100) {
        model.apply(batch).unwrap();
    }
    let rows = model.dump().unwrap();
    let mut hash = String::new();
    for byte in Sha256::digest(rows.join("\n")) {
        write!(hash, "{byte:02x}").unwrap();
    }
    writeln!(lines, "{}@{} {} rows {hash}", P::NAME, P::VERSION, rows.len()).unwrap();
}
