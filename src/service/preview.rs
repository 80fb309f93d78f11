//! What an activation or a reprint would do: the page before "conferma". It has no effect but the event of the look-up.

use super::{CardView, Service};
use crate::domain::{
    applicant::{Applicant, Objection, Role},
    contact::{Channel, Contact},
    mask,
    message::MessageLanguage,
    template::{CodeName, Part, Template},
};

/// What would be done.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The card as it is now.
    pub card: CardView,
    /// The codes that would be handed out, with the digits of their first and second part.
    pub codes: Vec<(CodeName, u8, u8)>,
    /// Who asks.
    pub applicant: MaskedApplicant,
    /// How and, masked, where second parts would travel.
    pub contact: (Channel, String),
    /// Language of their message.
    pub language: MessageLanguage,
    /// What the confirmed request would still be refused for.
    pub lacks: Vec<Objection>,
}

/// An applicant as it may be shown.
#[derive(Clone, Debug)]
pub struct MaskedApplicant {
    /// In which role.
    pub role: Role,
    /// A proxy's given and family name, by their first letters.
    pub name: Option<String>,
    /// A proxy's C.F., by its letters.
    pub tax_code: Option<String>,
    /// Kind of the document.
    pub document: Option<String>,
    /// Its number, by the last three characters.
    pub document_number: Option<String>,
}

impl MaskedApplicant {
    /// Of an applicant.
    pub(super) fn of(applicant: &Applicant) -> Self {
        let (proxy, document) = (applicant.proxy.as_ref(), applicant.document.as_ref());
        Self {
            role: applicant.role(),
            name: proxy.map(|proxy| {
                let first = |name: &str| mask::masked(name, 1, 0);
                format!("{} {}", first(proxy.given_name.expose()), first(proxy.family_name.expose()))
            }),
            tax_code: proxy.map(|proxy| mask::tax_code(&proxy.tax_code)),
            document: document.map(|document| document.kind.clone()),
            document_number: document.map(|document| mask::masked(document.number.expose(), 0, 3)),
        }
    }
}

impl Service {
    /// Puts a summary together.
    pub(super) fn summary(
        card: CardView,
        template: &Template,
        codes: &[CodeName],
        applicant: &Applicant,
        contact: &Contact,
        language: MessageLanguage,
        lacks: Vec<Objection>,
    ) -> Summary {
        let size = |code: &CodeName| {
            let shape = template.shape(*code)?;
            Some((*code, shape.length(Part::First), shape.length(Part::Second)))
        };
        Summary {
            card,
            codes: codes.iter().filter_map(size).collect(),
            applicant: MaskedApplicant::of(applicant),
            contact: (contact.channel(), mask::contact(contact)),
            language,
            lacks,
        }
    }
}
