//! JSON from a URL that an operator configured: a key set, or an authorization server's metadata. Not for URLs that clients name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, StatusCode, Url, header, redirect};
use serde::de::DeserializeOwned;

use crate::config::is_loopback;

const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
pub const LARGEST_ANSWER: usize = 256 * 1024;

/// Where JSON is fetched from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The URL.
    pub url: Url,
    http: Client,
}

/// Why nothing can be fetched at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file of certificate authorities cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate authorities or the client cannot be used.
    #[error("cannot prepare to fetch")]
    Client(#[from] reqwest::Error),
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answered, or not in time.
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    /// Only 200 is an answer; redirects are not followed.
    #[error("the answer has status {0}")]
    Status(u16),
    /// Too much.
    #[error("the answer is longer than {LARGEST_ANSWER} bytes")]
    TooLong,
    /// Not JSON, or not of the form that was asked for.
    #[error("the answer is not of the expected form")]
    Form(#[from] serde_json::Error),
}

impl Source {
    /// A source; `extra_ca_file` names certificate authorities to trust beside the system's.
    pub fn try_new(url: Url, extra_ca_file: Option<&Path>) -> Result<Self, SourceError> {
        let mut http = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).user_agent("gatebook");
        if is_loopback(&url) {
            http = http.no_proxy();
        }
        if let Some(path) = extra_ca_file {
            let pem = std::fs::read(path).map_err(|source| SourceError::Unreadable { path: path.to_owned(), source })?;
            http = http.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self { url, http: http.build()? })
    }

    /// The same with another URL.
    pub fn at(&self, url: Url) -> Self {
        Self { url, http: self.http.clone() }
    }

    /// What is there now.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<T, FetchError> {
        self.answer(self.http.get(self.url.clone())).await
    }

    /// What is answered to a form, with a user and a password where the other side wants them (RFC 6749 §2.3.1).
    pub async fn post<T: DeserializeOwned>(&self, form: &[(&str, &str)], basic: Option<(&str, &str)>) -> Result<T, FetchError> {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.http.post(self.url.clone()).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        if let Some((user, password)) = basic {
            request = request.basic_auth(encoded(user), Some(encoded(password)));
        }
        self.answer(request).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, FetchError> {
        let request = request.header(header::ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}
