//! The common name of a CNS certificate: `C.F./ID_Carta.hash`.

use x509_parser::certificate::X509Certificate;

use super::Refusal;
use crate::domain::tax_code::TaxCode;

/// Longest common name, characters (X.520).
const MAX: usize = 64;
/// Digits of ID_Carta.
const CARD: usize = 16;
/// Base64 of the 20 bytes of a SHA-1 over the card's personal data file. Not checked: the file is on the card.
const HASH: usize = 28;

/// C.F. and ID_Carta of a subject with exactly one common name.
pub(super) fn read(certificate: &X509Certificate<'_>) -> Result<(TaxCode, String), Refusal> {
    let mut names = certificate.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else { return Err(Refusal::BadCommonName) };
    parse(name.as_str().map_err(|_| Refusal::BadCommonName)?)
}

/// The first `/` ends the C.F.: the hash may hold more of them.
fn parse(name: &str) -> Result<(TaxCode, String), Refusal> {
    if name.len() > MAX || !name.is_ascii() {
        return Err(Refusal::BadCommonName);
    }
    let (tax_code, rest) = name.split_once('/').ok_or(Refusal::BadCommonName)?;
    let (card, hash) = rest.split_once('.').ok_or(Refusal::BadCommonName)?;
    if card.len() != CARD || !card.bytes().all(|b| b.is_ascii_digit()) || !is_hash(hash) {
        return Err(Refusal::BadCommonName);
    }
    let parsed: TaxCode = tax_code.parse().map_err(|_| Refusal::BadTaxCode)?;
    // An authority writes it in upper case; anything else was not made by one.
    if parsed.as_str() != tax_code {
        return Err(Refusal::BadTaxCode);
    }
    Ok((parsed, card.to_owned()))
}

fn is_hash(text: &str) -> bool {
    let of_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.len() == HASH && text.strip_suffix('=').is_some_and(|body| body.bytes().all(of_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_forms_parse() {
        let hash = "lsKV/lNtBAmc8x5lzSb+cxx2UzE=";
        let (tax_code, card) = parse(&format!("RSSMRA75C22H50MA/7430010024925855.{hash}")).unwrap();
        assert_eq!((tax_code.as_str(), card.as_str()), ("RSSMRA75C22H50MA", "7430010024925855"));
        assert!(parse(&format!("12345678903/7430010024925855.{hash}")).unwrap().0.is_provisional());
        // Published with a C.F. that is nobody's, in the right form but with a day that no month has.
        let published = "AAAAAA99A99B354Z/1234567891123456.OcjosidjOIUjhohdcaalkKgUgB4=";
        assert_eq!(parse(published).err(), Some(Refusal::BadTaxCode));
    }
}
