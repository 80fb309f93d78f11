//! Core dumps, other processes' reading, new privileges and swap, each read back from the kernel.

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{
        DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
    },
    thread::{CapabilitySet, capabilities, no_new_privs, set_no_new_privs},
};

use super::Error;

/// No core dumps, no other process of the same user that reads this one's memory or attaches to it, and no privileges
/// from a program that it starts (I2). An abort in a release build would else write codes and a token's PIN to disk.
/// Holds for all threads that are started afterwards. Starting the program again makes it readable: call it then too.
///
/// # Errors
/// The system refused, or does not confirm.
pub fn give_up() -> Result<(), Error> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(std::io::Error::from)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(std::io::Error::from)?;
    set_no_new_privs(true).map_err(std::io::Error::from)?;
    if getrlimit(Resource::Core) != none {
        return Err(Error::NotHeld("a core dump could be written"));
    }
    if dumpable_behavior().map_err(std::io::Error::from)? != DumpableBehavior::NotDumpable {
        return Err(Error::NotHeld("other processes of this user could read its memory"));
    }
    if !no_new_privs().map_err(std::io::Error::from)? {
        return Err(Error::NotHeld("new privileges could be gained"));
    }
    Ok(())
}

/// Whether this process may lock as much memory as it will ever have: no limit, or `CAP_IPC_LOCK`. A limit that
/// suffices now would make a later allocation fail.
pub fn may_lock_memory() -> bool {
    getrlimit(Resource::Memlock).current.is_none()
        || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

/// Keeps every page that this process has touched or will touch out of swap: its own buffers, the libraries', the
/// store's cache and the stacks.
///
/// # Errors
/// [`Error::MemoryLimit`] with the limit in force.
pub fn lock_memory() -> Result<(), Error> {
    if !may_lock_memory() {
        let limit = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
        return Err(Error::MemoryLimit(format!("{} KiB", limit >> 10)));
    }
    // Only what is touched counts: stacks and reserved ranges are not filled.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|error| Error::MemoryLimit(format!("not sufficient ({error})")))?;
    if status("VmLck:").is_none_or(|size| size == "0 kB") {
        return Err(Error::NotHeld("no memory is locked"));
    }
    Ok(())
}

/// A field of `/proc/self/status`.
pub(super) fn status(field: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned())
}
