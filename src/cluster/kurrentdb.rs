//! The connection to a KurrentDB cluster (once `EventStoreDB`): where it is, how we prove who we are, and a driver that is made anew
//! whenever it gives up.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eventstore::{Client, ClientSettings, Error};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

pub use crate::config::KurrentSettings;

/// How long a node may take for an answer before somebody else is asked.
pub const ANSWER: Duration = Duration::from_secs(2);

/// A driver that was made a moment ago is not made anew for what went wrong with the one before.
const BREATH: Duration = Duration::from_millis(200);

/// Why there is no connection to be had.
#[derive(Debug, thiserror::Error)]
pub enum KurrentError {
    /// A file with certificates cannot be used.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The driver refuses.
    #[error("the driver cannot be set up: {0}")]
    Driver(String),
}

/// Why a question has no answer that is of use.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The answer is this.
    #[error(transparent)]
    Refused(#[from] Error),
    /// There was none in time.
    #[error("KurrentDB did not answer in time")]
    Silent,
}

/// A connection. Cheap to clone.
#[derive(Clone)]
pub struct Kurrent {
    settings: ClientSettings,
    driver: Arc<Mutex<Driver>>,
    /// What everything of ours is named after.
    pub name: Arc<str>,
}

struct Driver {
    client: Client,
    /// Counts the drivers there were, so that a failure is held against the right one.
    number: u64,
    made: Instant,
}

impl std::fmt::Debug for Kurrent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kurrent").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Kurrent {
    /// Prepares; nobody is asked before there is something to ask. Has to be called within a runtime.
    pub fn try_new(settings: &KurrentSettings) -> Result<Self, KurrentError> {
        let parsed: ClientSettings = settings.connection.parse().map_err(|_| KurrentError::Driver("connection string".to_owned()))?;
        let files = parsed.tls_ca_file().into_iter().chain(parsed.user_certificate().map(|(certificate, _)| certificate));
        for file in files {
            readable(Path::new(file))?;
        }
        if let Some((_, key)) = parsed.user_certificate() {
            std::fs::metadata(key).map_err(|error| KurrentError::File(key.into(), error.into()))?;
        }
        let client = Client::new(parsed.clone()).map_err(|error| KurrentError::Driver(error.to_string()))?;
        let driver = Arc::new(Mutex::new(Driver { client, number: 0, made: Instant::now() }));
        Ok(Self { settings: parsed, driver, name: Arc::from(settings.name.as_str()) })
    }

    /// The driver as it is now, and its number.
    pub fn client(&self) -> (Client, u64) {
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        (driver.client.clone(), driver.number)
    }

    /// Asks by the driver as it is now. What goes wrong is held against it.
    pub async fn ask<T, A: Future<Output = Result<T, Error>>>(&self, question: impl FnOnce(Client) -> A) -> Result<T, Unanswered> {
        let (client, number) = self.client();
        // The driver looks for a node for longer than an answer may take.
        match tokio::time::timeout(ANSWER * 2, question(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.failed(number, Some(&error));
                Err(Unanswered::Refused(error))
            }
            Err(_) => {
                self.failed(number, None);
                Err(Unanswered::Silent)
            }
        }
    }

    /// Takes note of what went wrong with a driver. One that has lost its node for good, or stays with one that does not answer, is
    /// made anew: it then asks all nodes who leads.
    pub fn failed(&self, number: u64, error: Option<&Error>) {
        let its_own_affair = matches!(
            error,
            Some(
                Error::WrongExpectedVersion { .. }
                    | Error::ResourceNotFound
                    | Error::ResourceDeleted
                    | Error::ResourceAlreadyExists
                    | Error::AccessDenied
                    | Error::NotLeaderException(_)
                    | Error::UnsupportedFeature
            )
        );
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if its_own_affair || driver.number != number || driver.made.elapsed() < BREATH {
            return;
        }
        match Client::new(self.settings.clone()) {
            Ok(client) => *driver = Driver { client, number: number + 1, made: Instant::now() },
            Err(error) => tracing::warn!(%error, "the driver of KurrentDB cannot be made anew"),
        }
    }
}

/// The driver panics at a file of certificates that is none.
fn readable(path: &Path) -> Result<(), KurrentError> {
    let refuse = |error: Box<dyn std::error::Error + Send + Sync>| KurrentError::File(path.to_owned(), error);
    let pem = std::fs::read(path).map_err(|error| refuse(error.into()))?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| refuse(error.to_string().into()))?;
    if certificates.is_empty() { Err(refuse("it has no certificate".into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_names_nodes_and_what_is_ours() {
        let one = KurrentSettings::parse("esdb://admin:changeit@db.example:2113?tls=false&name=acme&keepAliveTimeout=10000").unwrap();
        assert_eq!((one.name.as_str(), one.hosts.as_slice()), ("acme", ["db.example:2113".to_owned()].as_slice()));
        assert_eq!(one.connection, "esdb://admin:changeit@db.example:2113?tls=false&keepAliveTimeout=10000");
        assert!(!format!("{one:?}").contains("changeit"));
        let three = KurrentSettings::parse("kurrentdb://a:1,b:2,c:3?tls=true").unwrap();
        assert_eq!((three.name.as_str(), three.hosts.join(" ")), ("gatebook", "a:1 b:2 c:3".to_owned()));
        for scheme in ["esdb+discover", "kurrentdb+discover"] {
            assert!(KurrentSettings::parse(&format!("{scheme}://db.example")).is_ok());
        }
    }

    #[test]
    fn what_is_none_is_refused_without_repeating_it() {
        for text in
            ["", "esdb://", "postgres://admin:changeit@a", "esdb://a:x", "esdb://a?name=a.b", "esdb://a?tls=perhaps", "esdb://a,b c:1"]
        {
            let problem = KurrentSettings::parse(text).unwrap_err();
            assert!(!problem.contains("changeit"), "{problem}");
        }
    }

    #[tokio::test]
    async fn files_that_the_driver_would_panic_at_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in ["", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(file.path(), content).unwrap();
            let uri = format!("esdb://a?tlsCaFile={}", file.path().display());
            assert!(matches!(Kurrent::try_new(&KurrentSettings::parse(&uri).unwrap()), Err(KurrentError::File(..))));
        }
        let missing = KurrentSettings::parse("esdb://a?userCertFile=/nowhere/a&userKeyFile=/nowhere/b").unwrap();
        assert!(matches!(Kurrent::try_new(&missing), Err(KurrentError::File(..))));
    }
}
