//! Known layouts, and any bytes at all.

use proptest::prelude::*;

use super::*;

const FILE: &str = "00005F04609008010120240801012030\
05ROSSI05MARIA081506198001F0010RSSMRA80H55D612G0004D612000004D6120000";

fn file(body: &str) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    bytes.resize(400, 0);
    bytes
}

fn atr(text: &str) -> Result<u8, BadChip> {
    CnsAtr::parse(&hex::decode(text).unwrap()).map(CnsAtr::pin_reference)
}

#[test]
fn the_reference_of_the_pin_follows_the_mask_maker() {
    for (text, reference) in [
        ("3BFF1800FF8131FE55006B02091617011101434E531131808D", 0x90),
        ("3BFF1800FF8131FE55006B02091717011101434E531131808C", 0x90),
        ("3BFF1800008131FE45006B11050700011101434E531131807B", 0x10),
        ("3BFF1800008131FE45006B05052000012101434E5310318079", 0x10),
    ] {
        assert_eq!(atr(text), Ok(reference), "{text}");
    }
    for other in [
        "",
        "3B",
        "3B80800101",
        "3BFF1800FF8131FE55006B02091617011101434E",
        "3B00",
        "3BFF1800008131FE45006B",
        "3BFF80",
    ] {
        assert_eq!(atr(other), Err(BadChip::Atr), "{other}");
    }
}

#[test]
fn the_fields_of_the_personal_data_are_told_apart() {
    let data = PersonalData::parse(&file(FILE)).unwrap();
    assert_eq!(data.field(Field::Issuer), "6090");
    assert_eq!(data.field(Field::Surname), "ROSSI");
    assert_eq!(data.field(Field::Height), "");
    assert_eq!(data.tax_code().unwrap().as_str(), "RSSMRA80H55D612G");
    assert_eq!(data.field(Field::Residence), "D612");
    assert_eq!(data.date(Field::ExpiryDate), CivilDate::new(2030, 1, 1));
    assert_eq!(format!("{data:?}"), "PersonalData(…)");
}

#[test]
fn a_card_with_a_height_is_read_like_one_without() {
    let with = FILE.replacen("00005F", "000062", 1).replacen("01F00", "01F03171", 1);
    let data = PersonalData::parse(&file(&with)).unwrap();
    assert_eq!((data.field(Field::Height), data.field(Field::TaxCode)), ("171", "RSSMRA80H55D612G"));
}

#[test]
fn lengths_that_do_not_add_up_are_refused_at_their_field() {
    for (body, at) in [
        ("", 0),
        ("00005G", 0),
        ("+0005F046090", 0),
        ("FFFFFF", 0),
        ("0000010", 0),
        ("0000020Z", 0),
        ("000008046090AA", 1),
        ("00000405ab", 0),
        ("00002200000000000000000000000000000000XX", 16),
        ("0000020000001", 16),
        ("00000301\u{1b}", 0),
    ] {
        assert_eq!(PersonalData::parse(&file(body)), Err(BadChip::PersonalData(at)), "{body}");
    }
    let short = PersonalData::parse(b"00000A0460900201").unwrap();
    assert_eq!((short.field(Field::Issuer), short.field(Field::TaxCode)), ("6090", ""));
}

#[test]
fn a_certificate_ends_where_it_says_and_only_zeros_follow() {
    for (file, length) in [
        (&[0x30, 1, 5, 0, 0][..], Some(3)),
        (&[0x30, 0x81, 1, 5, 0], Some(4)),
        (&[0x30, 0x82, 0, 1, 5], Some(5)),
        (&[0x30, 1, 5, 7], None),
        (&[0x30, 2, 5], None),
        (&[0x30, 0x82, 0], None),
        (&[0x30, 0x80, 0, 0], None),
        (&[0, 0, 0], None),
        (&[], None),
    ] {
        assert_eq!(certificate(file).ok().map(<[u8]>::len), length, "{file:?}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let data = PersonalData::parse(&file(FILE)).unwrap();
    let id = id_carta(b"6090009051055000").unwrap();
    let holder = HolderName { tax_code: data.tax_code().unwrap(), card: id.as_str().to_owned() };
    let (day, late) = (CivilDate::new(2030, 1, 1).unwrap(), CivilDate::new(2030, 1, 2).unwrap());
    let printed = "80380000900090510553".parse().unwrap();
    let stated = Stated { id_carta: &id, personal: &data, holder: Some(&holder), printed: Some(&printed) };
    assert_eq!(findings(&stated, day), []);
    assert_eq!(findings(&stated, late), [Finding::Expired]);

    let other = id_carta(b"7430010024925855").unwrap();
    let empty = PersonalData::parse(b"000000").unwrap();
    let stated =
        Stated { id_carta: &other, personal: &empty, holder: Some(&holder), printed: Some(&printed) };
    let expected = [
        Finding::CertificateIdCarta,
        Finding::CertificateTaxCode,
        Finding::TaxCode,
        Finding::ExpiryDate,
        Finding::Issuer,
        Finding::NotAHealthCard,
        Finding::PrintedNumber,
    ];
    assert_eq!(findings(&stated, day), expected);
    let stated = Stated { id_carta: &id, personal: &data, holder: None, printed: None };
    assert_eq!(findings(&stated, day), [Finding::CertificateName]);
}

/// What must hold of any bytes that were read.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(found) = certificate(bytes) {
        prop_assert!(bytes.starts_with(found) && found.first() == Some(&0x30));
    }
    if let Ok(number) = id_carta(bytes) {
        prop_assert!(bytes.starts_with(number.as_str().as_bytes()));
    }
    if let Ok(data) = PersonalData::parse(bytes) {
        let used: usize = Field::ALL.iter().map(|field| data.field(*field).chars().count()).sum();
        prop_assert!(used < bytes.len());
    }
    if let Ok(atr) = CnsAtr::parse(bytes) {
        prop_assert!(bytes.windows(3).any(|w| w == b"CNS") && matches!(atr.pin_reference(), 0x10 | 0x90));
    }
    if let Ok(name) = HolderName::parse(&String::from_utf8_lossy(bytes)) {
        prop_assert!(bytes.starts_with(name.tax_code.as_str().as_bytes()));
    }
    Ok(())
}

proptest! {
    /// Whatever is in the reader: an answer, never a panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        check(&bytes)?;
        check(&[&[0x3B][..], &bytes].concat())?;
        check(&[&b"0000FF"[..], &bytes].concat())?;
        check(&[&[0x30, 0x82][..], &bytes].concat())?;
    }

    /// One byte of a good card is another.
    #[test]
    fn a_changed_byte_is_read_or_refused(at in 0..400_usize, new in any::<u8>()) {
        let atr = hex::decode("3BFF1800FF8131FE55006B02091617011101434E531131808D").unwrap();
        for mut good in [file(FILE), atr, b"6090009051055000".to_vec()] {
            if let Some(byte) = good.get_mut(at) {
                *byte = new;
            }
            check(&good)?;
        }
    }
}
