//! Plain axum behind a socket that systemd owns. It uses the package's own units, without the parts for
//! app-cluster.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

/// The path of its program.
pub(super) const PROGRAM: &str = "/opt/peers/plain-axum";

/// Its address. It differs from that of app-cluster, because the two take turns.
pub(super) const ADDRESS: &str = "127.0.0.1:8081";

/// The differences in `plain@.service`.
const WORKER: [(&str, &str); 5] = [
    ("PartOf=app-cluster.target\n", "PartOf=plain.target\n"),
    ("Sockets=app-cluster.socket\n", "Sockets=plain.socket\n"),
    ("ExecStart=/run/app-cluster/instances/%i/worker\n", "ExecStart=/opt/peers/plain-axum\n"),
    // Plain axum has no scoreboard, and feeds no watchdog.
    (
        "RuntimeDirectory=app-cluster/scoreboard\nRuntimeDirectoryMode=0750\nRuntimeDirectoryPreserve=yes\n",
        "",
    ),
    ("WatchdogSec=10s\n", ""),
];

/// The differences in `plain.socket`.
const SOCKET: [(&str, &str); 3] = [
    ("ListenStream=127.0.0.1:8080\n", "ListenStream=127.0.0.1:8081\n"),
    ("PartOf=app-cluster.target\n", "PartOf=plain.target\n"),
    ("Service=app-cluster.service\n", "Service=plain@1.service\n"),
];

const TARGET: &str = "\
[Unit]
Description=Plain axum: its socket and 4 workers
Wants=plain.socket plain@1.service plain@2.service plain@3.service plain@4.service
";

/// The units by name.
pub(super) fn units(root: &Path) -> Result<[(&'static str, String); 3]> {
    let read = |name: &str| {
        fs::read_to_string(root.join("units").join(name)).with_context(|| format!("failed to read {name}"))
    };
    Ok([
        ("plain@.service", replaced(read("worker@.service")?, &WORKER)?),
        ("plain.socket", replaced(read("app-cluster.socket")?, &SOCKET)?),
        ("plain.target", TARGET.to_owned()),
    ])
}

fn replaced(mut unit: String, lines: &[(&str, &str)]) -> Result<String> {
    for (ours, theirs) in lines {
        ensure!(unit.matches(&format!("\n{ours}")).count() == 1, "a unit has no line {}", ours.trim_end());
        unit = unit.replace(ours, theirs);
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_have_what_is_replaced() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let [(_, worker), (_, socket), _] = units(root).unwrap();
        assert!(socket.contains(&format!("\nListenStream={ADDRESS}\n")), "{socket}");
        for unit in [worker, socket] {
            let left =
                unit.lines().filter(|line| !line.starts_with(['#', 'D']) && line.contains("app-cluster"));
            let left: Vec<_> = left.collect();
            let shared = ["User=app-cluster-worker", "Slice=app-cluster.slice"];
            assert!(left.iter().all(|line| shared.contains(line)), "{left:?}");
        }
        assert!(replaced("[Service]\n".to_owned(), &WORKER).is_err());
    }
}
