//! WebSockets over HTTP/2 (RFC 8441). Each is an HTTP/1.1 connection of its own, carried by the HTTP/2
//! connection.
//!
//! ```text
//! client == a stream of HTTP/2 == this == a pair of sockets == HTTP/1.1 with `Upgrade` == application
//! ```
//!
//! So an application need not know that there are two ways. A WebSocket over HTTP/2 has the same close
//! handshake and the same limits as one over HTTP/1.1.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, Request, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use scoreboard::Ended;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::Connections;
use crate::accept::Place;
use crate::answer::Answer;
use crate::exchange::Carried;
use crate::limits::FOREVER;
use crate::socket::{Accepted, Socket};

/// How long a client may take to end its half after the application has ended.
const REST: Duration = Duration::from_secs(1);

/// Any key will do, because client and server of this connection are the same program (RFC 6455 §1.3).
const KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");

/// Whether an HTTP/2 request asks for a WebSocket (RFC 8441 §5).
pub(super) fn is_websocket(request: &Request<Incoming>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// The near end of an inner connection.
struct Inner {
    /// Sends requests to the application.
    asking: http1::SendRequest<Body>,
    /// Given back with its descriptor, which the WebSocket takes over.
    place: Arc<Place>,
}

impl Connections {
    /// Asks the application over an HTTP/1.1 connection, and passes its response on.
    pub(super) async fn answer_inside(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: Option<SocketAddr>,
        carried: Carried,
    ) -> Result<http::Response<Answer>, Infallible> {
        let outer = hyper::upgrade::on(&mut request);
        let answer = match self.open_inner(peer).await {
            Ok(inner) => self.ask_inner(inner, request, outer, carried).await,
            Err(error) => {
                self.room.slot().refused();
                tracing::debug!(%error, "a WebSocket over HTTP/2 is refused, it needs two more descriptors");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        };
        Ok(Answer::passed_on(answer))
    }

    async fn open_inner(self: &Arc<Self>, peer: Option<SocketAddr>) -> io::Result<Inner> {
        // These count as places for connections. The rest of the descriptors is for what handlers open and
        // for the watchdog.
        let (Some(near), Some(far)) = (self.room.place(), self.room.place()) else {
            return Err(Errno::MFILE.into());
        };
        let (here, there) = UnixStream::pair()?;
        let accepted = Accepted { socket: Socket::Unix(there), peer };
        let inside = Arc::clone(self).live_inside(accepted);
        // The application may still have work to do after its last message.
        let hold = self.drain.hold();
        tokio::spawn(async move {
            inside.await;
            drop((hold, far));
        });
        let (asking, connection) = http1::handshake(TokioIo::new(here)).await.map_err(io::Error::other)?;
        let place = Arc::new(near);
        let while_it_asks = Arc::clone(&place);
        tokio::spawn(async move {
            // The other side notices its end.
            let _ = connection.with_upgrades().await;
            drop(while_it_asks);
        });
        Ok(Inner { asking, place })
    }

    /// Boxed, because the type would otherwise contain itself: a connection may carry another. The outer
    /// connection counts the bytes.
    fn live_inside(self: Arc<Self>, accepted: Accepted) -> BoxFuture<'static, Ended> {
        Box::pin(self.live(accepted, None))
    }

    async fn ask_inner(
        self: Arc<Self>,
        Inner { mut asking, place }: Inner,
        request: Request<Incoming>,
        outer: OnUpgrade,
        carried: Carried,
    ) -> Response {
        let Ok(request) = of_http1(request) else { return StatusCode::BAD_REQUEST.into_response() };
        let mut answer = match asking.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, "a WebSocket over HTTP/2 ended before it was answered");
                return StatusCode::BAD_GATEWAY.into_response();
            }
        };
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            // Success would mean a WebSocket (RFC 9113 §8.5). There is none at this address.
            status if status.is_success() => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
            _ => return without_hops(answer).map(Body::new),
        }
        let upgrade = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(outer), Ok(inner)) = tokio::join!(outer, upgrade) {
                self.carry(outer, inner).await;
            }
            drop((carried, place));
        });
        *answer.status_mut() = StatusCode::OK;
        without_hops(answer).map(|_| Body::empty())
    }

    /// Until both sides have ended, or one of them does not follow the other in time.
    async fn carry(&self, outer: Upgraded, inner: Upgraded) {
        let (from_client, to_client) = split(TokioIo::new(outer));
        let (from_application, to_application) = split(TokioIo::new(inner));
        let mut up = pin!(pass(from_client, to_application, FOREVER));
        let mut down = pin!(pass(from_application, to_client, self.limits.write));
        let both = async {
            tokio::select! {
                // The client has sent its last message. The application answers it, as over HTTP/1.1.
                () = &mut up => down.await,
                () = &mut down => drop(timeout(REST, up).await),
            }
        };
        let drained = async {
            self.drain.begun().await;
            // The longest time that the inner connection needs for its close handshake.
            sleep(self.manners.goodbye + 2 * REST).await;
        };
        tokio::select! {
            () = both => {}
            () = drained => {}
        }
    }
}

/// Copies everything, and then the end. The other side has `patience` to take each piece.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, patience: Duration) {
    let mut buffer = vec![0; 8 * 1024];
    // An error is an end as well, and the other side sees it.
    while let Ok(length @ 1..) = from.read(&mut buffer).await
        && let Ok(Ok(())) = timeout(patience, to.write_all(&buffer[..length])).await
    {}
    let _ = timeout(patience, to.shutdown()).await;
}

/// The same request in HTTP/1.1 form (RFC 8441 §5, RFC 6455 §4.1).
fn of_http1(request: Request<Incoming>) -> Result<Request<Body>, http::Error> {
    let (mut head, _) = request.into_parts();
    if let Some(host) = head.uri.authority() {
        head.headers.insert(HOST, HeaderValue::from_str(host.as_str())?);
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = Uri::try_from(target)?;
    head.method = Method::GET;
    head.version = Version::HTTP_11;
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    head.headers.insert(SEC_WEBSOCKET_KEY, KEY);
    // The HTTP/2 connection's extensions do not belong to the HTTP/1.1 request.
    head.extensions.clear();
    Ok(Request::from_parts(head, Body::empty()))
}

/// Removes the connection-specific headers, which HTTP/2 does not have (RFC 9113 §8.2.2).
fn without_hops<B>(mut answer: http::Response<B>) -> http::Response<B> {
    for hop in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        answer.headers_mut().remove(hop);
    }
    *answer.version_mut() = Version::HTTP_2;
    answer
}
