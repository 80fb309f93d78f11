//! Who is at the other end of a connection: a caller of the policy's list, or an operator with the own card.

use std::time::Duration;

use tokio::sync::watch;

use super::{Peer, cns};

/// Who is at the other end of a connection. TLS has verified that it holds the key of the certificate.
#[derive(Debug)]
pub enum Remote {
    /// A front end, the courier, the card bureau: its certificate is what it is known by.
    Caller(Peer),
    /// The card of an operator who is there without a front end between.
    Card(CardPeer),
}

impl Remote {
    /// SHA-256 of the DER certificate.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        match self {
            Self::Caller(peer) => &peer.fingerprint,
            Self::Card(card) => &card.fingerprint,
        }
    }

    /// The moment at which the connection must end, milliseconds since 1970 UTC. That of a card goes on: whether the card
    /// is still good is asked with every request.
    pub const fn until_ms(&self) -> u64 {
        match self {
            Self::Caller(peer) => peer.not_after_ms,
            Self::Card(_) => u64::MAX,
        }
    }

    /// Ready once the connection is to end before its time: a card's that was dismissed, or that nobody admitted within
    /// half a minute.
    pub async fn over(&self) {
        match self {
            Self::Caller(_) => std::future::pending().await,
            Self::Card(card) => card.over(PROBATION).await,
        }
    }
}

/// Time that a connected card has for a first request of a listed operator: places are for those.
const PROBATION: Duration = Duration::from_secs(30);

/// What is known of a card that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has asked for nothing yet.
    New,
    /// Its holder was a listed operator with the last request.
    Admitted,
    /// Its connection ends.
    Dismissed,
}

/// The certificates with which a card connected. That of a citizen's card leads to the same authorities as an operator's:
/// it says who somebody is, not that they may do anything. Personal data: `Debug` shows the fingerprint only.
pub struct CardPeer {
    fingerprint: [u8; 32],
    leaf: Vec<u8>,
    chain: Vec<Vec<u8>>,
    standing: watch::Sender<Standing>,
}

impl std::fmt::Debug for CardPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardPeer")
            .field("fingerprint", &hex::encode(self.fingerprint))
            .finish_non_exhaustive()
    }
}

impl CardPeer {
    /// From what the card presented (DER), its own certificate first.
    pub fn new(leaf: &[u8], chain: &[impl AsRef<[u8]>]) -> Self {
        Self {
            fingerprint: cns::sha256(leaf),
            leaf: leaf.to_vec(),
            chain: chain.iter().map(|der| der.as_ref().to_vec()).collect(),
            standing: watch::Sender::new(Standing::New),
        }
    }

    /// Its own certificate, DER.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// What came with it, DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Lets the connection go on; false if it was dismissed before.
    pub fn admit(&self) -> bool {
        let mut stays = true;
        self.standing.send_if_modified(|standing| {
            stays = *standing != Standing::Dismissed;
            let first = *standing == Standing::New;
            if first {
                *standing = Standing::Admitted;
            }
            first
        });
        stays
    }

    /// Whether the connection ends: nothing more that comes over it needs a look.
    pub fn is_dismissed(&self) -> bool {
        *self.standing.borrow() == Standing::Dismissed
    }

    /// Ends the connection once its requests in hand are answered; true for whoever says so first.
    pub fn dismiss(&self) -> bool {
        self.standing.send_replace(Standing::Dismissed) != Standing::Dismissed
    }

    async fn over(&self, probation: Duration) {
        let mut standing = self.standing.subscribe();
        // The sender is in `self`: the channel does not close while this is waited for.
        let asked = tokio::time::timeout(probation, standing.wait_for(|now| *now != Standing::New));
        if asked.await.is_ok_and(|asked| asked.is_ok()) {
            let _told: Result<_, _> = standing.wait_for(|now| *now == Standing::Dismissed).await.map(|_| ());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether nothing ends the connection but time; the wait is for what never comes.
    async fn goes_on(card: &CardPeer, probation: Duration) -> bool {
        tokio::time::timeout(Duration::from_millis(30), card.over(probation)).await.is_err()
    }

    #[tokio::test]
    async fn a_card_that_asks_for_nothing_gives_its_place_up_and_an_operators_stays() {
        let card = CardPeer::new(b"leaf", &[b"chain"]);
        card.over(Duration::ZERO).await;
        assert!(goes_on(&card, PROBATION).await);
        assert!(card.admit() && card.admit());
        assert!(goes_on(&card, Duration::ZERO).await);
        // The first to say so is answered, nobody else.
        assert!(!card.is_dismissed() && card.dismiss() && !card.dismiss() && !card.admit());
        assert!(card.is_dismissed());
        card.over(PROBATION).await;
        let shown = format!("{card:?}");
        assert!(shown.contains(&hex::encode(cns::sha256(b"leaf"))) && shown.ends_with(".. }"), "{shown}");
    }
}
