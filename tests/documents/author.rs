//! Somebody who hosts a client's document, and may change it, take it away or break it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A document and its host.
pub struct Author {
    address: String,
    shared: Arc<Mutex<Host>>,
    server: tokio::task::JoinHandle<()>,
}

struct Host {
    status: StatusCode,
    document: String,
    etag: Option<String>,
    /// Every request: whether it was conditional.
    requests: Vec<bool>,
}

impl Author {
    /// Publishes a document that claims these redirect URIs.
    pub async fn publish(uris: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Host { status: StatusCode::OK, document: String::new(), etag: None, requests: Vec::new() }));
        let service = Router::new().fallback(serve).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let author = Self { address, shared, server };
        author.says(author.document(uris));
        author
    }

    /// The document's URL, which is the client's identifier.
    pub fn url(&self) -> String {
        format!("{}/client.json", self.address)
    }

    /// The same, as it stands in a path.
    pub fn encoded(&self) -> String {
        self.url().replace(':', "%3A").replace('/', "%2F")
    }

    /// A good document that claims these redirect URIs.
    pub fn document(&self, uris: &[&str]) -> Value {
        json!({ "client_id": self.url(), "client_name": "Example App", "redirect_uris": uris, "token_endpoint_auth_method": "none" })
    }

    /// From now on the document claims these redirect URIs.
    pub fn claims(&self, uris: &[&str]) {
        self.says(self.document(uris));
    }

    /// From now on the document is this.
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes one on the spot")]
    pub fn says(&self, document: Value) {
        self.host(|host| host.document = document.to_string());
    }

    /// From now on the host answers with this status.
    pub fn answers(&self, status: u16) {
        self.host(|host| host.status = StatusCode::from_u16(status).unwrap());
    }

    /// From now on the document has this entity tag.
    pub fn tags(&self, etag: &str) {
        self.host(|host| host.etag = Some(etag.to_owned()));
    }

    /// How often the document was asked for, and how often on the condition that it changed.
    pub fn asked(&self) -> (usize, usize) {
        let host = self.shared.lock().unwrap();
        (host.requests.len(), host.requests.iter().filter(|conditional| **conditional).count())
    }

    fn host(&self, change: impl FnOnce(&mut Host)) {
        change(&mut self.shared.lock().unwrap());
    }
}

impl Drop for Author {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(State(host): State<Arc<Mutex<Host>>>, headers: HeaderMap) -> Response {
    let mut host = host.lock().unwrap();
    let known = headers.get(header::IF_NONE_MATCH).map(|value| value.to_str().unwrap().to_owned());
    host.requests.push(known.is_some());
    if host.status == StatusCode::OK && known.is_some() && known == host.etag {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut answer = (host.status, [(header::CONTENT_TYPE, "application/json")], host.document.clone()).into_response();
    if let Some(etag) = &host.etag {
        answer.headers_mut().insert(header::ETAG, etag.parse().unwrap());
    }
    answer
}
