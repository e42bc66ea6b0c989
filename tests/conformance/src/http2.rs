//! HTTP/2 by hand: frames to send, received frames, and whether another request can follow.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Conversation, code};

/// The first bytes of a client (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
#[expect(missing_docs, reason = "the RFC's names")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames (RFC 9113 §6).
#[expect(missing_docs, reason = "the RFC's names")]
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

/// One frame (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Header fields as plain literals (RFC 7541 §6.2.2). Names and values are shorter than 127 bytes.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let string = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], string(name), string(value)].concat()).collect()
}

/// The pseudo-header fields of `GET /`.
pub const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
/// The pseudo-header fields of `POST /echo`.
pub const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")];

/// A complete request without a body, with these fields.
pub fn request(stream: u32, named: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, fields(named))
}

/// The head of a request with these fields. A body has to follow.
pub fn head(stream: u32, named: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, fields(named))
}

/// A piece of a body.
pub fn data(flags: u8, stream: u32, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::DATA, flags, stream, bytes)
}

/// What a client sends.
///
/// The outcome is a line like `1..3: 200 hello; 5: reset STREAM_CLOSED; goes on`. It has the streams, each
/// with its response. Then it has what the server says about the connection: acknowledged `settings` and
/// `ping`, `goaway` with its code, and how the connection ends.
#[derive(Debug)]
pub struct Talk {
    has_greeted: bool,
    pieces: Vec<Vec<u8>>,
}

/// Sends these frames after both sides have sent their settings, and then a further request.
pub fn send(frames: impl Into<Vec<u8>>) -> Talk {
    Talk { has_greeted: true, pieces: vec![frames.into()] }
}

/// Sends these bytes first.
pub fn begin_with(bytes: impl Into<Vec<u8>>) -> Talk {
    Talk { has_greeted: false, pieces: vec![bytes.into()] }
}

impl Talk {
    /// Sends these frames after the server has begun to answer the previous ones.
    #[must_use]
    pub fn then(mut self, frames: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(frames.into());
        self
    }
}

/// The stream of the request at the end.
const PROBE: u32 = 0x0fff_ffff;
/// The payload of the PING at the end.
const LAST: &[u8] = b"the last";

impl Conversation for Talk {
    async fn with(&self, server: SocketAddr) -> String {
        let Ok(stream) = TcpStream::connect(server).await else { return "no connection".to_owned() };
        let mut client = Client { stream, heard: Heard::default() };
        if self.has_greeted {
            client.say(&[PREFACE, &frame(kind::SETTINGS, 0, 0, [])].concat()).await;
            while client.heard.settings == 0 && client.hear().await {}
            client.heard.settings = 0;
        }
        for (number, piece) in self.pieces.iter().enumerate() {
            let before = client.heard.clone();
            client.say(piece).await;
            let is_last = number + 1 == self.pieces.len();
            while !is_last && client.heard == before && client.hear().await {}
        }
        let mut probe = GET;
        probe[2] = (":path", "/probe");
        client.say(&request(PROBE, &probe)).await;
        while !client.heard.streams.contains_key(&PROBE) && client.hear().await {}
        client.say(&frame(kind::PING, 0, 0, LAST)).await;
        while !client.heard.is_over && client.hear().await {}
        client.heard.told()
    }
}

struct Client {
    stream: TcpStream,
    heard: Heard,
}

/// The result of a stream: the status, the body, and the code of a reset.
type Answer = [String; 3];

/// What a server has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Heard {
    streams: BTreeMap<u32, Answer>,
    connection: Vec<String>,
    /// How many of the client's SETTINGS frames are acknowledged.
    settings: usize,
    /// The last PING is answered.
    is_over: bool,
}

impl Client {
    /// The server may have closed the connection already. Its frames are read all the same.
    async fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads one frame. Returns whether there was one.
    async fn hear(&mut self) -> bool {
        let mut head = [0; 9];
        if self.stream.read_exact(&mut head).await.is_err() {
            return false;
        }
        let [a, b, c, kind, flags, number @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if self.stream.read_exact(&mut payload).await.is_err() {
            return false;
        }
        if kind == kind::SETTINGS && flags & flag::ACK == 0 {
            self.say(&frame(kind::SETTINGS, flag::ACK, 0, [])).await;
        }
        self.heard.note(kind, flags, u32::from_be_bytes(number), &payload);
        true
    }
}

impl Heard {
    fn note(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let code = |at| code::name(number(payload, at));
        match kind {
            kind::HEADERS => {
                let status =
                    code::status(payload).map_or_else(|| "?".to_owned(), |status| status.to_string());
                self.answer(stream)[0] += &status;
            }
            kind::DATA => self.answer(stream)[1] += &payload.escape_ascii().to_string(),
            kind::RST_STREAM => self.answer(stream)[2] = format!("reset {}", code(0)),
            kind::GOAWAY => self.connection.push(format!("goaway {}", code(4))),
            kind::SETTINGS if flags & flag::ACK != 0 => self.settings += 1,
            kind::PING if flags & flag::ACK != 0 && payload == LAST => self.is_over = true,
            kind::PING if flags & flag::ACK != 0 => self.connection.push("ping".to_owned()),
            _ => {}
        }
    }

    fn answer(&mut self, stream: u32) -> &mut Answer {
        self.streams.entry(stream).or_default()
    }

    fn told(mut self) -> String {
        self.streams.remove(&PROBE);
        let settings = (self.settings > 0).then(|| "settings".to_owned());
        let end = if self.is_over { "goes on" } else { "ends" };
        let streams = self.alike().into_iter().map(|(streams, told)| match streams {
            (first, last) if first == last => format!("{first}: {told}"),
            (first, last) => format!("{first}..{last}: {told}"),
        });
        let told: Vec<_> =
            streams.chain(settings).chain(self.connection.clone()).chain([end.to_owned()]).collect();
        told.join("; ")
    }

    /// Consecutive streams with the same result, from the first to the last.
    fn alike(&self) -> Vec<((u32, u32), String)> {
        let mut alike: Vec<((u32, u32), String)> = Vec::new();
        for (stream, answer) in &self.streams {
            let parts = answer.iter().filter(|part| !part.is_empty());
            let told = parts.map(String::as_str).collect::<Vec<_>>().join(" ");
            match alike.last_mut() {
                Some(((_, last), before)) if *last + 2 == *stream && *before == told => *last = *stream,
                _ => alike.push(((*stream, *stream), told)),
            }
        }
        alike
    }
}

fn number(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}
