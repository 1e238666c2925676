//! What was not taken at the last attempt: seen, sent again, given up.

use chrono::TimeDelta;
use serde_json::json;

use crate::HOOKS;
use crate::answer::Answer;
use crate::failed_now;
use crate::hook;
use crate::house::{DEFAULT, House, client};
use crate::open;
use crate::receiver::{Receiver, taken};
use crate::trail;
use crate::until;

/// A house with a webhook that does not take two events: each of a client that is suspended. Behind one of them another waits.
async fn with_dead_letters() -> (House, Receiver, Answer) {
    let house = open().await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["registration."] })).await;
    receiver.answers(|got| if got.event["type"] == "registration.suspended" { (422, "") } else { (204, "") });
    // All of it happens before the first of it is sent, so that what waits behind another is read while that is still tried.
    let pause = format!("{HOOKS}/{}", made.text("id"));
    house.admin("default").post(&format!("{pause}/disable"), json!({})).await.is(200);
    for name in ["One", "Two"] {
        let id = house.registered(name).await.text("client_id");
        house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({})).await.is(200);
        if name == "Two" {
            house.admin("default").post(&format!("{}/reinstate", client(DEFAULT, &id)), json!({})).await.is(200);
        }
    }
    house.admin("default").post(&format!("{pause}/enable"), json!({})).await.is(200);
    receiver.taken(4).await;
    receiver.wait(2, |got| got.status == 422).await;
    // Two that failed in a row have the receiver left alone, and then tried with one message at a time.
    failed_now(&house, &made).await;
    loop {
        let attempts = receiver.wait(2, |got| got.status == 422).await.len();
        if attempts == 24 {
            break;
        }
        let pause = 5 * 3_i64.pow(u32::try_from(attempts / 2).unwrap());
        house.clock.advance(TimeDelta::seconds((pause * 5 / 4).clamp(13 * 60, 36_000)));
        failed_now(&house, &made).await;
    }
    until(&house, &made, |shown| shown["dead_letters"] == 2).await;
    (house, receiver, made)
}

#[tokio::test]
async fn after_the_last_attempt_it_is_shown_and_holds_what_happened_in_its_stream_later() {
    let (house, receiver, made) = with_dead_letters().await;
    let page = format!("{HOOKS}/{}/dead-letters", made.text("id"));
    let list = house.auditor("default").get(&page).await.is(200);
    let letters = list["dead_letters"].as_array().unwrap();
    let held: Vec<_> = letters.iter().map(|letter| letter["held_behind"].as_u64().unwrap()).collect();
    assert_eq!((letters.len(), held), (2, vec![0, 1]));
    for letter in letters {
        assert_eq!((&letter["attempts"], &letter["trouble"]), (&json!(12), &json!("status_422")));
        assert_eq!(letter["type"], "registration.suspended");
        let one = house.auditor("default").get(&format!("{page}/{}", letter["event_id"].as_str().unwrap())).await.is(200);
        assert_eq!(one["position"], letter["position"]);
    }
    let shown = until(&house, &made, |_| true).await;
    assert_eq!((&shown["waiting"], &shown["held_behind_dead_letters"], &shown["state"]), (&json!(0), &json!(1), &json!("active")));
    house.clock.advance(TimeDelta::hours(100));
    house.registered("Three").await;
    receiver.taken(6).await;
    assert_eq!(receiver.so_far().iter().filter(|got| got.status == 422).count(), 24, "nobody sends a dead letter");

    let first = house.auditor("default").get(&format!("{page}?limit=1")).await.is(200);
    let second = house.auditor("default").get(&format!("{page}?limit=1&cursor={}", first.text("next_cursor"))).await.is(200);
    assert_eq!((&first["dead_letters"][0], &second["dead_letters"][0]), (&letters[0], &letters[1]));
    assert_eq!(second.body.get("next_cursor"), None);
    house.auditor("default").post(&format!("{page}/retry"), json!({})).await.problem(403, "forbidden");
    house.admin("b").get(&page).await.problem(404, "not-found");
    house.admin("default").get(&format!("{page}/00000000-0000-0000-0000-000000000001")).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_again_lets_the_rest_of_its_stream_follow() {
    let (house, receiver, made) = with_dead_letters().await;
    let page = format!("{HOOKS}/{}/dead-letters", made.text("id"));
    receiver.answers(taken);
    let list = house.admin("default").get(&page).await;
    let newest = list["dead_letters"][1]["event_id"].as_str().unwrap();
    house.admin("default").post(&format!("{page}/{newest}/retry"), json!({})).await.is(204);
    let names: Vec<_> = receiver.taken(6).await[4..].iter().map(|one| one.text("type").to_owned()).collect();
    assert_eq!(names, ["registration.suspended", "registration.reinstated"]);
    assert_eq!(house.admin("default").post(&format!("{page}/retry"), json!({})).await.is(200)["retried"], 1);
    receiver.taken(7).await;
    until(&house, &made, |shown| shown["dead_letters"] == 0 && shown["waiting"] == 0).await;
    assert_eq!(house.admin("default").post(&format!("{page}/retry"), json!({})).await.is(200)["retried"], 0);
    house.admin("default").post(&format!("{page}/{newest}/retry"), json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_dead_letter_that_is_given_up_is_a_fact_and_lets_the_rest_of_its_stream_follow() {
    let (house, receiver, made) = with_dead_letters().await;
    let page = format!("{HOOKS}/{}/dead-letters", made.text("id"));
    let list = house.admin("default").get(&page).await;
    let newest = list["dead_letters"][1]["event_id"].as_str().unwrap();
    let reason = json!({ "reason": "the receiver knows it from elsewhere" });
    house.admin("default").call(reqwest::Method::DELETE, &format!("{page}/{newest}"), Some(reason.clone())).await.is(204);
    let next = receiver.taken(5).await.remove(4);
    assert_eq!(next.text("type"), "registration.reinstated");
    until(&house, &made, |shown| shown["dead_letters"] == 1 && shown["held_behind_dead_letters"] == 0).await;
    house.admin("default").delete(&format!("{page}/{newest}")).await.problem(404, "not-found");
    let told = trail(&house).await.pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["event_id"]), (&json!("webhook.event_dropped"), &json!(newest)));
    assert_eq!(told["data"]["reason"], reason["reason"]);
}
