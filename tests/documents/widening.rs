//! A hostile widening is never served before it is approved, while the old set serves without a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::refresh;
use crate::serves;
use crate::shown;
use crate::with_a_client;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_door_ever_lets_a_hostile_widening_through_and_none_closes_to_what_served() {
    let (house, author) = with_a_client().await;
    let (house, author) = (Arc::new(house), Arc::new(author));
    let (approving, over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let doors: Vec<_> = (0..3)
        .map(|_| {
            let (house, author, approving, over, asked) = (house.clone(), author.clone(), approving.clone(), over.clone(), asked.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    assert!(serves(&house, &author, HERE).await, "a gap");
                    let allowed = serves(&house, &author, THERE).await;
                    assert!(!allowed || approving.load(Ordering::SeqCst), "served before it was approved");
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let pause = async |rounds: usize| {
        let from = asked.load(Ordering::SeqCst);
        crate::until("the doors", async || asked.load(Ordering::SeqCst) >= from + rounds).await;
    };
    for round in 0..4 {
        // It widens, twice over, is polled by several at once, and reverts.
        author.claims(&[HERE, THERE]);
        tokio::join!(refresh(&house, &author), refresh(&house, &author), refresh(&house, &author));
        pause(5).await;
        author.claims(&[HERE, THERE, &format!("https://other-{round}.example/cb")]);
        refresh(&house, &author).await;
        pause(5).await;
        if round % 2 == 0 {
            author.claims(&[HERE]);
        } else {
            admin(&house).put(&format!("{}/reject-redirects", author.path()), json!({})).await.is(200);
        }
        refresh(&house, &author).await;
        pause(5).await;
    }
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    let change_id = shown(&house, &author).await["staged_change"]["change_id"].clone();
    pause(5).await;
    approving.store(true, Ordering::SeqCst);
    admin(&house).put(&format!("{}/approve-redirects", author.path()), json!({ "change_id": change_id })).await.is(200);
    assert!(serves(&house, &author, THERE).await);
    pause(5).await;
    over.store(true, Ordering::SeqCst);
    for door in doors {
        door.await.unwrap();
    }
    assert!(asked.load(Ordering::SeqCst) > 60);
}
