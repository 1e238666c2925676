//! Addresses that must not be dialled. The judge is the real one; a listener on the forbidden address hears nothing.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;

use gatebook::config::ManifestSettings;
use gatebook::outbound::{FetchFailure, Manifests, Urgency};
use gatebook_events::manifest::{ManifestUrl, Trouble, TroubleKind};

use crate::host::{Authority, Deed, Host, Speech, answer, json};
use crate::names::Names;
use crate::world::{World, document, fetcher, roomy, url};

/// A listener on loopback that must hear nothing.
struct Silent(TcpListener);

impl Silent {
    fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// A connection on loopback stands before whoever asked for it goes on, so there is nothing to wait for.
    fn heard_nothing(&self) {
        let heard = self.0.accept();
        assert!(heard.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "somebody called: {heard:?}");
    }
}

fn judged(names: &Arc<Names>) -> Manifests {
    let mut limits = roomy();
    limits.time = std::time::Duration::from_millis(500);
    fetcher(ManifestSettings { limits, ..ManifestSettings::default() }, &Authority::new(), names.clone())
}

async fn fetch(manifests: &Manifests, url: &ManifestUrl) -> FetchFailure {
    manifests.fetch(url, None, Urgency::Anonymous).await.unwrap_err()
}

/// MUST NOT, §6.5: special-use addresses (RFC 6890), in whatever form the name leads there.
#[tokio::test(flavor = "multi_thread")]
async fn c21_a_name_that_leads_to_a_special_address_is_not_dialled() {
    let listener = Silent::on("127.0.0.1:0");
    for address in
        ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::7f00:1", "2002:7f00:1::", "0.0.0.0", "10.0.0.1", "169.254.169.254"]
    {
        let names = Arc::new(Names::default().with("rebind.example", &[&[address]]));
        let url = url(&format!("https://rebind.example:{}/client.json", listener.port()));
        let failure = fetch(&judged(&names), &url).await;
        assert_eq!((failure.trouble, failure.trouble.kind()), (Trouble::Address, TroubleKind::Transport), "{address}");
        // Whoever asked learns neither the address nor that there was one.
        assert_eq!(failure.to_string(), "cannot use the document at client_id");
    }
    listener.heard_nothing();
}

/// MUST NOT, §6.5: one special address among others refuses them all, wherever it stands.
#[tokio::test(flavor = "multi_thread")]
async fn c21_one_special_address_among_public_ones_refuses_them_all() {
    let listener = Silent::on("127.0.0.1:0");
    for addresses in [&["2d00::1", "127.0.0.1"], &["127.0.0.1", "2d00::1"]] {
        let names = Arc::new(Names::default().with("both.example", &[addresses]));
        let url = url(&format!("https://both.example:{}/client.json", listener.port()));
        assert_eq!(fetch(&judged(&names), &url).await.trouble, Trouble::Address);
    }
    listener.heard_nothing();
}

/// MUST NOT, §6.5: DNS rebinding. A second look-up would lead home; there is none.
#[tokio::test(flavor = "multi_thread")]
async fn c21_what_a_second_look_up_would_say_does_not_matter() {
    let listener = Silent::on("127.0.0.1:0");
    // Public by its number, assigned to nobody.
    let names = Arc::new(Names::default().with("rebind.example", &[&["2d00::1"], &["127.0.0.1"]]));
    let url = url(&format!("https://rebind.example:{}/client.json", listener.port()));
    let failure = fetch(&judged(&names), &url).await;
    assert!(matches!(failure.trouble, Trouble::Connect | Trouble::TimedOut), "{}", failure.detail());
    assert_eq!(names.asked(), ["rebind.example"]);
    listener.heard_nothing();
}

/// The same seen from the other side: the address that was judged is the one that answers.
#[tokio::test(flavor = "multi_thread")]
async fn c21_the_address_that_was_judged_is_the_one_that_is_dialled() {
    let authority = Authority::new();
    let deed = |asked: &crate::host::Asked| Deed::Answer(json(document(&asked.url).to_string()));
    let host = Host::start("127.0.0.1:0", Speech::Tls(&authority, &["app.example"]), deed).await;
    let other = Silent::on(&format!("127.0.0.2:{}", host.address.port()));
    let names = Arc::new(Names::default().with("app.example", &[&["127.0.0.1"], &["127.0.0.2"]]));
    let url = url(&format!("https://app.example:{}/client.json", host.address.port()));
    let settings = ManifestSettings { limits: roomy(), internal: vec![url.clone()], ..ManifestSettings::default() };
    assert!(fetcher(settings, &authority, names.clone()).fetch(&url, None, Urgency::Trusted).await.is_ok());
    assert_eq!(names.asked(), ["app.example"]);
    other.heard_nothing();
}

/// MUST NOT, §4: redirects are not followed, wherever they lead.
#[tokio::test(flavor = "multi_thread")]
async fn c08_a_redirect_is_not_followed() {
    const STATUSES: [&str; 6] =
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect", "300 Multiple Choices"];
    let target = Silent::on("127.0.0.1:0");
    let port = target.port();
    let world = World::start(roomy(), move |asked| {
        let headers =
            format!("Location: http://127.0.0.1:{port}/secret\nRefresh: 0; url=http://127.0.0.1:{port}/\nContent-Type: application/json");
        Deed::Answer(answer(STATUSES[asked.number], &headers, document(&asked.url).to_string()))
    })
    .await;
    for status in STATUSES {
        assert_eq!(world.trouble().await, Trouble::Redirected, "{status}");
    }
    assert_eq!(world.host.requests().len(), STATUSES.len());
    target.heard_nothing();
}

/// MUST, §6.5: the exception for this very host is for development, and for hosts that say that they are this host.
#[tokio::test(flavor = "multi_thread")]
async fn c23_this_very_host_is_asked_in_development_only() {
    let deed = |asked: &crate::host::Asked| Deed::Answer(json(document(&asked.url).to_string()));
    let host = Host::start("127.0.0.1:0", Speech::Plain, deed).await;
    let port = host.address.port();
    let with = |allow_loopback| {
        Manifests::try_new(ManifestSettings { allow_loopback, limits: roomy(), ..ManifestSettings::default() }, None).unwrap()
    };
    let (development, production) = (with(true), with(false));
    for name in ["localhost", "127.0.0.1"] {
        let text = format!("http://{name}:{port}/client.json");
        let url = development.url(&text).unwrap();
        // The system's own resolver may also lead `localhost` to ::1, where nobody listens; then the next address is tried.
        assert!(development.fetch(&url, None, Urgency::Trusted).await.is_ok(), "{text}");
        assert!(production.url(&text).is_err());
        assert_eq!(production.fetch(&url, None, Urgency::Trusted).await.unwrap_err().trouble, Trouble::Address);
    }
    assert_eq!(host.requests().len(), 2);
    // A name that only leads here is refused in development too.
    let names = Arc::new(Names::default().with("app.example", &[&["127.0.0.1"]]));
    let settings = ManifestSettings { allow_loopback: true, limits: roomy(), ..ManifestSettings::default() };
    let manifests = fetcher(settings, &Authority::new(), names);
    assert_eq!(fetch(&manifests, &url(&format!("https://app.example:{port}/client.json"))).await.trouble, Trouble::Address);
    assert_eq!(host.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internal_host_is_asked_for_the_url_that_the_operator_wrote_and_no_other() {
    let world = World::start(roomy(), |asked| Deed::Answer(json(document(&asked.url).to_string()))).await;
    assert!(world.fetch().await.is_ok());
    let authority = world.url.authority();
    for path in ["/client.json?", "/client.json/", "/other.json", "/Client.json"] {
        let other = url(&format!("https://{authority}{path}"));
        assert_eq!(fetch(&world.manifests, &other).await.trouble, Trouble::Address, "{path}");
    }
    assert_eq!(world.host.requests().len(), 1);
    let names = Arc::new(Names::default().with("app.example", &[&["0.0.0.0"]]));
    let settings = ManifestSettings { internal: vec![world.url.clone()], ..ManifestSettings::default() };
    assert_eq!(fetch(&fetcher(settings, &Authority::new(), names), &world.url).await.trouble, Trouble::Address);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_a_trouble_of_the_way_there() {
    let names = Arc::new(Names::default().with("empty.example", &[&[]]));
    let manifests = judged(&names);
    for host in ["nowhere.example", "empty.example"] {
        assert_eq!(fetch(&manifests, &url(&format!("https://{host}/client.json"))).await.trouble, Trouble::Dns, "{host}");
    }
}
