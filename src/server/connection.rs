//! One connection, from its first byte to its end: served by the router while it keeps its times.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connections::Place;
use super::timing::{Over, Patience};
use super::traffic::{Answer, Call, Traffic};

/// A connection that was let in.
pub struct Connection {
    /// What it speaks.
    pub builder: Arc<auto::Builder<TokioExecutor>>,
    /// What it is served.
    pub router: Router,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Its place among the others.
    pub place: Place,
    /// How long it may take.
    pub patience: Patience,
    /// Whether the service stops.
    pub told: watch::Receiver<bool>,
}

/// What happened to a connection.
enum Next {
    Ended,
    Stop,
    Over(Over),
}

impl Connection {
    /// Serves it to its end.
    pub async fn serve(self, stream: TcpStream) {
        let Self { builder, router, peer, place, patience, mut told } = self;
        let (timing, brief) = (place.timing.clone(), place.is_brief());
        let router = TowerToHyperService::new(router);
        let calls = timing.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let call = Call::begin(calls.clone(), request.version() == Version::HTTP_2);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.call(request);
            async move {
                let mut response: Response<Body> = answer.await?;
                if brief {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(response.map(|body| Answer::new(body, call)))
            }
        });
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(Traffic::new(stream, timing.clone())), service));
        let mut stopping = std::pin::pin!(async move { drop(told.wait_for(|told| *told).await) });
        let mut ended = std::pin::pin!(timing.ended());
        let mut alarm = std::pin::pin!(tokio::time::sleep(patience.head));
        let mut closing = false;
        loop {
            let next = poll_fn(|context| {
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    if let Err(error) = ended {
                        tracing::trace!(%error, "a connection ended");
                    }
                    return Poll::Ready(Next::Ended);
                }
                if ended.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Over(Over::Late));
                }
                if !closing && stopping.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Stop);
                }
                // What was read and written above may have changed until when it may go on.
                let Some((due, over)) = timing.due(patience) else { return Poll::Pending };
                let due = Instant::from_std(due);
                if alarm.deadline() != due {
                    alarm.as_mut().reset(due);
                }
                alarm.as_mut().poll(context).map(|()| Next::Over(over))
            })
            .await;
            match next {
                // One that was told to end as at a stop, and did not, has had its time.
                Next::Ended | Next::Over(Over::Late) => break,
                Next::Over(Over::Idle) if closing => break,
                Next::Stop | Next::Over(Over::Idle) => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        drop(place);
    }
}
