//! Lists that are asked for and not taken.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::figure;
use crate::server::{Server, get, post};

const CLIENTS: &str = "/authsec/resource-servers/67617465-626f-4f6b-8000-000000000001/clients";
const ATTACKER: u8 = 2;
const BYSTANDER: u8 = 3;

/// 40 unread requests for a page of 500 clients.
pub fn unread(binary: &Path) {
    let server = Server::start(binary, &[("registrations-per-minute", "0")], None);
    let (admin, viewer) = (server.token("admin", "ada"), server.token("viewer", "vera"));
    for number in 0..300 {
        let uris: Vec<String> = (0..30).map(|uri| format!("https://app.example/{number}/{uri}/{}", "a".repeat(1_950))).collect();
        let body = json!({ "client_name": format!("large {number}"), "redirect_uris": uris });
        let answer = server.call(BYSTANDER, &post(CLIENTS, &format!("authorization: Bearer {admin}\r\n"), &body));
        assert_eq!(answer.status, Some(201), "{}", answer.text);
    }
    let before = server.memory();
    let request = get(&format!("{CLIENTS}?limit=500"), &format!("authorization: Bearer {viewer}\r\n"));
    let one = server.call(BYSTANDER, &request);
    figure("one such page, in KB", one.text.len() / 1024);
    figure("bystander before", server.bystander(BYSTANDER, 20));
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = server.connect(ATTACKER).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        held.push(stream);
    }
    std::thread::sleep(Duration::from_secs(1));
    figure("bystander during", server.bystander(BYSTANDER, 20));
    std::thread::sleep(Duration::from_secs(10));
    figure("memory before, in MB", before);
    figure("memory during, in MB", server.memory());
    figure("most memory, in MB", server.peak());
}
