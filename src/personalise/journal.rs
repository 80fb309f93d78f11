//! The log of runs: an intent before any key of codes is asked, an outcome at the end, each with a checkpoint signed by the
//! authority's token. It has the form of an export of the audit log, so that `sigillo audit verify` and `sigillo audit
//! operations` read it. It must never be written on where it does not hold.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::Error;
use crate::domain::{
    audit::{Event, Head},
    checkpoint::{self, Claim, verify_export},
};

/// What the name of such a log ends with, after the authority's.
const SUFFIX: &str = "/personalise";

/// Whether a text begins as a checkpoint of such a log does.
pub(super) fn is_checkpoint(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().is_some_and(|line| line.starts_with("sigillo audit checkpoint v"));
    first && lines.next().is_some_and(|line| line.starts_with("log ") && line.ends_with(SUFFIX))
}

/// An open log, for one run at a time.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    head: Head,
    log: String,
    policy: String,
}

impl Journal {
    /// Opens the log, or begins it, and verifies it whole. A line that a power cut has left half-written is taken away: nothing
    /// was done after it.
    pub(super) fn open(path: &Path, key: &[u8], log: &str, policy: &str) -> Result<Self, Error> {
        let log = format!("{log}{SUFFIX}");
        let at = || Error::io(path);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)
            .map_err(at())?;
        if let Err(why) = file.try_lock() {
            return Err(Error::Refused(format!("{}: another run writes it ({why})", path.display())));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(at())?;
        let whole = whole(&text);
        let mut head = Head::EMPTY;
        if !whole.is_empty() {
            let verified = verify_export(whole.as_bytes(), key, &[], |at, _| head = *at);
            let verified = verified.map_err(|why| Error::Journal { file: path.to_owned(), why })?;
            if verified.newest.log != log {
                let of = verified.newest.log;
                return Err(Error::Refused(format!(
                    "{}: it is of log \"{of}\", not \"{log}\"",
                    path.display()
                )));
            }
        }
        let end = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        file.set_len(end).map_err(at())?;
        file.seek(SeekFrom::Start(end)).map_err(at())?;
        Ok(Self { file, path: path.to_owned(), head, log, policy: policy.to_owned() })
    }

    /// Adds an event and a checkpoint over it; both are durable then.
    pub(super) fn add(
        &mut self,
        event: &Event,
        sign: impl FnOnce(&str) -> Result<[u8; 64], Error>,
    ) -> Result<(), Error> {
        let full = || Error::Refused(format!("{}: the log is full", self.path.display()));
        let bytes = event.encode(self.head.seq.saturating_add(1), None);
        let head = self.head.next(&bytes).ok_or_else(full)?;
        let (log, policy, at_ms) = (&self.log, &self.policy, event.at_ms);
        let text = checkpoint::text(&Claim { log, head, policy, sequence: 0, recoveries: 0, at_ms });
        let signed = checkpoint::signed(&text, &sign(&text)?);
        let lines = format!(
            "{{\"hash\":\"{}\",\"event\":{}}}\n{}\n",
            hex::encode(head.hash),
            String::from_utf8_lossy(&bytes),
            serde_json::json!({ "checkpoint": signed })
        );
        self.file.write_all(lines.as_bytes()).map_err(Error::io(&self.path))?;
        self.file.sync_all().map_err(Error::io(&self.path))?;
        self.head = head;
        Ok(())
    }
}

/// The text up to the end of its last checkpoint.
fn whole(text: &str) -> &str {
    let mut end = 0_usize;
    let mut at = 0_usize;
    for line in text.split_inclusive('\n') {
        at = at.saturating_add(line.len());
        if line.starts_with("{\"checkpoint\"") && line.ends_with('\n') {
            end = at;
        }
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        digest,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };

    use super::*;
    use crate::domain::{
        audit::{Kind, Outcome},
        id::RequestId,
        operations::Account,
    };

    fn event(outcome: Outcome, detail: (&'static str, &str)) -> Event {
        Event {
            at_ms: 1,
            kind: Kind::CardsPersonalised,
            outcome,
            caller: "personalise".into(),
            request: RequestId::new([1; 16]),
            policy: "ab".into(),
            card: None,
            with_ticket: false,
            detail: vec![(detail.0, detail.1.into())],
        }
    }

    #[test]
    fn it_goes_on_where_it_ended_and_only_where_it_holds() {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = key.public_key().as_ref();
        let sign = |text: &str| {
            assert!(is_checkpoint(text), "{text}");
            let hash = checkpoint::digest(text);
            let hash = digest::Digest::import_less_safe(&hash, &digest::SHA256).unwrap();
            Ok(key.sign_digest(&hash).unwrap().as_ref().try_into().unwrap())
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let open = || Journal::open(&path, public, "demo", "ab");
        let intent = event(Outcome::Intent, ("most", "print=9 verify=2 deliver=9"));
        open().unwrap().add(&intent, sign).unwrap();
        let before = std::fs::read_to_string(&path).unwrap();
        // A power cut in the middle of the next lines: what has no checkpoint was never relied on.
        let line = before.lines().next().unwrap();
        std::fs::write(&path, format!("{before}{line}\n{{\"check")).unwrap();
        let done = event(Outcome::Done, ("operations", "print=4 verify=2 deliver=5"));
        open().unwrap().add(&done, sign).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&before) && text.lines().count() == 4);

        let mut account = Account::default();
        let verified =
            verify_export(text.as_bytes(), public, &[], |_, event| account.take(event).unwrap()).unwrap();
        assert_eq!((verified.newest.log.as_str(), verified.newest.head.seq), ("demo/personalise", 2));
        let total = account.total();
        assert_eq!((total.least, total.unfinished), (total.most, 0));
        assert_eq!((total.least.print, total.least.verify, total.least.deliver), (4, 2, 5));

        let held = open().unwrap();
        assert!(open().err().unwrap().to_string().contains("another run"));
        drop(held);
        let other = Journal::open(&path, public, "other", "ab").err().unwrap().to_string();
        assert!(other.contains("it is of log \"demo/personalise\""), "{other}");
        std::fs::write(&path, text.replacen("print=9", "print=8", 1)).unwrap();
        assert!(open().err().unwrap().to_string().contains("the chain is broken"));
        assert!(std::fs::read_to_string(&path).unwrap().contains("print=8"), "kept for the auditors");
    }
}
