//! Which policy set may be in force, and on whose word.
//!
//! The set in force is kept in the store as a text that the token has signed, with the officers of that set: they, and
//! nobody whom a new set names, say which set comes next. A set without their signatures, or an older one, must never be
//! admitted, whatever else is known.

use std::fmt::Write as _;

use aws_lc_rs::signature;

use super::officers::{Disagreement, FromFile, Officer, OfficerKey, Officers, Purpose};

const FIRST: &str = "sigillo policy in force v1";

/// What officers sign: the set's number and digest.
pub fn statement(sequence: u64, policy: &str) -> String {
    format!("sigillo policy set v1\nsequence {sequence}\nsha256 {policy}\n")
}

/// A policy set that is or was in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Its sequence number.
    pub sequence: u64,
    /// Its digest, hexadecimal.
    pub policy: String,
    /// Its officers: who may say what comes next.
    pub officers: Officers,
}

/// Why a text does not say which set is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of the policy set in force does not hold: {0}")]
pub struct BadRecord(&'static str);

impl InForce {
    /// The text that the token signs (see [`super::checkpoint::digest`]), for the log of this name.
    pub fn text(&self, log: &str) -> String {
        let Self { sequence, policy, officers } = self;
        let mut text = format!(
            "{FIRST}\nlog {log}\nsequence {sequence}\npolicy {policy}\nneeded {}\n",
            officers.needed()
        );
        for officer in officers.list() {
            let (kind, spki) = match officer.key() {
                OfficerKey::P256(spki) => ("p256", spki),
                OfficerKey::Rsa(spki) => ("rsa", spki),
            };
            let (name, print, spki) = (officer.name(), hex::encode(officer.fingerprint()), hex::encode(spki));
            // Writing to a string does not fail.
            let _written: std::fmt::Result = writeln!(text, "officer {name} {print} {kind} {spki}");
        }
        text
    }

    /// Reads a signed text (see [`super::checkpoint::signed`]) and checks it against the audit key of this log.
    pub fn open(signed: &str, log: &str, public_key: &[u8]) -> Result<Self, BadRecord> {
        let at = signed.rfind("signature ").ok_or(BadRecord("no signature"))?;
        let (body, last) = signed.split_at(at);
        let mut bytes = [0; 64];
        let hex = last.strip_prefix("signature ").and_then(|rest| rest.strip_suffix('\n'));
        hex.and_then(|hex| hex::decode_to_slice(hex, &mut bytes).ok()).ok_or(BadRecord("signature"))?;
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public_key)
            .verify(body.as_bytes(), &bytes)
            .map_err(|_| BadRecord(
                "the signature is not of the token's audit key: a store from before that key was replaced is not brought back",
            ))?;
        let mut lines = body.lines();
        if lines.next() != Some(FIRST) {
            return Err(BadRecord("first line"));
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(BadRecord(name))
        };
        if field("log")? != log {
            return Err(BadRecord("it is of another log"));
        }
        let sequence = field("sequence")?.parse().map_err(|_| BadRecord("sequence"))?;
        let policy = field("policy")?.to_owned();
        let needed = field("needed")?.parse().map_err(|_| BadRecord("needed"))?;
        let officers = lines.map(officer).collect::<Option<Vec<_>>>().ok_or(BadRecord("officer"))?;
        let officers = Officers::new(officers, needed).map_err(|_| BadRecord("officers"))?;
        Ok(Self { sequence, policy, officers })
    }
}

fn officer(line: &str) -> Option<Officer> {
    let mut words = line.strip_prefix("officer ")?.split(' ');
    let (name, print) = (words.next()?, words.next()?);
    let (kind, spki) = (words.next()?, hex::decode(words.next()?).ok()?);
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(print, &mut fingerprint).ok()?;
    let key = match kind {
        "p256" => OfficerKey::P256(spki),
        "rsa" => OfficerKey::Rsa(spki),
        _ => return None,
    };
    words.next().is_none().then(|| Officer::known(name.to_owned(), fingerprint, key))
}

/// A policy set that wants to come into force.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its sequence number.
    pub sequence: u64,
    /// Its digest, hexadecimal.
    pub policy: &'a str,
    /// Its own officers.
    pub officers: &'a Officers,
    /// The signatures that came with it.
    pub signatures: &'a [FromFile],
}

impl Candidate<'_> {
    /// The set, once it is in force.
    pub fn in_force(&self) -> InForce {
        let Self { sequence, policy, officers, .. } = self;
        InForce { sequence: *sequence, policy: (*policy).to_owned(), officers: (*officers).clone() }
    }
}

/// Whether officers have to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Always, but in a demonstration.
    Required,
    /// Never: a demonstration.
    Waived,
}

/// On whose word a set comes into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is in force.
    Already,
    /// A checkpoint outside the store names it: it was in force.
    Known,
    /// These officers have signed.
    Signed(Vec<String>),
    /// Nobody was asked.
    Waived,
}

/// Why a set does not come into force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The number stands for another set.
    #[error(
        "number {0} is in force with another digest: a set that is changed gets the next number in authority.toml"
    )]
    Changed(u64),
    /// Nobody could ever sign the next one.
    #[error("the set has no officers, so that nobody could sign the next one")]
    NoOfficers,
    /// An older set.
    #[error("the set has number {sequence}, number {known} was in force: an older set is not taken")]
    Older {
        /// The set's number.
        sequence: u64,
        /// The newest that was in force.
        known: u64,
    },
    /// It is not known whose word counts.
    #[error(
        "the store does not say which officers were in force with number {0}: start once with that set, then bring in \
         the new one"
    )]
    NoPredecessor(u64),
    /// Not enough officers have signed.
    #[error("signatures of the set: {0} (`sigillo policy sign --help`)")]
    Unsigned(#[from] Disagreement),
}

/// Whether a set may come into force. `mark` is number and digest in the newest checkpoint outside the store;
/// `in_force` what the store holds, its signature checked.
pub fn admit(
    candidate: &Candidate<'_>,
    mark: Option<(u64, &str)>,
    in_force: Option<&InForce>,
    signing: Signing,
) -> Result<Admission, NotAdmitted> {
    let Candidate { sequence, policy, officers, signatures } = *candidate;
    let kept = in_force.map(|known| (known.sequence, known.policy.as_str()));
    for (known, digest) in kept.into_iter().chain(mark) {
        if sequence < known {
            return Err(NotAdmitted::Older { sequence, known });
        }
        if sequence == known && policy != digest {
            return Err(NotAdmitted::Changed(known));
        }
    }
    if kept.is_some_and(|(_, digest)| digest == policy) {
        return Ok(Admission::Already);
    }
    if mark.is_some_and(|(_, digest)| digest == policy) {
        return Ok(Admission::Known);
    }
    if signing == Signing::Waived {
        return Ok(Admission::Waived);
    }
    if officers.list().is_empty() {
        return Err(NotAdmitted::NoOfficers);
    }
    let whose = match (in_force, mark) {
        // Of an older copy of the store: its officers may have been replaced since.
        (Some(kept), Some((known, _))) if kept.sequence < known => {
            return Err(NotAdmitted::NoPredecessor(known));
        }
        (None, Some((known, _))) => return Err(NotAdmitted::NoPredecessor(known)),
        (Some(kept), _) => &kept.officers,
        (None, None) => officers,
    };
    let signed = whose.agree(Purpose::PolicySet, &statement(sequence, policy), signatures)?;
    Ok(Admission::Signed(signed.into_iter().map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests;
