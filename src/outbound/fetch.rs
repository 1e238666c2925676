//! One request to one address that was judged. Nothing here looks a name up: what is dialled is the address that it was given.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use gatebook_events::manifest::{ManifestUrl, Trouble};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::FetchFailure;
use super::freshness::{self, Validators};

/// The most that the head of an answer may take, in bytes. hyper's least is 8 KiB.
pub(crate) const LARGEST_HEAD: usize = 16 * 1024;
/// Of a host with many addresses only the first few are tried.
const MOST_ADDRESSES: usize = 4;

/// What is asked, and of whom.
pub(super) struct Question<'a> {
    pub(super) url: &'a ManifestUrl,
    /// Every address was judged.
    pub(super) addresses: &'a [SocketAddr],
    /// With these, the answer may be that nothing changed.
    pub(super) known: Option<&'a Validators>,
    /// The most bytes of the body.
    pub(super) largest: usize,
    /// For how long one address is tried while there are others.
    pub(super) patience: Duration,
}

/// An answer that counts.
pub(super) struct Answer {
    /// None: nothing changed (304).
    pub(super) body: Option<Vec<u8>>,
    pub(super) validators: Validators,
    pub(super) fresh_for: Option<Duration>,
}

/// Connects, asks and reads. Dropped before it is done, it leaves no connection behind.
pub(super) async fn exchange(tls: &Arc<ClientConfig>, question: &Question<'_>) -> Result<Answer, FetchFailure> {
    let stream = connect(question.addresses, question.patience).await?;
    if !question.url.is_https() {
        return ask(stream, question).await;
    }
    let host = question.url.host().trim_start_matches('[').trim_end_matches(']');
    ask(secure(tls, host, stream).await?, question).await
}

/// TLS over a connection, with whoever proves to be this host.
pub(crate) async fn secure(tls: &Arc<ClientConfig>, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, FetchFailure> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| FetchFailure::new(Trouble::Tls, &error))?;
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await;
    stream.map_err(|error| FetchFailure::new(Trouble::Tls, &error))
}

/// A connection to the first address that answers; each was judged. Only the last one is waited for longer than `patience`.
pub(crate) async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, FetchFailure> {
    let mut last = FetchFailure::new(Trouble::Dns, &"the host has no address");
    let addresses = addresses.iter().take(MOST_ADDRESSES);
    let count = addresses.len();
    for (number, address) in addresses.enumerate() {
        // The last one has all the time that is left.
        let patience = if number + 1 == count { Duration::MAX } else { patience };
        match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = FetchFailure::new(Trouble::Connect, &format_args!("{address}: {error}")),
            Err(_) => last = FetchFailure::new(Trouble::Connect, &format_args!("{address}: no answer")),
        }
    }
    Err(last)
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, question: &Question<'_>) -> Result<Answer, FetchFailure> {
    let cut_off = |error: hyper::Error| FetchFailure::new(Trouble::CutOff, &error);
    let mut client = http1::Builder::new();
    client.max_buf_size(LARGEST_HEAD).max_headers(100);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(cut_off)?;
    // Ends with this function, however it ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request(question)?).await.map_err(cut_off)?;
    judge(&response, question)?;
    let headers = response.headers();
    let validators = Validators::of(headers);
    let fresh_for = freshness::fresh_for(headers);
    match question.known {
        Some(known) if response.status() == StatusCode::NOT_MODIFIED => {
            Ok(Answer { body: None, validators: validators.or(known), fresh_for })
        }
        _ => Ok(Answer { body: Some(read(response.into_body(), question.largest).await?), validators, fresh_for }),
    }
}

/// No cookies, no credentials, no referrer, nothing compressed, and a connection that is not kept.
fn request(question: &Question<'_>) -> Result<Request<String>, FetchFailure> {
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(question.url.path_and_query())
        .header(header::HOST, question.url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, "gatebook")
        .header(header::CONNECTION, "close");
    for (name, value) in question.known.into_iter().flat_map(Validators::headers) {
        request = request.header(name, value);
    }
    request.body(String::new()).map_err(|error| FetchFailure::new(Trouble::CutOff, &error))
}

/// Whether the head is that of a document (CIMD §4, §4.1). Nothing of the body is read before.
fn judge<B>(response: &Response<B>, question: &Question<'_>) -> Result<(), FetchFailure> {
    let (status, headers) = (response.status(), response.headers());
    if status != StatusCode::OK {
        if status == StatusCode::NOT_MODIFIED && question.known.is_some() {
            return Ok(());
        }
        let failure = FetchFailure::new(trouble(status), &format_args!("status {}", status.as_u16()));
        return Err(FetchFailure { retry_after: freshness::retry_after(headers), ..failure });
    }
    if !is_json(headers) {
        return Err(FetchFailure::new(Trouble::MediaType, &"the content type is not one of JSON"));
    }
    let plain = |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(FetchFailure::new(Trouble::Encoded, &"the body is compressed"));
    }
    Ok(())
}

/// What a status other than success says. A document behind a gate (401, 403, 451) is not a document that is gone: bot
/// protection answers so to whole data centres.
fn trouble(status: StatusCode) -> Trouble {
    match status.as_u16() {
        401 | 403 | 407 | 451 => Trouble::Blocked,
        404 => Trouble::NotFound,
        410 => Trouble::Gone,
        429 => Trouble::TooManyRequests,
        408 | 421 | 425 | 500.. => Trouble::ServerError,
        300..=303 | 305..=308 => Trouble::Redirected,
        _ => Trouble::Status,
    }
}

/// `application/json` or `application/*+json`, said once (CIMD §4.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty() && !name.contains([' ', ',', '/']))
}

/// Counts while it reads, and refuses rather than truncates (CIMD §6.6).
async fn read(mut body: Incoming, largest: usize) -> Result<Vec<u8>, FetchFailure> {
    let too_long = || FetchFailure::new(Trouble::TooLong, &format_args!("more than {largest} bytes"));
    if body.size_hint().lower() > largest as u64 {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| FetchFailure::new(Trouble::CutOff, &error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > largest {
            return Err(too_long());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn c09_only_the_media_types_of_json_are_taken() {
        let is = |values: &[&'static str]| {
            is_json(&values.iter().map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value))).collect())
        };
        for value in ["application/json", "Application/JSON; charset=utf-8", "application/cimd+json", "application/ld+json;a=b"] {
            assert!(is(&[value]), "{value}");
        }
        for value in
            ["", "text/json", "text/html", "application/json5", "application/+json", "application/jsonp", "application/json, text/html"]
        {
            assert!(!is(&[value]), "{value}");
        }
        assert!(!is(&[]) && !is(&["application/json", "application/json"]));
    }

    #[test]
    fn every_status_is_told_apart() {
        for (status, expected) in [
            (201, Trouble::Status),
            (204, Trouble::Status),
            (206, Trouble::Status),
            (301, Trouble::Redirected),
            (304, Trouble::Status),
            (308, Trouble::Redirected),
            (400, Trouble::Status),
            (401, Trouble::Blocked),
            (403, Trouble::Blocked),
            (404, Trouble::NotFound),
            (408, Trouble::ServerError),
            (410, Trouble::Gone),
            (429, Trouble::TooManyRequests),
            (451, Trouble::Blocked),
            (500, Trouble::ServerError),
            (599, Trouble::ServerError),
        ] {
            assert_eq!(trouble(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
