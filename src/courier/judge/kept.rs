//! The authority's newest checkpoint, kept by the courier (I13): what it has seen of the authority's log, it does not
//! unlearn. A lease whose checkpoint does not follow it is not touched.

use super::{Judge, quiet::Vain, unwritten};
use crate::{
    courier::setback::Setback,
    domain::{
        audit::{Kind, Outcome},
        checkpoint::{Broken, Checkpoint},
        going_back,
    },
    hsm::MARK_MAX,
    store::{Expect, Op, Space, Unit},
};

/// Key of the authority's checkpoint in [`Space::Checkpoint`] of the courier's store; the courier's own is `latest`.
pub const KEPT_OF_AUTHORITY: &[u8] = b"authority";

impl Judge {
    /// The newest checkpoint of the authority, to be presented to it; nothing before the first one.
    ///
    /// # Errors
    /// The store does not answer.
    pub fn kept(&self) -> Result<Option<String>, Setback> {
        let found = self.store.get(Space::Checkpoint, KEPT_OF_AUTHORITY).map_err(|e| unwritten(&e))?;
        Ok(found.map(|found| String::from_utf8_lossy(&found.value).into_owned()))
    }

    /// Takes the checkpoint that came with a lease, durably if it is a newer one.
    ///
    /// # Errors
    /// The authority's key has not signed it, it does not follow the one that is kept, or the store does not write: what came
    /// with it must not be carried out.
    pub async fn keep(&self, text: &str) -> Result<(), Setback> {
        let kept = self.kept()?;
        if kept.as_deref() == Some(text) {
            return Ok(());
        }
        // Whoever has the key may sign a text of any length.
        if text.len() > MARK_MAX {
            return self
                .refuse_authority("checkpoint_not_signed", &Broken::NotACheckpoint("its length"))
                .await;
        }
        // A key that is gone shows nothing new.
        let shown = match signed_by(text, self.audit_keys.iter().take(1)) {
            Ok(shown) => shown,
            Err(error) => return self.refuse_authority("checkpoint_not_signed", &error).await,
        };
        if let Some(kept) = kept {
            let kept = match signed_by(&kept, self.audit_keys.iter()) {
                Ok(kept) => kept,
                Err(error) => return self.refuse_authority("kept_not_signed", &error).await,
            };
            if let Err(why) = going_back::compare_shown(&kept, &shown) {
                return self.refuse_authority("gone_back", &why).await;
            }
            if kept.age() == shown.age() {
                return Ok(());
            }
        }
        let value = text.as_bytes().to_vec();
        let put =
            Op::Put { space: Space::Checkpoint, key: KEPT_OF_AUTHORITY.to_vec(), value, expect: Expect::Any };
        self.commit(Unit { ops: vec![put], events: Vec::new() }).await
    }

    async fn refuse_authority(
        &self,
        reason: &'static str,
        why: &(dyn std::error::Error + Sync),
    ) -> Result<(), Setback> {
        tracing::error!(reason, "ALARM: nothing is taken from this authority: {why}");
        if self.writes(Vain::Authority) {
            let mut event = self.own_event(Kind::AuthorityRefused, Outcome::Refused);
            event.detail =
                vec![("reason", reason.to_owned()), ("why", why.to_string().chars().take(400).collect())];
            self.commit(Unit { ops: Vec::new(), events: vec![event] }).await?;
        }
        Err(Setback::Trouble(format!("the authority's checkpoint is refused: {reason}")))
    }
}

/// A checkpoint that one of these keys has signed; else what the last one says of it.
fn signed_by<'a>(text: &str, keys: impl Iterator<Item = &'a Vec<u8>>) -> Result<Checkpoint, Broken> {
    let mut said = Broken::NotACheckpoint("no key");
    for key in keys {
        match Checkpoint::open(text, key) {
            Ok(checkpoint) => return Ok(checkpoint),
            Err(why) => said = why,
        }
    }
    Err(said)
}
