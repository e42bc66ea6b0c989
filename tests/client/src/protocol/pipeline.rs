//! Several requests before the first response.

use tokio::time::Instant;

use super::{in_time, note, pause};
use crate::load::Shared;
use crate::{Connection, Failure};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: app-cluster\r\n\r\n";

/// How a connection ended.
enum Ended {
    /// The server announced it.
    Told,
    /// No more requests are to be sent.
    Stopped,
}

pub(super) async fn run(shared: &Shared, length: usize) {
    loop {
        let mut answered = 0;
        match talk(shared, length, &mut answered).await {
            Ok(Ended::Told) => {}
            Ok(Ended::Stopped) => return,
            Err(failure) => note(shared, failure, answered).await,
        }
        if *shared.stopped.borrow() {
            return;
        }
    }
}

/// One connection. The server ignores requests after a response with `Connection: close` (RFC 9112 §9.6), so
/// they are not lost.
async fn talk(shared: &Shared, length: usize, answered: &mut u64) -> Result<Ended, Failure> {
    let open = Connection::open(shared.load.address);
    let mut connection = in_time(shared, Failure::ConnectTimeout, open).await??;
    shared.tally().connected();
    loop {
        let turns = (0..length).take_while(|_| shared.take_turn()).count();
        if turns == 0 {
            return Ok(Ended::Stopped);
        }
        let begun = Instant::now();
        in_time(shared, Failure::Timeout, connection.send(&GET.repeat(turns))).await??;
        for _ in 0..turns {
            let answer = in_time(shared, Failure::Timeout, connection.receive()).await??;
            if answer.status != 200 {
                return Err(Failure::Status(answer.status));
            }
            shared.tally().answered(begun.elapsed());
            *answered += 1;
            if answer.closes() {
                return Ok(Ended::Told);
            }
        }
        pause(shared).await;
    }
}
