//! Two nodes and a client's document: one of them reads it at a time, and the other goes on where its holder dies.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;
use tokio::net::TcpListener;

use crate::instance::DEFAULT_SERVER;
use crate::nodes::{Cluster, until};

/// A host that notes when it is asked, and takes its time for an answer.
struct Host {
    url: String,
    asked: Arc<Mutex<Vec<Instant>>>,
    takes: Arc<Mutex<Duration>>,
}

type Shared = (String, Arc<Mutex<Vec<Instant>>>, Arc<Mutex<Duration>>);

impl Host {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/client.json", listener.local_addr().unwrap());
        let (asked, takes) = (Arc::default(), Arc::default());
        let shared: Shared = (url.clone(), Arc::clone(&asked), Arc::clone(&takes));
        let service = Router::new().fallback(serve).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { url, asked, takes }
    }

    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(State((url, asked, takes)): State<Shared>) -> impl IntoResponse {
    asked.lock().unwrap().push(Instant::now());
    let takes = *takes.lock().unwrap();
    tokio::time::sleep(takes).await;
    let document = json!({ "client_id": url, "client_name": "Example App", "redirect_uris": ["https://app.example.com/cb"],
        "token_endpoint_auth_method": "none" });
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "max-age=2")], document.to_string())
}

const FLAGS: [&str; 3] = ["--allow-loopback-manifests", "--manifest-poll-seconds", "2,4"];

#[tokio::test(flavor = "multi_thread")]
async fn one_node_reads_a_document_at_a_time_and_the_other_goes_on_when_it_dies() {
    let Some(cluster) = Cluster::start("documents at two nodes", 1) else { return };
    let host = Host::start().await;
    let (one, other) = (cluster.node(0, &FLAGS), cluster.node(1, &FLAGS));
    let admin = cluster.admin(&one);
    admin.post(&format!("{DEFAULT_SERVER}/clients/cimd"), &json!({ "client_id": host.url })).await;
    // It is due every two seconds and looked for every five. Both nodes look, and one of them reads.
    until("it was read again and again", async || (host.asked().len() >= 5).then_some(())).await;
    let asked = host.asked();
    let closest = asked.windows(2).skip(1).map(|pair| pair[1] - pair[0]).min().unwrap();
    println!("a document that is due every two seconds was read by either of two nodes, {closest:?} apart at least");
    assert!(closest > Duration::from_millis(1500), "{closest:?}");

    // Whoever is at it next is killed over it.
    *host.takes.lock().unwrap() = Duration::from_secs(4);
    let before = host.asked().len();
    until("somebody reads it", async || (host.asked().len() > before).then_some(())).await;
    let held = admin_of_holder(&cluster).await;
    *host.takes.lock().unwrap() = Duration::ZERO;
    let (died, left) = if held == one_id(&cluster, &one).await { (one, other) } else { (other, one) };
    died.kill();
    let killed = Instant::now();
    let before = host.asked().len();
    until("the other one goes on", async || (host.asked().len() > before).then_some(())).await;
    println!("a document whose reader was killed was read by the other node {:?} later", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(20));
    drop(left);
}

/// The node that has the turn, as the bucket says.
async fn admin_of_holder(cluster: &Cluster) -> String {
    let client = async_nats::connect(cluster.nats.uri("gatebook").split('?').next().unwrap()).await.unwrap();
    let bucket = async_nats::jetstream::new(client).get_key_value("gatebook-documents").await.unwrap();
    let (held, _) = until("the turn is somebody's", async || {
        let mut keys = bucket.keys().await.unwrap();
        let key = futures_util::StreamExt::next(&mut keys).await?.ok()?;
        let entry: serde_json::Value = serde_json::from_slice(&bucket.get(key).await.ok()??).unwrap();
        entry["held"]["node"].as_str().map(str::to_owned)
    })
    .await;
    held
}

async fn one_id(cluster: &Cluster, node: &crate::instance::Instance) -> String {
    crate::nodes::this(&cluster.admin(node)).await["node"].as_str().unwrap().to_owned()
}
