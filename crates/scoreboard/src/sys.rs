//! The two things that need unsafe code: memory that other processes write to, and locks that the kernel
//! drops.
#![expect(unsafe_code, reason = "maps memory that is shared with other processes, and calls fcntl(2)")]

mod lock;
mod memory;

pub(crate) use lock::{is_write_locked, try_lock};
pub(crate) use memory::Memory;
