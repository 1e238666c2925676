//! TLS with the servers: the files that it rests on, and what it means when a connection does not come about.

use std::path::Path;

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{NatsError, NatsSettings};

/// Has the driver use the files of the settings. It reads them anew for each connection, so renewed certificates need no restart;
/// here they are read once, because of a file that holds something else it says nothing.
pub fn prepare(mut options: ConnectOptions, settings: &NatsSettings) -> Result<ConnectOptions, NatsError> {
    // The driver takes the process's provider, and panics where the build has two of them and nobody chose.
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Some(path) = &settings.ca_file {
        must_hold_certificates(path)?;
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &settings.certificate {
        must_hold_certificates(certificate)?;
        must_hold_a_key(key)?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options.require_tls(settings.tls))
}

/// Tells what waiting may mend, a cluster that is coming up, from what it does not.
pub fn judged(error: ConnectError) -> NatsError {
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => NatsError::NotLetIn,
        ConnectErrorKind::Tls => NatsError::Tls(Box::new(error)),
        _ => match said_by_tls(&error) {
            Some(said) => NatsError::Tls(Box::new(said)),
            None => NatsError::Connect(error),
        },
    }
}

/// What TLS says, which the driver hands on as a failure to read or to write.
fn said_by_tls(error: &ConnectError) -> Option<rustls::Error> {
    let failure = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
    failure.get_ref()?.downcast_ref::<rustls::Error>().cloned()
}

fn must_hold_certificates(path: &Path) -> Result<(), NatsError> {
    let pem = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect();
    if certificates.is_empty() || certificates.iter().any(Result::is_err) {
        return Err(unusable(path, "it is no PEM file of certificates"));
    }
    Ok(())
}

/// What is wrong with a key is not said any closer: the words for it may repeat a line of the file.
fn must_hold_a_key(path: &Path) -> Result<(), NatsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map(drop).map_err(|_| unusable(path, "it is no PEM file of a private key"))
}

fn read(path: &Path) -> Result<Vec<u8>, NatsError> {
    std::fs::read(path).map_err(|source| NatsError::File { path: path.to_owned(), source })
}

fn unusable(path: &Path, why: &str) -> NatsError {
    NatsError::File { path: path.to_owned(), source: std::io::Error::new(std::io::ErrorKind::InvalidData, why) }
}
