//! The history to take along, over the API: all of it, whole, and nobody else's.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, client};

async fn export(caller: &Caller<'_>, query: &str) -> Answer {
    caller.get(&format!("/authsec/audit/export?{query}")).await.is(200)
}

/// The events of an export in lines, once its last line says that they are all.
fn events(answer: &Answer) -> Vec<Value> {
    let mut lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    assert_eq!(last, json!({ "whole": true, "events": lines.len(), "position": answer.header("gatebook-position") }));
    lines
}

/// A table's rows as cells (RFC 4180), without the names.
fn rows(table: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = table.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(letters.next(), Some('\n'));
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(letter),
        }
    }
    assert!(cell.is_empty() && row.is_empty(), "the last line has no end");
    assert_eq!(
        rows.remove(0).join(","),
        "position,recorded_at,type,resource_server_id,client_id,actor_kind,actor_id,actor_via,origin,request_id,event_id,data"
    );
    rows
}

#[tokio::test]
async fn an_export_has_what_the_same_filters_list_in_the_same_order() {
    let house = House::open().await;
    let id = house.registered("Dashboard").await.text("client_id");
    let other = house.server("default", json!({ "name": "Other" })).await;
    house.clock.advance(chrono::TimeDelta::seconds(60));
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({ "reason": "a,\"b\"\nc" })).await.is(200);
    let auditor = house.auditor("default");
    for filter in [
        String::new(),
        "order=oldest".to_owned(),
        format!("client_id={id}"),
        format!("resource_server={other}"),
        "actor=ada&order=oldest".to_owned(),
        "type=registration.suspended".to_owned(),
        "since=2027-01-15T08:01:00Z".to_owned(),
        "until=2027-01-15T08:01:00Z&order=oldest".to_owned(),
        "cursor=3".to_owned(),
        "actor=nobody".to_owned(),
    ] {
        let listed = auditor.get(&format!("/authsec/audit/events?limit=500&{filter}")).await.is(200);
        let listed = listed["events"].as_array().unwrap();
        assert_eq!(&events(&export(&auditor, &filter).await), listed, "{filter}");
        let table = rows(&export(&auditor, &format!("format=csv&{filter}")).await.text);
        let text = |event: &Value, path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let expected: Vec<Vec<String>> = listed
            .iter()
            .map(|event| {
                let cells =
                    ["/position", "/recorded_at", "/type", "/resource_server_id", "/client_id", "/actor/kind", "/actor/id", "/actor/via"];
                let more = ["/origin", "/request_id", "/event_id"];
                let data = event["data"].to_string();
                cells.iter().chain(&more).map(|path| text(event, path)).chain([data]).collect()
            })
            .collect();
        let parsed = |rows: &[Vec<String>]| rows.iter().map(|row| serde_json::from_str::<Value>(&row[11]).unwrap()).collect::<Vec<_>>();
        assert_eq!(parsed(&table), parsed(&expected), "{filter}");
        let but_data = |rows: &[Vec<String>]| rows.iter().map(|row| row[..11].to_vec()).collect::<Vec<_>>();
        assert_eq!(but_data(&table), but_data(&expected), "{filter}");
    }
}

#[tokio::test]
async fn the_format_is_what_the_query_names_or_else_what_the_caller_accepts() {
    let house = House::open().await;
    let auditor = house.auditor("default");
    let [lines, table] = [("application/x-ndjson", "history.ndjson"), ("text/csv; charset=utf-8", "history.csv")];
    for (query, accept, (kind, name)) in [
        ("", "*/*", lines),
        ("", "text/csv", table),
        ("", "application/x-ndjson, text/csv;q=0.5", lines),
        ("format=csv", "*/*", table),
        ("format=ndjson", "text/csv", lines),
    ] {
        let answer = export(&auditor.clone().with("accept", accept), query).await;
        assert_eq!(answer.header("content-type"), kind, "{query} {accept}");
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{name}\""));
    }
    for query in ["format=xml", "limit=5", "since=yesterday", "resource_server=x", "typ=client.registered"] {
        auditor.get(&format!("/authsec/audit/export?{query}")).await.problem(400, "invalid-request");
    }
    house.viewer("default").get("/authsec/audit/export").await.problem(403, "forbidden");
    house.anyone().get("/authsec/audit/export").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn what_a_spreadsheet_would_run_is_text() {
    let house = House::open().await;
    let formula = house.token("default", gatebook::credentials::admin::Role::Admin, "=cmd|' /C calc'!A0");
    house.holder(&formula).post(&crate::house::clients(DEFAULT), json!({ "client_name": "ci" })).await.is(201);
    let table = rows(&export(&house.auditor("default"), "format=csv&order=oldest").await.text);
    let entered = table.iter().find(|row| row.iter().any(|cell| cell == "client.registered")).unwrap();
    assert_eq!(entered[6], "'=cmd|' /C calc'!A0");
    assert!(table.iter().flatten().all(|cell| !cell.starts_with('=')), "{table:?}");
}

#[tokio::test]
async fn an_export_is_nobody_elses() {
    let house = House::open().await;
    house.server("acme", json!({ "name": "Secret plans" })).await;
    let id = house.registered("Dashboard").await.text("client_id");
    for (tenant, has, has_not) in [("default", "Dashboard", "Secret plans"), ("acme", "Secret plans", "Dashboard")] {
        for format in ["ndjson", "csv"] {
            let text = export(&house.auditor(tenant), &format!("format={format}")).await.text;
            assert!(text.contains(has) && !text.contains(has_not), "{tenant}: {text}");
        }
    }
    assert_eq!(events(&export(&house.auditor("acme"), &format!("client_id={id}")).await), [] as [Value; 0]);
}

#[tokio::test]
async fn an_export_of_many_pages_comes_in_pieces_and_has_each_event_once() {
    let house = House::open().await;
    let id = house.registered("Dashboard").await.text("client_id");
    let admin = house.admin("default");
    for index in 0..600 {
        let decision = if index % 2 == 0 { "suspend" } else { "reinstate" };
        admin.post(&format!("{}/{decision}", client(DEFAULT, &id)), json!({})).await.is(200);
    }
    let auditor = house.auditor("default");
    for order in ["oldest", "newest"] {
        let answer = export(&auditor, &format!("order={order}")).await;
        assert!(answer.headers.get("content-length").is_none(), "it was all in memory before the first byte was sent");
        let mut positions: Vec<u64> = events(&answer).iter().map(|event| event["position"].as_str().unwrap().parse().unwrap()).collect();
        if order == "newest" {
            positions.reverse();
        }
        assert_eq!(positions, (1..=604).collect::<Vec<u64>>(), "{order}");
        assert_eq!(rows(&export(&auditor, &format!("format=csv&order={order}")).await.text).len(), 604);
    }
}

#[tokio::test]
async fn an_export_that_breaks_off_does_not_end_as_if_it_were_whole() {
    let house = House::open().await;
    house.registered("Dashboard").await;
    house.app.stop();
    for format in ["ndjson", "csv"] {
        let request = house.auditor("default").request(Method::GET, &format!("/authsec/audit/export?format={format}"));
        let whole = async { request.send().await?.text().await };
        assert!(whole.await.is_err(), "{format}");
    }
}
