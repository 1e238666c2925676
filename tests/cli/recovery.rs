//! What operators are told of trouble: the request that a line in the log belongs to, and an authorization server that is away.

use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;

use crate::doctor::stopped;
use crate::flag;
use crate::instance::{Caller, Instance, claude, run};

#[tokio::test]
async fn t6_the_lines_of_a_request_that_fails_have_the_request_id_that_the_caller_was_told() {
    let (_folder, data) = stopped().await;
    for format in ["text", "json"] {
        let service = Instance::start_with(&data, &["--registrations-per-minute", "0", "--log-format", format]);
        let anyone = Caller::anyone(&service);
        let client = anyone.post("/oauth/register", &claude(45_000)).await;
        let path = format!("/oauth/register/{}", client["client_id"].as_str().unwrap());
        // Its history is no longer what was written, so the service fails at it.
        let log = Connection::open(data.join("log.db")).unwrap();
        let flip = |from: &str, to: &str| {
            let sql = format!("UPDATE events SET data = replace(data, 'localhost:4500{from}', 'localhost:4500{to}')");
            assert!(log.execute(&format!("{sql} WHERE data LIKE '%localhost:4500{from}%'"), []).unwrap() > 0);
        };
        flip("0", "1");
        let holder = anyone.with(client["registration_access_token"].as_str().unwrap());
        let id = format!("told-to-the-caller-{format}");
        let answer = holder.request(Method::GET, &path, None).header("x-request-id", &id).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap()), (503, &*id));
        let admin = Caller::admin(&service, &data);
        let of_client = format!("{}/clients/{}/suspend", crate::instance::DEFAULT_SERVER, client["client_id"].as_str().unwrap());
        let by_admin = format!("told-to-the-administrator-{format}");
        let suspend = serde_json::json!({ "reason": "it fails" });
        let answer = admin.request(Method::POST, &of_client, Some(&suspend)).header("x-request-id", &by_admin).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        flip("1", "0");
        let (_, lines) = service.stop();
        let of = |id: &str| lines.lines().find(|line| line.contains(id) && line.contains("a request failed")).map(str::to_owned);
        let line = of(&id).unwrap_or_else(|| panic!("no line has the id: {lines}"));
        assert!(line.contains("/oauth/register/{client_id}") && line.contains("GET"), "{line}");
        let line = of(&by_admin).unwrap_or_else(|| panic!("no line has the id: {lines}"));
        assert!(line.contains("suspend") || line.contains("{decision}"), "{line}");
        assert!(line.contains("default"), "its tenant: {line}");
        if format == "json" {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["span"]["request_id"], by_admin);
        }
    }
}

#[tokio::test]
async fn t5_doctor_names_an_authorization_server_that_cannot_be_reached() {
    let (_folder, data) = stopped().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&["doctor", "--json", "--data", flag(&data), "--upstream-issuer", &issuer]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<&Value> = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!((found.len(), &found[0]["check"]), (1, &Value::from("upstream")), "{report}");
    assert!(found[0]["what"].as_str().unwrap().contains(&issuer), "{report}");
    assert_eq!(output.status.code(), Some(1));

    // A start says so before anybody asks.
    let service = Instance::start_with(&data, &["--upstream-issuer", &issuer]);
    let anyone = Caller::anyone(&service);
    let warned = async {
        while anyone.get("/health").await["warnings"][0]["of"] != "upstream" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::instance::PATIENCE, warned).await.unwrap();
    let (_, lines) = service.stop();
    assert!(lines.contains("the authorization server's metadata cannot be fetched") && lines.contains(&issuer), "{lines}");
}
