//! HTTP/1.1: bytes to send, responses, and whether another request can follow.

use std::{fmt::Write as _, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Conversation;

/// Sent in the same write. The server answers it only if it has found the end of what came before.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// The status that only the probe gets.
const PROBED: u16 = 204;

/// What a client sends.
///
/// The outcome is a line like `200 hello, 405; goes on`: the responses, with the body of a 200; then
/// - `goes on`: the next request on the connection is answered,
/// - `says close`: the connection ends, which the last answer has announced,
/// - `ends`: it ends without an announcement.
#[derive(Debug)]
pub struct Talk {
    pieces: Vec<Vec<u8>>,
    last: Last,
}

/// What a client does after it has sent everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It sends the probe as well.
    Probe,
    /// It ends its half.
    End,
}

/// Sends these bytes, and a further request.
pub fn send(bytes: impl Into<Vec<u8>>) -> Talk {
    Talk { pieces: vec![bytes.into()], last: Last::Probe }
}

impl Talk {
    /// Sends these bytes after the server has answered the previous ones.
    #[must_use]
    pub fn then(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(bytes.into());
        self
    }

    /// Ends its half instead of sending a further request.
    #[must_use]
    pub fn end(self) -> Self {
        Self { last: Last::End, ..self }
    }
}

impl Conversation for Talk {
    async fn with(&self, server: SocketAddr) -> String {
        let Ok(mut stream) = TcpStream::connect(server).await else { return "no connection".to_owned() };
        let mut received = Vec::new();
        for (number, piece) in self.pieces.iter().enumerate() {
            let is_last = number + 1 == self.pieces.len();
            let probe = if is_last && self.last == Last::Probe { PROBE } else { b"" };
            // The server may have closed the connection already. Its responses are read all the same.
            let _ = stream.write_all(&[piece, probe].concat()).await;
            while !is_last && answers(&received).len() <= number && receive(&mut stream, &mut received).await
            {
            }
        }
        if self.last == Last::End {
            let _ = stream.shutdown().await;
        }
        while receive(&mut stream, &mut received).await {}
        outcome(&answers(&received))
    }
}

/// Whether more bytes can arrive.
async fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    matches!(stream.read_buf(received).await, Ok(1..))
}

struct Answer {
    status: u16,
    closes: bool,
    body: Vec<u8>,
}

fn outcome(answers: &[Answer]) -> String {
    let goes_on = answers.last().is_some_and(|last| last.status == PROBED);
    let says_close = answers.last().is_some_and(|last| last.closes);
    let mut told = String::new();
    for Answer { status, body, .. } in answers.iter().filter(|answer| answer.status != PROBED) {
        let _ = write!(told, "{}{status}", if told.is_empty() { "" } else { ", " });
        if *status == 200 && !body.is_empty() {
            let _ = write!(told, " {}", body.escape_ascii());
        }
    }
    let end = match (goes_on, says_close) {
        (true, _) => "goes on",
        (false, true) => "says close",
        (false, false) => "ends",
    };
    if told.is_empty() { end.to_owned() } else { format!("{told}; {end}") }
}

/// The responses so far. The body of the last one may be incomplete.
fn answers(mut rest: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((head, body)) = split(rest, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(head).to_lowercase();
        let field = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.split_once(": "));
            fields.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        // A response to HEAD has a length and no body.
        let length = if body.starts_with(b"HTTP/1.") {
            0
        } else {
            field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
        };
        let (body, next) = body.split_at(body.len().min(length));
        let closes = field("connection").as_deref() == Some("close");
        answers.push(Answer { status, closes, body: body.to_vec() });
        rest = next;
    }
    answers
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let begin = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..begin], &bytes[begin + at.len()..]))
}
