//! What is printed for the citizen beside the codes: made anew for a repeated request, from what it says again.

use serde::{Deserialize, Serialize};

use super::{Call, applicants::Visit};
use crate::{
    domain::{
        applicant::{Errand, Role},
        contact::{Channel, Contact},
        date::CivilDate,
        mask,
        team::TeamNumber,
    },
    policy::Act,
};

/// The data of a printed summary. It has no name, no number in full and no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paper {
    /// `activation`, `cip_renewal`, `reprint` or `revocation`.
    pub operation: &'static str,
    /// When it was done, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Where the operator worked then; the front end where there was none.
    pub office: String,
    /// Last day of the card.
    pub expires_on: CivilDate,
    /// The last four digits of its number.
    pub number_ends: String,
    /// Who asked.
    pub applicant: Role,
    /// Kind of the document that was shown.
    pub document: Option<String>,
    /// How and, masked, where second parts travel.
    pub contact: Option<(Channel, String)>,
    /// Ids of the texts to print, in their order.
    pub texts: &'static [&'static str],
}

/// What is remembered of an operation for its paper, beside what a repeated request says again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    at_ms: u64,
    office: String,
}

impl Stamp {
    pub(super) fn new<A: Act>(call: &Call<A>, at_ms: u64) -> Self {
        let office = call.permit.office().unwrap_or_else(|| call.permit.caller());
        Self { at_ms, office: office.to_owned() }
    }
}

/// What a request says of itself.
pub(super) struct Said<'a> {
    pub visit: Visit<'a>,
    pub team: &'a TeamNumber,
    pub contact: Option<&'a Contact>,
}

impl Said<'_> {
    /// The paper of an operation on the card that has this last day.
    pub(super) fn paper(&self, stamp: Stamp, expires_on: CivilDate) -> Paper {
        let number = self.team.as_str();
        let applicant = self.visit.applicant;
        let (operation, texts) = printed(self.visit.errand);
        Paper {
            operation,
            at_ms: stamp.at_ms,
            office: stamp.office,
            expires_on,
            number_ends: number.chars().skip(number.len().saturating_sub(4)).collect(),
            applicant: applicant.role(),
            document: applicant.document_kind().map(str::to_owned),
            contact: self.contact.map(|contact| (contact.channel(), mask::contact(contact))),
            texts,
        }
    }
}

/// The operation's name and the texts that belong on its paper.
const fn printed(errand: Errand) -> (&'static str, &'static [&'static str]) {
    match errand {
        Errand::Activation => ("activation", &["data_processing", "second_parts_follow", "keep_the_cip"]),
        Errand::CipRenewal => ("cip_renewal", &["second_parts_follow", "keep_the_cip"]),
        Errand::Consents => ("consents", &[]),
        // Who has changed the PIN on the chip is not helped by the old one, but by the PUK.
        Errand::Reprint => ("reprint", &["same_codes", "second_parts_follow", "changed_pin_needs_puk"]),
        Errand::Revocation => ("revocation", &["revocation_is_final"]),
    }
}
