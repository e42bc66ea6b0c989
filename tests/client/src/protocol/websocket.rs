//! WebSockets. A connection may end only with Close.

use futures_util::{SinkExt, StreamExt};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{connect, in_time, note, pause};
use crate::Failure;
use crate::load::Shared;

pub(super) async fn run(shared: &Shared) {
    while !*shared.stopped.borrow() {
        let mut answered = 0;
        if let Err(failure) = talk(shared, &mut answered).await {
            note(shared, failure, answered).await;
        }
    }
}

/// One connection, until the server sends Close. A message that crosses Close may stay unanswered.
async fn talk(shared: &Shared, answered: &mut u64) -> Result<(), Failure> {
    let stream = connect(shared).await?;
    let shaken = tokio_tungstenite::client_async("ws://app-cluster/ws", stream);
    let (mut socket, _) =
        in_time(shared, Failure::Timeout, shaken).await?.map_err(|_| Failure::EofBeforeAnswer)?;
    loop {
        if !shared.take_turn() {
            let _ = socket.close(None).await;
            return Ok(());
        }
        let begun = Instant::now();
        let message = Message::text(format!("{:016x}", fastrand::u64(..)));
        // If the message cannot be sent, reading tells why.
        let _ = socket.send(message.clone()).await;
        match in_time(shared, Failure::Timeout, socket.next()).await? {
            Some(Ok(echo)) if echo == message => {
                shared.tally().answered(begun.elapsed());
                *answered += 1;
            }
            Some(Ok(Message::Close(Some(close)))) if close.code == CloseCode::Away => {
                // Only our own Close and the end of the connection remain.
                let end = async { while socket.next().await.is_some_and(|next| next.is_ok()) {} };
                return in_time(shared, Failure::Timeout, end).await;
            }
            Some(Ok(_)) => return Err(Failure::WrongBody),
            Some(Err(_)) | None => return Err(Failure::Truncated),
        }
        pause(shared).await;
    }
}
