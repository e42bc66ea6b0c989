//! WebSockets over HTTP/2 (RFC 8441): each is a connection of HTTP/1.1 of its own, which the one of HTTP/2 carries.
//!
//! ```text
//! client == a stream of HTTP/2 == this == a pair of sockets == HTTP/1.1 with `Upgrade` == application
//! ```
//!
//! So an application need not know that there are two ways, and what is promised to a WebSocket holds for this one:
//! the same goodbye, the same limits.

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

/// How long a client may take to follow the end of its application.
const REST: Duration = Duration::from_secs(1);

/// Any will do: who asks and who answers are the same program (RFC 6455 §1.3).
const KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");

/// Whether a request of HTTP/2 asks for a WebSocket (RFC 8441 §5).
pub(super) fn is_websocket(request: &Request<Incoming>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// The near end of a connection inside.
struct Inner {
    /// Asks the application.
    asking: http1::SendRequest<Body>,
    /// Given back with its descriptor, which the WebSocket takes over.
    place: Arc<Place>,
}

impl Connections {
    /// Asks the application by a connection of HTTP/1.1, and passes on what it says.
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
                tracing::debug!(%error, "a WebSocket over HTTP/2 is refused, it takes two descriptors more");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        };
        Ok(Answer::passed_on(answer))
    }

    async fn open_inner(self: &Arc<Self>, peer: Option<SocketAddr>) -> io::Result<Inner> {
        // Out of what is kept for connections: the rest is for what handlers open, and to feed the watchdog.
        let (Some(near), Some(far)) = (self.room.place(), self.room.place()) else {
            return Err(Errno::MFILE.into());
        };
        let (here, there) = UnixStream::pair()?;
        let accepted = Accepted { socket: Socket::Unix(there), peer };
        let inside = Arc::clone(self).live_inside(accepted);
        // The application may have something to do after its last word.
        let hold = self.drain.hold();
        tokio::spawn(async move {
            inside.await;
            drop((hold, far));
        });
        let (asking, connection) = http1::handshake(TokioIo::new(here)).await.map_err(io::Error::other)?;
        let place = Arc::new(near);
        let while_it_asks = Arc::clone(&place);
        tokio::spawn(async move {
            // Its end is heard on the other side.
            let _ = connection.with_upgrades().await;
            drop(while_it_asks);
        });
        Ok(Inner { asking, place })
    }

    /// It has a type of its own, for a connection may carry another. Its bytes are counted on the one that does.
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
            // Success would be a WebSocket (RFC 9113 §8.5). There is none at this address.
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

    /// Until both have ended, or one of them does not follow.
    async fn carry(&self, outer: Upgraded, inner: Upgraded) {
        let (from_client, to_client) = split(TokioIo::new(outer));
        let (from_application, to_application) = split(TokioIo::new(inner));
        let mut up = pin!(pass(from_client, to_application, FOREVER));
        let mut down = pin!(pass(from_application, to_client, self.limits.write));
        let both = async {
            tokio::select! {
                // The client has said its last word, and the application answers it, as over HTTP/1.1.
                () = &mut up => down.await,
                () = &mut down => drop(timeout(REST, up).await),
            }
        };
        let drained = async {
            self.drain.begun().await;
            // What the connection inside takes at most to say goodbye, and to be heard.
            sleep(self.manners.goodbye + 2 * REST).await;
        };
        tokio::select! {
            () = both => {}
            () = drained => {}
        }
    }
}

/// All that comes, and then its end. To take each piece the other side has `patience`.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, patience: Duration) {
    let mut buffer = vec![0; 8 * 1024];
    // An error is an end as well: the other side hears of it.
    while let Ok(length @ 1..) = from.read(&mut buffer).await
        && let Ok(Ok(())) = timeout(patience, to.write_all(&buffer[..length])).await
    {}
    let _ = timeout(patience, to.shutdown()).await;
}

/// The same request as HTTP/1.1 has it (RFC 8441 §5, RFC 6455 §4.1).
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
    // What the connection of HTTP/2 has noted here is not for that of HTTP/1.1.
    head.extensions.clear();
    Ok(Request::from_parts(head, Body::empty()))
}

/// Without what is said to the connection, which HTTP/2 does not have (RFC 9113 §8.2.2).
fn without_hops<B>(mut answer: http::Response<B>) -> http::Response<B> {
    for hop in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        answer.headers_mut().remove(hop);
    }
    *answer.version_mut() = Version::HTTP_2;
    answer
}
