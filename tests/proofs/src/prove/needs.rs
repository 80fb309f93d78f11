//! What a proof needs of the machine, looked at before anything is done: what is missing is said with what to do.

use std::path::Path;

/// For this the proof has to be root.
///
/// # Errors
/// A sentence: it is not.
pub(crate) fn root(why: &str) -> Result<(), String> {
    root_of(rustix::process::geteuid().is_root(), why)
}

fn root_of(is_root: bool, why: &str) -> Result<(), String> {
    if is_root { Ok(()) } else { Err(format!("{why}: run it as root")) }
}

/// A device that a module of the kernel makes.
///
/// # Errors
/// A sentence: there is none.
pub(crate) fn device(path: &str, module: &str) -> Result<(), String> {
    if Path::new(path).exists() { Ok(()) } else { Err(format!("no {path} here: {}", how(module))) }
}

/// How a machine comes to the devices of a module.
pub(crate) fn how(module: &str) -> String {
    format!("`modprobe {module}` on the machine; a container has to be started with `--privileged`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        assert_eq!(root_of(true, "mounts"), Ok(()));
        assert_eq!(root_of(false, "mounts"), Err("mounts: run it as root".into()));
        assert_eq!(device("/dev/null", "none"), Ok(()));
        let why = device("/dev/not-there", "fuse").unwrap_err();
        assert!(why.contains("no /dev/not-there") && why.contains("modprobe fuse"), "{why}");
        assert!(why.contains("--privileged"), "{why}");
    }
}
