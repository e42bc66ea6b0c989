//! Walks through the table of `exchange/deadline.rs`: each state of a connection of HTTP/1.1, with each thing that a client
//! may do in it, in service and in a drain.

use std::pin::pin;

use axum::body::{Body, Bytes};
use axum::extract::WebSocketUpgrade;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::*;

/// How far a connection is when the client begins to behave so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Idle,
    HasBegunAHead,
    HasAsked,
    Uploads,
    WasAnsweredEarly,
    DoesNotTakeTheAnswer,
    HasItsLastAnswer,
    IsAWebSocket,
}

/// What the client does from then on, without an end of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// It neither sends nor reads.
    IsSilent,
    /// It sends a byte of what is due every three seconds, and does not read.
    IsSlow,
    /// The same twice a second.
    TalksOn,
    /// It ends its half and reads to the end, as `nc -N`.
    HalfCloses,
    /// It is gone.
    IsGone,
    /// It sends another request behind the one that is under way, and reads.
    Pipelines,
    /// It sends an empty line more than it should, and reads.
    SendsTooMuch,
}

/// Seconds, at least and at most.
type Lasts = (f64, f64);

use Client::*;
use State::*;

const STATES: [State; 9] = [
    New,
    Idle,
    HasBegunAHead,
    HasAsked,
    Uploads,
    WasAnsweredEarly,
    DoesNotTakeTheAnswer,
    HasItsLastAnswer,
    IsAWebSocket,
];
const CLIENTS: [Client; 7] = [IsSilent, IsSlow, TalksOn, HalfCloses, IsGone, Pipelines, SendsTooMuch];

const AT_ONCE: Lasts = (0.0, 0.0);
/// As long as is waited here: the application ends it, or the drain deadline.
const ON: Lasts = (300.0, 300.0);
/// The linger time, and up to a quarter more.
const LINGERS: Lasts = (2.0, 2.5);

const fn s(seconds: f64) -> Lasts {
    (seconds, seconds)
}

const fn and(lasts: Lasts, seconds: f64) -> Lasts {
    (lasts.0 + seconds, lasts.1 + seconds)
}

/// In service and in a drain. A client that does not close when it is told to is left after a second of silence, or ten of
/// what it still sends.
fn expected(state: State, client: Client) -> (Lasts, Lasts) {
    match (state, client) {
        // As long as nothing is sent, it looks like one that has ended its half.
        (HasAsked, HalfCloses | IsGone) => (s(20.0), s(20.0)),
        (Uploads, HalfCloses | IsGone) => (s(1.0), s(1.0)),
        (_, IsGone) => (AT_ONCE, AT_ONCE),

        (New, IsSilent) => (s(10.0 + 1.0), and(LINGERS, 1.0)),
        (New, IsSlow) => (s(3.0 + 10.0 + 1.0), and(LINGERS, 1.0)),
        (New, TalksOn) => (s(0.5 + 10.0 + 10.0), and(LINGERS, 0.5 + 1.0)),
        // Of nothing there is nothing to answer.
        (New, HalfCloses) => (AT_ONCE, AT_ONCE),
        (New | HasBegunAHead, Pipelines) => (s(75.0), AT_ONCE),
        (New, SendsTooMuch) => (s(10.0), LINGERS),

        (Idle, IsSilent) => (s(75.0 + 1.0), and(LINGERS, 1.0)),
        (Idle, IsSlow) => (s(3.0 + 10.0 + 1.0), and(LINGERS, 1.0)),
        (Idle, TalksOn) => (s(0.5 + 10.0 + 10.0), and(LINGERS, 0.5 + 1.0)),
        (Idle, HalfCloses) => (AT_ONCE, AT_ONCE),
        (Idle, Pipelines) => (s(75.0), AT_ONCE),
        // An empty line is no request.
        (Idle, SendsTooMuch) => (s(75.0), LINGERS),

        (HasBegunAHead, IsSilent | IsSlow) => (s(10.0 + 1.0), and(LINGERS, 0.5 + 1.0)),
        (HasBegunAHead, TalksOn) => (s(10.0 + 10.0), and(LINGERS, 0.5 + 1.0)),
        (HasBegunAHead, HalfCloses) => (AT_ONCE, AT_ONCE),
        (HasBegunAHead, SendsTooMuch) => (s(10.0), and(LINGERS, 0.5)),

        // The handler takes twenty seconds.
        (HasAsked, IsSilent) => (s(20.0 + 75.0 + 1.0), s(20.0 + 1.0)),
        (HasAsked, IsSlow) => (s(20.0 + 10.0 + 1.0), s(20.0 + 1.0)),
        (HasAsked, TalksOn) => (s(20.0 + 10.0 + 10.0), s(20.0 + 1.0)),
        (HasAsked, Pipelines | SendsTooMuch) => (s(20.0 + 75.0), s(20.0)),

        (Uploads, IsSilent) => (s(30.0 + 1.0), s(30.0 + 1.0)),
        (Uploads, IsSlow | TalksOn) => (ON, ON),
        // It is the body that goes on.
        (Uploads, Pipelines | SendsTooMuch) => (s(30.0), s(30.0)),

        (WasAnsweredEarly | HasItsLastAnswer, IsSilent | IsSlow) => (s(1.0), s(1.0)),
        (WasAnsweredEarly | HasItsLastAnswer, TalksOn) => (s(10.0), s(1.0)),
        (WasAnsweredEarly | HasItsLastAnswer, _) => (AT_ONCE, AT_ONCE),

        (DoesNotTakeTheAnswer, IsSilent | IsSlow | TalksOn) => (s(30.0), s(4.0)),
        // They take it.
        (DoesNotTakeTheAnswer, HalfCloses) => (AT_ONCE, AT_ONCE),
        (DoesNotTakeTheAnswer, Pipelines) => (s(75.0), AT_ONCE),
        (DoesNotTakeTheAnswer, SendsTooMuch) => (s(75.0), LINGERS),

        // The goodbye is the linger time here; a tenth of a second passes before a frame is given up.
        (IsAWebSocket, IsSilent | IsSlow | TalksOn) => (ON, s(2.1)),
        // The application ends it: this is no frame.
        (IsAWebSocket, HalfCloses | Pipelines | SendsTooMuch) => (AT_ONCE, AT_ONCE),
    }
}

const LONGEST: Duration = Duration::from_secs(300);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn each_state_ends_as_the_table_says() {
    let mut wrong = Vec::new();
    for state in STATES {
        for client in CLIENTS {
            let (service, drain) = expected(state, client);
            for (drains, (least, most)) in [(false, service), (true, drain)] {
                let took = lasts(state, client, drains).await.as_secs_f64();
                // Timers count milliseconds.
                if took < least - 0.01 || took > most + 0.01 {
                    wrong.push(format!(
                        "{state:?}, {client:?}, drain {drains}: {took} s, not {least} to {most}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn lasts(state: State, client: Client, drains: bool) -> Duration {
    let (serving, drain, mut stream) = connection().await;
    let mut serving = pin!(serving);
    let reached = async {
        reach(&mut stream, state).await;
        // What was sent has come, and was looked at.
        sleep(Duration::from_millis(1)).await;
    };
    tokio::select! {
        biased;
        () = &mut serving => panic!("the connection has ended before {state:?}"),
        () = reached => {}
    }
    if drains {
        drain.begin();
    }
    let begun = Instant::now();
    let all = async {
        tokio::select! {
            () = &mut serving => {}
            () = behave(stream, state, client) => {}
        }
    };
    let _ = timeout(LONGEST, all).await;
    begun.elapsed()
}

/// A connection that has been accepted, and its client.
async fn connection() -> (impl Future<Output = ()>, Drain, UnixStream) {
    // What one sends the other has at once. On loopback it may come later than time that stands still goes on.
    let (client, stream) = UnixStream::pair().unwrap();
    let drain = Drain::default();
    let connections = connections(router(), &drain);
    (connections.serve(Accepted { socket: Socket::Unix(stream), peer: None }), drain, client)
}

fn router() -> Router {
    let websocket = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.recv().await {})
    };
    Router::new()
        .route("/", get(async || "hello"))
        .route("/slow", get(async || sleep(Duration::from_secs(20)).await))
        .route("/upload", post(async |_: Bytes| "thanks"))
        .route("/early", post(async |_: Body| "no"))
        .route("/large", get(async || vec![0; 64 << 20]))
        .route("/websocket", get(websocket))
}

async fn reach(stream: &mut UnixStream, state: State) {
    let upgrade = "GET /websocket HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (sent, is_answered): (&str, bool) = match state {
        New => ("", false),
        Idle => ("GET / HTTP/1.1\r\nHost: test\r\n\r\n", true),
        HasBegunAHead => ("GET / HTTP/1.1\r\nX-Long: ", false),
        HasAsked => ("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n", false),
        Uploads => ("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nbegun", false),
        WasAnsweredEarly => {
            ("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nbegun", true)
        }
        DoesNotTakeTheAnswer => ("GET /large HTTP/1.1\r\nHost: test\r\n\r\n", false),
        HasItsLastAnswer => ("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", true),
        IsAWebSocket => (upgrade, true),
    };
    stream.write_all(sent.as_bytes()).await.unwrap();
    if is_answered {
        let mut answer = [0; 1024];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    }
}

async fn behave(mut stream: UnixStream, state: State, client: Client) {
    match client {
        IsSilent => std::future::pending().await,
        IsSlow => trickle(stream, state, Duration::from_secs(3)).await,
        TalksOn => trickle(stream, state, Duration::from_millis(500)).await,
        HalfCloses => {
            stream.shutdown().await.unwrap();
            read_to_the_end(stream).await;
        }
        IsGone => {
            drop(stream);
            std::future::pending().await
        }
        Pipelines => {
            stream.write_all(REQUEST).await.unwrap();
            read_to_the_end(stream).await;
        }
        SendsTooMuch => {
            stream.write_all(b"\r\n").await.unwrap();
            read_to_the_end(stream).await;
        }
    }
}

/// A byte of what is due now and then, whatever becomes of it.
async fn trickle(mut stream: UnixStream, state: State, pause: Duration) {
    // A frame that is not at its end, or a head with a line that does not end.
    let due: &[u8] = if state == IsAWebSocket { &[0x82, 0xfe] } else { b"GET / HTTP/1.1\r\nX-Long: " };
    let is_begun = !matches!(state, New | Idle | HasAsked | IsAWebSocket);
    let rest = due.iter().copied().skip(if is_begun { due.len() } else { 0 }).chain(std::iter::repeat(b'x'));
    let begun = Instant::now();
    for (byte, at) in rest.zip(1..) {
        sleep_until(begun + pause * at).await;
        if stream.write_all(&[byte]).await.is_err() {
            return std::future::pending().await;
        }
        // The worker looks, before time goes on.
        sleep(Duration::from_millis(1)).await;
    }
}

async fn read_to_the_end(mut stream: UnixStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
    // The worker's part of the end.
    drop(stream);
    std::future::pending().await
}
