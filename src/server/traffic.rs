//! A connection's input and output, which tells what arrives and what is taken; and an answer's body, which tells when it ends.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::timing::Timing;

/// A connection whose traffic is timed.
pub struct Traffic {
    stream: TcpStream,
    timing: Arc<Timing>,
}

impl Traffic {
    /// Times what goes over a connection.
    pub fn new(stream: TcpStream, timing: Arc<Timing>) -> Self {
        Self { stream, timing }
    }

    fn told(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.timing.wrote(false),
            Poll::Ready(_) => self.timing.wrote(true),
        }
        written
    }
}

impl AsyncRead for Traffic {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.timing.arrived();
        }
        read
    }
}

impl AsyncWrite for Traffic {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.told(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.told(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A call that is under way, until it is dropped.
pub struct Call(Arc<Timing>);

impl Call {
    /// Begins now.
    pub fn begin(timing: Arc<Timing>, multiplexed: bool) -> Self {
        timing.call_begins(multiplexed);
        Self(timing)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.call_ends();
    }
}

/// The body of an answer; the call ends with it.
pub struct Answer {
    body: axum::body::Body,
    _call: Call,
}

impl Answer {
    /// The body that answers a call.
    pub fn new(body: axum::body::Body, call: Call) -> Self {
        Self { body, _call: call }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
