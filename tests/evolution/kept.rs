//! The promises about logs that earlier builds wrote.

use std::collections::BTreeSet;

use gatebook_events::codec;
use serde_json::{Value, json};

use crate::answers;
use crate::copy;
use crate::events;
use crate::fixtures;
use crate::house::{DEFAULT, client};
use crate::verified;

#[tokio::test]
async fn every_kept_log_holds_its_chain_and_is_read_to_its_last_event() {
    assert!(!fixtures().is_empty(), "there is no fixture log");
    for fixture in fixtures() {
        let folder = copy(&fixture);
        let data = folder.path().join("data");
        let events = events(&data).await;
        assert_eq!(verified(&data), events.len() as u64);
        for envelope in &events {
            codec::decode(envelope)
                .unwrap_or_else(|error| panic!("{}: {} at {}: {error}", fixture.display(), envelope.event.name, envelope.position));
            codec::decode_meta(&envelope.event.meta).unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_answered_from_a_kept_log_is_what_was_answered_before() {
    for fixture in fixtures() {
        if std::env::var_os("UPDATE_ANSWERS").is_some() {
            answers::write(&fixture).await;
        }
        let house = answers::open(&fixture).await;
        let head = house.head().await;
        let answered = answers::everything(&house).await;
        let expected: Value = serde_json::from_str(&std::fs::read_to_string(fixture.join("answers.json")).unwrap()).unwrap();
        let differing = differences(&expected, &answered);
        assert!(
            differing.is_empty(),
            "from {} other answers come than before:\n{}\nIf that is meant, UPDATE_ANSWERS=1 writes them down; read the difference",
            fixture.display(),
            differing.join("\n")
        );
        assert_eq!(house.head().await, head, "who reads writes nothing");
    }
}

#[tokio::test]
async fn a_version_of_a_projection_writes_the_same_rows_in_every_build() {
    for fixture in fixtures() {
        let expected = std::fs::read_to_string(fixture.join("rows.txt")).unwrap();
        let written = answers::rows(&fixture).await;
        assert_eq!(
            written,
            expected,
            "from {} other rows are written than before. A projection that writes other rows has another VERSION, or a file that an \
             earlier build wrote would go on serving; with a new VERSION, UPDATE_ANSWERS=1 writes the new line down",
            fixture.display()
        );
    }
}

#[tokio::test]
async fn a_kept_log_is_continued_and_everything_is_rebuilt_from_old_and_new_together() {
    for fixture in fixtures() {
        let house = answers::open(&fixture).await;
        let before = house.head().await.to_backend();
        // Something new, and something that rests on what was there: a change of rules, and decisions about a change that waits.
        let upgraded = json!({ "client_name": "After the upgrade", "redirect_uris": ["https://app.example/cb"] });
        let entered = house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), upgraded).await.is(201);
        house.edit_default(json!({ "policy": { "max_clients": 500 } })).await;
        let approvals = house.admin("default").get("/authsec/approvals").await.is(200);
        let waiting = approvals["approvals"].as_array().unwrap().iter().filter(|row| row["kind"] == "redirects");
        let mut decided = 0;
        for row in waiting {
            let id = row["client_id"].as_str().unwrap().replace(':', "%3A").replace('/', "%2F");
            let path = format!("{}/approve-redirects", client(DEFAULT, &id));
            house.admin("default").put(&path, json!({ "change_id": row["change_id"] })).await.is(200);
            let shown = house.shown(&id).await;
            let serving: BTreeSet<&str> = shown["redirect_uris"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert!(row["added"].as_array().unwrap().iter().all(|uri| serving.contains(uri.as_str().unwrap())), "{}", shown.text);
            decided += 1;
        }
        assert!(decided > 0, "no change waits in {}", fixture.display());
        house.shown(&entered.text("client_id")).await;
        let answered = answers::everything(&house).await;
        let after = house.head().await.to_backend();
        assert!(after >= before + 4);

        let folder = house.end().await;
        let data = folder.path().join("data");
        assert_eq!(verified(&data), after);
        std::fs::remove_dir_all(data.join("read-models")).unwrap();
        let house = answers::open_again(folder, &fixture).await;
        let rebuilt = differences(&answered, &answers::everything(&house).await);
        assert!(rebuilt.is_empty(), "{}", rebuilt.join("\n"));
    }
}

/// Where two answers differ, place by place.
fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut places = Vec::new();
    compare("", expected, found, &mut places);
    places
}

fn compare(place: &str, expected: &Value, found: &Value, places: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for name in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
                let null = &Value::Null;
                compare(&format!("{place} {name}"), expected.get(name).unwrap_or(null), found.get(name).unwrap_or(null), places);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{place}[{index}]"), expected, found, places);
            }
        }
        _ if expected == found => {}
        _ => places.push(format!("{place}: {expected} became {found}")),
    }
}
