//! What a program says before it ends, so that it is found where people look for it.
#![expect(unsafe_code, reason = "ioctl(2) with SIOCOUTQ")]

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long journald is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether it has read.
const LOOK: Duration = Duration::from_millis(2);

/// Says on stderr why this program ends, and waits until that has been read, for a second or two at most. What cannot be
/// said is lost.
///
/// journald looks in /proc for the unit of a process when it hears of it first. Of one that has ended meanwhile it finds
/// none, and `journalctl -u` does not show what it has said.
#[expect(
    clippy::disallowed_methods,
    reason = "the program is about to end, and serves no client that it would keep waiting"
)]
pub fn last_words(words: &str) {
    let begun = Instant::now();
    let stderr = std::io::stderr();
    // What is full, or closed, or has nothing at its other end, keeps no program from its end.
    if has_room(stderr.as_fd()) {
        let _ = writeln!(stderr.lock(), "{words}");
    }
    while is_unread(stderr.as_fd()) && begun.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
    }
    // It has read, and looks now.
    std::thread::sleep(LOOK);
}

/// Whether this takes a line without waiting, within the time that there is.
fn has_room(stderr: BorrowedFd<'_>) -> bool {
    let mut wanted = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    let patience = Timespec::try_from(PATIENCE).ok();
    poll(&mut wanted, patience.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Whether the other end of this socket has not read all that was sent on it (unix(7), `SIOCOUTQ`). Nothing else is a socket.
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
