//! Points at which tests let the orchestrator die. Without the feature `fault-points` they are nothing.

/// Dies here as by kill -9 if the file `fault-point` in the runtime directory holds this name, once.
#[cfg(feature = "fault-points")]
pub(crate) fn point(name: &str) {
    let path = std::path::Path::new("/run/app-cluster/fault-point");
    if std::fs::read_to_string(path).is_ok_and(|wanted| wanted.trim() == name)
        && std::fs::remove_file(path).is_ok()
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(not(feature = "fault-points"))]
pub(crate) fn point(_name: &str) {}
