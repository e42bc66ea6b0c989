//! The names that systemd passes with its sockets, and the arguments of a developer.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use app_cluster_worker::fuzzing::{development_address, indices};

/// The names, the wanted name, and the arguments, separated by NUL.
pub(crate) fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (names, name) = (text(), text());
    let with_it: Vec<_> =
        names.split(':').enumerate().filter(|(_, passed)| **passed == name).map(|(at, _)| at).collect();
    assert_eq!(indices(&names, &name), with_it);

    match development_address(parts.map(|part| OsString::from_vec(part.to_vec()))) {
        Ok(Some(address)) => {
            let again = ["--listen".into(), address.to_string().into()].into_iter();
            assert_eq!(development_address(again).ok().flatten(), Some(address));
        }
        Ok(None) => assert!(!bytes.windows(9).any(|window| window == b"\0--listen") || !has_argument(bytes)),
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

fn has_argument(bytes: &[u8]) -> bool {
    let mut arguments = bytes.split(|byte| *byte == 0).skip(2);
    arguments.any(|argument| argument == b"--listen" || argument.starts_with(b"--listen="))
}
