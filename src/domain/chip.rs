//! What the chip of a CNS card says: the answer to reset, EF.Dati_personali, and the name in the certificate.
//!
//! The bytes come from whatever was put into the reader: nothing here may panic on any of them, nor guess where they are
//! wrong. The layout is described in OpenSC's driver `itacns`.

mod findings;
mod name;

use std::fmt;

use super::{date::CivilDate, tax_code::TaxCode, team::IdCarta};

pub use findings::{Finding, Stated, findings};
pub use name::{BadName, HolderName};

/// A card that is not a CNS, or whose chip holds something else than the layout says. Values are never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChip {
    /// The answer to reset is not of a CNS.
    #[error("the answer to reset is not that of a CNS card")]
    Atr,
    /// The file of the certificate is empty or not one certificate.
    #[error("the chip holds no certificate where a CNS has it")]
    Certificate,
    /// EF.ID_Carta is not 16 digits that begin with 6 or 7.
    #[error("EF.ID_Carta is not the number of a CNS card")]
    IdCarta,
    /// EF.Dati_personali does not follow its own lengths (the field is given, from 0; 16 for what follows the last).
    #[error("EF.Dati_personali cannot be read at field {0}")]
    PersonalData(usize),
}

/// What the answer to reset says about a CNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CnsAtr {
    pin_reference: u8,
}

impl CnsAtr {
    /// Reads an answer to reset (ISO/IEC 7816-3) whose 15 historical bytes are those of a CNS.
    pub fn parse(atr: &[u8]) -> Result<Self, BadChip> {
        let history = historical(atr).ok_or(BadChip::Atr)?;
        let (marks, mask) = (history.get(9..12), history.get(3).copied());
        match (history.first_chunk(), marks, mask) {
            // STIncard's masks want the bit of local references set.
            (Some([0x00, 0x6B]), Some(b"CNS"), Some(mask)) if history.len() == 15 => {
                Ok(Self { pin_reference: if mask == 0x09 { 0x90 } else { 0x10 } })
            }
            (Some(_) | None, Some(_) | None, Some(_) | None) => Err(BadChip::Atr),
        }
    }

    /// P2 of VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER.
    pub const fn pin_reference(self) -> u8 {
        self.pin_reference
    }
}

/// The historical bytes: behind TS, T0 and the interface bytes that T0 and every TD announce.
fn historical(atr: &[u8]) -> Option<&[u8]> {
    let (ts, mut rest) = atr.split_first()?;
    if !matches!(ts, 0x3B | 0x3F) {
        return None;
    }
    let (t0, after) = rest.split_first()?;
    rest = after;
    let mut announced = *t0;
    loop {
        let before_td = usize::try_from((announced & 0x70).count_ones()).ok()?;
        rest = rest.get(before_td..)?;
        if announced & 0x80 == 0 {
            return rest.get(..usize::from(*t0 & 0x0F));
        }
        let (td, after) = rest.split_first()?;
        (announced, rest) = (*td, after);
    }
}

/// EF.ID_Carta: exactly 16 digits; zero bytes may follow.
pub fn id_carta(file: &[u8]) -> Result<IdCarta, BadChip> {
    let (digits, padding) = file.split_at_checked(16).ok_or(BadChip::IdCarta)?;
    let text = std::str::from_utf8(digits).map_err(|_| BadChip::IdCarta)?;
    let padded = padding.iter().all(|byte| *byte == 0);
    text.parse().ok().filter(|_| padded).ok_or(BadChip::IdCarta)
}

/// The certificate in EF.C_Carta without the bytes that fill the file up: one DER SEQUENCE.
pub fn certificate(file: &[u8]) -> Result<&[u8], BadChip> {
    let &[0x30, length, ..] = file else { return Err(BadChip::Certificate) };
    let (start, length) = match length {
        0x82 => {
            let bytes = file.get(2..4).and_then(|b| b.try_into().ok()).ok_or(BadChip::Certificate)?;
            (4_usize, usize::from(u16::from_be_bytes(bytes)))
        }
        0x81 => (3, usize::from(*file.get(2).ok_or(BadChip::Certificate)?)),
        0..=0x7F => (2, usize::from(length)),
        0x80 | 0x83..=0xFF => return Err(BadChip::Certificate),
    };
    let (certificate, padding) =
        file.split_at_checked(start.saturating_add(length)).ok_or(BadChip::Certificate)?;
    if padding.iter().all(|byte| *byte == 0) { Ok(certificate) } else { Err(BadChip::Certificate) }
}

/// EF.Dati_personali. Personal data: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonalData {
    fields: [String; 16],
}

/// Where a field of EF.Dati_personali stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Field {
    Issuer,
    IssueDate,
    ExpiryDate,
    Surname,
    GivenName,
    BirthDate,
    Sex,
    Height,
    TaxCode,
    Citizenship,
    BirthPlace,
    BirthCountry,
    BirthRecord,
    Residence,
    Address,
    TravelNote,
}

impl Field {
    const ALL: [Self; 16] = [
        Self::Issuer,
        Self::IssueDate,
        Self::ExpiryDate,
        Self::Surname,
        Self::GivenName,
        Self::BirthDate,
        Self::Sex,
        Self::Height,
        Self::TaxCode,
        Self::Citizenship,
        Self::BirthPlace,
        Self::BirthCountry,
        Self::BirthRecord,
        Self::Residence,
        Self::Address,
        Self::TravelNote,
    ];
}

impl PersonalData {
    /// Reads the file: six hexadecimal digits with the length of what follows, then up to 16 fields, each with two
    /// hexadecimal digits for its length. An empty field is `00`: the height of a CNS is, so that `0010` in front of the
    /// tax code is two lengths and not one. Older cards stop early; zero bytes fill the file up.
    pub fn parse(file: &[u8]) -> Result<Self, BadChip> {
        let bad = BadChip::PersonalData(0);
        let (total, rest) = file.split_at_checked(6).ok_or(bad)?;
        let total = hexadecimal(total).ok_or(bad)?;
        let (mut body, padding) = rest.split_at_checked(total).ok_or(bad)?;
        let mut fields: [String; 16] = Default::default();
        for ((index, _), into) in Field::ALL.iter().enumerate().zip(&mut fields) {
            if body.is_empty() {
                break;
            }
            let bad = BadChip::PersonalData(index);
            let (length, rest) = body.split_at_checked(2).ok_or(bad)?;
            let length = hexadecimal(length).ok_or(bad)?;
            let (value, rest) = rest.split_at_checked(length).ok_or(bad)?;
            *into = text(value).ok_or(bad)?;
            body = rest;
        }
        if body.is_empty() && padding.iter().all(|byte| *byte == 0) {
            Ok(Self { fields })
        } else {
            Err(BadChip::PersonalData(16))
        }
    }

    /// A field as it stands, empty where there is none.
    pub fn field(&self, field: Field) -> &str {
        let at = Field::ALL.iter().zip(&self.fields).find(|(known, _)| **known == field);
        at.map_or("", |(_, value)| value)
    }

    /// The tax code, if it is one.
    pub fn tax_code(&self) -> Option<TaxCode> {
        self.field(Field::TaxCode).parse().ok()
    }

    /// A date (`DDMMYYYY`), if it is one.
    pub fn date(&self, field: Field) -> Option<CivilDate> {
        let text = self.field(field);
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u16>().ok();
        if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (day, month) = (u8::try_from(number(0..2)?).ok()?, u8::try_from(number(2..4)?).ok()?);
        CivilDate::new(number(4..8)?, month, day)
    }
}

impl fmt::Debug for PersonalData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalData(…)")
    }
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    usize::from_str_radix(text?, 16).ok()
}

/// Text as UTF-8, or else as ISO 8859-1, without anything that steers a terminal.
fn text(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests;
