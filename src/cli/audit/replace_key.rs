//! `sigillo audit replace-key`: the authority's audit key is replaced by a new one.
//!
//! In this order, each step durable before the next: the new key on the token; the event, by which the log is handed over;
//! checkpoints by the new key in the store and both places of the token; the file with the public halves; the end of the former
//! private half. A run that was cut off is taken up where it ended: token and store say how far it came.

use std::{fs, io::Write, path::PathBuf};

use crate::{
    cli::{Failure, offline::Installation},
    domain::handover::{AuditKeys, key_id},
    files,
    hsm::pkcs11::{AuditKey, Replacement},
    service::{Service, handed_over},
};

/// Arguments of `replace-key`.
#[derive(Debug, clap::Args)]
pub struct ReplaceKey {
    /// Configuration of `serve`, which must not run.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// File for the public halves, PEM, the new one first; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// How far a replacement has come.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The log is this key's. The next one may be made already.
    Begin(AuditKey, Option<AuditKey>),
    /// The log is the second one's, and the first one is still on the token.
    End(AuditKey, AuditKey),
}

/// What the token's keys and the key that the log was handed over to, if it ever was, say of it.
fn step(keys: &[AuditKey], in_force: Option<&[u8]>) -> Result<Step, Failure> {
    let is = |key: &AuditKey| in_force.is_none_or(|known| known == key.public);
    match keys {
        [one] if is(one) => Ok(Step::Begin(one.clone(), None)),
        [one, next] if is(one) => Ok(Step::Begin(one.clone(), Some(next.clone()))),
        [one, next] if is(next) => Ok(Step::End(one.clone(), next.clone())),
        [] => Err(Failure::failed("key \"audit\" is not on the token")),
        [_] | [_, _] => Err(Failure::failed(
            "the token's audit key is not the one that the log in the store was handed over to: store and token are not \
             of one installation, or one of them is an older copy. Nothing was changed",
        )),
        [_, _, ..] => Err(Failure::failed("more than two versions of key \"audit\" are on the token")),
    }
}

/// The file: every key of the log, the newest first.
fn file(keys: &AuditKeys) -> String {
    keys.newest_first().map(AuditKey::pem).collect()
}

pub(super) fn run(args: &ReplaceKey, out: &mut impl Write) -> Result<(), Failure> {
    let at = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", args.out.display()));
    let installation = Installation::load(&args.config)?;
    let (seq, keys) = installation.on_store(async |opened| {
        let log = opened.log();
        let recorded = || handed_over(opened.store(), log).map_err(Failure::failed);
        let token = Replacement::open(opened.token()).map_err(Failure::failed)?;
        let before = recorded()?;
        let keys = token.keys().map_err(Failure::failed)?;
        let (former, now) = match step(&keys, before.as_ref().map(AuditKeys::now))? {
            Step::End(former, now) => (former, now),
            Step::Begin(former, made) => {
                if args.out.exists() {
                    return Err(at(&"is already there; nothing is overwritten and nothing was changed"));
                }
                let device = token.device(&former).map_err(Failure::failed)?;
                let next = opened.with_token(&device, async |parts| {
                    let service = Service::for_key_replacement(parts).await.map_err(Failure::failed)?;
                    let next = made.map_or_else(|| token.make(), Ok).map_err(Failure::failed)?;
                    let accept = |digest| token.sign(&next, &digest);
                    service.hand_over(&next.public, accept).await.map_err(Failure::failed)?;
                    Ok(next)
                });
                let next = next.await?;
                (former, next)
            }
        };
        let keys = recorded()?.ok_or_else(|| Failure::failed("the store has no record of its audit keys"))?;
        let device = token.device(&now).map_err(Failure::failed)?;
        let head = opened.with_token(&device, async |parts| {
            let service = Service::for_key_replacement(parts).await.map_err(Failure::failed)?;
            service.mark_both().await.map_err(Failure::failed)
        });
        let head = head.await?;
        let text = file(&keys);
        match fs::read_to_string(&args.out) {
            // Of a run that was cut off after it.
            Ok(there) if there == text => {}
            _ => files::write_new(&args.out, text.as_bytes(), 0o644).map_err(|e| at(&e))?,
        }
        token.destroy(&former).map_err(Failure::failed)?;
        Ok((head.seq, keys))
    })?;
    let mut ids = keys.newest_first().map(key_id);
    let (now, former) = (ids.next().unwrap_or_default(), ids.next().unwrap_or_default());
    writeln!(
        out,
        "audit key {now} has taken the place of {former}, whose private half is destroyed; the log ends at event {seq}\n\
         wrote {}: give it to the courier (`authority.audit_key`), and to whoever verifies the log or a backup\n\
         Take a backup now: one from before cannot be brought back any more.",
        args.out.display()
    )
    .map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: u8) -> AuditKey {
        AuditKey { version, public: vec![version] }
    }

    #[test]
    fn token_and_store_say_how_far_it_came() {
        let of = |keys: &[u8], in_force: Option<u8>| {
            let keys: Vec<_> = keys.iter().copied().map(key).collect();
            step(&keys, in_force.map(|version| vec![version]).as_deref())
        };
        assert_eq!(of(&[1], None).unwrap(), Step::Begin(key(1), None));
        assert_eq!(of(&[2], Some(2)).unwrap(), Step::Begin(key(2), None));
        // Made, and not in the log.
        assert_eq!(of(&[1, 2], None).unwrap(), Step::Begin(key(1), Some(key(2))));
        assert_eq!(of(&[2, 3], Some(2)).unwrap(), Step::Begin(key(2), Some(key(3))));
        // In the log, and the former one not destroyed.
        assert_eq!(of(&[1, 2], Some(2)).unwrap(), Step::End(key(1), key(2)));
        for (keys, in_force) in [(&[][..], None), (&[1], Some(2)), (&[1, 2], Some(3)), (&[1, 2, 3], Some(1))]
        {
            assert!(of(keys, in_force).is_err(), "{keys:?} {in_force:?}");
        }
    }
}
