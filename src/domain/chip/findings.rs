//! What does not fit on a card: its parts, compared with each other and with the day.

use super::{Field, HolderName, PersonalData};
use crate::domain::{
    date::CivilDate,
    team::{IdCarta, TeamNumber},
};

/// Something on a card that does not fit. The texts of [`Finding::code`] never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The certificate's time is over.
    CertificateExpired,
    /// The certificate names another card than EF.ID_Carta.
    CertificateIdCarta,
    /// The certificate's key is not RSA of at least 2048 bits.
    CertificateKey,
    /// The certificate's common name is not that of a CNS.
    CertificateName,
    /// The certificate's time has not come.
    CertificateNotYetValid,
    /// The certificate does not state the policy of CNS certificates.
    CertificatePolicy,
    /// The certificate names another holder than EF.Dati_personali.
    CertificateTaxCode,
    /// The certificate is not for signatures and client authentication.
    CertificateUsage,
    /// The card is past its last day.
    Expired,
    /// EF.Dati_personali holds no last day.
    ExpiryDate,
    /// EF.Dati_personali and EF.ID_Carta name different issuers.
    Issuer,
    /// A CNS, but not a health card: it has no TEAM number.
    NotAHealthCard,
    /// The number printed on the card is not that of its chip. Look at the card: the rule is observed, not written.
    PrintedNumber,
    /// The tax code in EF.Dati_personali is none.
    TaxCode,
}

impl Finding {
    /// Its name for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateIdCarta => "certificate_id_carta",
            Self::CertificateKey => "certificate_key",
            Self::CertificateName => "certificate_name",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::CertificatePolicy => "certificate_policy",
            Self::CertificateTaxCode => "certificate_tax_code",
            Self::CertificateUsage => "certificate_usage",
            Self::Expired => "expired",
            Self::ExpiryDate => "expiry_date",
            Self::Issuer => "issuer",
            Self::NotAHealthCard => "not_a_health_card",
            Self::PrintedNumber => "printed_number",
            Self::TaxCode => "tax_code",
        }
    }

    /// What it means, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::CertificateExpired => "the certificate has expired",
            Self::CertificateIdCarta => "the certificate is of another card than EF.ID_Carta",
            Self::CertificateKey => "the certificate's key is not RSA of at least 2048 bits",
            Self::CertificateName => "the certificate's name is not that of a CNS (C.F./ID_Carta.hash)",
            Self::CertificateNotYetValid => "the certificate is not yet valid",
            Self::CertificatePolicy => "the certificate does not state the CNS policy 1.3.76.16.2.1",
            Self::CertificateTaxCode => "certificate and EF.Dati_personali name different holders",
            Self::CertificateUsage => "the certificate is not for signatures and client authentication",
            Self::Expired => "the card has expired",
            Self::ExpiryDate => "EF.Dati_personali holds no date of expiry",
            Self::Issuer => "EF.Dati_personali and EF.ID_Carta name different issuers",
            Self::NotAHealthCard => "a CNS card, but not a health card: it has no TEAM number",
            Self::PrintedNumber => {
                "the printed number is not that of the chip: compare the card with its holder"
            }
            Self::TaxCode => "EF.Dati_personali holds no valid tax code",
        }
    }
}

/// What a card states.
#[derive(Debug)]
pub struct Stated<'a> {
    /// EF.ID_Carta.
    pub id_carta: &'a IdCarta,
    /// EF.Dati_personali.
    pub personal: &'a PersonalData,
    /// The certificate's common name, where it is that of a CNS.
    pub holder: Option<&'a HolderName>,
    /// The number on the plastic, where somebody typed it.
    pub printed: Option<&'a TeamNumber>,
}

/// What does not fit among the files and names of a card on a day. The certificate's own faults are found by who reads it.
pub fn findings(stated: &Stated<'_>, today: CivilDate) -> Vec<Finding> {
    let Stated { id_carta, personal, holder, printed } = *stated;
    let holder_is = |wrong: fn(&HolderName, &Stated<'_>) -> bool| holder.is_some_and(|h| wrong(h, stated));
    let expiry = personal.date(Field::ExpiryDate);
    [
        (holder.is_none(), Finding::CertificateName),
        (holder_is(|h, s| h.card != s.id_carta.as_str()), Finding::CertificateIdCarta),
        (
            holder_is(|h, s| h.tax_code.as_str() != s.personal.field(Field::TaxCode)),
            Finding::CertificateTaxCode,
        ),
        (personal.tax_code().is_none(), Finding::TaxCode),
        (expiry.is_none(), Finding::ExpiryDate),
        (expiry.is_some_and(|last| last.is_expired(today)), Finding::Expired),
        (id_carta.as_str().get(..4) != Some(personal.field(Field::Issuer)), Finding::Issuer),
        (id_carta.team_number().is_none(), Finding::NotAHealthCard),
        (printed.is_some_and(|number| !number.matches(id_carta)), Finding::PrintedNumber),
    ]
    .into_iter()
    .filter_map(|(wrong, finding)| wrong.then_some(finding))
    .collect()
}
