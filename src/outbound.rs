//! Documents that clients host, fetched from URLs that anybody may name (CIMD §4 and §6.5): every address is judged, the one
//! that is dialled is the one that was judged, and everything about it has a bound.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};
use gatebook_events::identity::{ClientKey, TenantId};
use gatebook_events::json;
use gatebook_events::manifest::{self, Manifest, ManifestUrl, ManifestUrlProblem, Trouble, TroubleKind};
use serde_json::{Map, Value};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config::{Limits, ManifestSettings};
use crate::outbound::limits::Restraint;
use crate::platform::counters::Counts;
use fetch::{Answer, Question};

pub(crate) mod limits;
pub(crate) mod trusted_json;

pub mod address;
pub(crate) mod fetch;
pub(crate) mod freshness;
mod resolve;

pub use freshness::Validators;
pub use resolve::{Resolve, SystemResolver};

/// Once so many fetches were shared, those that are over are forgotten.
const MOST_FLIGHTS: usize = 256;

/// After so many seconds it is worth another attempt where all places were taken.
const SOON: u64 = 5;

/// Whole seconds, none of them too few to wait.
fn seconds(pause: Duration) -> u64 {
    (pause.as_secs() + u64::from(pause.subsec_nanos() > 0)).max(1)
}

/// Fetches clients' documents. Cheap to clone.
#[derive(Clone)]
pub struct Manifests(Arc<Parts>);

struct Parts {
    settings: ManifestSettings,
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    restraint: Restraint,
    flights: Mutex<HashMap<ClientKey, WeakShared<Flight>>>,
    outcomes: Counts<1>,
}

type Flight = BoxFuture<'static, Result<Fetched, FetchFailure>>;

/// On whose behalf a document is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Of whoever sent a request. A URL that failed lately is left alone, and some places stay free for the others.
    Anonymous,
    /// The same where it is known who asks, so that it is counted for them.
    By(Asker),
    /// Of the poller, which keeps its own pauses, or of an administrator, who may insist.
    Trusted,
}

/// The anonymous caller for whom something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asker {
    /// Where the request came from, if that is told.
    pub source: Option<IpAddr>,
    /// Stands for the tenant whose resource server it is about.
    tenant: u64,
}

impl Asker {
    /// A caller from a source, about a resource server of a tenant.
    pub fn new(source: Option<IpAddr>, tenant: Option<&TenantId>) -> Self {
        let mut hasher = DefaultHasher::new();
        tenant.hash(&mut hasher);
        Self { source, tenant: hasher.finish() }
    }
}

impl Urgency {
    /// The caller, where it is anonymous.
    fn asker(self) -> Option<Asker> {
        match self {
            Self::Anonymous => Some(Asker::default()),
            Self::By(asker) => Some(asker),
            Self::Trusted => None,
        }
    }
}

/// What is fetched. Each kind has places and budgets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Document,
    KeySet,
}

/// What a fetch found.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// A document that may be registered.
    Document(Box<Document>),
    /// The one that was known (304).
    NotModified {
        /// What to ask with next time.
        validators: Validators,
        /// For how long it need not be asked for again; none where the host says nothing. The caller sets the bounds.
        fresh_for: Option<Duration>,
    },
}

/// A document as it was fetched, and what was read in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it says.
    pub manifest: Manifest,
    /// Its bytes.
    pub text: Box<str>,
    /// What to ask with next time.
    pub validators: Validators,
    /// For how long it need not be asked for again; none where the host says nothing. The caller sets the bounds.
    pub fresh_for: Option<Duration>,
}

/// Why a fetch gave no usable document. The sentence is the same for every cause, so that it is no way to explore a network;
/// the cause is for the log and the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the document at client_id")]
pub struct FetchFailure {
    /// What went wrong, and what that says about the document ([`Trouble::kind`]).
    pub trouble: Trouble,
    /// When it is worth another attempt, where somebody said so.
    pub retry_after: Option<Duration>,
    detail: Box<str>,
    /// Whether the detail is about a document that was read: then it quotes no host.
    was_read: bool,
}

impl FetchFailure {
    pub(crate) fn new(trouble: Trouble, detail: &impl fmt::Display) -> Self {
        Self { trouble, retry_after: None, detail: detail.to_string().into(), was_read: false }
    }

    /// A document that was read and is of no use.
    fn unusable(error: &manifest::ManifestError) -> Self {
        Self { was_read: true, ..Self::new(error.trouble(), error) }
    }

    fn wait(trouble: Trouble, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..Self::new(trouble, &format_args!("for {} s", pause.as_secs())) }
    }

    /// A failure that somebody else noticed.
    pub(crate) fn of(trouble: Trouble, detail: &'static str) -> Self {
        Self::new(trouble, &detail)
    }

    /// Whether nothing was asked, so that nothing is known either.
    pub fn was_not_tried(&self) -> bool {
        self.trouble.kind() == TroubleKind::NotTried
    }

    /// After how many seconds it is worth another attempt, if nothing was asked.
    pub fn not_tried_for(&self) -> Option<u64> {
        self.was_not_tried().then(|| self.retry_after.map_or(SOON, seconds))
    }

    /// Which member of the document it is about and what is wrong with it, where a document was read. ASCII, and quotes nobody.
    pub fn about(&self) -> Option<&str> {
        self.was_read.then_some(&*self.detail)
    }

    /// The cause as a sentence, for administrators and the log. It may quote the host.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Why nothing can be fetched at all.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The file of certificate authorities cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It has no certificate, or one that is none.
    #[error("{0} is not a PEM file of certificates")]
    Certificates(PathBuf),
    /// TLS cannot be set up.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
}

impl Manifests {
    /// Prepares; nothing is fetched before somebody asks. `extra_ca_file` names certificate authorities to trust beside the
    /// system's.
    pub fn try_new(settings: ManifestSettings, extra_ca_file: Option<&Path>) -> Result<Self, SetUpError> {
        Self::with_resolver(settings, extra_ca_file, Arc::new(SystemResolver::default()))
    }

    /// The same with somebody else who knows the addresses of hosts. What they are is judged all the same.
    pub fn with_resolver(settings: ManifestSettings, extra_ca_file: Option<&Path>, resolver: Arc<dyn Resolve>) -> Result<Self, SetUpError> {
        if settings.allow_loopback {
            tracing::warn!("clients' documents are fetched from this very host too: for development only, never in production");
        }
        let restraint = Restraint::new(&settings.limits);
        let tls = Arc::new(tls(extra_ca_file)?);
        Ok(Self(Arc::new(Parts { settings, resolver, tls, restraint, flights: Mutex::default(), outcomes: Counts::default() })))
    }

    /// The most fetches under way at one host.
    pub fn at_once_per_host(&self) -> usize {
        self.0.settings.limits.at_once_per_host
    }

    /// Whether the metadata may say that clients with documents are welcome.
    pub fn are_announced(&self) -> bool {
        self.0.settings.announce
    }

    /// Judges a `client_id` that claims to be the URL of a document, by this instance's settings.
    pub fn url(&self, client_id: &str) -> Result<ManifestUrl, ManifestUrlProblem> {
        if self.0.settings.allow_loopback { ManifestUrl::parse_for_development(client_id) } else { ManifestUrl::parse(client_id) }
    }

    /// Fetches and reads a client's document. With `known`, the answer may be that nothing changed. Who asks for the same
    /// unknown document while it is on its way gets the same answer.
    pub async fn fetch(&self, url: &ManifestUrl, known: Option<&Validators>, urgency: Urgency) -> Result<Fetched, FetchFailure> {
        match (known, urgency) {
            (None, Urgency::Anonymous | Urgency::By(_)) => {
                let (flight, joined) = self.flight(url, urgency);
                match flight.await {
                    // That another caller has had its share says nothing about this one's.
                    Err(failure) if joined && failure.was_not_tried() => self.document(url, known, urgency).await,
                    outcome => outcome,
                }
            }
            _ => self.document(url, known, urgency).await,
        }
    }

    /// Reads a document that nobody fetched, by the rules for those that are.
    pub fn judge(&self, url: &ManifestUrl, text: &str) -> Result<Document, FetchFailure> {
        let most = self.0.settings.limits.bytes;
        if text.len() > most {
            return Err(FetchFailure {
                was_read: true,
                ..FetchFailure::new(Trouble::TooLong, &format_args!("it is longer than {most} bytes"))
            });
        }
        let manifest = self.parse(url, text.as_bytes())?;
        Ok(Document { manifest, text: text.into(), validators: Validators::default(), fresh_for: None })
    }

    fn parse(&self, url: &ManifestUrl, body: &[u8]) -> Result<Manifest, FetchFailure> {
        manifest::parse(url, body, self.0.settings.profile).map_err(|error| FetchFailure::unusable(&error))
    }

    /// Fetches any other JSON object that a document names, such as a key set, under the same rules.
    pub async fn fetch_json(&self, url: &ManifestUrl, largest: usize, urgency: Urgency) -> Result<Map<String, Value>, FetchFailure> {
        let read = |answer: Answer| {
            let body = answer.body.unwrap_or_default();
            json::object(&body).map_err(|problem| FetchFailure::new(Trouble::NotJson, &format_args!("the body {problem}")))
        };
        let wish = (Kind::KeySet, urgency);
        self.guarded(url, wish, self.get(url, None, largest, wish).map(|answer| read(answer?))).await
    }

    /// The fetch of an unknown document, and whether it is one that another caller began.
    fn flight(&self, url: &ManifestUrl, urgency: Urgency) -> (Shared<Flight>, bool) {
        let key = url.client_id().key();
        let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = flights.get(&key).and_then(WeakShared::upgrade) {
            return (under_way, true);
        }
        if flights.len() >= MOST_FLIGHTS {
            flights.retain(|_, flight| flight.upgrade().is_some());
        }
        let (fetcher, url) = (self.clone(), url.clone());
        let flight = async move { fetcher.document(&url, None, urgency).await }.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        (flight, false)
    }

    async fn document(&self, url: &ManifestUrl, known: Option<&Validators>, urgency: Urgency) -> Result<Fetched, FetchFailure> {
        let read = |Answer { body, validators, fresh_for }: Answer| {
            let Some(body) = body else { return Ok(Fetched::NotModified { validators, fresh_for }) };
            let manifest = self.parse(url, &body)?;
            // What was read as JSON is UTF-8.
            let text = String::from_utf8(body).unwrap_or_default().into();
            Ok(Fetched::Document(Box::new(Document { manifest, text, validators, fresh_for })))
        };
        let wish = (Kind::Document, urgency);
        let get = self.get(url, known, self.0.settings.limits.bytes, wish);
        let result = self.guarded(url, wish, get.map(|answer| read(answer?))).await;
        let outcome = match &result {
            Ok(Fetched::Document(_)) => "read",
            Ok(Fetched::NotModified { .. }) => "not_modified",
            Err(failure) => failure.trouble.as_str(),
        };
        self.0.outcomes.get_or_create(&[("outcome", outcome)]).inc();
        result
    }

    /// How fetches of documents ended: `read`, `not_modified`, or the word for the trouble.
    pub fn outcomes(&self) -> &Counts<1> {
        &self.0.outcomes
    }

    /// Lets a fetch happen if it is not too early for it, remembers how it ended, and says so in the log.
    async fn guarded<T>(
        &self,
        url: &ManifestUrl,
        wish: (Kind, Urgency),
        fetch: impl Future<Output = Result<T, FetchFailure>>,
    ) -> Result<T, FetchFailure> {
        let key = url.client_id().key();
        let restraint = &self.0.restraint;
        if let (Some(_), Some(pause)) = (wish.1.asker(), restraint.pause(key)) {
            return Err(FetchFailure::wait(Trouble::BackingOff, pause));
        }
        if let Err(pause) = restraint.count(url.host(), wish) {
            tracing::debug!(%url, "a host was asked for documents often enough");
            return Err(FetchFailure::wait(Trouble::TooOften, pause));
        }
        let result = fetch.await;
        match &result {
            Ok(_) => restraint.worked(key),
            Err(failure) => {
                tracing::info!(%url, trouble = failure.trouble.as_str(), detail = failure.detail(), "cannot use the document of a client");
                if failure.trouble != Trouble::Busy {
                    restraint.failed(key, failure.retry_after);
                }
            }
        }
        result
    }

    async fn get(
        &self,
        url: &ManifestUrl,
        known: Option<&Validators>,
        largest: usize,
        wish: (Kind, Urgency),
    ) -> Result<Answer, FetchFailure> {
        let time = self.0.settings.limits.time;
        let place = tokio::time::timeout(time, self.0.restraint.place(url.host(), wish)).await;
        let _place = place.map_err(|_| FetchFailure::new(Trouble::Busy, &"too many fetches are under way"))?;
        let all = async {
            let addresses = self.judged_addresses(url).await?;
            let question = Question { url, addresses: &addresses, known, largest, patience: time / 4 };
            fetch::exchange(&self.0.tls, &question).await
        };
        tokio::time::timeout(time, all).await.unwrap_or_else(|_| Err(FetchFailure::new(Trouble::TimedOut, &"not done in time")))
    }

    /// The only look-up of a fetch. One address that must not be dialled refuses them all: which one is dialled would
    /// otherwise be the choice of whoever wrote the answer.
    async fn judged_addresses(&self, url: &ManifestUrl) -> Result<Vec<SocketAddr>, FetchFailure> {
        let host = url.host();
        let written = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let addresses = match written {
            Ok(address) => vec![address],
            Err(_) => self.0.resolver.addresses(host).await.map_err(|error| FetchFailure::new(Trouble::Dns, &error))?,
        };
        if let Some(refused) = addresses.iter().find(|address| !self.may_dial(url, **address)) {
            return Err(FetchFailure::new(Trouble::Address, &format_args!("{host} is at {refused}")));
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, url.port())).collect())
    }

    fn may_dial(&self, url: &ManifestUrl, address: IpAddr) -> bool {
        if self.0.settings.internal.contains(url) {
            address::is_one_host(address)
        } else if url.is_loopback() {
            self.0.settings.allow_loopback && address.is_loopback()
        } else {
            address::is_public(address)
        }
    }
}

/// The system's certificate authorities and the operator's; no resumption, since no host is asked twice in a row. Without any
/// authority every host is refused, and the log says why.
pub(crate) fn tls(extra_ca_file: Option<&Path>) -> Result<ClientConfig, SetUpError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "cannot read some of the system's certificate authorities");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = extra_ca_file {
        let pem = std::fs::read(path).map_err(|source| SetUpError::Unreadable { path: path.to_owned(), source })?;
        let unusable = || SetUpError::Certificates(path.to_owned());
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| unusable())?;
        if certificates.is_empty() {
            return Err(unusable());
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|_| unusable())?;
        }
    }
    if roots.is_empty() {
        tracing::warn!("there is no certificate authority to trust, so no client's document can be fetched and no webhook reached");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
