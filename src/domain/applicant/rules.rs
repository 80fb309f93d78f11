//! Whether somebody may ask for something, by what the request says alone.

use std::collections::BTreeSet;

use super::{Applicant, Document, Proxy, Title};
use crate::domain::{date::CivilDate, tax_code::TaxCode, team::Region};

/// From this age on a holder acts in person.
const OF_AGE: u16 = 18;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A card is to be activated.
    Activation,
    /// A card is to get a new C.I.P.
    CipRenewal,
    /// Consents are to be recorded.
    Consents,
    /// PIN and PUK are to be printed again.
    Reprint,
    /// A card is to be revoked.
    Revocation,
}

/// What the policy says of one errand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrandRules {
    /// Who may ask for it beside the holder.
    pub proxies: BTreeSet<Title>,
    /// Whether a document must be shown.
    pub document: bool,
    /// Regions whose cards a parent may not ask it for.
    pub no_parents_in: BTreeSet<Region>,
}

/// What the policy says of applicants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Kinds of documents.
    pub documents: BTreeSet<String>,
    /// Those of them that have no last day.
    pub documents_for_life: BTreeSet<String>,
    /// For an activation.
    pub activation: ErrandRules,
    /// A new C.I.P.
    pub cip_renewal: ErrandRules,
    /// For consents.
    pub consents: ErrandRules,
    /// For a reprint.
    pub reprint: ErrandRules,
    /// For a revocation.
    pub revocation: ErrandRules,
}

/// Why an applicant may not ask. Each has a code of its own, which never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The full date of birth is not the one in the C.F.
    BirthDateDiffers,
    /// The data processing is not agreed to.
    DataProcessingMissing,
    /// A proxy without a signed declaration.
    DeclarationMissing,
    /// Its last day has passed.
    DocumentExpired,
    /// It would have ended before it was issued.
    DocumentExpiresBeforeIssue,
    /// It has no last day, and must have one.
    DocumentExpiryMissing,
    /// It is of a day to come.
    DocumentIssuedInFuture,
    /// There must be one.
    DocumentMissing,
    /// Not one of the policy's.
    DocumentKindUnknown,
    /// A minor does not act in person.
    HolderIsMinor,
    /// Only a parent or a guardian acts for a minor.
    MinorNeedsParentOrGuardian,
    /// The holder is of age.
    ParentOfAdult,
    /// The policy forbids it to parents for cards of this region.
    ParentsNotAllowedInRegion,
    /// The proxy's C.F. is the holder's.
    ProxyIsHolder,
    /// Who is under age acts for nobody.
    ProxyIsMinor,
    /// The policy does not have this title for this.
    ProxyTitleNotAllowed,
}

impl Objection {
    /// Its code in problems.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BirthDateDiffers => "birth_date_differs",
            Self::DataProcessingMissing => "data_processing_missing",
            Self::DeclarationMissing => "declaration_missing",
            Self::DocumentExpired => "document_expired",
            Self::DocumentExpiresBeforeIssue => "document_expires_before_issue",
            Self::DocumentExpiryMissing => "document_expiry_missing",
            Self::DocumentIssuedInFuture => "document_issued_in_future",
            Self::DocumentMissing => "document_missing",
            Self::DocumentKindUnknown => "unknown_document_kind",
            Self::HolderIsMinor => "holder_is_minor",
            Self::MinorNeedsParentOrGuardian => "minor_needs_parent_or_guardian",
            Self::ParentOfAdult => "parent_of_adult",
            Self::ParentsNotAllowedInRegion => "parents_not_allowed_in_region",
            Self::ProxyIsHolder => "proxy_is_holder",
            Self::ProxyIsMinor => "proxy_is_minor",
            Self::ProxyTitleNotAllowed => "proxy_title_not_allowed",
        }
    }

    /// Path of the field at fault.
    pub const fn field(self) -> &'static str {
        match self {
            Self::BirthDateDiffers => "applicant.holder_born_on",
            Self::DataProcessingMissing => "data_processing",
            Self::DeclarationMissing => "applicant.declaration",
            Self::DocumentExpired | Self::DocumentExpiresBeforeIssue | Self::DocumentExpiryMissing => {
                "applicant.document.expires_on"
            }
            Self::DocumentIssuedInFuture => "applicant.document.issued_on",
            Self::DocumentMissing => "applicant.document",
            Self::DocumentKindUnknown => "applicant.document.kind",
            Self::HolderIsMinor => "applicant.is",
            Self::ProxyIsHolder | Self::ProxyIsMinor => "applicant.proxy.tax_code",
            Self::MinorNeedsParentOrGuardian
            | Self::ParentOfAdult
            | Self::ParentsNotAllowedInRegion
            | Self::ProxyTitleNotAllowed => "applicant.proxy.title",
        }
    }

    /// What it says to a person.
    pub const fn text(self) -> &'static str {
        match self {
            Self::BirthDateDiffers => "not the date of birth in the holder's tax code",
            Self::DataProcessingMissing => "without the data processing ticked a card is not activated",
            Self::DeclarationMissing => {
                "a proxy signs the substitute declaration first, and the office keeps it"
            }
            Self::DocumentExpired => "the document has expired",
            Self::DocumentExpiresBeforeIssue => "the document would end before it was issued",
            Self::DocumentExpiryMissing => "a document of this kind has a last day",
            Self::DocumentIssuedInFuture => "the document is of a day to come",
            Self::DocumentMissing => "an identity document must be shown",
            Self::DocumentKindUnknown => "not one of the policy's kinds of documents",
            Self::HolderIsMinor => "a holder under 18 does not act in person: a parent or guardian does",
            Self::MinorNeedsParentOrGuardian => "only a parent or a guardian acts for a holder under 18",
            Self::ParentOfAdult => "the holder is of age",
            Self::ParentsNotAllowedInRegion => {
                "the policy does not allow it to parents for cards of this region"
            }
            Self::ProxyIsHolder => "the proxy is the holder",
            Self::ProxyIsMinor => "a proxy must be of age",
            Self::ProxyTitleNotAllowed => "the policy does not allow it to a proxy with this title",
        }
    }

    /// Whether something only lacks yet, which a preview lists instead of refusing.
    pub const fn is_lack(self) -> bool {
        matches!(
            self,
            Self::DataProcessingMissing
                | Self::DeclarationMissing
                | Self::DocumentExpiryMissing
                | Self::DocumentMissing
        )
    }
}

impl Rules {
    /// What the policy says of an errand.
    pub const fn of(&self, errand: Errand) -> &ErrandRules {
        match errand {
            Errand::Activation => &self.activation,
            Errand::CipRenewal => &self.cip_renewal,
            Errand::Consents => &self.consents,
            Errand::Reprint => &self.reprint,
            Errand::Revocation => &self.revocation,
        }
    }

    /// All that speaks against it, the gravest first; nothing where it may be asked for. `holder` is the holder's C.F.,
    /// which a revocation does not have: the holder's age is not looked at then.
    pub fn objections(
        &self,
        errand: Errand,
        applicant: &Applicant,
        holder: Option<&TaxCode>,
        region: Region,
        today: CivilDate,
    ) -> Vec<Objection> {
        let rules = self.of(errand);
        let mut found = Vec::new();
        let born = holder.and_then(|holder| match applicant.holder_born_on {
            Some(said) if holder.is_born_on(said) && said <= today => Some(said),
            Some(_) => {
                found.push(Objection::BirthDateDiffers);
                None
            }
            None => holder.born_on(today),
        });
        let age = born.map(|born| born.age_on(today));
        match &applicant.proxy {
            None if age.is_some_and(|age| age < OF_AGE) => found.push(Objection::HolderIsMinor),
            None => {}
            Some(proxy) => {
                found.extend(rules.of_title(proxy.title, age, region));
                found.extend(of_proxy(proxy, holder, today));
                if !applicant.declaration {
                    found.push(Objection::DeclarationMissing);
                }
            }
        }
        match &applicant.document {
            None if rules.document => found.push(Objection::DocumentMissing),
            None => {}
            Some(document) => found.extend(self.of_document(document, today)),
        }
        found.sort_by_key(|objection| objection.is_lack());
        found
    }

    fn of_document(&self, document: &Document, today: CivilDate) -> Option<Objection> {
        if !self.documents.contains(&document.kind) {
            return Some(Objection::DocumentKindUnknown);
        }
        if document.issued_on > today {
            return Some(Objection::DocumentIssuedInFuture);
        }
        match document.expires_on {
            None if self.documents_for_life.contains(&document.kind) => None,
            None => Some(Objection::DocumentExpiryMissing),
            Some(last) if last < document.issued_on => Some(Objection::DocumentExpiresBeforeIssue),
            Some(last) if last.is_expired(today) => Some(Objection::DocumentExpired),
            Some(_) => None,
        }
    }
}

impl ErrandRules {
    fn of_title(&self, title: Title, holder_age: Option<u16>, region: Region) -> Option<Objection> {
        if !self.proxies.contains(&title) {
            return Some(Objection::ProxyTitleNotAllowed);
        }
        match (title, holder_age) {
            (Title::ParentalAuthority, _) if self.no_parents_in.contains(&region) => {
                Some(Objection::ParentsNotAllowedInRegion)
            }
            (Title::ParentalAuthority, Some(OF_AGE..)) => Some(Objection::ParentOfAdult),
            (Title::Curator | Title::HealthImpediment, Some(..OF_AGE)) => {
                Some(Objection::MinorNeedsParentOrGuardian)
            }
            _ => None,
        }
    }
}

fn of_proxy(proxy: &Proxy, holder: Option<&TaxCode>, today: CivilDate) -> Option<Objection> {
    if holder == Some(&proxy.tax_code) {
        return Some(Objection::ProxyIsHolder);
    }
    let age = proxy.tax_code.born_on(today).map(|born| born.age_on(today));
    age.is_some_and(|age| age < OF_AGE).then_some(Objection::ProxyIsMinor)
}
