//! The common name of a CNS certificate: `C.F./ID_Carta.hash`.

use x509_parser::certificate::X509Certificate;

use super::Refusal;
use crate::domain::{
    chip::{BadName, HolderName},
    tax_code::TaxCode,
};

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
