//! A webhook is no way into the operator's networks.

use serde_json::json;

use crate::house::House;
use crate::receiver::Receiver;
use crate::{hook, open, until};

#[tokio::test]
async fn nothing_is_dialled_that_is_not_public_unless_the_operator_names_its_network() {
    let house = House::with(|settings| settings.webhook_networks = Some(vec!["10.0.0.0/8".to_owned()])).await;
    let receiver = Receiver::open().await;
    let port = receiver.address.port();
    let urls = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "192.168.0.1"].map(|host| format!("http://{host}:{port}/"));
    for url in urls.into_iter().chain([format!("https://127.0.0.1:{port}/"), format!("https://localhost:{port}/")]) {
        let made = hook(&house, &receiver, json!({ "url": url })).await;
        house.server("default", json!({ "name": url })).await;
        let shown = until(&house, &made, |shown| shown["waiting"] != 0).await;
        assert_eq!(shown["trouble"], "address_refused", "{url}: {}", shown.text);
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
