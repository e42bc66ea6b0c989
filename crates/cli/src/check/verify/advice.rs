//! What to write instead of what systemd does not accept.

use config::spelling;

use super::keys::Keys;
use super::said::quoted;
use crate::check::unit::Unit;
use crate::check::unit_file::Assignment;

/// The sections that the units of the cluster have.
const SECTIONS: [&str; 4] = ["Unit", "Service", "Socket", "Slice"];

/// Limits that are not sizes. For them, systemd accepts no K, M or G (systemd.exec(5)).
const COUNTS: [&str; 5] = ["LimitNOFILE", "LimitNPROC", "LimitLOCKS", "LimitSIGPENDING", "LimitNICE"];

/// Advice on a line; `at` is the assignment there.
pub(super) fn of_line(keys: &Keys, message: &str, at: Option<&Assignment>) -> String {
    if let Some(section) = quoted(message, "Unknown section '") {
        return match spelling::nearest(section, keys.sections()) {
            Some(known) => format!("write [{known}]"),
            None => "remove the section".to_owned(),
        };
    }
    if message.starts_with("Assignment outside of section") {
        return "write [Unit] above it".to_owned();
    }
    if message.contains("resolve specifiers") {
        return "write %% for each %".to_owned();
    }
    if message.starts_with("Missing '='") {
        return "write Key=value".to_owned();
    }
    if message.starts_with("Invalid section header") {
        return "write ] after its name".to_owned();
    }
    let Some(at) = at else { return "correct the line".to_owned() };
    if message.starts_with("Unknown key") { of_unknown_key(keys, at) } else { of_value(keys, at) }
}

fn of_unknown_key(keys: &Keys, at: &Assignment) -> String {
    let elsewhere = SECTIONS.into_iter().find(|section| keys.kind(section, &at.key).is_some());
    if let Some(section) = elsewhere {
        return format!("write it under [{section}]");
    }
    match spelling::nearest(&at.key, keys.of_section(&at.section)) {
        Some(known) => format!("write {known}={}", at.value),
        None => "remove the line".to_owned(),
    }
}

fn of_value(keys: &Keys, at: &Assignment) -> String {
    let key = &at.key;
    match keys.kind(&at.section, key).map(|kind| kind.split(' ').next().unwrap_or(kind)) {
        Some("SECONDS") => format!("write {key}=10s, or another number of ms, s, min or h"),
        Some("BOOLEAN") => format!("write {key}=yes or {key}=no"),
        Some("LIMIT") if COUNTS.contains(&key.as_str()) => {
            format!("write {key}=65536, or another number, or infinity")
        }
        Some("LIMIT") => format!("write {key}=512M, or another number of K, M or G, or infinity"),
        Some("SOCKET") => format!(
            "write {key}=127.0.0.1:8080 or {key}=[::1]:8080, an address in figures and a port from 1 to 65535, or \
             {key}=/run/NAME.sock"
        ),
        Some("UNSIGNED" | "INTEGER") => format!("write {key}= and a number"),
        _ => format!("write what `man systemd.directives` has for {key}="),
    }
}

/// The assignment that systemd means if it names only the unit.
pub(super) fn assignment_behind<'a>(unit: &'a Unit, message: &str) -> Option<&'a Assignment> {
    if let Some((_, rest)) = message.split_once("Command ") {
        let command = rest.split_once(" is not executable").map_or(rest, |(command, _)| command);
        return unit.all().iter().rfind(|a| a.key.starts_with("Exec") && a.value.contains(command));
    }
    if message.contains("accepting socket units") {
        return unit.last("Socket", "Accept");
    }
    // "Service has more than one ExecStart= setting", "Unit has no Listen setting (ListenStream=, ListenDatagram=, …)"
    let key = message
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '=')
        .find_map(|word| word.strip_suffix('='))?;
    unit.all().iter().rfind(|a| a.key == key)
}

/// Advice on a unit as a whole.
pub(super) fn of_unit(name: &str, message: &str) -> String {
    if message.contains("more than one ExecStart=") {
        return "write an empty ExecStart= on the line above it".to_owned();
    }
    if message.contains("has no ExecStart=") {
        return "write ExecStart= and the path of a program".to_owned();
    }
    if message.contains("has no Listen setting") {
        return "write ListenStream= and an address".to_owned();
    }
    if message.contains("is not executable") {
        return "write the path of a program that is there, or install it".to_owned();
    }
    if message.contains("accepting socket units") {
        return "write Accept=no".to_owned();
    }
    format!("correct it with `systemctl edit {name}`")
}
