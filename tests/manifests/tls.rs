//! The host has to prove who it is, and nobody stands in between.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use gatebook::config::ManifestSettings;
use gatebook::outbound::{Manifests, SetUpError, Urgency};
use gatebook_events::manifest::Trouble;

use crate::host::{Asked, Authority, Deed, Host, Speech, json};
use crate::names::Names;
use crate::world::{World, document, fetcher, roomy, url};

fn deed(asked: &Asked) -> Deed {
    Deed::Answer(json(document(&asked.url).to_string()))
}

/// What becomes of a fetch from a host that speaks like this, by a fetcher that trusts `trusted`.
async fn trouble(speech: Speech<'_>, trusted: &Authority) -> (Option<Trouble>, usize) {
    let host = Host::start("127.0.0.1:0", speech, deed).await;
    let url = url(&format!("https://app.example:{}/client.json", host.address.port()));
    let names = Arc::new(Names::default().with("app.example", &[&["127.0.0.1"]]));
    let settings = ManifestSettings { limits: roomy(), internal: vec![url.clone()], ..ManifestSettings::default() };
    let fetched = fetcher(settings, trusted, names).fetch(&url, None, Urgency::Trusted).await;
    (fetched.err().map(|failure| failure.trouble), host.requests().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_prove_its_name_is_not_asked() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    assert_eq!(trouble(Speech::Tls(&ours, &["app.example"]), &ours).await, (None, 1));
    assert_eq!(trouble(Speech::Tls(&theirs, &["app.example"]), &ours).await, (Some(Trouble::Tls), 0));
    assert_eq!(trouble(Speech::Tls(&ours, &["other.example", "example", "127.0.0.1"]), &ours).await, (Some(Trouble::Tls), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_tls_is_not_asked() {
    let ours = Authority::new();
    assert_eq!(trouble(Speech::Plain, &ours).await, (Some(Trouble::Tls), 0));
}

#[test]
fn a_file_without_certificates_is_refused_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), content).unwrap();
        let refused = Manifests::try_new(ManifestSettings::default(), Some(file.path())).err();
        assert!(matches!(refused, Some(SetUpError::Certificates(_))), "{content:?}: {refused:?}");
    }
    let missing = Manifests::try_new(ManifestSettings::default(), Some(std::path::Path::new("/nowhere/ca.pem"))).err();
    assert!(matches!(missing, Some(SetUpError::Unreadable { .. })), "{missing:?}");
}

/// A proxy would do its own look-up. A process cannot safely change its own environment, so another run of this test has one.
#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_the_environment_is_ignored() {
    const MARK: &str = "FETCH_BEHIND_PROXY";
    if std::env::var_os(MARK).is_some() {
        let world = World::start(roomy(), deed).await;
        assert!(world.fetch().await.is_ok());
        return;
    }
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "tls::the_proxy_of_the_environment_is_ignored"]).env(MARK, "1");
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &url);
    }
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(proxy.accept().is_err(), "somebody asked the proxy");
}
