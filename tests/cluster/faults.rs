//! What was answered stands, whatever dies: three servers and two nodes under load, one fault a round.
//!
//! `GATEBOOK_TEST_FAULT_ROUNDS` says how many rounds there are; every five of them have each fault once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::instance::{Caller, DEFAULT_SERVER, Instance, run, said};
use crate::load::{Load, Race};
use crate::nodes::{Cluster, listed_after, this, until};

const ROUNDS: usize = 5;
/// Load before a fault, and after everything is up again.
const CALM: Duration = Duration::from_secs(1);
/// How long a leader stands still: the first time for as long as anybody should have to bear, later for less.
const STILL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

#[derive(Debug, Clone, Copy)]
enum Fault {
    LeaderKilled,
    FollowerKilled,
    NodeKilled,
    LeaderPaused,
    AllRestarted,
}

const FAULTS: [Fault; ROUNDS] = [Fault::LeaderKilled, Fault::FollowerKilled, Fault::NodeKilled, Fault::LeaderPaused, Fault::AllRestarted];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_stands_whatever_dies() {
    let Some(mut cluster) = Cluster::start("faults", 3) else { return };
    let rounds = std::env::var("GATEBOOK_TEST_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let scratch = tempfile::tempdir().unwrap();
    let mut nodes = vec![cluster.node(0, &[]), cluster.node(1, &[])];
    let mut standing: HashSet<String> = HashSet::new();
    let (mut paused, started) = (0, Instant::now());
    for round in 0..rounds {
        let fault = FAULTS[round % FAULTS.len()];
        let callers: Vec<_> = nodes.iter().map(Caller::anyone).collect();
        let race = Race::start(&cluster.nats.uri(&format!("race-{round}")), scratch.path()).await;
        let load = Load::start(&callers, round);
        tokio::time::sleep(CALM).await;
        let struck = Instant::now();
        let what = strike(fault, &mut cluster, &mut nodes, &mut paused).await;
        for node in &nodes {
            let anyone = Caller::anyone(node);
            until("every node is well", async || matches!(anyone.call(Method::GET, "/health", None).await, Ok((200, _))).then_some(()))
                .await;
        }
        let well = struck.elapsed();
        tokio::time::sleep(CALM).await;
        let answers = load.stop().await;
        let raced = race.finish().await;
        for file in std::fs::read_dir(scratch.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        println!(
            "round {round}: {what}; all well after {well:.1?}; writes refused for {:.2?}; {} registered, {} calls refused; {raced} races",
            answers.longest_silence(),
            answers.registered.len(),
            answers.failed,
        );
        assert!(answers.registered.len() > 20, "a round in which nothing was answered shows nothing");
        let fresh: Vec<String> = answers.registered.into_iter().map(|(client_id, _)| client_id).collect();
        let count = standing.len() + fresh.len();
        standing.extend(fresh);
        assert_eq!(standing.len(), count, "one client was answered twice");
        check(&cluster, &nodes, &standing).await;
    }
    let mut verdicts = Vec::new();
    for (number, node) in nodes.into_iter().enumerate() {
        node.stop();
        let data = cluster.data(number);
        verdicts.push(said(run(&["verify", "--data", data.to_str().unwrap(), "--log", &cluster.nats.uri("gatebook")])));
    }
    assert_eq!(verdicts[0], verdicts[1], "the chains or the roots of the nodes differ");
    println!("{} registrations stand at both nodes after {rounds} rounds in {:.0?}\n{}", standing.len(), started.elapsed(), verdicts[0]);
}

/// Does it, and undoes it.
async fn strike(fault: Fault, cluster: &mut Cluster, nodes: &mut Vec<Instance>, paused: &mut usize) -> String {
    let (leader, _) = until("somebody leads", async || cluster.nats.leader("gatebook")).await;
    match fault {
        Fault::LeaderKilled | Fault::FollowerKilled => {
            let (victim, what) = if matches!(fault, Fault::LeaderKilled) { (leader, "leader") } else { ((leader + 1) % 3, "follower") };
            cluster.nats.kill(victim);
            tokio::time::sleep(Duration::from_secs(6)).await;
            cluster.nats.run(victim);
            cluster.nats.until_ready();
            format!("the {what} killed, and started after 6 s")
        }
        Fault::NodeKilled => {
            nodes.remove(0).kill();
            tokio::time::sleep(CALM).await;
            nodes.insert(0, cluster.node(0, &[]));
            "a Gatebook killed, and started after 1 s".to_owned()
        }
        Fault::LeaderPaused => {
            let still = if *paused == 0 { STILL.0 } else { STILL.1 };
            *paused += 1;
            cluster.nats.pause(leader);
            tokio::time::sleep(still).await;
            cluster.nats.go_on(leader);
            format!("the leader paused for {still:?}")
        }
        Fault::AllRestarted => {
            nodes.drain(..).for_each(Instance::kill);
            (0..3).for_each(|server| cluster.nats.kill(server));
            (0..3).for_each(|server| cluster.nats.run(server));
            nodes.extend((0..2).map(|number| cluster.node(number, &[])));
            "all servers and nodes killed, and started at once".to_owned()
        }
    }
}

/// Everything that was answered is in the list of every node, and the nodes hold the same events.
async fn check(cluster: &Cluster, nodes: &[Instance], standing: &HashSet<String>) {
    let admins: Vec<_> = nodes.iter().map(|node| cluster.admin(node)).collect();
    let ends = until("both nodes hold the same", async || {
        let (left, right) = (this(&admins[0]).await, this(&admins[1]).await);
        (left["position"] == right["position"] && left["lag"] == 0).then_some((left, right))
    });
    let ((left, right), _) = ends.await;
    assert_eq!(left["chain_head"], right["chain_head"], "{left} {right}");
    for admin in &admins {
        // One that has heard nothing for too long says so, and then hears again.
        until("the lists answer", async || listed_after(admin, left["position"].as_str().unwrap()).await).await;
        let rows = admin.all(&format!("{DEFAULT_SERVER}/clients"), "clients").await;
        let listed: HashSet<&str> = rows.iter().map(|row| row["client_id"].as_str().unwrap()).collect();
        let lost: Vec<_> = standing.iter().filter(|client_id| !listed.contains(client_id.as_str())).collect();
        assert!(lost.is_empty(), "{} of {} were answered and are not there", lost.len(), standing.len());
    }
}
