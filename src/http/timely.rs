//! The body of every request has to arrive in time, whoever reads it: a caller that sends it a byte at a time holds no task for ever.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::application::services::Services;

/// The body did not arrive in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct Late;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It did not arrive in time.
    Late,
    /// It is too long, or its sender hung up.
    TooLongOrCutOff,
}

/// Gives the body of a request its time.
pub async fn bodies(State(services): State<Services>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let alarm = Box::pin(tokio::time::sleep(services.config.server.body));
    next.run(request.map(|body| Body::new(Timely { body, alarm }))).await
}

/// Reads a body of at most so many bytes.
pub async fn read(body: Body, most: usize) -> Result<Bytes, Unread> {
    axum::body::to_bytes(body, most).await.map_err(|error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if error.is::<Late>() {
                return Unread::Late;
            }
            cause = error.source();
        }
        Unread::TooLongOrCutOff
    })
}

struct Timely {
    body: Body,
    alarm: Pin<Box<Sleep>>,
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => self.alarm.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(Late)))),
            arrived @ Poll::Ready(_) => arrived,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn b4_a_body_that_never_ends_is_late_and_a_long_one_is_too_long() {
        let alarm = Box::pin(tokio::time::sleep(std::time::Duration::ZERO));
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(Body::new(Timely { body: never, alarm }), 10).await, Err(Unread::Late));
        assert_eq!(read(Body::from("more than ten bytes"), 10).await, Err(Unread::TooLongOrCutOff));
        assert_eq!(read(Body::from("ten"), 10).await.unwrap(), "ten");
    }
}
