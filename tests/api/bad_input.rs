//! What is sent by mistake or in bad faith: one table of requests, each with the answer that it must get.
//!
//! What is refused leaves nothing behind, and what is accepted says what became of it. The rows are in `bad_input.json`; a row
//! changes a good registration `with` other members or by its `uri`, or is a body of its own: `raw`, `hex`, or one that is
//! made because it would be too long to write down.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::house::House;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// The line of the checklist of the RFCs that this row is about.
    line: String,
    #[serde(default)]
    with: Map<String, Value>,
    uri: Option<String>,
    raw: Option<String>,
    hex: Option<String>,
    make: Option<Made>,
    method: Option<String>,
    /// Absent: JSON. Null: none.
    #[serde(default, deserialize_with = "even_null")]
    content_type: Option<Option<String>>,
    status: u16,
    error: Option<String>,
    allow: Option<String>,
    #[serde(default)]
    expects: Map<String, Value>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    ignored: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Made {
    /// So many different redirect URIs.
    Uris(usize),
    /// A body of so many bytes.
    Bytes(usize),
    /// So many lists in one another.
    Depth(usize),
    /// So many names in other languages.
    Localized(usize),
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind_and_what_is_accepted_is_echoed() {
    let house = House::open().await;
    let rows: Vec<Row> = serde_json::from_str(include_str!("bad_input.json")).unwrap();
    assert!(rows.len() > 200, "only {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let before = house.head().await;
        let answer = send(&house, row).await;
        let moved = house.head().await != before;
        let mut faults = faults_of(row, &answer);
        if moved != (row.status == 201) {
            faults.push(format!("{} event was left behind", if moved { "an" } else { "no" }));
        }
        if !row.ignored.is_empty() && answer.status == 201 {
            faults.extend(faults_of_history(&house, row, &answer).await);
        }
        wrong.extend(faults.iter().map(|fault| format!("{} ({}): {fault}; {}", row.name, row.line, shortened(&answer.text))));
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("bad_input.json")).unwrap();
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

async fn send(house: &House, row: &Row) -> Answer {
    let method = row.method.as_deref().map_or(Method::POST, |name| name.parse().unwrap());
    let content_type = row.content_type.clone().unwrap_or(Some("application/json".to_owned()));
    house.anyone().send(method, "/oauth/register", content_type.as_deref(), body_of(row)).await
}

fn body_of(row: &Row) -> Vec<u8> {
    if let Some(raw) = &row.raw {
        return raw.clone().into_bytes();
    }
    if let Some(hex) = &row.hex {
        let byte = |index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
        return (0..hex.len()).step_by(2).map(byte).collect();
    }
    let mut members = json!({ "client_name": "Table", "redirect_uris": ["https://app.example/cb"] });
    if let Some(uri) = &row.uri {
        members["redirect_uris"] = json!([uri]);
    }
    for (name, value) in &row.with {
        members[name] = value.clone();
    }
    match row.make {
        None => {}
        Some(Made::Uris(count)) => {
            members["redirect_uris"] = (0..count).map(|index| format!("https://app.example/{index}")).collect();
        }
        Some(Made::Localized(count)) => {
            for index in 0..count {
                members[format!("client_name#fr-{index}")] = "Nom".into();
            }
        }
        Some(Made::Depth(depth)) => {
            let good = members.to_string();
            return format!("{},\"deep\":{}{}}}", good.trim_end_matches('}'), "[".repeat(depth), "]".repeat(depth)).into_bytes();
        }
        Some(Made::Bytes(length)) => {
            let spare = length - members.to_string().len();
            return format!("{}{members}", " ".repeat(spare)).into_bytes();
        }
    }
    members.to_string().into_bytes()
}

fn faults_of(row: &Row, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    if answer.status != row.status {
        faults.push(format!("the status is {} and not {}", answer.status, row.status));
    }
    if let Some(error) = &row.error
        && answer["error"] != **error
    {
        faults.push(format!("the error is {} and not {error}", answer["error"]));
    }
    if let Some(allow) = &row.allow
        && answer.header("allow") != allow
    {
        faults.push(format!("Allow is {:?}", answer.header("allow")));
    }
    for (name, value) in &row.expects {
        if answer[name.as_str()] != *value {
            faults.push(format!("{name} is {} and not {value}", answer[name.as_str()]));
        }
    }
    for name in row.absent.iter().filter(|name| answer.body.get(name).is_some()) {
        faults.push(format!("{name} is there"));
    }
    if row.status == 201 && answer["client_id"].as_str().is_none_or(|id| id.starts_with("https:")) {
        faults.push("the client_id is not the server's".to_owned());
    }
    faults
}

/// RFC 7591 §2: of what was ignored the names are kept, and the values are not.
async fn faults_of_history(house: &House, row: &Row, answer: &Answer) -> Vec<String> {
    let events = house.events_of(&answer.text("client_id")).await;
    let registered = events.iter().find(|event| event["type"] == "client.registered").unwrap();
    let mut faults = Vec::new();
    if registered["data"]["ignored"] != json!(row.ignored) {
        faults.push(format!("the event says that {} were ignored", registered["data"]["ignored"]));
    }
    for value in ["the-canary-sings", "chosen-by-the-client", "evil.com", "a.b.c"] {
        if registered.to_string().contains(value) || answer.text.contains(value) {
            faults.push(format!("{value} was kept"));
        }
    }
    faults
}

fn shortened(text: &str) -> &str {
    text.get(..300).unwrap_or(text)
}

/// Tells a null from an absent member.
fn even_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}
