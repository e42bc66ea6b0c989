//! The message that a program prints before it ends, so that the journal shows it under the program's unit.
#![expect(unsafe_code, reason = "ioctl(2) with SIOCOUTQ")]

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long to wait for journald.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often to check whether journald has read the message.
const LOOK: Duration = Duration::from_millis(2);

/// Prints on stderr why this program ends, and waits until the reader has read it, for at most a second or
/// two. If stderr takes no message, it is lost.
///
/// When journald first hears of a process, it looks up its unit in /proc. If the process has ended by then,
/// journald finds no unit, and `journalctl -u` does not show the message.
#[expect(
    clippy::disallowed_methods,
    reason = "the program is about to end, and serves no client that it would keep waiting"
)]
pub fn last_words(words: &str) {
    let begun = Instant::now();
    let stderr = std::io::stderr();
    // A stderr that is full, closed, or has no reader must not delay the end of the program.
    if has_room(stderr.as_fd()) {
        let _ = writeln!(stderr.lock(), "{words}");
    }
    while is_unread(stderr.as_fd()) && begun.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
    }
    // journald has read the message, and looks up the unit now.
    std::thread::sleep(LOOK);
}

/// Whether stderr takes a line without blocking, within the time.
fn has_room(stderr: BorrowedFd<'_>) -> bool {
    let mut wanted = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    let patience = Timespec::try_from(PATIENCE).ok();
    poll(&mut wanted, patience.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Whether the peer of this socket has not read everything yet (unix(7), `SIOCOUTQ`). For a descriptor that
/// is no socket, the answer is no.
fn is_unread(socket: BorrowedFd<'_>) -> bool {
    let mut unread: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the call, and the kernel writes one integer to `unread`.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) };
    rustix::net::sockopt::socket_type(socket).is_ok() && result == 0 && unread > 0
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_sent_is_unread_until_it_is_read() {
        let (mut process, mut journal) = UnixStream::pair().unwrap();
        assert!(!is_unread(process.as_fd()));
        process.write_all(b"failed to start\n").unwrap();
        assert!(is_unread(process.as_fd()));
        let mut buffer = [0; 64];
        assert_eq!(journal.read(&mut buffer).unwrap(), 16);
        assert!(!is_unread(process.as_fd()));
    }

    #[test]
    fn what_is_full_has_no_room_and_what_is_closed_is_no_hindrance() {
        let (process, journal) = UnixStream::pair().unwrap();
        assert!(has_room(process.as_fd()));
        process.set_nonblocking(true).unwrap();
        while (&process).write(&[0; 4096]).is_ok() {}
        assert!(!has_room(process.as_fd()));
        drop(journal);
        assert!(has_room(process.as_fd()));
    }

    #[test]
    fn a_file_is_not_waited_for() {
        assert!(!is_unread(std::fs::File::open("/dev/null").unwrap().as_fd()));
    }
}
