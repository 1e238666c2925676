//! A node's mirror that is not what was written is put aside and fetched anew; nodes that hold different events find each other out.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use gatebook::event_log::ChainHash;
use gatebook_events::envelope::{Envelope, EventId, Position, Revision, StoredEvent, StreamName};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;

use crate::instance::{Caller, DEFAULT_SERVER};
use crate::nodes::{Cluster, decision, put_aside, register, this, until};

/// What is done to a mirror while its node is down, by name.
const DAMAGES: [&str; 4] = ["a flipped byte in an event", "a flipped byte beside the events", "a truncated file", "an empty file"];

fn harm(damage: &str, mirror: &Path) {
    let cut = |part: u64| {
        let file = File::options().write(true).open(mirror).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2 * part).unwrap();
    };
    match damage {
        "a flipped byte in an event" => flip(mirror, b"Claude Code 7"),
        "a flipped byte beside the events" => {
            let change = "UPDATE mirrored SET revision = revision + 1 WHERE stream = (SELECT min(stream) FROM mirrored)";
            assert_eq!(Connection::open(mirror).unwrap().execute(change, []).unwrap(), 1);
        }
        "a truncated file" => cut(1),
        "an empty file" => cut(0),
        other => unreachable!("nobody does {other}"),
    }
}

/// Flips a bit of the first place in a file where this stands.
fn flip(file: &Path, text: &[u8]) {
    let bytes = fs::read(file).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text).expect("it is written in the file");
    let mut file = File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[bytes[at] ^ 1]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_damaged_while_its_node_was_down_comes_back_from_the_cluster() {
    let Some(cluster) = Cluster::start("damaged mirrors", 1) else { return };
    let node = cluster.node(0, &[]);
    for n in 0..40 {
        register(&Caller::anyone(&node), &format!("Claude Code {n}")).await;
    }
    let admin = cluster.admin(&node);
    let (before, end) = (admin.everything().await, this(&admin).await);
    node.stop();
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        harm(damage, &cluster.mirror(0));
        let node = cluster.node(0, &[]);
        let admin = cluster.admin(&node);
        let now = this(&admin).await;
        assert_eq!((&now["position"], &now["chain_head"]), (&end["position"], &end["chain_head"]), "{damage}");
        assert!(admin.everything().await == before, "{damage}: the lists differ");
        let (_, said) = node.stop();
        // An empty file is what a new node has.
        if damage == "an empty file" {
            assert_eq!((now["put_aside"].as_array(), said.as_str()), (None, ""));
        } else {
            let name = format!("mirror.db.broken-{}", number + 1);
            assert_eq!(now["put_aside"], json!([name]), "{damage}");
            assert!(said.contains("put aside and fetched anew") && said.contains(&name), "{damage}: {said}");
            assert_eq!(put_aside(&cluster.mirror(0)).len(), number + 1);
        }
    }
    fs::remove_dir_all(cluster.data(0).join("cluster")).unwrap();
    let node = cluster.node(0, &[]);
    let admin = cluster.admin(&node);
    assert_eq!(this(&admin).await["chain_head"], end["chain_head"]);
    assert!(admin.everything().await == before, "without a mirror and read models: the lists differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_damaged_while_its_node_runs_is_found_when_it_is_read_and_comes_back() {
    let Some(cluster) = Cluster::start("a mirror that breaks", 1) else { return };
    let node = cluster.node(0, &[]);
    let (anyone, admin) = (Caller::anyone(&node), cluster.admin(&node));
    let (client_id, token) = register(&anyone, "victim").await;
    let (holder, own) = (anyone.with(&token), format!("/oauth/register/{client_id}"));
    for n in 0..20 {
        register(&anyone, &format!("client {n}")).await;
    }
    let end = this(&admin).await;
    assert_eq!(decision(&admin, &client_id).await.1["decision"], "allow");
    let change = "UPDATE events SET data = replace(data, 'victim', 'culprit')";
    assert_ne!(Connection::open(cluster.mirror(0)).unwrap().execute(change, []).unwrap(), 0);
    // Nobody is told anything by what was changed.
    let ((), took) = until("the client is told again", async || {
        let (status, answer) = holder.call(Method::GET, &own, None).await.unwrap();
        assert!(status == 503 || answer["client_name"] == "victim", "{answer}");
        (status == 200 && !put_aside(&cluster.mirror(0)).is_empty()).then_some(())
    })
    .await;
    println!("a mirror that broke while it was in use was replaced within {took:?}");
    let now = this(&admin).await;
    assert_eq!((&now["position"], &now["chain_head"]), (&end["position"], &end["chain_head"]));
    assert_eq!(now["put_aside"], json!(["mirror.db.broken-1"]));
    // What follows the log goes on in the new file.
    register(&anyone, "after").await;
    let rows = admin.all(&format!("{DEFAULT_SERVER}/clients?q=after"), "clients").await;
    assert_eq!(rows.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_events_differ_is_named_with_the_first_that_does() {
    let Some(cluster) = Cluster::start("nodes that differ", 1) else { return };
    let (one, other) = (cluster.node(0, &[]), cluster.node(1, &[]));
    for n in 0..20 {
        register(&Caller::anyone(&one), &format!("client {n}")).await;
    }
    let admin = cluster.admin(&one);
    let liar = this(&cluster.admin(&other)).await["node"].clone();
    let end: u64 = this(&admin).await["position"].as_str().unwrap().parse().unwrap();
    let last = end.to_string();
    until("both have everything", async || (this(&cluster.admin(&other)).await["position"].as_str() == Some(&last)).then_some(())).await;
    other.stop();
    let from = end - 6;
    rewrite(&cluster.mirror(1), from.cast_signed());
    let _other = cluster.node(1, &[]);
    let (page, took) = until("the difference is found", async || {
        let page = admin.get("/authsec/cluster").await;
        page["divergences"].is_array().then_some(page)
    })
    .await;
    println!("a node whose events differ was named after {took:?}");
    assert_eq!(page["divergences"], json!([{ "node": liar, "from_position": from.to_string() }]));
    let named = page["nodes"].as_array().unwrap().iter().find(|node| node["node"] == liar).unwrap();
    assert_eq!((&named["state"], &named["differs_from"]), (&json!("diverged"), &json!(from.to_string())), "{page}");
}

/// Changes an event as somebody would who knows about the chain: every hash from there on is computed anew.
fn rewrite(mirror: &Path, from: i64) {
    let connection = Connection::open(mirror).unwrap();
    connection.execute("UPDATE events SET data = data || ' ' WHERE position = ?1", [from]).unwrap();
    let stored: Vec<u8> = connection.query_row("SELECT hash FROM events WHERE position = ?1", [from - 1], |row| row.get(0)).unwrap();
    let mut hash = ChainHash::from_stored(&stored).unwrap();
    let mut query = connection
        .prepare(
            "SELECT e.position, s.name, e.revision, e.id, e.name, e.version, e.recorded_at, e.meta, e.data
             FROM events e JOIN streams s ON s.id = e.stream WHERE e.position >= ?1 ORDER BY e.position",
        )
        .unwrap();
    let text = |row: &rusqlite::Row<'_>, column| std::sync::Arc::<str>::from(row.get::<_, String>(column).unwrap());
    let events = query.query_map([from], |row| {
        let event = StoredEvent {
            id: EventId(uuid::Uuid::from_slice(&row.get::<_, Vec<u8>>(3)?).unwrap()),
            name: text(row, 4),
            version: row.get(5)?,
            recorded_at: chrono::DateTime::from_timestamp_micros(row.get(6)?).unwrap(),
            meta: text(row, 7),
            data: text(row, 8),
        };
        let (position, revision) =
            (Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned()), Revision::from_backend(row.get::<_, i64>(2)?.cast_unsigned()));
        Ok(Envelope { position, stream: StreamName(text(row, 1)), revision, event })
    });
    for event in events.unwrap().map(Result::unwrap) {
        hash = hash.then(&event);
        let update = "UPDATE events SET hash = ?2 WHERE position = ?1";
        connection.execute(update, rusqlite::params![event.position.to_backend().cast_signed(), hash.as_bytes()]).unwrap();
    }
}
