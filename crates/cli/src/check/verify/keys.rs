//! The settings that systemd knows: its sections, their keys, and the kind of value of each key.

use std::process::Command;

/// The settings of the installed systemd.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Section, key, kind of value.
    known: Vec<(String, String, String)>,
}

impl Keys {
    /// The settings that the systemd of this machine lists; none if it does not. An image is not trusted: the check
    /// executes nothing below its root.
    pub(super) fn of_systemd() -> Self {
        let output =
            Command::new("/lib/systemd/systemd").arg("--dump-configuration-items").env_clear().output();
        output.map(|output| Self::parse(&String::from_utf8_lossy(&output.stdout))).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut section = "";
        let mut known = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((key, kind)) = line.split_once('=') {
                known.push((section.to_owned(), key.to_owned(), kind.to_owned()));
            }
        }
        Self { known }
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|(section, ..)| section.as_str())
    }

    pub(super) fn of_section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        self.known.iter().filter(move |(of, ..)| of == section).map(|(_, key, _)| key.as_str())
    }

    /// The kind of value that a key takes: `SECONDS`, `BOOLEAN`.
    pub(super) fn kind(&self, section: &str, key: &str) -> Option<&str> {
        self.known.iter().find(|(of, known, _)| of == section && known == key).map(|(.., kind)| kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_lists_its_settings() {
        let keys = Keys::of_systemd();
        assert_eq!(keys.kind("Service", "WatchdogSec"), Some("SECONDS"));
        assert_eq!(keys.kind("Socket", "ListenStream"), Some("SOCKET [...]"));
        assert!(keys.of_section("Unit").any(|key| key == "After"));
        assert!(keys.sections().any(|section| section == "Slice"));
    }
}
