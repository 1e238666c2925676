//! Bodies that are handed on piece by piece, so that what an answer holds is known until it was taken.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// The bytes that are handed on at a time.
const PIECE: usize = 16 * 1024;

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
}
