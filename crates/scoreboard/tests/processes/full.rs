//! The board on a full `/run`.

use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use scoreboard::{Error, Reader};

use crate::other_process::{self, OtherProcess};
use crate::{claim, place, read};

/// One page for the header, eight for the table of seats, and one for a slot: 40 KiB.
const MOUNT: &str =
    r#"mount -t tmpfs -o size="$SIZE" tmpfs "$(dirname "$SCOREBOARD_TEST_BOARD")" && exec "$0" "$@""#;

/// This test needs a mount namespace. So it needs root, or a system that lets any user create one together
/// with a user namespace.
#[test]
fn a_full_file_system_is_an_error_on_the_way_up_and_no_death_later() {
    for size in ["40k", "32k"] {
        let (_dir, path) = place();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", MOUNT]).env("SIZE", size);
        drop(OtherProcess::run(&mut command, "full", &path, 1).wait());
    }
}

/// What the other process does. Its file system has room for one slot, or not even for the table.
pub(crate) fn in_a_full_file_system(path: &Path) {
    if std::env::var("SIZE").as_deref() == Ok("32k") {
        assert_full(claim(path, 1, "1").expect_err("it is full"));
        assert!(matches!(Reader::open(path).expect_err("it is full"), Error::TooShort { .. }));
    } else {
        let slot = claim(path, 2, "1").expect("there is room for one");
        assert_full(claim(path, 1, "1").expect_err("it is full"));
        slot.ready();
        let _connection = slot.accepted();
        assert_eq!(read(path, 2).expect("it was claimed").record.counters.accepts, 1);
        assert_eq!(read(path, 1), None);
    }
    other_process::done();
}

fn assert_full(error: Error) {
    let Error::System { source, .. } = error else { panic!("{error}") };
    assert_eq!(Errno::from_io_error(&source), Some(Errno::NOSPC));
}
