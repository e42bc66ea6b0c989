//! Every way in which a request can be lost.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a request was lost. The text form (`connect-refused`, `status-503`) is the key in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Failure {
    /// No socket listens.
    ConnectRefused,
    /// The connection was reset or closed before it was established, or before its first request was sent.
    ConnectReset,
    /// The connection was not established in time.
    ConnectTimeout,
    /// The system could not connect for another reason, most likely because of this client's own limits.
    ConnectOther,
    /// The connection was closed before the next request was sent, and the response before it had not
    /// announced that.
    ClosedUnannounced,
    /// A reset arrived before the whole request was sent. Few clients look for a response then.
    ResetInRequest,
    /// The request was sent, and a reset arrived before any byte of the response.
    ResetBeforeAnswer,
    /// A reset arrived in the middle of the response.
    ResetInAnswer,
    /// The request was sent, and the connection was closed without a response.
    EofBeforeAnswer,
    /// The connection was closed in the middle of the response.
    Truncated,
    /// The response was late or never arrived.
    Timeout,
    /// The response has an unexpected status. Expected is 200, or 404 for a path that does not exist.
    Status(u16),
    /// The bytes are no HTTP/1.1 response, or its end looks the same as a cut, or more than one response
    /// arrived, or the response says both `close` and `keep-alive`.
    Malformed,
    /// The echo differs from the request.
    WrongBody,
}

/// All but [`Failure::Status`], with their names.
const NAMES: [(Failure, &str); 13] = [
    (Failure::ConnectRefused, "connect-refused"),
    (Failure::ConnectReset, "connect-reset"),
    (Failure::ConnectTimeout, "connect-timeout"),
    (Failure::ConnectOther, "connect-other"),
    (Failure::ClosedUnannounced, "closed-unannounced"),
    (Failure::ResetInRequest, "reset-in-request"),
    (Failure::ResetBeforeAnswer, "reset-before-answer"),
    (Failure::ResetInAnswer, "reset-in-answer"),
    (Failure::EofBeforeAnswer, "eof-before-answer"),
    (Failure::Truncated, "truncated"),
    (Failure::Timeout, "timeout"),
    (Failure::Malformed, "malformed"),
    (Failure::WrongBody, "wrong-body"),
];

impl Failure {
    /// Whether the connection could not be established.
    pub fn is_connect(self) -> bool {
        matches!(self, Self::ConnectRefused | Self::ConnectReset | Self::ConnectTimeout | Self::ConnectOther)
    }

    /// Whether any byte of the request was sent.
    pub fn has_left(self) -> bool {
        !self.is_connect() && self != Self::ClosedUnannounced
    }

    /// Whether an open connection ends like this when its server's process dies. At most one request per
    /// connection is lost then.
    pub fn is_cut(self) -> bool {
        matches!(
            self,
            Self::ClosedUnannounced
                | Self::ResetInRequest
                | Self::ResetBeforeAnswer
                | Self::ResetInAnswer
                | Self::EofBeforeAnswer
                | Self::Truncated
        )
    }

    pub(crate) fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectRefused,
            io::ErrorKind::ConnectionReset => Self::ConnectReset,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            _ => Self::ConnectOther,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status-{status}"),
            failure => {
                let name = NAMES.iter().find(|(named, _)| named == failure).map(|(_, name)| *name);
                f.pad(name.unwrap_or("unnamed"))
            }
        }
    }
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(status) = text.strip_prefix("status-").and_then(|status| status.parse().ok()) {
            return Ok(Self::Status(status));
        }
        let named = NAMES.iter().find(|(_, name)| *name == text);
        named.map(|(failure, _)| *failure).ok_or_else(|| format!("no failure is called {text:?}"))
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.to_string()
    }
}

impl TryFrom<String> for Failure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_read_back() {
        for failure in NAMES.iter().map(|(failure, _)| *failure).chain([Failure::Status(503)]) {
            assert_eq!(failure.to_string().parse(), Ok(failure));
        }
        assert!("unnamed".parse::<Failure>().is_err());
    }
}
