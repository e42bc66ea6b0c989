//! Points at which tests let the orchestrator die. Without the feature `fault-points` they are nothing.

/// Dies here as by kill -9 if the file `fault-point` in the runtime directory holds this name and a number, and this
/// is the so manieth time that the point is passed.
#[cfg(feature = "fault-points")]
pub(crate) fn point(name: &str) {
    use std::fs;

    let path = std::path::Path::new("/run/app-cluster/fault-point");
    let Ok(text) = fs::read_to_string(path) else { return };
    let (wanted, count) = text.trim().split_once(' ').unwrap_or((text.trim(), "1"));
    if wanted != name {
        return;
    }
    // Written anew and not counted in memory, so that whoever looks at the file sees how far it is.
    let left: u32 = count.parse().unwrap_or(1);
    if left > 1 {
        let _ = fs::write(path, format!("{name} {}", left - 1));
    } else if fs::remove_file(path).is_ok() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(not(feature = "fault-points"))]
pub(crate) fn point(_name: &str) {}
