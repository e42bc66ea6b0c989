//! Server-sent events. A stream may end only where the protocol has an end.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{connect, in_time, note};
use crate::Failure;
use crate::load::Shared;

pub(super) async fn run(shared: &Shared) {
    while !*shared.stopped.borrow() {
        let mut answered = 0;
        if let Err(failure) = listen(shared, &mut answered).await {
            note(shared, failure, answered).await;
        }
    }
}

/// Reads one stream until it ends as the protocol allows.
async fn listen(shared: &Shared, answered: &mut u64) -> Result<(), Failure> {
    let stream = connect(shared).await?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|_| Failure::ConnectReset)?;
    tokio::spawn(connection);
    let request = hyper::Request::get("/events").header("host", "app-cluster").body(Empty::<Bytes>::new());
    let request = request.unwrap_or_default();
    let answer = in_time(shared, Failure::Timeout, sender.send_request(request)).await?;
    let answer = answer.map_err(|_| Failure::EofBeforeAnswer)?;
    if answer.status() != 200 {
        return Err(Failure::Status(answer.status().as_u16()));
    }
    let mut body: Incoming = answer.into_body();
    let mut stopped = shared.stopped.clone();
    loop {
        let begun = Instant::now();
        let next = tokio::select! {
            next = in_time(shared, Failure::Timeout, body.frame()) => next?,
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
        };
        match next {
            Some(Ok(frame)) => {
                let whole = frame.data_ref().is_none_or(|data| data.ends_with(b"\n\n"));
                if !whole {
                    return Err(Failure::Malformed);
                }
                shared.tally().answered(begun.elapsed());
                *answered += 1;
            }
            // The last chunk has arrived.
            None => return Ok(()),
            Some(Err(_)) => return Err(Failure::Truncated),
        }
    }
}
