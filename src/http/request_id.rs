//! Every answer has an `X-Request-Id`: the caller's, if it is fit to be kept, or one that is drawn here.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the call, kept with every event that it causes.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Puts the id into the request and into the answer.
pub async fn carry(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).filter(|id| fit(id)).cloned();
    let id = given.or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).ok()).unwrap_or_else(|| HeaderValue::from_static("none"));
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id);
    response
}

fn fit(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=128).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}
