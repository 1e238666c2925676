//! An instance that runs, as commands talk to it: over HTTP, like everybody else.

use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

use super::Failed;
use crate::config::is_loopback;

/// An instance that runs.
pub(super) struct Running {
    http: Client,
    url: String,
}

impl Running {
    /// The instance at this URL.
    pub fn at(url: &str) -> Result<Self, Failed> {
        let mut http = Client::builder();
        let parsed = Url::parse(url).ok();
        if parsed.as_ref().is_some_and(|url| url.scheme() != "https") {
            // Nobody has to be trusted there, and an image may have no authority that could be.
            http = http.tls_certs_only([]);
        }
        if parsed.is_some_and(|url| is_loopback(&url)) {
            // Engines give containers the proxy of their host, which does not lead to what runs in here.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Failed::because("failed to prepare to ask the service", error))?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    /// What it answers, if it is a success.
    pub async fn call(&self, method: Method, path: &str, bearer: Option<&str>, body: Option<Value>) -> Result<Value, Failed> {
        let failed = |what: &str| format!("{what} {}{path}", self.url);
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response: Response = request.send().await.map_err(|error| Failed::because(failed("failed to reach"), error))?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| Failed::because(failed("failed to read the answer of"), error))?;
        if status.is_success() { Ok(body) } else { Err(Failed::new(format!("{}: {status} {body}", failed("no success at")))) }
    }
}
