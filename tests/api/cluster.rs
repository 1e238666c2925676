//! `GET /authsec/cluster` of an instance that has its log to itself.

use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn an_instance_with_a_log_of_its_own_shows_itself_alone() {
    let house = House::open().await;
    let shown = house.auditor("default").get("/authsec/cluster").await.is(200);
    assert_eq!((&shown["log"], shown["nodes"].as_array().unwrap().len()), (&json!("sqlite"), 1));
    let own = &shown["nodes"][0];
    assert_eq!((&own["this"], &own["state"], &own["lag"], &own["position"]), (&json!(true), &json!("live"), &json!(0), &json!("1")));
    assert_eq!(own["chain_head"].as_str().unwrap().len(), 64);
    assert!(shown.body.get("divergences").is_none());

    // Whatever position a caller names is waited for, at any endpoint, and is refused if it is none.
    let path = "/oauth/register/x";
    assert_eq!(house.anyone().with("gatebook-position", "1").get(path).await.status, 401);
    assert_eq!(house.anyone().with("gatebook-position", "soon").get(path).await.status, 400);
}
