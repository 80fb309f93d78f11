//! CNS smart cards through the system's PC/SC service: what the chip says, whether PIN and chip fit, signatures.
//!
//! A PIN is sent only where a person gave one: an empty VERIFY, which some cards count as a wrong PIN, is never sent. A PIN
//! is never kept: a session that it opened is this process's alone until the card is reset, at the session's end.

mod apdu;
mod certificate;
mod files;
mod padding;
mod pin;
mod reader;
mod sign;
mod tls;

use crate::{
    clock::Clock,
    domain::chip::{BadChip, CnsAtr},
};

pub use certificate::Certificate;
pub use files::Contents;
pub use pin::{BadPin, Pin};
pub use reader::Wanted;
pub use tls::CardKey;

/// Why a card did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// No try is left for the PIN: only the PUK helps.
    #[error("the PIN is blocked: unblock it with the PUK (sigillo card unblock)")]
    Blocked,
    /// The chip holds something else than a CNS does.
    #[error("{0}")]
    Chip(#[from] BadChip),
    /// Another program holds the card.
    #[error("another program is using the card: close it, or take the card out and put it in again")]
    InUse,
    /// The card in this reader does not answer: it is upside down, dirty or broken.
    #[error("the card in \"{0}\" does not answer: take it out and put it in again, chip first")]
    Mute(String),
    /// No reader has a card in it (the readers there are).
    #[error("no card in a reader ({}): put one in, or wait for it with --wait SECONDS", list(.0))]
    NoCard(Vec<String>),
    /// The card in the reader that is named is not a CNS.
    #[error("the card in \"{0}\" is not a CNS")]
    NotCns(String),
    /// The system's card service does not run.
    #[error("the smart card service does not answer: start pcscd")]
    NoService,
    /// No try is left for the PUK.
    #[error("the PUK is blocked: the card must be replaced")]
    PukBlocked,
    /// The card answered a command with a status that refuses it.
    #[error("the card refused {command} (status {status:04X})")]
    Refused {
        /// The command.
        command: &'static str,
        /// SW1 and SW2.
        status: u16,
    },
    /// The card was taken out or its reader unplugged.
    #[error("the card was removed or reset while it was in use")]
    Removed,
    /// More than one card could be meant (their readers).
    #[error("cards in several readers: choose one with --reader ({})", list(.0))]
    Several(Vec<String>),
    /// The card's signature is not of the key in its certificate.
    #[error("the card signed with another key than that of its certificate")]
    Signature,
    /// The card service failed otherwise.
    #[error("the smart card service: {0}")]
    Service(pcsc::Error),
    /// No reader of this name (the readers there are).
    #[error("no reader \"{asked}\" ({})", list(there))]
    UnknownReader {
        /// The name, or a part of it.
        asked: String,
        /// Those there are.
        there: Vec<String>,
    },
    /// A wrong PIN, with the tries left where the card says them.
    #[error("wrong PIN{}", tries(.0))]
    WrongPin(Option<u8>),
    /// A wrong PUK, with the tries left where the card says them.
    #[error("wrong PUK{}", tries(.0))]
    WrongPuk(Option<u8>),
}

fn list(readers: &[String]) -> String {
    if readers.is_empty() {
        "no reader is connected".into()
    } else {
        format!("readers: {}", readers.join("; "))
    }
}

fn tries(left: &Option<u8>) -> String {
    match left {
        None => String::new(),
        Some(1) => ": 1 try left".into(),
        Some(left) => format!(": {left} tries left"),
    }
}

impl From<pcsc::Error> for CardError {
    fn from(error: pcsc::Error) -> Self {
        tracing::debug!(?error, "card service");
        use pcsc::Error as E;
        if matches!(error, E::NoService | E::ServiceStopped) {
            Self::NoService
        } else if error == E::SharingViolation {
            Self::InUse
        } else if matches!(
            error,
            E::RemovedCard | E::ResetCard | E::NoSmartcard | E::ReaderUnavailable | E::UnpoweredCard
        ) || matches!(
            error,
            E::CommError | E::NotTransacted | E::UnknownReader | E::UnresponsiveCard | E::InvalidHandle
        ) {
            Self::Removed
        } else {
            Self::Service(error)
        }
    }
}

/// Who else may use the card meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nobody: for what needs the PIN.
    Alone,
    /// Others too: for what anybody may read.
    Shared,
}

/// An open CNS card. When it is dropped the card is reset, and forgets that a PIN was given.
pub struct Session {
    card: pcsc::Card,
    atr: CnsAtr,
    protocol: Option<pcsc::Protocol>,
    reader: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the card that is wanted, and waits for it if that is wanted too. Blocks.
    ///
    /// # Errors
    /// [`CardError`]: no card, several, not a CNS, or in use.
    pub fn open(wanted: &Wanted<'_>, with: Use, clock: &dyn Clock) -> Result<Self, CardError> {
        let context = pcsc::Context::establish(pcsc::Scope::User)?;
        let (reader, atr) = reader::find(&context, wanted, clock)?;
        let mode = match with {
            Use::Alone => pcsc::ShareMode::Exclusive,
            Use::Shared => pcsc::ShareMode::Shared,
        };
        let card = context.connect(&reader, mode, pcsc::Protocols::ANY)?;
        let protocol = card.status2_owned()?.protocol2();
        Ok(Self { card, atr, protocol, reader: reader.to_string_lossy().into_owned() })
    }

    /// The reader's name.
    pub fn reader(&self) -> &str {
        &self.reader
    }

    fn channel(&mut self) -> Result<apdu::Channel<'_>, CardError> {
        Ok(apdu::Channel::new(self.card.transaction()?, self.protocol))
    }
}

#[cfg(test)]
mod tests {
    use pcsc::Error as E;

    use super::*;

    #[test]
    fn what_the_service_reports_is_told_in_its_users_words() {
        let removed = "the card was removed or reset";
        for (error, said) in [
            (E::CommError, removed),
            (E::InvalidHandle, removed),
            (E::NoService, "start pcscd"),
            (E::NoSmartcard, removed),
            (E::NotTransacted, removed),
            (E::ReaderUnavailable, removed),
            (E::RemovedCard, removed),
            (E::ResetCard, removed),
            (E::ServiceStopped, "start pcscd"),
            (E::SharingViolation, "another program"),
            (E::Timeout, "the smart card service: "),
            (E::UnknownReader, removed),
            (E::UnpoweredCard, removed),
            (E::UnresponsiveCard, removed),
        ] {
            let text = CardError::from(error).to_string();
            assert!(text.contains(said), "{error:?}: {text}");
        }
    }
}
