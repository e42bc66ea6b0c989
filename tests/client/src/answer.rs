//! Parses a response in the bytes received so far (RFC 9112).

use std::ops::Range;

use crate::Failure;

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// What it says about the connection.
    pub connection: Persistence,
    /// The body, without the chunked coding.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether an HTTP/1.1 client has to open another connection for the next request.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.connection == Persistence::Closes
    }
}

/// Whether a response says that its connection takes another request (RFC 9112 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It says `close`, or it is HTTP/1.0 and says nothing.
    Closes,
    /// It says `keep-alive`.
    Keeps,
    /// It is HTTP/1.1 and says nothing. An HTTP/1.1 client keeps the connection, an HTTP/1.0 client closes
    /// it.
    Silent,
}

/// The head of a response, and what it says about the rest.
struct Head {
    length: usize,
    status: u16,
    connection: Persistence,
    body: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Answer {
    /// Parses one response at the beginning of `received`. Returns the response and its length, or `None` if
    /// it is not complete.
    ///
    /// # Errors
    /// [`Failure::Malformed`].
    pub fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, Failure> {
        let Some(head) = parse_head(received)? else {
            return Ok(None);
        };
        let rest = &received[head.length..];
        let body = match head.body {
            Framing::Length(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
            Framing::Chunked => parse_chunks(rest)?,
        };
        Ok(body.map(|(body, length)| {
            (Self { status: head.status, connection: head.connection, body }, head.length + length)
        }))
    }
}

fn parse_head(received: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    let length = match answer.parse(received).map_err(|_| Failure::Malformed)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let header = |name: &str| {
        let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.trim_ascii())
    };
    let body = match (header("content-length"), header("transfer-encoding")) {
        (Some(length), None) => Framing::Length(parse_length(length)?),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        // A body that ends with the connection: a client could not tell a cut from the end.
        _ => return Err(Failure::Malformed),
    };
    let is_old = answer.version == Some(0);
    let connection = parse_connection(answer.headers, is_old)?;
    let status = answer.code.ok_or(Failure::Malformed)?;
    Ok(Some(Head { length, status, connection, body }))
}

fn parse_connection(headers: &[httparse::Header<'_>], is_old: bool) -> Result<Persistence, Failure> {
    let says = |name: &[u8]| {
        let named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("connection"));
        let mut options = named.flat_map(|header| header.value.split(|byte| *byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
    };
    match (says(b"close"), says(b"keep-alive")) {
        // Some clients obey the first of them, others the second.
        (true, true) => Err(Failure::Malformed),
        (true, false) => Ok(Persistence::Closes),
        (false, true) => Ok(Persistence::Keeps),
        (false, false) => Ok(if is_old { Persistence::Closes } else { Persistence::Silent }),
    }
}

fn parse_length(text: &[u8]) -> Result<usize, Failure> {
    let text = std::str::from_utf8(text).map_err(|_| Failure::Malformed)?;
    text.parse().map_err(|_| Failure::Malformed)
}

/// Parses a chunked body without trailers. Returns its content and its length.
fn parse_chunks(received: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Failure> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some((chunk, next)) = parse_chunk(received, at)? else {
            return Ok(None);
        };
        if chunk.is_empty() {
            return Ok(Some((body, next)));
        }
        body.extend_from_slice(&received[chunk]);
        at = next;
    }
}

/// Returns the content of the chunk at `at`, and the beginning of the next one.
fn parse_chunk(received: &[u8], at: usize) -> Result<Option<(Range<usize>, usize)>, Failure> {
    let size = httparse::parse_chunk_size(&received[at..]).map_err(|_| Failure::Malformed)?;
    let httparse::Status::Complete((line, size)) = size else {
        return Ok(None);
    };
    let size = usize::try_from(size).map_err(|_| Failure::Malformed)?;
    let begin = at + line;
    let end = begin.checked_add(size).ok_or(Failure::Malformed)?;
    match received.get(end..end.saturating_add(2)) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((begin..end, end + 2))),
        Some(_) => Err(Failure::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::Persistence::{Closes, Keeps, Silent};
    use super::*;

    fn answer(status: u16, connection: Persistence, body: &str) -> Answer {
        Answer { status, connection, body: body.into() }
    }

    /// Parses every prefix: only the whole text is a response.
    fn parse(text: &str) -> Answer {
        for length in 0..text.len() {
            assert_eq!(Answer::parse(&text.as_bytes()[..length]), Ok(None), "{:?}", &text[..length]);
        }
        let (answer, length) = Answer::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        answer
    }

    #[test]
    fn bodies_with_a_length() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), answer(200, Silent, "hi"));
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(parse(old), answer(200, Closes, "hi"));
        let closing = "HTTP/1.1 503 Busy\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(parse(closing), answer(503, Closes, ""));
    }

    #[test]
    fn connections_that_are_kept() {
        let kept = "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(parse(kept), answer(200, Keeps, "hi"));
        let upgradable = "HTTP/1.1 200 OK\r\nconnection: upgrade , CLOSE\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(parse(upgradable), answer(200, Closes, "hi"));
    }

    #[test]
    fn chunked_bodies() {
        let text =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(text), answer(200, Silent, "abcde"));
    }

    #[test]
    fn what_follows_is_left() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1";
        assert_eq!(Answer::parse(text), Ok(Some((answer(200, Silent, "hi"), text.len() - 8))));
    }

    #[test]
    fn nonsense_is_malformed() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
            "HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert_eq!(Answer::parse(text.as_bytes()), Err(Failure::Malformed), "{text:?}");
        }
    }
}
