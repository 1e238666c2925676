//! A webhook is no way into the operator's networks.

use serde_json::json;

use crate::hook;
use crate::house::House;
use crate::open;
use crate::receiver::Receiver;
use crate::until;

#[tokio::test]
async fn w11_an_address_that_is_never_dialled_is_refused_when_it_is_set_and_one_from_before_is_not_dialled() {
    let networks = |networks: &[&str]| Some(networks.iter().map(|network| (*network).to_owned()).collect());
    let receiver = Receiver::open().await;
    let port = receiver.address.port();
    let urls = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "192.168.0.1"].map(|host| format!("http://{host}:{port}/"));
    let urls: Vec<String> = urls.into_iter().chain([format!("https://127.0.0.1:{port}/"), format!("https://localhost:{port}/")]).collect();
    let closed = House::with(|settings| settings.webhook_networks = networks(&["10.0.0.0/8"])).await;
    let admin = closed.admin("default");
    let body = |url: &str| json!({ "label": "siem", "url": url });
    let kept = admin.post("/authsec/webhooks", body("https://siem.example/hook")).await.is(201);
    let page = format!("/authsec/webhooks/{}", kept.text("id"));
    let head = closed.head().await;
    for url in &urls {
        for told in [admin.post("/authsec/webhooks", body(url)).await, admin.patch(&page, json!({ "url": url })).await] {
            let told = told.problem(400, "invalid-request").text("detail");
            assert!(told.starts_with("url names an address that is never dialled: "), "{url}: {told}");
        }
    }
    assert_eq!(closed.head().await, head, "what is refused leaves nothing");

    // They were set while the operator allowed them.
    let wide = ["127.0.0.0/8", "::1", "169.254.0.0/16", "192.168.0.0/16"];
    let open = House::with(|settings| settings.webhook_networks = networks(&wide)).await;
    let mut made = Vec::new();
    for url in &urls {
        made.push((url, hook(&open, &receiver, json!({ "url": url, "types": ["resource_server.created"] })).await));
    }
    let now = open.clock.now();
    let house = House::begin(open.end().await, now, |settings| settings.webhook_networks = networks(&["10.0.0.0/8"])).await;
    house.server("default", json!({ "name": "files" })).await;
    for (url, made) in made {
        let shown = until(&house, &made, |shown| shown["waiting"] != 0).await;
        assert_eq!(shown["trouble"], "address_refused", "{url}: {}", shown.text);
        // What stays as it is can be edited otherwise.
        house
            .admin("default")
            .patch(&format!("/authsec/webhooks/{}", made.text("id")), json!({ "label": "old", "url": url }))
            .await
            .is(200);
    }
    assert_eq!(receiver.so_far().len(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let house = open().await;
    let (near, far) = (Receiver::open().await, Receiver::open().await);
    let location: &'static str = Box::leak(format!("Location: http://{}/\r\n", far.address).into_boxed_str());
    near.answers(move |_| (307, location));
    let made = hook(&house, &near, json!({ "types": ["resource_server."] })).await;
    house.server("default", json!({ "name": "files" })).await;
    assert_eq!(until(&house, &made, |shown| shown["waiting"] == 1).await["trouble"], "status_307");
    assert_eq!(far.so_far().len(), 0);
}
