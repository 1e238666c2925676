//! Two nodes and a client's document: one of them reads it at a time, and the other goes on where its holder dies.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use gatebook::cluster::kurrentdb::{Kurrent, KurrentSettings};
use gatebook::cluster::nats::{Nats, NatsSettings};
use gatebook::cluster::shared_kv::{JetStreamNotes, KurrentDbNotes, Notes};
use gatebook_events::identity::ClientId;
use serde_json::json;
use tokio::net::TcpListener;

use crate::instance::DEFAULT_SERVER;
use crate::kurrentdb::fake::Fake;
use crate::nodes::{Cluster, Nodes, this, until};

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
    let nats = Nats::connect(&NatsSettings::parse(&cluster.nats.uri("gatebook")).unwrap()).await.unwrap();
    // Whoever opens them first makes them.
    take_turns(&cluster, &JetStreamNotes::open(&nats).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kurrentdb_one_node_reads_a_document_at_a_time_and_the_other_goes_on_when_it_dies() {
    let fake = Fake::start(1);
    let base = fake.uri("kurrentdb", "");
    let nodes = Nodes::on(move |name| format!("{base}{name}"), Vec::new());
    let settings = KurrentSettings::parse(&fake.uri("kurrentdb", "gatebook")).unwrap();
    take_turns(&nodes, &KurrentDbNotes::new(Kurrent::try_new(&settings).unwrap())).await;
}

async fn take_turns(nodes: &Nodes, shared: &dyn Notes) {
    let host = Host::start().await;
    let (one, other) = (nodes.node(0, &FLAGS), nodes.node(1, &FLAGS));
    let admin = nodes.admin(&one);
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
    let held = holder(shared, &host.url).await;
    *host.takes.lock().unwrap() = Duration::ZERO;
    let (died, left) = if held == this(&admin).await["node"] { (one, other) } else { (other, one) };
    died.kill();
    let killed = Instant::now();
    let before = host.asked().len();
    until("the other one goes on", async || (host.asked().len() > before).then_some(())).await;
    println!("a document whose reader was killed was read by the other node {:?} later", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(20));
    drop(left);
}

/// The node that has the turn, as the document's note says.
async fn holder(notes: &dyn Notes, document: &str) -> String {
    let key = ClientId::parse(document).unwrap().key();
    let (held, _) = until("the turn is somebody's", async || {
        let note = notes.read(&format!("document-{key}")).await.ok()??;
        let entry: serde_json::Value = serde_json::from_slice(&note.text).unwrap();
        entry["held"]["node"].as_str().map(str::to_owned)
    })
    .await;
    held
}
