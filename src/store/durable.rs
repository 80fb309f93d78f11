//! Makes sled's `flush` reach the disk.
//!
//! sled 0.34.7 writes its log with `sync_file_range(2)`, which syncs neither the file's size nor the disk's own
//! cache: acknowledged writes are lost in a power cut. Where that call fails with `ENOSYS` sled calls `fsync(2)`
//! instead, at the same places. So a seccomp filter makes it fail, for all threads of the process and for good, and
//! lets everything else pass. Seen from outside:
//! `strace -f -c -e trace=fsync,fdatasync,sync_file_range sigillo serve ...` counts a refused `sync_file_range` and
//! an `fsync` for every write of the log.
//!
//! The filter kills a process that runs code of another architecture (a 32-bit child): there is none here.
//! The only file with `unsafe`; it must never let a store be opened without the proof.

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64")
)))]
compile_error!("the sled store is durable on Linux only: aarch64, riscv64 or x86_64");

use std::{collections::BTreeMap, io};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

/// Why `sync_file_range` is not denied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be made.
    #[error("cannot make the seccomp filter that denies sync_file_range: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel does not take the filter.
    #[error("cannot install the seccomp filter that denies sync_file_range: {0}")]
    Install(#[from] seccompiler::Error),
    /// The kernel took the filter and the call still does something.
    #[error("sync_file_range is not denied, though its seccomp filter is installed")]
    NotDenied,
}

/// Makes `sync_file_range` fail with `ENOSYS` in all threads of this process and in its children, and proves it.
/// Does nothing where that is so already. Sets `no_new_privs`.
pub fn deny_sync_file_range() -> Result<(), Error> {
    if is_denied() {
        return Ok(());
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = BTreeMap::from([(libc::SYS_sync_file_range, Vec::new())]);
    let deny = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, deny, arch)?.try_into()?;
    apply_filter_all_threads(&filter)?;
    if is_denied() { Ok(()) } else { Err(Error::NotDenied) }
}

/// Whether `sync_file_range` fails with `ENOSYS`, found out by calling it on no file.
pub fn is_denied() -> bool {
    #[expect(unsafe_code, reason = "no crate wraps this call; with file -1 it touches no memory and no file")]
    // SAFETY: four integers go in, one comes out; -1 is never an open file.
    let result = unsafe { libc::sync_file_range(-1, 0, 0, 0) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}
