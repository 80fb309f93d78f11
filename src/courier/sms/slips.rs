//! The slips of receipts, in the URL that a gateway is given with a message ([`SlipKey`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    courier::slip::{NoSlip, SEALED, SlipKey},
    domain::id::{DeliveryId, LeaseId},
};

/// Whether a receipt has come while a message was being handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    No,
    Yes,
}

/// Makes slips and takes them back. The sending and the receiving side share it.
pub struct Slips {
    key: SlipKey,
    /// Where the gateway is to report, without a path.
    base: String,
    /// Holds whose message is being handed over now.
    under_way: Mutex<BTreeMap<LeaseId, Seen>>,
}

impl std::fmt::Debug for Slips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slips").field("base", &self.base).finish_non_exhaustive()
    }
}

/// A slip that is out while its message is handed over.
pub(super) struct Slip {
    slips: Arc<Slips>,
    lease: LeaseId,
    sealed: String,
}

impl Slips {
    /// `base` is the address that the gateway reaches us at, `http://127.0.0.1:13099` for example.
    ///
    /// # Errors
    /// [`NoSlip`] if the cryptographic library refuses the key.
    pub fn new(key: &[u8; 32], base: String) -> Result<Self, NoSlip> {
        let key = SlipKey::new(key, b"sigillo/v1 receipt")?;
        Ok(Self { key, base, under_way: Mutex::default() })
    }

    /// A slip for the message of this hold.
    pub(super) fn issue(self: &Arc<Self>, delivery: DeliveryId, lease: LeaseId) -> Result<Slip, NoSlip> {
        let sealed = hex::encode(self.key.seal(delivery, lease)?);
        self.under_way().insert(lease, Seen::No);
        Ok(Slip { slips: Arc::clone(self), lease, sealed })
    }

    /// What a slip of ours names; nothing for any other text. Notes that the gateway has the message.
    pub(super) fn redeem(&self, text: &str) -> Option<(DeliveryId, LeaseId)> {
        let mut bytes = [0; SEALED];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let (delivery, lease) = self.key.open(bytes)?;
        if let Some(seen) = self.under_way().get_mut(&lease) {
            *seen = Seen::Yes;
        }
        Some((delivery, lease))
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Seen>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slip {
    /// Where the gateway is to report; it puts the number of its status in the place of `%d`.
    pub(super) fn url(&self) -> String {
        format!("{}/receipt/{}?status=%d", self.slips.base, self.sealed)
    }

    /// Whether the gateway has reported on this message already: then it has taken it, whatever it answers.
    pub(super) fn was_seen(&self) -> bool {
        self.slips.under_way().get(&self.lease) == Some(&Seen::Yes)
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        self.slips.under_way().remove(&self.lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERY: DeliveryId = DeliveryId::new([1; 16]);
    const LEASE: LeaseId = LeaseId::new([2; 16]);

    fn slips(key: u8) -> Arc<Slips> {
        Arc::new(Slips::new(&[key; 32], "http://127.0.0.1:9".to_owned()).unwrap())
    }

    #[test]
    fn a_slip_names_its_hold_to_whoever_has_the_key_after_a_restart_too() {
        let slip = slips(1).issue(DELIVERY, LEASE).unwrap();
        assert_eq!(slip.url(), format!("http://127.0.0.1:9/receipt/{}?status=%d", slip.sealed));
        assert_eq!(slip.sealed.len(), 2 * SEALED);
        assert_eq!(slips(1).redeem(&slip.sealed), Some((DELIVERY, LEASE)));
        assert_eq!(slips(2).redeem(&slip.sealed), None);
    }

    #[test]
    fn slips_tell_nothing_and_cannot_be_changed_or_cut() {
        let slips = slips(1);
        let (one, two) = (slips.issue(DELIVERY, LEASE).unwrap(), slips.issue(DELIVERY, LEASE).unwrap());
        assert_ne!(one.sealed, two.sealed);
        for plain in [hex::encode(DELIVERY.bytes()), hex::encode(LEASE.bytes())] {
            assert!(!one.sealed.contains(&plain));
        }
        for at in 0..one.sealed.len() {
            let mut other = one.sealed.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(slips.redeem(std::str::from_utf8(&other).unwrap()), None, "{at}");
        }
        let cut = one.sealed.get(2..).unwrap();
        for other in ["", "00", cut, &format!("{}00", one.sealed), "../../etc/passwd"] {
            assert_eq!(slips.redeem(other), None, "{other}");
        }
    }

    #[test]
    fn a_receipt_is_noticed_while_its_message_is_under_way_and_not_kept_after() {
        let slips = slips(1);
        let slip = slips.issue(DELIVERY, LEASE).unwrap();
        let other = slips.issue(DELIVERY, LeaseId::new([3; 16])).unwrap();
        assert!(!slip.was_seen());
        slips.redeem(&slip.sealed).unwrap();
        assert!(slip.was_seen() && !other.was_seen());
        let sealed = slip.sealed.clone();
        drop((slip, other));
        slips.redeem(&sealed).unwrap();
        assert!(slips.under_way().is_empty());
    }
}
