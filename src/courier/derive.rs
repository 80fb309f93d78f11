//! What a lease orders, checked, and the second parts it asks for.

use crate::{
    api::courier::{Lease, LeasedCode},
    domain::{
        derive::{Search, Step, part_message, tag_message},
        id::CardId,
        template::{CodeName, Part, TemplateId},
    },
    hsm::MacKey,
    secret::{Digits, Secret, SecretBytes},
};

use super::{
    judge::{Admission, Judge},
    setback::Setback,
};

/// A lease in the terms of the domain. The courier trusts nobody: each field is checked.
pub(super) struct Order<'a> {
    card: CardId,
    salt: [u8; 32],
    template: TemplateId,
    codes: Vec<(CodeName, &'a LeasedCode)>,
    /// The sealed contact.
    pub(super) contact: Vec<u8>,
}

/// The keys of codes, for one admitted lease.
pub(super) struct Keys<'a> {
    pub(super) judge: &'a Judge,
    pub(super) admission: &'a Admission,
}

impl Keys<'_> {
    async fn mac(&self, key: MacKey, message: SecretBytes) -> Result<Secret<32>, Setback> {
        self.judge.mac(self.admission, key, message).await
    }
}

impl<'a> Order<'a> {
    /// Checks the lease. What is malformed now is malformed for ever.
    pub(super) fn read(lease: &'a Lease) -> Result<Self, Setback> {
        let bad = |what: &str| Setback::Failed(format!("the lease has a wrong {what}"));
        let mut salt = [0; 32];
        hex::decode_to_slice(&lease.salt, &mut salt).map_err(|_| bad("salt"))?;
        let contact = hex::decode(&lease.contact).map_err(|_| bad("contact"))?;
        if lease.control.len() != 6 || !lease.control.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad("control number"));
        }
        let mut codes: Vec<(CodeName, &LeasedCode)> = Vec::with_capacity(lease.codes.len());
        for leased in &lease.codes {
            let code: CodeName = leased.code.parse().map_err(|_| bad("code"))?;
            if codes.iter().any(|(known, _)| *known == code) {
                return Err(bad("code"));
            }
            if !(1..=20).contains(&leased.digits) {
                return Err(bad("number of digits"));
            }
            codes.push((code, leased));
        }
        let template = lease.template.parse().map_err(|_| bad("template"))?;
        if codes.is_empty() {
            return Err(bad("list of codes"));
        }
        Ok(Self { card: lease.card, salt, template, codes, contact })
    }

    /// Derives the second part of every code. The counter moves on while the template forbids the part.
    pub(super) async fn second_parts(&self, keys: &Keys<'_>) -> Result<Vec<(CodeName, Digits)>, Setback> {
        let mut parts = Vec::with_capacity(self.codes.len());
        for (code, leased) in &self.codes {
            parts.push((*code, self.second_part(keys, *code, leased).await?));
        }
        Ok(parts)
    }

    async fn second_part(
        &self,
        keys: &Keys<'_>,
        code: CodeName,
        leased: &LeasedCode,
    ) -> Result<Digits, Setback> {
        let mut search = Search::new(leased.digits, &leased.forbidden);
        let mut counter = 0;
        loop {
            let (card, salt, template) = (&self.card, &self.salt, &self.template);
            let message = part_message(Part::Second, code, card, leased.generation, salt, template, counter);
            let mac = keys.mac(MacKey::Deliver, message).await?;
            counter = match search.offer(&mac) {
                Step::Found(part) => return Ok(part),
                Step::Ask(next) => next,
                Step::Never => {
                    return Err(Setback::Failed("the template forbids every second part".to_owned()));
                }
            };
        }
    }

    /// Generation of the C.I.P. and tag of its second part in hexadecimal, if the delivery has a C.I.P.
    pub(super) async fn tag(
        &self,
        keys: &Keys<'_>,
        parts: &[(CodeName, Digits)],
    ) -> Result<Option<(u32, String)>, Setback> {
        let (Some((_, leased)), Some((_, part))) = (
            self.codes.iter().find(|(code, _)| *code == CodeName::Cip),
            parts.iter().find(|(code, _)| *code == CodeName::Cip),
        ) else {
            return Ok(None);
        };
        let message = tag_message(Part::Second, &self.card, leased.generation, &self.salt, part);
        let tag = keys.mac(MacKey::Verify, message).await?;
        Ok(Some((leased.generation, hex::encode(tag.expose()))))
    }
}
