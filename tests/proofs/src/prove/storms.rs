//! The storms that there are.

use sigillo::tls::Protocols::{self, Any, Http1, Http2};

use crate::blows::Blow;

/// One storm.
pub(crate) struct Storm {
    pub(crate) name: &'static str,
    /// Clients, each with connections of its own.
    pub(crate) clients: &'static [Protocols],
    /// Certificates that the clients have, in turn.
    pub(crate) front_ends: usize,
    pub(crate) guesses: usize,
    /// Idempotency keys, and with each its guess: fewer than guesses are repetitions.
    pub(crate) keys: usize,
    /// Whether one of the keys has the right code.
    pub(crate) right: bool,
    pub(crate) blow: Blow,
}

const PLAIN: Storm = Storm {
    name: "",
    clients: &[Http1, Http2],
    front_ends: 1,
    guesses: 64,
    keys: 64,
    right: true,
    blow: Blow::Nothing,
};

/// On an installation of its own; those without a blow also on one that runs already.
pub(crate) const STORMS: [Storm; 10] = [
    Storm { name: "one pool of HTTP/1.1 connections", clients: &[Http1], right: false, ..PLAIN },
    Storm { name: "streams of one HTTP/2 connection", clients: &[Http2], right: false, ..PLAIN },
    Storm {
        name: "six clients of both versions",
        clients: &[Http1, Http2, Http1, Http2, Any, Any],
        guesses: 192,
        keys: 192,
        right: false,
        ..PLAIN
    },
    Storm {
        name: "three front ends with certificates of their own",
        clients: &[Http1, Http2, Any],
        front_ends: 3,
        ..PLAIN
    },
    Storm { name: "the right code hidden among them", ..PLAIN },
    Storm { name: "keys repeated four times", keys: 16, ..PLAIN },
    Storm { name: "kill -9 in the middle, everything sent again", blow: Blow::Kill, ..PLAIN },
    Storm { name: "SIGSTOP for a second in the middle", blow: Blow::Stop, ..PLAIN },
    Storm {
        name: "the token gone and back in the middle, everything sent again",
        blow: Blow::Token,
        ..PLAIN
    },
    Storm {
        name: "a backup of the middle restored by two officers, everything sent again",
        blow: Blow::Restore,
        ..PLAIN
    },
];

/// On a store whose disk obeys: as root.
pub(crate) const ON_A_DISK: [Storm; 2] = [
    Storm { name: "the disk fails in the middle, everything sent again", blow: Blow::Disk, ..PLAIN },
    Storm {
        name: "the disk fails under three front ends, keys repeated",
        clients: &[Http1, Http2, Any],
        front_ends: 3,
        keys: 16,
        blow: Blow::Disk,
        ..PLAIN
    },
];
