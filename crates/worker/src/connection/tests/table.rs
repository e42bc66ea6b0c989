//! Tests the rows for HTTP/1.1 and for WebSockets in the table of `exchange/deadline.rs`. In each row, it
//! tries everything that a client may do there, in service and in a drain. It checks how long the connection
//! lasts and what is answered. The rows for HTTP/2 are in `exchange/tests.rs`.

use std::pin::pin;

use axum::body::{Body, Bytes};
use axum::extract::WebSocketUpgrade;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use std::cell::RefCell;

use super::*;

/// The state of a connection when the client begins its behaviour.
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

/// What the client does from then on, without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// It neither sends nor reads.
    IsSilent,
    /// It sends one expected byte every three seconds, and does not read.
    IsSlow,
    /// It sends one expected byte twice a second, and does not read.
    TalksOn,
    /// It ends its half and reads to the end, like `nc -N`.
    HalfCloses,
    /// It is gone.
    IsGone,
    /// It sends another request after the one in progress, and reads.
    Pipelines,
    /// It sends an extra empty line, and reads.
    SendsTooMuch,
}

/// Seconds: minimum and maximum.
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

/// How many seconds a client has for the first byte, and for a head ([`Limits`]).
const HEAD: f64 = 10.0;
/// The same for a piece of a body, and for reading some of a response.
const PIECE: f64 = 30.0;
/// The same until the next request.
const KEPT: f64 = 75.0;
/// How long a response may make no progress in a drain.
const STALL: f64 = 4.0;
/// If a client does not close when it is told to, the worker leaves after this much silence
/// ([`super::SILENCE`]).
const SILENCE: f64 = 5.0;
/// If it still sends, the worker leaves after this time.
const LEAVE: f64 = 30.0;
/// In a drain, the worker leaves after this time.
const PARTING: f64 = 1.0;
/// How long the last piece of a body may take after its client has ended its half.
const GRACE: f64 = 1.0;
/// How long the handler of `/slow` takes.
const SLOW: f64 = 20.0;
/// How long the sending clients pause.
const SLOWLY: f64 = 3.0;
const OFTEN: f64 = 0.5;
/// How long a head that has begun may take in a drain, after the linger time.
const FAREWELL: f64 = 0.5;

const AT_ONCE: Lasts = (0.0, 0.0);
/// As long as the test waits: the application or the drain deadline would end it.
const ON: Lasts = (300.0, 300.0);
/// The linger time, and up to a quarter more.
const LINGERS: Lasts = (2.0, 2.5);

const fn s(seconds: f64) -> Lasts {
    (seconds, seconds)
}

const fn and(lasts: Lasts, seconds: f64) -> Lasts {
    (lasts.0 + seconds, lasts.1 + seconds)
}

/// In service, and in a drain.
fn expected(state: State, client: Client) -> (Lasts, Lasts) {
    match (state, client) {
        // Until the worker sends something, a client that is gone looks like one that has ended its half.
        (HasAsked, HalfCloses | IsGone) => (s(SLOW), s(SLOW)),
        (Uploads, HalfCloses | IsGone) => (s(GRACE), s(GRACE)),
        (_, IsGone) => (AT_ONCE, AT_ONCE),

        (New, IsSilent) => (s(HEAD + SILENCE), and(LINGERS, PARTING)),
        (New | Idle, IsSlow) => (s(SLOWLY + HEAD + LEAVE), and(LINGERS, PARTING)),
        (New | Idle, TalksOn) => (s(OFTEN + HEAD + LEAVE), and(LINGERS, FAREWELL + PARTING)),
        // There is no request to answer.
        (New | Idle | HasBegunAHead, HalfCloses) => (AT_ONCE, AT_ONCE),
        (New | Idle | HasBegunAHead, Pipelines) => (s(KEPT), AT_ONCE),
        (New, SendsTooMuch) => (s(HEAD), LINGERS),

        (Idle, IsSilent) => (s(KEPT + SILENCE), and(LINGERS, PARTING)),
        // An empty line is no request.
        (Idle, SendsTooMuch) => (s(KEPT), LINGERS),

        (HasBegunAHead, IsSilent) => (s(HEAD + SILENCE), and(LINGERS, FAREWELL + PARTING)),
        (HasBegunAHead, IsSlow | TalksOn) => (s(HEAD + LEAVE), and(LINGERS, FAREWELL + PARTING)),
        (HasBegunAHead, SendsTooMuch) => (s(HEAD), and(LINGERS, FAREWELL)),

        (HasAsked, IsSilent) => (s(SLOW + KEPT + SILENCE), s(SLOW + PARTING)),
        (HasAsked, IsSlow) => (s(SLOW + HEAD + LEAVE), s(SLOW + PARTING)),
        (HasAsked, TalksOn) => (s(SLOW + HEAD + LEAVE), s(SLOW + PARTING)),
        (HasAsked, Pipelines | SendsTooMuch) => (s(SLOW + KEPT), s(SLOW)),

        (Uploads, IsSilent) => (s(PIECE + SILENCE), s(PIECE + PARTING)),
        (Uploads, IsSlow | TalksOn) => (ON, ON),
        // These bytes belong to the body.
        (Uploads, Pipelines | SendsTooMuch) => (s(PIECE), s(PIECE)),

        (WasAnsweredEarly | HasItsLastAnswer, IsSilent) => (s(SILENCE), s(PARTING)),
        (WasAnsweredEarly | HasItsLastAnswer, IsSlow | TalksOn) => (s(LEAVE), s(PARTING)),
        (WasAnsweredEarly | HasItsLastAnswer, _) => (AT_ONCE, AT_ONCE),

        (DoesNotTakeTheAnswer, IsSilent | IsSlow | TalksOn) => (s(PIECE), s(STALL)),
        // These clients read the response.
        (DoesNotTakeTheAnswer, HalfCloses) => (AT_ONCE, AT_ONCE),
        (DoesNotTakeTheAnswer, Pipelines) => (s(KEPT), AT_ONCE),
        (DoesNotTakeTheAnswer, SendsTooMuch) => (s(KEPT), LINGERS),

        // `goodbye` equals the linger time here. A tenth of a second passes before the worker stops waiting
        // for a frame to end.
        (IsAWebSocket, IsSilent | IsSlow | TalksOn) => (ON, s(LINGERS.0 + 0.1)),
        // The application ends it, because this is not a frame.
        (IsAWebSocket, HalfCloses | Pipelines | SendsTooMuch) => (AT_ONCE, AT_ONCE),
    }
}

/// What a client still reads.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Answer {
        status: u16,
        closes: bool,
        length: usize,
    },
    /// Of a WebSocket.
    Bytes(Vec<u8>),
}

fn said(state: State, client: Client, drains: bool) -> Vec<Said> {
    let hello = |closes| Said::Answer { status: 200, closes, length: 5 };
    let slept = |closes| Said::Answer { status: 200, closes, length: 0 };
    let all_of_it = |closes| Said::Answer { status: 200, closes, length: LARGE };
    match (state, client) {
        (New | Idle | HasBegunAHead, Pipelines) => vec![hello(drains)],
        (HasAsked, HalfCloses | SendsTooMuch) => vec![slept(drains)],
        // The worker ignores a request after a response with `Connection: close`.
        (HasAsked, Pipelines) if drains => vec![slept(true)],
        (HasAsked, Pipelines) => vec![slept(false), hello(false)],
        // axum's own text for a body that is cut.
        (Uploads, HalfCloses) => vec![Said::Answer { status: 400, closes: true, length: 71 }],
        (Uploads, Pipelines | SendsTooMuch) => vec![Said::Answer { status: 408, closes: true, length: 0 }],
        // The head was sent before the drain began.
        (DoesNotTakeTheAnswer, HalfCloses | SendsTooMuch) => vec![all_of_it(false)],
        (DoesNotTakeTheAnswer, Pipelines) => vec![all_of_it(false), hello(drains)],
        (IsAWebSocket, HalfCloses | Pipelines | SendsTooMuch) => vec![Said::Bytes(vec![])],
        _ => vec![],
    }
}

/// More than all buffers hold.
const LARGE: usize = 64 << 20;
const LONGEST: Duration = Duration::from_secs(300);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn each_state_ends_as_the_table_says() {
    let mut wrong = Vec::new();
    for state in STATES {
        for client in CLIENTS {
            let (service, drain) = expected(state, client);
            for (drains, (least, most)) in [(false, service), (true, drain)] {
                let (took, read) = outcome(state, client, drains).await;
                let took = took.as_secs_f64();
                // Timers have millisecond resolution.
                if took < least - 0.01 || took > most + 0.01 {
                    wrong.push(format!(
                        "{state:?}, {client:?}, drain {drains}: {took} s, not {least} to {most}"
                    ));
                }
                let said = said(state, client, drains);
                if read != said {
                    wrong.push(format!("{state:?}, {client:?}, drain {drains}: said {read:?}, not {said:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How long the connection lasts from then on, and what its client reads.
async fn outcome(state: State, client: Client, drains: bool) -> (Duration, Vec<Said>) {
    let (serving, drain, mut stream) = connection().await;
    let mut serving = pin!(serving);
    let reached = async {
        reach(&mut stream, state).await;
        // The bytes have arrived, and the worker has read them.
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
    let read = RefCell::new(Vec::new());
    let reads = matches!(client, HalfCloses | Pipelines | SendsTooMuch);
    let mut client = pin!(behave(stream, state, client, &read));
    let all = async {
        tokio::select! {
            () = &mut serving => {}
            () = &mut client => {}
        }
    };
    let _ = timeout(LONGEST, all).await;
    let took = begun.elapsed();
    // What the connection left in the socket.
    let _ = timeout(Duration::from_millis(1), client).await;
    let said = match (state, read.take()) {
        (IsAWebSocket, bytes) if reads => vec![Said::Bytes(bytes)],
        (_, bytes) => whole_answers(&bytes),
    };
    (took, said)
}

fn whole_answers(mut read: &[u8]) -> Vec<Said> {
    let mut answers = Vec::new();
    while let Some((answer, length)) = client::Answer::parse(read).unwrap() {
        let (closes, length_of_body) = (answer.closes(), answer.body.len());
        answers.push(Said::Answer { status: answer.status, closes, length: length_of_body });
        read = &read[length..];
    }
    assert!(read.is_empty(), "an answer is cut after {} bytes", read.len());
    answers
}

/// A connection that has been accepted, and its client.
async fn connection() -> (impl Future<Output = ()>, Drain, UnixStream) {
    // With a socket pair, bytes arrive at once. On loopback they may arrive after the paused clock has
    // advanced.
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
        .route("/slow", get(async || sleep(Duration::from_secs_f64(SLOW)).await))
        .route("/upload", post(async |_: Bytes| "thanks"))
        .route("/early", post(async |_: Body| "no"))
        .route("/large", get(async || vec![0; LARGE]))
        .route("/websocket", get(websocket))
}

async fn reach(stream: &mut UnixStream, state: State) {
    let upgrade = "GET /websocket HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (sent, answer): (&str, &str) = match state {
        New => ("", ""),
        Idle => ("GET / HTTP/1.1\r\nHost: test\r\n\r\n", "HTTP/1.1 200 OK"),
        HasBegunAHead => ("GET / HTTP/1.1\r\nX-Long: ", ""),
        HasAsked => ("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n", ""),
        Uploads => ("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nbegun", ""),
        WasAnsweredEarly => {
            ("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nbegun", "HTTP/1.1 200 OK")
        }
        DoesNotTakeTheAnswer => ("GET /large HTTP/1.1\r\nHost: test\r\n\r\n", ""),
        HasItsLastAnswer => ("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"),
        IsAWebSocket => (upgrade, "HTTP/1.1 101 Switching Protocols"),
    };
    stream.write_all(sent.as_bytes()).await.unwrap();
    if !answer.is_empty() {
        let mut read = [0; 1024];
        let length = stream.read(&mut read).await.unwrap();
        assert!(
            read[..length].starts_with(answer.as_bytes()),
            "{}",
            String::from_utf8_lossy(&read[..length])
        );
    }
}

async fn behave(mut stream: UnixStream, state: State, client: Client, read: &RefCell<Vec<u8>>) {
    match client {
        IsSilent => std::future::pending().await,
        IsSlow => trickle(stream, state, Duration::from_secs_f64(SLOWLY)).await,
        TalksOn => trickle(stream, state, Duration::from_secs_f64(OFTEN)).await,
        HalfCloses => {
            stream.shutdown().await.unwrap();
            read_to_the_end(stream, read).await;
        }
        IsGone => {
            drop(stream);
            std::future::pending().await
        }
        Pipelines => {
            stream.write_all(REQUEST).await.unwrap();
            read_to_the_end(stream, read).await;
        }
        SendsTooMuch => {
            stream.write_all(b"\r\n").await.unwrap();
            read_to_the_end(stream, read).await;
        }
    }
}

/// Sends one expected byte now and then, whatever happens to it.
async fn trickle(mut stream: UnixStream, state: State, pause: Duration) {
    // A frame that never ends, or a head with a line that never ends.
    let due: &[u8] = if state == IsAWebSocket { &[0x82, 0xfe] } else { b"GET / HTTP/1.1\r\nX-Long: " };
    let is_begun = !matches!(state, New | Idle | HasAsked | IsAWebSocket);
    let rest = due.iter().copied().skip(if is_begun { due.len() } else { 0 }).chain(std::iter::repeat(b'x'));
    let begun = Instant::now();
    for (byte, at) in rest.zip(1..) {
        sleep_until(begun + pause * at).await;
        if stream.write_all(&[byte]).await.is_err() {
            return std::future::pending().await;
        }
        // Lets the worker look before time goes on.
        sleep(Duration::from_millis(1)).await;
    }
}

async fn read_to_the_end(mut stream: UnixStream, read: &RefCell<Vec<u8>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        read.borrow_mut().extend_from_slice(&buffer[..length]);
    }
    // The worker's part of closing.
    drop(stream);
    std::future::pending().await
}
