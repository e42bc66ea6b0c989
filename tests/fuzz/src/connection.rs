//! A whole connection: whatever a client sends, the connection ends, and nothing of it stays on the board.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::time::Duration;

use app_cluster_worker::{Drain, fuzzing};
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{get, post};
use scoreboard::{Board, Counters, Instance, Reader, Slot};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, unix};
use tokio::runtime::Builder;

/// More than all limits together. The clock stands still while there is work.
const AN_HOUR: Duration = Duration::from_secs(3600);

thread_local! {
    static DIRECTORY: TempDir = tempfile::tempdir_in("/dev/shm").expect("/dev/shm is there");
}

/// The first byte is the length of the pieces in which the client sends the rest. The second byte is the
/// piece before which the drain begins. After the last piece the client ends its half.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&[length, drain_at], sent)) = bytes.split_first_chunk() else { return };
    let path = DIRECTORY.with(|directory| directory.path().join("board"));
    let slot = Board::open(&path).and_then(|board| board.claim(Instance::FIRST, "1"));
    let slot = slot.expect("the slot is free");

    let client = Client { length: usize::from(length).max(1), drain_at: drain_at.into(), slot: slot.clone() };
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let received = runtime.expect("there are descriptors").block_on(converse(client, sent, slot));

    let snapshot = Reader::open(&path).and_then(|reader| reader.read(Instance::FIRST));
    let counters = snapshot.expect("there is a board").expect("its slot is claimed").record.counters;
    balanced(&counters, sent.len() as u64, received as u64);
}

struct Client {
    length: usize,
    drain_at: usize,
    slot: Slot,
}

/// How many bytes the client receives.
async fn converse(client: Client, sent: &[u8], slot: Slot) -> usize {
    let drain = Drain::default();
    let (near, far) = Pair::pair().expect("there are descriptors");
    for end in [&near, &far] {
        end.set_nonblocking(true).expect("a socket can be");
    }
    // A socket pair uses no port, and to the worker it is a stream like any other.
    let far = TcpStream::from_std(OwnedFd::from(far).into()).expect("there is a runtime");
    let near = UnixStream::from_std(near).expect("there is a runtime");
    let (mut receiving, sending) = near.into_split();
    let serving = fuzzing::serve(router(), drain.clone(), slot, far);
    let receive = async {
        let mut received = Vec::new();
        // Bytes received before a reset count as well.
        let _ = receiving.read_to_end(&mut received).await;
        received.len()
    };
    let conversation = async { tokio::join!(serving, client.say(sending, sent, &drain), receive) };
    let ((), (), received) = tokio::time::timeout(AN_HOUR, conversation).await.expect("it ends");
    received
}

impl Client {
    async fn say(self, mut sending: unix::OwnedWriteHalf, sent: &[u8], drain: &Drain) {
        for (number, piece) in sent.chunks(self.length).enumerate() {
            if number == self.drain_at {
                self.slot.draining();
                drain.begin();
            }
            if sending.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = sending.shutdown().await;
    }
}

fn router() -> Router {
    let echo = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        })
    };
    Router::new()
        .route("/", get(|| async { "hello\n" }))
        .route("/echo", post(async |body: Bytes| body))
        .route("/ws", get(echo))
}

fn balanced(counters: &Counters, sent: u64, received: u64) {
    assert_eq!((counters.accepts, counters.connections, counters.in_flight), (1, 0, 0), "{counters:?}");
    let answered = counters.responses.iter().sum::<u64>();
    assert_eq!(counters.requests, answered + counters.unanswered, "{counters:?}");
    assert_eq!(counters.latency.count(), answered, "{counters:?}");
    assert_eq!(counters.panics, 0);
    assert!(counters.received <= sent && counters.sent >= received, "{counters:?}");
    assert!(counters.ended.iter().sum::<u64>() <= 1, "{counters:?}");
}
