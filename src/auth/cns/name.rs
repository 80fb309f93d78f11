//! The common name of a CNS certificate: `C.F./ID_Carta.hash`.

use x509_parser::{certificate::X509Certificate, oid_registry, oid_registry::Oid};

use super::Refusal;
use crate::domain::{
    chip::{BadName, HolderName},
    tax_code::TaxCode,
};

/// Longest name of a person shown, bytes.
const MAX: usize = 64;

/// C.F. and ID_Carta of a subject with exactly one common name.
pub(super) fn read(certificate: &X509Certificate<'_>) -> Result<(TaxCode, String), Refusal> {
    let mut names = certificate.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else { return Err(Refusal::BadCommonName) };
    let name = name.as_str().map_err(|_| Refusal::BadCommonName)?;
    match HolderName::parse(name) {
        Ok(HolderName { tax_code, card }) => Ok((tax_code, card)),
        Err(BadName::Form) => Err(Refusal::BadCommonName),
        Err(BadName::TaxCode) => Err(Refusal::BadTaxCode),
    }
}

/// Given name and surname, for people to read; nothing where one is missing, is there twice or cannot be read.
pub(super) fn person(certificate: &X509Certificate<'_>) -> Option<String> {
    let one = |of: &Oid<'_>| {
        let mut found = certificate.subject().iter_by_oid(of);
        let (Some(text), None) = (found.next(), found.next()) else { return None };
        text.as_str().ok().filter(|text| is_shown(text)).map(str::to_owned)
    };
    Some(format!("{} {}", one(&oid_registry::OID_X509_GIVEN_NAME)?, one(&oid_registry::OID_X509_SURNAME)?))
}

fn is_shown(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX && !text.chars().any(char::is_control)
}
