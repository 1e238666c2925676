//! What a node finds when it starts.

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use reqwest::Method;
use serde_json::json;

use crate::instance::{Caller, gatebook, refusal};
use crate::kurrentdb::fake::Fake;
use crate::nats::{self, Nats};
use crate::nodes::{Cluster, Nodes, this, until};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_make_one_log_with_one_first_resource_server() {
    let Some(cluster) = Cluster::start("nodes on JetStream", 1) else { return };
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| cluster.node(0, &[]));
        let other = scope.spawn(|| cluster.node(1, &[]));
        (one.join().unwrap(), other.join().unwrap())
    });
    for node in [&one, &other] {
        let servers = cluster.admin(node).get("/authsec/resource-servers").await;
        assert_eq!(servers["resource_servers"].as_array().unwrap().len(), 1, "{servers}");
    }
    let (heard, _) = until("the nodes hear of each other", async || {
        let page = cluster.admin(&one).get("/authsec/cluster").await;
        (page["nodes"].as_array().unwrap().len() == 2 && page["nodes"][1]["agrees_up_to"].is_string()).then_some(page)
    })
    .await;
    assert_eq!(heard["log"], "jetstream");
    assert_eq!(heard["nodes"][0]["chain_head"], heard["nodes"][1]["chain_head"], "{heard}");
    assert_eq!((&heard["nodes"][0]["this"], &heard["nodes"][1]["state"]), (&json!(true), &json!("live")), "{heard}");
    let (_, complaints) = one.stop();
    assert_eq!(complaints, "", "nothing was worth a warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_would_lose_events_is_refused_by_what_is_wrong_with_it() {
    let Some(cluster) = Cluster::start("unfit streams", 1) else { return };
    let uri = cluster.nats.uri("gatebook");
    let client = async_nats::connect(uri.split('?').next().unwrap()).await.unwrap();
    let jetstream = jetstream::new(client);
    let subjects = vec!["gatebook.log.>".to_owned()];
    let fit = Config { name: "gatebook".to_owned(), subjects, deny_delete: true, deny_purge: true, ..Config::default() };
    for (wrong, says) in [
        (Config { storage: jetstream::stream::StorageType::Memory, ..fit.clone() }, "kept in memory"),
        (Config { deny_purge: false, ..fit.clone() }, "deleted or purged"),
        (Config { max_messages: 1_000_000, ..fit.clone() }, "past a limit"),
        (Config { subjects: vec!["gatebook.>".to_owned()], ..fit.clone() }, "other subjects"),
        (Config { retention: jetstream::stream::RetentionPolicy::Interest, ..fit.clone() }, "that were read"),
    ] {
        jetstream.create_stream(wrong).await.unwrap();
        let refusal = cluster.refusal(0, "gatebook");
        assert!(refusal.contains(says), "{says}: {refusal}");
        jetstream.delete_stream("gatebook").await.unwrap();
    }
    jetstream.create_stream(fit).await.unwrap();
    let node = cluster.node(0, &[]);
    assert_eq!(Caller::anyone(&node).get("/health").await["status"], "ok");
}

#[test]
fn a_server_that_is_too_old_is_refused_with_its_version_and_the_reason() {
    let nats = match Nats::start_old() {
        Ok(nats) => nats,
        Err(reason) => return nats::not_run("a NATS server before 2.11", &reason),
    };
    let data = tempfile::tempdir().unwrap();
    let mut command = gatebook(&["serve", "--listen", "127.0.0.1:0", "--log", &nats.uri("gatebook")]);
    let said = refusal(command.arg("--data").arg(data.path()).output().unwrap());
    assert!(said.contains(" is 2.") && said.contains("2.11 is the oldest") && said.contains("two writers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_of_another_log_is_not_taken_for_this_ones() {
    let Some(cluster) = Cluster::start("mirrors of other logs", 1) else { return };
    cluster.node(0, &[]).stop();
    let refusal = cluster.refusal(0, "another");
    assert!(refusal.contains("mirrors another event log"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_append_stops_every_mirror_and_is_named() {
    let Some(cluster) = Cluster::start("messages that are no appends", 1) else { return };
    let node = cluster.node(0, &["--max-staleness", "1"]);
    let (anyone, admin) = (Caller::anyone(&node), cluster.admin(&node));
    assert_eq!(anyone.get("/health").await["status"], "ok");
    let client = async_nats::connect(cluster.nats.uri("gatebook").split('?').next().unwrap()).await.unwrap();
    jetstream::new(client).publish("gatebook.log.client-1", "hello".into()).await.unwrap().await.unwrap();
    let (trouble, _) = until("the node says so", async || {
        let page = this(&admin).await;
        page["trouble"].as_str().map(str::to_owned)
    })
    .await;
    assert!(trouble.contains("broken at position 2") && trouble.contains("client-1"), "{trouble}");
    until("the node answers nothing any more", async || (anyone.call(Method::GET, "/health", None).await.unwrap().0 == 503).then_some(()))
        .await;
    let (status, answer) =
        anyone.call(Method::POST, "/oauth/register", Some(&json!({ "redirect_uris": ["http://localhost/cb"] }))).await.unwrap();
    assert_eq!((status, &answer["error"]), (503, &json!("temporarily_unavailable")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_instance_key_is_pointed_out() {
    let Some(cluster) = Cluster::start("nodes with other keys", 1) else { return };
    let (one, other) = (cluster.node(0, &[]), cluster.node_with_its_own_key(1));
    let (page, _) = until("the other one is heard of", async || {
        let page = cluster.admin(&one).get("/authsec/cluster").await;
        page["nodes"][1].is_object().then_some(page)
    })
    .await;
    assert_eq!(page["nodes"][1]["other_instance_key"], true, "{page}");
    other.stop();
    until("its silence is noticed", async || {
        let page = cluster.admin(&one).get("/authsec/cluster").await;
        (page["nodes"][1]["state"] == "silent").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kurrentdb_nodes_hear_of_each_other_by_the_notes_that_they_leave() {
    let fake = Fake::start(1);
    let base = fake.uri("kurrentdb", "");
    let nodes = Nodes::on(move |name| format!("{base}{name}"), Vec::new());
    let (one, other) = (nodes.node(0, &[]), nodes.node_with_its_own_key(1));
    let (at_one, at_other) = (nodes.admin(&one), nodes.admin(&other));
    for (admin, there) in [(&at_one, &at_other), (&at_other, &at_one)] {
        let there = this(there).await;
        let (page, _) = until("the other one is heard of and holds the same", async || {
            let page = admin.get("/authsec/cluster").await;
            (page["nodes"][1]["agrees_up_to"] == there["position"]).then_some(page)
        })
        .await;
        let heard = &page["nodes"][1];
        assert_eq!(
            (&heard["node"], &heard["state"], &heard["other_instance_key"]),
            (&there["node"], &json!("live"), &json!(true)),
            "{page}"
        );
        assert_eq!((&page["log"], page["nodes"].as_array().unwrap().len()), (&json!("kurrentdb"), 2));
    }
    other.stop();
    until("its silence is noticed", async || (at_one.get("/authsec/cluster").await["nodes"][1]["state"] == "silent").then_some(())).await;
}
