//! Processors that do not fall asleep while times are measured: how long one takes to wake is a large part of the noise of an
//! answer, most of all in a virtual machine.

use std::{
    process::{Child, Command, Stdio},
    thread::available_parallelism,
};

/// One process for each processor that does nothing, and runs only where nobody else would (`SCHED_IDLE`). Ended when this is
/// dropped, and by themselves when this process is gone.
pub(crate) struct Awake(Vec<Child>);

impl Awake {
    /// # Errors
    /// A sentence: no `chrt` here.
    pub(crate) fn all() -> Result<Self, String> {
        let mut awake = Self(Vec::new());
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            let mut idle = Command::new("chrt");
            idle.args(["--idle", "0", "sh", "-c", "while kill -0 \"$0\"; do :; done"]);
            idle.arg(std::process::id().to_string()).stdin(Stdio::null()).stderr(Stdio::null());
            awake.0.push(idle.spawn().map_err(|e| format!("chrt, of util-linux: {e}"))?);
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for idle in &mut self.0 {
            // Nothing more can be done for a process that does not even die.
            let _killed = idle.kill();
            let _gone = idle.wait();
        }
    }
}
