//! Commitments under the judge key: what two contacts or two messages are compared by. A copy of the courier's memory
//! without its token cannot be searched for an address.

use super::memory::{Asked, Commitment, Known};
use crate::{
    api::courier::Lease,
    courier::setback::{Setback, of_hsm},
    domain::{
        contact::{Channel, Contact},
        encoding,
    },
    hsm::{Hsm, MacKey},
    secret::SecretBytes,
};

/// What a lease asks for, and the mailbox that it is counted for.
pub(super) struct Committed {
    pub(super) asked: Asked,
    pub(super) mailbox: Commitment,
}

/// The three commitments of one lease, as one job of the token.
pub(super) async fn commitments(hsm: &Hsm, lease: &Lease, contact: &Contact) -> Result<Committed, Setback> {
    let channel = contact.channel().text().as_bytes();
    let (exact, folded) = (exact(contact), folded(contact));
    let mut codes: Vec<u8> = Vec::new();
    for leased in &lease.codes {
        codes.extend_from_slice(
            format!("{} {} {}\n", leased.code, leased.generation, leased.digits).as_bytes(),
        );
    }
    let whole: [&[u8]; 9] = [
        lease.delivery.bytes(),
        lease.card.bytes(),
        lease.salt.as_bytes(),
        lease.template.as_bytes(),
        lease.message.as_bytes(),
        lease.control.as_bytes(),
        &codes,
        channel,
        exact.expose(),
    ];
    let messages = [
        ("recipient", &[channel, exact.expose()][..]),
        ("mailbox", &[channel, folded.expose()][..]),
        ("message", &whole[..]),
    ];
    let mut calls = Vec::with_capacity(messages.len());
    for (label, fields) in messages {
        let message = encoding::domain(label, fields)
            .map_err(|_| Setback::Failed("the lease has a field that is too long".to_owned()))?;
        calls.push((MacKey::Judge, message));
    }
    let macs = hsm.macs(calls).await.map_err(of_hsm)?;
    let [recipient, mailbox, message] = &macs[..] else {
        return Err(Setback::Trouble("the courier's token or module is faulty".to_owned()));
    };
    let known = Known { contact: Commitment(*recipient.expose()), sealed: lease.contact.clone() };
    let asked = Asked { known, message: Commitment(*message.expose()) };
    Ok(Committed { asked, mailbox: Commitment(*mailbox.expose()) })
}

/// As it is compared with the last one: only what can never be another mailbox is taken for the same.
fn exact(contact: &Contact) -> SecretBytes {
    let text = contact.expose();
    SecretBytes::new(match (contact.channel(), text.rsplit_once('@')) {
        (Channel::Email, Some((local, domain))) => {
            let mut bytes = Vec::with_capacity(text.len());
            bytes.extend_from_slice(local.as_bytes());
            bytes.push(b'@');
            bytes.extend(domain.bytes().map(|b| b.to_ascii_lowercase()));
            bytes
        }
        (Channel::Email, None) | (Channel::Sms, _) => text.as_bytes().to_vec(),
    })
}

/// As messages are counted for it: what is the same mailbox with most providers is taken for the same.
fn folded(contact: &Contact) -> SecretBytes {
    let text = contact.expose();
    SecretBytes::new(match (contact.channel(), text.rsplit_once('@')) {
        (Channel::Email, Some((local, domain))) => {
            let local = local.split('+').next().unwrap_or_default();
            let mut bytes = Vec::with_capacity(text.len());
            bytes.extend(local.bytes().map(|b| b.to_ascii_lowercase()));
            bytes.push(b'@');
            bytes.extend(domain.bytes().map(|b| b.to_ascii_lowercase()));
            bytes
        }
        (Channel::Email, None) | (Channel::Sms, _) => text.as_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(address: &str) -> (String, String) {
        let contact = Contact::parse(Channel::Email, address).unwrap();
        let text = |bytes: SecretBytes| String::from_utf8(bytes.expose().to_vec()).unwrap();
        (text(exact(&contact)), text(folded(&contact)))
    }

    #[test]
    fn the_comparison_is_strict_and_the_count_is_not() {
        assert_eq!(both("Mario+ts@Esempio.IT"), ("Mario+ts@esempio.it".into(), "mario@esempio.it".into()));
    }
}
