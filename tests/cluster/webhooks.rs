//! Two nodes and a receiver: one of them sends at a time, and the other goes on where its sender is killed.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use gatebook::cluster::kurrentdb::{Kurrent, KurrentSettings};
use gatebook::cluster::nats::{Nats, NatsSettings};
use gatebook::cluster::shared_kv::{JetStreamNotes, KurrentDbNotes, Notes};
use serde_json::{Value, json};

use crate::instance::{Caller, DEFAULT_SERVER, Instance};
use crate::kurrentdb::fake::Fake;
use crate::nodes::{Cluster, Nodes, register, this, until};
use crate::receiver::{Got, Receiver, taken};

const FLAGS: [&str; 2] = ["--webhook-networks", "127.0.0.0/8"];
/// Another node has to send within this once its sender is dead. It takes seven or eight seconds; a busy machine gets more.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn one_node_sends_at_a_time_and_the_other_goes_on_when_it_dies() {
    let Some(cluster) = Cluster::start("webhooks at two nodes", 1) else { return };
    let nats = Nats::connect(&NatsSettings::parse(&cluster.nats.uri("gatebook")).unwrap()).await.unwrap();
    take_turns(&cluster, &JetStreamNotes::open(&nats).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kurrentdb_one_node_sends_at_a_time_and_the_other_goes_on_when_it_dies() {
    let fake = Fake::start(1);
    let base = fake.uri("kurrentdb", "");
    let nodes = Nodes::on(move |name| format!("{base}{name}"), Vec::new());
    let settings = KurrentSettings::parse(&fake.uri("kurrentdb", "gatebook")).unwrap();
    take_turns(&nodes, &KurrentDbNotes::new(Kurrent::try_new(&settings).unwrap())).await;
}

async fn take_turns(nodes: &Nodes, shared: &dyn Notes) {
    let receiver = Receiver::open().await;
    let (one, other) = (nodes.node(0, &FLAGS), nodes.node(1, &FLAGS));
    let callers = |node: &Instance| (Caller::anyone(node), nodes.admin(node));
    let (at_one, at_other) = (callers(&one), callers(&other));
    let admin = &at_one.1;
    let made = json!({ "label": "siem", "url": receiver.url(), "types": ["client.", "registration."] });
    let id = admin.post("/authsec/webhooks", &made).await["id"].as_str().unwrap().to_owned();
    let page = format!("/authsec/webhooks/{id}");

    // While both live, each message is sent once.
    for number in 0..10 {
        act(if number % 2 == 0 { &at_one } else { &at_other }, number).await;
    }
    let expected = told(admin, 10).await;
    for (_, admin) in [&at_one, &at_other] {
        noted_up_to(admin, &page, &expected).await;
    }
    let ids: Vec<_> = receiver.so_far().iter().map(|got| got.text("id").to_owned()).collect();
    assert_eq!(ids.len(), expected.len(), "each message comes once");
    assert_eq!(ids.into_iter().collect::<HashSet<_>>(), ids_of(&expected));

    // Its sender is killed in the middle of it.
    let holder = holder(shared).await;
    let ((died, at_died), (left, at_left)) =
        if holder == this(admin).await["node"] { ((one, at_one), (other, at_other)) } else { ((other, at_other), (one, at_one)) };
    receiver.answers(|_| {
        std::thread::sleep(Duration::from_millis(100));
        (204, "")
    });
    for number in 10..15 {
        act(&at_died, number).await;
    }
    died.kill();
    let (killed, before) = (Instant::now(), receiver.so_far().len());
    receiver.answers(taken);
    assert!(before < expected.len() + 25, "all came before it died");
    let mut late = String::new();
    for number in 15..20 {
        late = act(&at_left, number).await;
    }
    until("the other one sends", async || receiver.so_far().iter().any(|got| got.event["clientid"] == late).then_some(())).await;
    println!("of a client that came after its sender was killed a webhook heard {:?} after that", killed.elapsed());
    assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
    let expected = told(&at_left.1, 20).await;
    noted_up_to(&at_left.1, &page, &expected).await;
    let got = receiver.so_far();
    let came = got.iter().map(|got| got.text("id").to_owned()).collect();
    let lost: Vec<_> = ids_of(&expected).difference(&came).cloned().collect();
    assert!(lost.is_empty(), "{lost:?} never came");
    println!("{} messages came {} times", expected.len(), got.len());
    in_order(&got);
    drop(left);
}

/// A client comes in, and is suspended and reinstated: one event of one stream, and four of another. Says which client.
async fn act((anyone, admin): &(Caller, Caller), number: usize) -> String {
    let (client_id, _) = register(anyone, &format!("client {number}")).await;
    for verb in ["suspend", "reinstate"] {
        admin.post(&format!("{DEFAULT_SERVER}/clients/{client_id}/{verb}"), &json!({})).await;
    }
    client_id
}

/// What the webhook has to hear of so many clients, in the order of the log, once this node shows it.
async fn told(at: &Caller, clients: usize) -> Vec<Value> {
    let told = until("the node shows all of it", async || {
        let mut events = at.all("/authsec/audit/events?order=oldest", "events").await;
        events.retain(|event| ["client.", "registration."].iter().any(|prefix| event["type"].as_str().unwrap().starts_with(prefix)));
        (events.len() == clients * 5).then_some(events)
    });
    told.await.0
}

/// Waits until a node shows that the webhook has taken all of this.
async fn noted_up_to(at: &Caller, page: &str, told: &[Value]) {
    until("all is noted as taken", async || (at.get(page).await["position"] == told.last().unwrap()["position"]).then_some(())).await;
}

fn ids_of(events: &[Value]) -> HashSet<String> {
    events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// Of each stream, what comes for the first time comes in order.
fn in_order(got: &[Got]) {
    let (mut heard, mut last) = (HashSet::new(), BTreeMap::new());
    for got in got {
        let position: u64 = got.text("position").parse().unwrap();
        if heard.insert(got.text("id")) {
            let before = last.insert(got.text("subject"), position);
            assert!(before.is_none_or(|before| before < position), "{} after {before:?}", got.body);
        }
    }
}

/// The node that has the turn.
async fn holder(notes: &dyn Notes) -> String {
    let (holder, _) = until("the turn is somebody's", async || {
        let note: Value = serde_json::from_slice(&notes.read("webhooks").await.ok()??.text).unwrap();
        note["holder"]["node"].as_str().map(str::to_owned)
    })
    .await;
    holder
}
