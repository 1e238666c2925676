//! A fetcher, and one host `app.example` whose document an operator allowed to be on loopback.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use gatebook::config::{Limits, ManifestSettings};
use gatebook::outbound::{Document, FetchFailure, Fetched, Manifests, Urgency};
use gatebook_events::manifest::{ManifestUrl, Trouble};
use serde_json::{Value, json};

use crate::host::{Asked, Authority, Deed, Host, Speech};
use crate::names::Names;

/// A host, a fetcher that trusts its authority, and a resolver that both know.
pub struct World {
    pub host: Host,
    pub manifests: Manifests,
    pub url: ManifestUrl,
}

/// Limits that no honest host of a test runs into.
pub fn roomy() -> Limits {
    Limits { time: Duration::from_secs(20), per_host_per_minute: None, anonymous_per_minute: None, ..Limits::default() }
}

impl World {
    /// The host does the same with every request.
    pub async fn with(deed: Deed) -> Self {
        Self::start(roomy(), move |_| deed.clone()).await
    }

    pub async fn start(limits: Limits, deed: impl Fn(&Asked) -> Deed + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let host = Host::start("127.0.0.1:0", Speech::Tls(&authority, &["app.example"]), deed).await;
        let names = Arc::new(Names::default().with("app.example", &[&["127.0.0.1"]]));
        let url = url(&format!("https://app.example:{}/client.json", host.address.port()));
        let settings = ManifestSettings { limits, internal: vec![url.clone()], ..ManifestSettings::default() };
        let manifests = fetcher(settings, &authority, names);
        Self { host, manifests, url }
    }

    pub async fn fetch(&self) -> Result<Fetched, FetchFailure> {
        self.manifests.fetch(&self.url, None, Urgency::Trusted).await
    }

    /// What went wrong, in the word for it. Nobody who asks is told more than that it did.
    pub async fn trouble(&self) -> Trouble {
        let failure = self.fetch().await.unwrap_err();
        assert_eq!(failure.to_string(), "cannot use the document at client_id");
        failure.trouble
    }
}

/// A fetcher that trusts this authority beside the system's.
pub fn fetcher(settings: ManifestSettings, authority: &Authority, names: Arc<Names>) -> Manifests {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(authority.pem.as_bytes()).unwrap();
    Manifests::with_resolver(settings, Some(file.path()), names).unwrap()
}

pub fn url(text: &str) -> ManifestUrl {
    ManifestUrl::parse_for_development(text).unwrap()
}

/// The smallest document that may stand at `url`.
pub fn document(url: &str) -> Value {
    json!({ "client_id": url, "client_name": "App", "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none" })
}

pub fn found(fetched: Fetched) -> Document {
    match fetched {
        Fetched::Document(document) => *document,
        Fetched::NotModified { .. } => panic!("there is a document"),
    }
}
