//! The common name of a card's certificate, and every other text of a request that stands for one thing: what is read is written
//! as it was.
#![no_main]

use std::{fmt::Display, str::FromStr};

use libfuzzer_sys::fuzz_target;
use sigillo::domain::{
    applicant::Personal,
    audit::{self, Kind, Outcome},
    chip::HolderName,
    consent::{Choice, ConsentKind},
    contact::{Channel, Contact},
    date::CivilDate,
    history::Cursor,
    id::CardId,
    mask,
    message::MessageLanguage,
    officers::Signature,
    operations::Operations,
    tax_code::TaxCode,
    team::{IdCarta, Region, TeamNumber},
    template::{CodeName, TemplateId},
};

fn same<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text, "{}", std::any::type_name::<T>());
    }
}

fuzz_target!(|text: &str| {
    if let Ok(name) = HolderName::parse(text) {
        assert!(text.starts_with(&format!("{}/{}.", name.tax_code.as_str(), name.card)));
    }
    if let Ok(code) = text.parse::<TaxCode>() {
        assert_eq!(code.as_str().parse::<TaxCode>().as_ref(), Ok(&code));
        assert!(mask::tax_code(&code).contains('*'), "a mask hides something");
    }
    if let Ok(team) = text.parse::<TeamNumber>() {
        assert_eq!(team.as_str(), text);
        let _ = (team.luhn_holds(), team.region().name());
    }
    if let Ok(chip) = text.parse::<IdCarta>() {
        assert_eq!(chip.as_str(), text);
        assert!(chip.team_number().is_none_or(|team| team.matches(&chip) && team.luhn_holds()));
    }
    for channel in [Channel::Email, Channel::Sms] {
        if let Ok(contact) = Contact::parse(channel, text) {
            assert_eq!(contact.expose(), text);
            assert!(contact.is_same(&contact) && mask::contact(&contact).contains("***"));
        }
    }
    if let Some(at_ms) = audit::time_ms(text) {
        assert_eq!(audit::time_ms(&audit::time_text(at_ms)), Some(at_ms), "a moment");
    }
    if let Some(counted) = Operations::parse(text) {
        assert_eq!(Operations::parse(&counted.to_string()), Some(counted), "a count of operations");
    }
    if let Ok(signature) = text.parse::<Signature>() {
        let written = signature.to_string();
        assert_eq!(written.parse::<Signature>().map(|again| again.to_string()), Ok(written), "a signature");
    }
    let _ = (Personal::name(text), Personal::number(text), Personal::issuer(text));
    let _ = (
        Kind::from_text(text),
        Outcome::from_text(text),
        text.parse::<Choice>(),
        text.parse::<MessageLanguage>(),
    );
    let _ = text.parse::<CodeName>();
    same::<CardId>(text);
    same::<CivilDate>(text);
    same::<ConsentKind>(text);
    same::<Cursor>(text);
    same::<Region>(text);
    same::<TemplateId>(text);
});
