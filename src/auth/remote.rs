//! Who is at the other end of a connection: a caller of the policy's list, or an operator with the own card.

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

    /// Ready once the connection is to end for what was asked over it.
    pub async fn dismissed(&self) {
        match self {
            Self::Caller(_) => std::future::pending().await,
            Self::Card(card) => card.dismissed().await,
        }
    }
}

/// The certificates with which a card connected. That of a citizen's card leads to the same authorities as an operator's:
/// it says who somebody is, not that they may do anything. Personal data: `Debug` shows the fingerprint only.
pub struct CardPeer {
    fingerprint: [u8; 32],
    leaf: Vec<u8>,
    chain: Vec<Vec<u8>>,
    dismissed: watch::Sender<bool>,
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
            dismissed: watch::Sender::new(false),
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

    /// Ends the connection once its requests in hand are answered: who is nobody here asks for one thing at each login with
    /// the chip, not for thousands.
    pub fn dismiss(&self) {
        self.dismissed.send_replace(true);
    }

    async fn dismissed(&self) {
        // The sender is in `self`: the channel does not close while this is waited for.
        let _told: Result<_, _> = self.dismissed.subscribe().wait_for(|told| *told).await.map(|_| ());
    }
}
