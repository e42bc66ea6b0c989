//! HTTP/2 with prior knowledge, with many streams on each connection.

mod goaway;

use std::error::Error;
use std::io;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;

use self::goaway::{Goaway, Listening};
use super::{connect, in_time, note, pause};
use crate::Failure;
use crate::load::Shared;

type Sender = SendRequest<Empty<Bytes>>;

/// One connection after another.
pub(super) async fn run(shared: &Shared, streams: usize) {
    while !*shared.stopped.borrow() {
        match open(shared).await {
            Err(failure) => note(shared, failure, 0).await,
            Ok((sender, goaway)) => {
                let lanes = (0..streams).map(|_| talk(shared, sender.clone()));
                let lanes: Vec<_> = lanes.collect();
                drop(sender);
                let (mut is_over, mut is_lost) = (false, false);
                for ended in futures_util::future::join_all(lanes).await {
                    match ended {
                        Ok(ended) => is_over |= ended,
                        Err(failure) => {
                            is_lost = true;
                            note(shared, failure, 0).await;
                        }
                    }
                }
                if is_over {
                    return;
                }
                // Lost requests on it are counted already. Otherwise the next request would find it closed.
                if !goaway.was_said() && !is_lost && shared.take_turn() {
                    note(shared, Failure::ClosedUnannounced, 0).await;
                }
            }
        }
    }
}

async fn open(shared: &Shared) -> Result<(Sender, Goaway), Failure> {
    let (stream, goaway) = Listening::to(connect(shared).await?);
    let shaking = handshake(TokioExecutor::new(), TokioIo::new(stream));
    let shaken = in_time(shared, Failure::ConnectTimeout, shaking).await?;
    let (sender, connection) = shaken.map_err(|_| Failure::ConnectReset)?;
    // The requests see how the connection ends.
    tokio::spawn(connection);
    Ok((sender, goaway))
}

/// Sends one request after another, until the server takes no more on this connection (`false`) or all are
/// sent (`true`).
async fn talk(shared: &Shared, mut sender: Sender) -> Result<bool, Failure> {
    loop {
        // The connection takes no more. Nothing has been sent.
        if in_time(shared, Failure::Timeout, sender.ready()).await?.is_err() {
            return Ok(false);
        }
        if !shared.take_turn() {
            return Ok(true);
        }
        let begun = Instant::now();
        let request = hyper::Request::get("http://app-cluster/").body(Empty::new()).unwrap_or_default();
        let answer = match in_time(shared, Failure::Timeout, sender.send_request(request)).await? {
            Ok(answer) => answer,
            // GOAWAY arrived between the two calls.
            Err(error) if error.is_canceled() || is_refused(&error) => return Ok(false),
            Err(error) => return Err(lost(&error, Failure::EofBeforeAnswer, Failure::ResetBeforeAnswer)),
        };
        if answer.status() != 200 {
            return Err(Failure::Status(answer.status().as_u16()));
        }
        let body = in_time(shared, Failure::Timeout, answer.into_body().collect()).await?;
        body.map_err(|error| lost(&error, Failure::Truncated, Failure::ResetInAnswer))?;
        shared.tally().answered(begun.elapsed());
        pause(shared).await;
    }
}

/// Whether the server has said that it did not process this request: its GOAWAY names an earlier one as the
/// last (RFC 9113 §6.8). That happens if the request and the first GOAWAY cross.
fn is_refused(error: &hyper::Error) -> bool {
    let of_server = |error: &&h2::Error| error.is_go_away() && error.is_remote();
    of_http2(error).filter(of_server).is_some_and(|error| error.reason() == Some(h2::Reason::NO_ERROR))
}

fn lost(error: &hyper::Error, closed: Failure, reset: Failure) -> Failure {
    let source = of_http2(error).and_then(h2::Error::get_io);
    let is_reset = source.is_some_and(|source| source.kind() == io::ErrorKind::ConnectionReset);
    if is_reset { reset } else { closed }
}

fn of_http2(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref())
}
