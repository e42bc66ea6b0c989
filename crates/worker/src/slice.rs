//! How long the scheduler lets this thread run at a time.
#![expect(unsafe_code, reason = "sched_setattr(2), for which there is no safe function")]

use std::io;
use std::time::Duration;

/// A worker needs the CPU often and never for long. Since Linux 6.12, a thread that asks for short slices
/// comes before threads that compute for milliseconds. systemd and the bus compute so when a sibling is
/// replaced. This value costs nothing measurable. At a fifth of it, the context switches would reduce the
/// throughput.
const SLICE: Duration = Duration::from_micros(500);

/// Asks for short slices for the calling thread and the threads that it starts. An older kernel accepts this
/// and does nothing.
pub(crate) fn shorten() {
    if let Err(error) = set(SLICE) {
        tracing::debug!(%error, "failed to ask for short scheduler slices, responses may be slower on a busy machine");
    }
}

/// Does not change a thread with a scheduling policy other than the default.
fn set(slice: Duration) -> io::Result<()> {
    let mut attributes = get()?;
    let policy = i32::try_from(attributes.sched_policy).map_err(io::Error::other)?;
    if policy == libc::SCHED_OTHER {
        attributes.sched_runtime = u64::try_from(slice.as_nanos()).map_err(io::Error::other)?;
        // SAFETY: the kernel reads `size` bytes, and it has written `size` there itself.
        succeeded(unsafe {
            libc::syscall(libc::SYS_sched_setattr, CALLER, &raw const attributes, NO_FLAGS)
        })?;
    }
    Ok(())
}

fn get() -> io::Result<libc::sched_attr> {
    // SAFETY: zero is a value of each of its fields.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of_val(&attributes);
    // SAFETY: the kernel writes at most `size` bytes.
    succeeded(unsafe {
        libc::syscall(libc::SYS_sched_getattr, CALLER, &raw mut attributes, size, NO_FLAGS)
    })?;
    Ok(attributes)
}

const CALLER: libc::pid_t = 0;
const NO_FLAGS: libc::c_uint = 0;

fn succeeded(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slice_changes() {
        let before = get().unwrap();
        set(SLICE).unwrap();
        let after = get().unwrap();
        assert_eq!(
            (after.sched_policy, after.sched_nice, after.sched_flags),
            (before.sched_policy, before.sched_nice, before.sched_flags)
        );
        // A kernel without this setting reports 0.
        assert!([0, 500_000].contains(&after.sched_runtime), "{} ns", after.sched_runtime);
    }
}
