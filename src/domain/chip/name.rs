//! The common name of a CNS certificate: `C.F./ID_Carta.hash`.

use std::fmt;

use crate::domain::tax_code::TaxCode;

/// Longest common name, characters (X.520).
const MAX: usize = 64;
/// Digits of ID_Carta.
const CARD: usize = 16;
/// Base64 of 20 bytes: a SHA-1 of EF.Dati_personali. Not compared: of which of its bytes is not published.
const HASH: usize = 28;

/// Why a common name is not that of a CNS certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has another form.
    #[error("the common name is not that of a CNS certificate")]
    Form,
    /// What stands in the place of the tax code is none.
    #[error("the common name holds no valid tax code")]
    TaxCode,
}

/// Holder and card by a certificate's common name. Personal data: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct HolderName {
    /// The holder.
    pub tax_code: TaxCode,
    /// The card's EF.ID_Carta: 16 digits.
    pub card: String,
}

impl HolderName {
    /// Reads a common name. The first `/` ends the tax code: the hash may hold more of them.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        if name.len() > MAX || !name.is_ascii() {
            return Err(BadName::Form);
        }
        let (tax_code, rest) = name.split_once('/').ok_or(BadName::Form)?;
        let (card, hash) = rest.split_once('.').ok_or(BadName::Form)?;
        if card.len() != CARD || !card.bytes().all(|b| b.is_ascii_digit()) || !is_hash(hash) {
            return Err(BadName::Form);
        }
        let parsed: TaxCode = tax_code.parse().map_err(|_| BadName::TaxCode)?;
        // An authority writes it in upper case; anything else was not made by one.
        if parsed.as_str() != tax_code {
            return Err(BadName::TaxCode);
        }
        Ok(Self { tax_code: parsed, card: card.to_owned() })
    }
}

impl fmt::Debug for HolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HolderName(…)")
    }
}

fn is_hash(text: &str) -> bool {
    let of_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.len() == HASH && text.strip_suffix('=').is_some_and(|body| body.bytes().all(of_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<(String, String), BadName> {
        HolderName::parse(name).map(|name| (name.tax_code.as_str().to_owned(), name.card))
    }

    #[test]
    fn published_forms_parse() {
        let hash = "lsKV/lNtBAmc8x5lzSb+cxx2UzE=";
        let read = parse(&format!("RSSMRA75C22H50MA/7430010024925855.{hash}"));
        assert_eq!(read, Ok(("RSSMRA75C22H50MA".into(), "7430010024925855".into())));
        let provisional = HolderName::parse(&format!("12345678903/7430010024925855.{hash}")).unwrap();
        assert!(provisional.tax_code.is_provisional());
        // Published with a C.F. that is nobody's, in the right form but with a day that no month has.
        let published = "AAAAAA99A99B354Z/1234567891123456.OcjosidjOIUjhohdcaalkKgUgB4=";
        assert_eq!(parse(published), Err(BadName::TaxCode));
    }

    #[test]
    fn other_forms_are_refused() {
        let hash = "lsKV/lNtBAmc8x5lzSb+cxx2UzE=";
        for (bad, why) in [
            (String::new(), BadName::Form),
            ("RSSMRA80H55D612G".into(), BadName::Form),
            (format!("RSSMRA80H55D612G/743001002492585.{hash}"), BadName::Form),
            (format!("RSSMRA80H55D612G/743001002492585X.{hash}"), BadName::Form),
            ("RSSMRA80H55D612G/7430010024925855.lsKV".into(), BadName::Form),
            (format!("RSSMRA80H55D612G/7430010024925855.={}", &hash[1..]), BadName::Form),
            (format!("RSSMRA80H55D612H/7430010024925855.{hash}"), BadName::TaxCode),
            (format!("rssmra80h55d612g/7430010024925855.{hash}"), BadName::TaxCode),
        ] {
            assert_eq!(parse(&bad), Err(why), "{bad}");
        }
    }
}
