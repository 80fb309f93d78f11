//! The one order of effects, written once: commit the intent, ask the HSM, commit the outcome.
//!
//! The keys that make or check codes answer only to an [`Intended`], which only a durable intent gives.

use aws_lc_rs::rand;

use super::{Error, Service};
use crate::{
    domain::{operations::Operations, tries::Ticket},
    hsm::{MacKey, Uses},
    secret::{Secret, SecretBytes},
    store::{Outcome, Unit},
};

/// The intent is durable; the try, if one was to be spent, is spent.
#[derive(Debug)]
#[must_use = "an intent is followed by an outcome"]
pub(super) struct Intended {
    ticket: Option<Ticket>,
    used: Uses,
}

impl Intended {
    /// The try that the intent spent, if one was left.
    pub(super) const fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    /// The operations with the keys of codes that it was used for so far, for the event of the outcome.
    pub(super) fn operations(&self) -> Operations {
        self.used.read()
    }
}

/// How often a commit is made anew because records of others, which it changes too, have moved on: a delivery has fewer steps.
pub(super) const TRIES: u32 = 8;

/// The unit was not applied: this operation of it did not find what it expects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guard(pub(super) usize);

impl Service {
    /// Commits an intent. An HSM known to be down, or one that takes no checkpoints, refuses here, before a try is
    /// spent.
    pub(super) async fn intend(&self, unit: Unit) -> Result<Result<Intended, Guard>, Error> {
        self.hsm.refuse_if_down()?;
        self.refuse_if_unmarked()?;
        Ok(match self.store.submit(unit).await? {
            Outcome::Applied { ticket, .. } => Ok(Intended { ticket, used: Uses::default() }),
            Outcome::Refused { op } => Err(Guard(op)),
        })
    }

    /// Asks the keys of codes. An error here leaves the try spent and the idempotency key without an outcome.
    pub(super) async fn ask(
        &self,
        after: &Intended,
        calls: Vec<(MacKey, SecretBytes)>,
    ) -> Result<Vec<Secret<32>>, Error> {
        for (key, _) in &calls {
            if !after.used.count(*key) {
                return Err(Error::Bug("more operations than an intent entitles to".into()));
            }
        }
        Ok(self.hsm.accounted_macs(calls, &self.accounted).await?)
    }

    /// Commits the outcome of an intent. An unknown outcome of this commit is `unavailable` to the caller.
    pub(super) async fn conclude(&self, after: Intended, unit: Unit) -> Result<Result<(), Guard>, Error> {
        let done = self.commit(unit).await;
        drop(after);
        done
    }

    /// As [`Service::conclude`], for an outcome that ends other records too, such as a delivery that the courier moves on
    /// meanwhile: it is made anew from them, so often. Not so where its first operation is refused, which is the request's
    /// own record: two requests about one never both succeed. Nor where there is no outcome any more, since another request
    /// came first.
    pub(super) async fn conclude_anew(
        &self,
        after: Intended,
        mut outcome: impl FnMut() -> Result<Option<Unit>, Error>,
    ) -> Result<Result<(), Guard>, Error> {
        let mut refused = Guard(0);
        for _ in 0..TRIES {
            let Some(unit) = outcome()? else { break };
            match self.commit(unit).await? {
                Ok(()) => {
                    drop(after);
                    return Ok(Ok(()));
                }
                Err(Guard(0)) => break,
                Err(other) => refused = other,
            }
        }
        drop(after);
        Ok(Err(refused))
    }

    /// Commits what needs no key of codes: nothing to intend, the outcome alone.
    pub(super) async fn commit(&self, unit: Unit) -> Result<Result<(), Guard>, Error> {
        self.refuse_if_gone_back()?;
        Ok(match self.store.submit(unit).await? {
            Outcome::Applied { .. } => Ok(()),
            Outcome::Refused { op } => Err(Guard(op)),
        })
    }
}

/// 16 random bytes for an identifier that is not a secret by itself (salts come from the HSM).
pub(super) fn fresh() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::Unavailable("the system gives no random bytes".into()))?;
    Ok(bytes)
}
