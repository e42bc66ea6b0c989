//! Lanes that speak anything but one HTTP/1.1 request after the other.
//!
//! The protocol defines what counts as a loss: an end without the protocol's own close does.

mod events;
mod http2;
mod pipeline;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::Failure;
use crate::load::Shared;

/// The protocol of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protocol {
    #[default]
    Http1,
    /// This many requests are sent before the first response is read.
    Pipeline(usize),
    /// This many simultaneous requests on each connection.
    Http2(usize),
    /// Server-sent events from `/events`. Each counts as a response.
    Events,
    /// Messages to `/ws`. Each counts as a response when it comes back.
    WebSocket,
}

/// Makes the load of one lane with this protocol, until it is stopped.
pub(crate) async fn run(protocol: Protocol, shared: Arc<Shared>, number: usize) {
    match protocol {
        Protocol::Http1 => crate::lane::Lane::new(shared, number).run().await,
        Protocol::Pipeline(length) => pipeline::run(&shared, length).await,
        Protocol::Http2(streams) => http2::run(&shared, streams).await,
        Protocol::Events => events::run(&shared).await,
        Protocol::WebSocket => websocket::run(&shared).await,
    }
}

async fn connect(shared: &Shared) -> Result<TcpStream, Failure> {
    let connecting = TcpStream::connect(shared.load.address);
    let stream = in_time(shared, Failure::ConnectTimeout, connecting).await?;
    let stream = stream.map_err(|error| Failure::of_connect(&error))?;
    stream.set_nodelay(true).map_err(|_| Failure::ConnectOther)?;
    shared.tally().connected();
    Ok(stream)
}

async fn in_time<T>(shared: &Shared, late: Failure, future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(shared.load.timeout, future).await.map_err(|_| late)
}

/// Counts a loss. If no socket listens, it pauses, or the client would try 100,000 times per second.
async fn note(shared: &Shared, failure: Failure, answered: u64) {
    shared.tally().failed(failure, None, answered);
    if failure.is_connect() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The pause before the next request.
async fn pause(shared: &Shared) {
    let gap = &shared.load.gap;
    if !gap.end().is_zero() {
        let micros = fastrand::u64(gap.start().as_micros() as u64..=gap.end().as_micros() as u64);
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}
