//! Why a worker could not serve.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Why a worker could not serve. All of these happen before READY=1.
///
/// `Debug` prints the same text with all causes, because a `main` that returns this error prints it that way.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `LISTEN_FDS` is not set.
    #[error(
        "no socket was passed by systemd: for a worker of a cluster `app-cluster check` says why, any other unit needs Sockets=; without systemd, for development only, start it with --listen 127.0.0.1:3000"
    )]
    NoSocket,
    /// `LISTEN_PID` names another process, usually the shell that has started this one.
    #[error(
        "systemd has passed its sockets to process {pid}, and this one is {}: a script has to start this program with `exec`, see app-cluster-worker(7)",
        std::process::id()
    )]
    PassedToAnother {
        /// The process that the sockets are for.
        pid: u32,
    },
    /// systemd passed sockets, but none of them has the wanted name in `LISTEN_FDNAMES`.
    #[error(
        "no socket named \"{wanted}\" was passed by systemd, only \"{passed}\": set FileDescriptorName={wanted} in the socket unit"
    )]
    NoSuchName {
        /// The name that was looked for.
        wanted: String,
        /// The names that were passed, separated by colons.
        passed: String,
    },
    /// A file descriptor of that name is not a stream socket of IPv4, IPv6 or unix(7).
    #[error(
        "socket \"{name}\" is neither a TCP nor a unix stream listener: set ListenStream= to an address and port, or to a path, in the socket unit"
    )]
    NotStream {
        /// The socket's name.
        name: String,
        /// What the descriptor is instead.
        source: io::Error,
    },
    /// The file descriptor is a connection.
    #[error("socket \"{name}\" does not listen: set Accept=no in the socket unit")]
    NotListening {
        /// The socket's name.
        name: String,
    },
    /// `O_NONBLOCK` is off. The flag belongs to the socket, not to the process. A worker that set it would
    /// set it for every process that shares the socket, and the next process could clear it again.
    #[error(
        "socket \"{name}\" is in blocking mode: set NonBlocking=yes in this unit and in every unit that shares the socket"
    )]
    Blocking {
        /// The socket's name.
        name: String,
    },
    /// The value of `--listen` is not an address.
    #[error("--listen {value:?} is not an address and port, such as 127.0.0.1:3000 or [::1]:3000")]
    Address {
        /// The value.
        value: String,
    },
    /// The program cannot listen on the address for development.
    #[error("failed to listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused an operation.
    #[error("failed to {operation}")]
    System {
        /// The operation, in the infinitive.
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// Whether the unit or its environment must be changed first, so that a restart cannot help. The program
    /// should then exit with status 78 (`EX_CONFIG`, `sysexits.h`), which `RestartPreventExitStatus=78` in
    /// the unit understands.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::System { .. })
    }

    /// The status with which a program should exit: 78 if the unit or its environment must be changed first,
    /// else 1.
    pub fn exit_code(&self) -> ExitCode {
        const EX_CONFIG: u8 = 78;
        if self.is_configuration() { EX_CONFIG.into() } else { ExitCode::FAILURE }
    }

    pub(crate) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}

/// Like `Display`, with all causes.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_that_returns_it_tells_people_what_is_wrong() {
        let source = io::Error::from_raw_os_error(libc::EADDRINUSE);
        let address = SocketAddr::from(([127, 0, 0, 1], 3000));
        let told = format!("{:?}", Error::Bind { address, source });
        assert_eq!(told, "failed to listen on 127.0.0.1:3000: Address already in use (os error 98)");
        assert!(format!("{:?}", Error::NoSocket).starts_with("no socket was passed by systemd"));
    }
}
