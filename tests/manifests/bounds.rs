//! How much and how long: a host that sends too much, too slowly or nothing costs a bounded amount of everything.

use std::time::Duration;

use gatebook::config::Limits;
use gatebook_events::manifest::Trouble;

use crate::host::{Authority, Deed, Host, Speech, json};
use crate::world::{World, document, fetcher, roomy, url};

/// Enough for an honest answer on loopback, and soon over.
fn hasty() -> Limits {
    Limits { time: Duration::from_millis(300), ..roomy() }
}

/// A document of exactly so many bytes.
fn of_length(url: &str, length: usize) -> String {
    let mut text = document(url).to_string();
    text.push_str(&" ".repeat(length - text.len()));
    text
}

/// SHOULD, §6.6: 5 KiB are read, one byte more is refused and never cut off.
#[tokio::test(flavor = "multi_thread")]
async fn c24_five_kibibytes_are_read_and_one_byte_more_is_refused() {
    let world = World::start(roomy(), |asked| {
        let body = of_length(&asked.url, if asked.number % 2 == 0 { 5120 } else { 5121 });
        Deed::Answer(match asked.number {
            0 | 1 => json(body),
            // Without a length in the head, only counting helps.
            _ => format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}").into_bytes(),
        })
    })
    .await;
    for _ in 0..2 {
        assert!(world.fetch().await.is_ok());
        assert_eq!(world.trouble().await, Trouble::TooLong);
    }
}

/// SHOULD, §6.6: of 100 MB hardly anything is taken. What was not taken cannot be in memory.
#[tokio::test(flavor = "multi_thread")]
async fn c24_a_flood_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let world = World::with(Deed::Flood(head)).await;
    assert_eq!(world.trouble().await, Trouble::TooLong);
    // The rest is in the buffers of the sockets.
    let sent = world.host.sent().await;
    assert!(sent < 20_000_000, "{sent} bytes were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn c24_a_head_without_end_is_cut_off() {
    let world = World::with(Deed::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    assert_eq!(world.trouble().await, Trouble::CutOff);
    let sent = world.host.sent().await;
    assert!(sent < 20_000_000, "{sent} bytes were taken");
}

/// Our policy: one time for all of it, however busy the host looks.
#[tokio::test(flavor = "multi_thread")]
async fn c25_a_host_that_says_nothing_is_given_up() {
    let world = World::start(hasty(), |_| Deed::Stall).await;
    assert_eq!(world.trouble().await, Trouble::TimedOut);
    // The connection is gone, too.
    world.host.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_bytes_that_drip_do_not_buy_time() {
    let heads = [
        "HTTP/1.1 200 OK\r\nX:",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n",
    ];
    let pause = Duration::from_millis(10);
    let world = World::start(hasty(), move |asked| Deed::Drip(heads[asked.number].into(), pause)).await;
    for head in heads {
        assert_eq!(world.trouble().await, Trouble::TimedOut, "{head}");
        world.host.let_go().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_a_host_that_never_shakes_hands_is_given_up() {
    let authority = Authority::new();
    let host = Host::start("127.0.0.1:0", Speech::Mute, |_| Deed::Stall).await;
    let url = url(&format!("https://app.example:{}/client.json", host.address.port()));
    let names = std::sync::Arc::new(crate::names::Names::default().with("app.example", &[&["127.0.0.1"]]));
    let settings = gatebook::config::ManifestSettings { limits: hasty(), internal: vec![url.clone()], ..Default::default() };
    let failure = fetcher(settings, &authority, names).fetch(&url, None, gatebook::outbound::Urgency::Trusted).await.unwrap_err();
    assert_eq!(failure.trouble, Trouble::TimedOut);
}
