//! The command line: one file per command.

pub mod hsm;
pub mod reexec;
