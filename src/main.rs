//! `sigillo`: the command line.

fn main() {}
