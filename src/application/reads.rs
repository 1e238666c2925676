//! How many of a tenant's and of one caller's reads are under way at a time: what one of them asks for and does not take is held in
//! memory, and must not be multiplied by asking again.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use gatebook_events::identity::TenantId;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::Failure;

/// How long a read waits for another one to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how many seconds it is worth to ask again.
const RETRY_AFTER: u64 = 5;
/// One caller may have this share of its tenant's reads.
const SHARE: usize = 4;
/// From so many tenants and callers on, those that read nothing now are forgotten.
const MOST_IDLE: usize = 1024;
/// An answer is handed on in pieces of so many bytes, so that it is known how much of it was taken.
const PIECE: usize = 16 * 1024;

/// The places of a tenant, and of each of its callers.
type Places = HashMap<(TenantId, Option<String>), Arc<Semaphore>>;

/// What is being read, by whom.
pub struct Reads {
    per_tenant: usize,
    known: Mutex<Places>,
}

/// One read that is under way, until it is dropped.
pub struct Read {
    _places: [OwnedSemaphorePermit; 2],
}

impl Reads {
    /// At most so many of one tenant, and a quarter of them of one caller.
    pub fn new(per_tenant: usize) -> Self {
        Self { per_tenant: per_tenant.max(1), known: Mutex::default() }
    }

    /// Begins a read, once there is room.
    pub async fn begin(&self, tenant: &TenantId, subject: &str) -> Result<Read, Failure> {
        let per_subject = self.per_tenant.div_ceil(SHARE);
        let of_subject = self.places((tenant.clone(), Some(subject.to_owned())), per_subject);
        let of_subject = place(of_subject).await.ok_or(Failure::TooManyAtOnce("reads by this caller", RETRY_AFTER))?;
        let of_tenant = self.places((tenant.clone(), None), self.per_tenant);
        let of_tenant = place(of_tenant).await.ok_or(Failure::TooManyAtOnce("reads by this tenant", RETRY_AFTER))?;
        Ok(Read { _places: [of_subject, of_tenant] })
    }

    fn places(&self, of: (TenantId, Option<String>), most: usize) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_IDLE {
            // A permit holds its semaphore, and so does whoever waits for one.
            known.retain(|_, places| Arc::strong_count(places) > 1);
        }
        known.entry(of).or_insert_with(|| Arc::new(Semaphore::new(most))).clone()
    }
}

async fn place(places: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout(PATIENCE, places.acquire_owned()).await.ok()?.ok()
}

/// A body that is handed on piece by piece; what it holds ends with it.
pub struct Pieces<T> {
    body: Body,
    rest: Bytes,
    _held: T,
}

impl<T> Pieces<T> {
    /// Holds `held` until the body was taken.
    pub fn new(body: Body, held: T) -> Self {
        Self { body, rest: Bytes::new(), _held: held }
    }
}

impl<T: Unpin> HttpBody for Pieces<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let length = PIECE.min(self.rest.len());
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn b5_a_body_is_handed_on_in_pieces_and_whole() {
        let text = "a".repeat(3 * PIECE + 1);
        let mut pieces = Pieces::new(Body::from(text.clone()), ());
        assert_eq!(pieces.size_hint().exact(), Some(text.len() as u64));
        let mut lengths = Vec::new();
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut pieces).poll_frame(context)).await {
            lengths.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(lengths, [PIECE, PIECE, PIECE, 1]);
        assert!(pieces.is_end_stream());
    }

    #[tokio::test]
    async fn b5_a_caller_has_a_share_of_its_tenants_reads_and_other_tenants_have_their_own() {
        let (reads, [one, other]) = (Reads::new(8), ["one", "other"].map(|name| TenantId::parse(name).unwrap()));
        let held = [reads.begin(&one, "vera").await.unwrap(), reads.begin(&one, "vera").await.unwrap()];
        assert_eq!(reads.places((one.clone(), Some("vera".to_owned())), 0).available_permits(), 0);
        let others: Vec<Read> = futures_util::future::join_all((0..6).map(|number| {
            let (reads, one) = (&reads, &one);
            async move { reads.begin(one, &number.to_string()).await.unwrap() }
        }))
        .await;
        assert_eq!(reads.places((one.clone(), None), 0).available_permits(), 0);
        assert!(reads.begin(&other, "vera").await.is_ok());
        drop((held, others));
        assert!(reads.begin(&one, "vera").await.is_ok());
    }
}
