//! Every number that bounds a connection or a request, with its default.

use std::time::Duration;

use serde::Deserialize;

use super::BodyLimits;

/// Bounds of the API's listener. Absent keys have the defaults of [`Limits::default`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Authenticated connections at one time; further ones are closed.
    pub max_connections: usize,
    /// Connections that have not finished their TLS handshake; further ones are closed. Strangers can fill
    /// these places, never those of authenticated peers.
    pub max_handshakes: usize,
    /// Time for a TLS handshake, ms.
    pub handshake_ms: u64,
    /// HTTP/1.1: time from the end of one answer to the last header of the next request, ms. So it bounds slow
    /// headers and idle connections alike; clients must drop idle connections sooner.
    pub header_ms: u64,
    /// Request line and headers together, bytes. Forwarded certificate chains are in headers.
    pub header_bytes: u32,
    /// Headers of one request (HTTP/1.1).
    pub header_count: usize,
    /// Time for the body of a request, ms.
    pub body_ms: u64,
    /// Body of an ordinary request, bytes.
    pub body_bytes: usize,
    /// Body of a batch, bytes.
    pub batch_bytes: usize,
    /// Time that a write may wait for the peer to read, ms.
    pub write_stall_ms: u64,
    /// Age at which a connection is drained, ms, so that peers come back under the revocation lists in force.
    /// It ends with the peer's certificate if that is sooner.
    pub connection_age_ms: u64,
    /// Age at which a backup on its way is ended, ms, whole or not. Its connection's age and drain end it too.
    pub backup_age_ms: u64,
    /// Time that running requests have to finish when a connection or the server is drained, ms.
    pub drain_ms: u64,
    /// HTTP/2: requests running at one time on a connection.
    pub h2_streams: u32,
    /// HTTP/2: time between pings, ms.
    pub h2_ping_ms: u64,
    /// HTTP/2: time for the answer to a ping, ms.
    pub h2_ping_answer_ms: u64,
    /// HTTP/2: streams that the peer reset before they were looked at (rapid reset); more end the connection.
    pub h2_pending_resets: usize,
    /// HTTP/2: streams that had to be reset for the peer's faults; more end the connection.
    pub h2_error_resets: usize,
}

/// Longest body of an ordinary request, bytes: what one field of a MAC's message can hold (`domain::encoding`).
const BODY_MAX: usize = 65_535;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_handshakes: 128,
            handshake_ms: 5_000,
            header_ms: 10_000,
            header_bytes: 32 << 10,
            header_count: 64,
            body_ms: 10_000,
            body_bytes: BODY_MAX,
            batch_bytes: 16 << 20,
            write_stall_ms: 20_000,
            connection_age_ms: 3_600_000,
            backup_age_ms: 3_600_000,
            drain_ms: 20_000,
            h2_streams: 128,
            h2_ping_ms: 20_000,
            h2_ping_answer_ms: 10_000,
            h2_pending_resets: 20,
            h2_error_resets: 64,
        }
    }
}

/// A limit that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: must be from {least} to {most}")]
pub struct LimitError {
    /// The key.
    pub key: &'static str,
    /// Least value allowed.
    pub least: u64,
    /// Greatest value allowed.
    pub most: u64,
}

/// Longest time allowed, ms: a day.
const DAY_MS: u64 = 86_400_000;

impl Limits {
    /// Refuses values that would switch a limit off or stop all work.
    ///
    /// # Errors
    /// [`LimitError`] for the first key that is out of range.
    pub fn check(&self) -> Result<(), LimitError> {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (key, value, least, most) in [
            ("max_connections", count(self.max_connections), 1, 1_000_000),
            ("max_handshakes", count(self.max_handshakes), 1, 1_000_000),
            ("handshake_ms", self.handshake_ms, 1, DAY_MS),
            ("header_ms", self.header_ms, 1, DAY_MS),
            ("header_bytes", u64::from(self.header_bytes), 1024, 1 << 20),
            ("header_count", count(self.header_count), 8, 1024),
            ("body_ms", self.body_ms, 1, DAY_MS),
            ("body_bytes", count(self.body_bytes), 1, count(BODY_MAX)),
            ("batch_bytes", count(self.batch_bytes), 1, 1 << 30),
            ("write_stall_ms", self.write_stall_ms, 1, DAY_MS),
            ("connection_age_ms", self.connection_age_ms, 1, DAY_MS),
            ("backup_age_ms", self.backup_age_ms, 1, DAY_MS),
            ("drain_ms", self.drain_ms, 0, DAY_MS),
            ("h2_streams", u64::from(self.h2_streams), 1, 10_000),
            ("h2_ping_ms", self.h2_ping_ms, 1, DAY_MS),
            ("h2_ping_answer_ms", self.h2_ping_answer_ms, 1, DAY_MS),
            ("h2_pending_resets", count(self.h2_pending_resets), 1, 10_000),
            ("h2_error_resets", count(self.h2_error_resets), 1, 10_000),
        ] {
            if value < least || value > most {
                return Err(LimitError { key, least, most });
            }
        }
        Ok(())
    }

    /// Bounds of an ordinary request's body.
    pub const fn body(&self) -> BodyLimits {
        BodyLimits { bytes: self.body_bytes, time: Duration::from_millis(self.body_ms) }
    }

    /// Bounds of a batch's body.
    pub const fn batch(&self) -> BodyLimits {
        BodyLimits { bytes: self.batch_bytes, time: Duration::from_millis(self.body_ms) }
    }

    /// How long a backup may take.
    pub const fn backup_age(&self) -> Duration {
        Duration::from_millis(self.backup_age_ms)
    }

    /// How long a streamed answer may wait for its receiver.
    pub const fn stall(&self) -> Duration {
        Duration::from_millis(self.write_stall_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_unknown_or_senseless_keys_are_refused() {
        let limits: Limits = toml::from_str("").unwrap();
        assert_eq!(limits, Limits::default());
        limits.check().unwrap();
        assert!(toml::from_str::<Limits>("max_conections = 1").is_err());
        let limits: Limits = toml::from_str("max_handshakes = 0").unwrap();
        assert_eq!(limits.check().unwrap_err().to_string(), "max_handshakes: must be from 1 to 1000000");
    }
}
