//! The environment of the reference worker.

use std::env::VarError;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use reference_worker::settings::Settings;

/// Environment variables, separated by NUL: `APP_CLUSTER_LINGER=2s`.
pub(crate) fn run(bytes: &[u8]) {
    let variables: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .filter_map(|variable| {
            let equals = variable.iter().position(|byte| *byte == b'=')?;
            Some((&variable[..equals], &variable[equals + 1..]))
        })
        .collect();
    let read = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name.as_bytes());
        let (_, value) = found.ok_or(VarError::NotPresent)?;
        let value = OsString::from_vec(value.to_vec());
        value.into_string().map_err(VarError::NotUnicode)
    };
    match Settings::read(read) {
        Ok(settings) => assert!(settings.linger <= settings.drain, "{settings:?}"),
        Err(invalid) => {
            // The message becomes one line of the journal.
            let line = invalid.to_string();
            assert!(line.starts_with("APP_CLUSTER_") && !line.contains(char::is_control), "{line:?}");
        }
    }
}
