//! What a counter does beside cards and codes, and a citizen alone.

use std::collections::BTreeMap;

use sigillo::api::{
    applicant::MaskedApplicant,
    consents::{
        Consent, Consents, ConsentsPreview, GivenConsent, LookUpConsents, PastConsent, RecordConsents,
        RecordedConsent, RecordedConsents,
    },
    readers::{ReaderPreview, ReaderReceipt, ReaderStock, RequestReader, StockReaders},
    renewals::RenewSelf,
};

use super::{
    CF, DAY, HEX32, Sample, TEAM, TIME, answer,
    codes::{applicant, card, contact, paper},
    request,
};

/// Consents, readers, self-renewal.
pub(super) fn all() -> Vec<Sample> {
    const KIND: &str = "consultazione";
    const TEXT: &str = "consultazione/1";
    let given = || GivenConsent { choice: "grant".into(), text: TEXT.into() };
    let record = |preview| RecordConsents {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        applicant: applicant(preview),
        consents: BTreeMap::from([(KIND.to_owned(), given())]),
        preview,
    };
    let one = |more: bool| RecordedConsent {
        kind: KIND.into(),
        state: "withdrawn".into(),
        former_state: more.then(|| "granted".into()),
        text: TEXT.into(),
        words: more.then(|| "Acconsento.".into()),
        number: 2,
    };
    let recorded =
        RecordedConsents { recorded_at: TIME.into(), consents: vec![one(false)], paper: paper(false) };
    let masked = MaskedApplicant {
        is: "holder".into(),
        name: None,
        tax_code: None,
        document: None,
        document_number: None,
    };
    let preview = ConsentsPreview {
        card: card(true),
        consents: vec![one(true)],
        applicant: masked,
        lacks: vec!["document_missing".into()],
    };
    let look = LookUpConsents { tax_code: CF.into(), team_number: TEAM.into(), expires_on: DAY.into() };
    let past = || PastConsent {
        number: 1,
        state: "refused".into(),
        text: TEXT.into(),
        applicant: "proxy:guardian".into(),
        recorded_at: TIME.into(),
        request: HEX32.into(),
    };
    let consent = |more: bool| Consent {
        kind: KIND.into(),
        asked_for: more,
        asked_from: more.then(|| "2015-11-26".into()),
        asked_until: more.then(|| DAY.into()),
        text: more.then(|| TEXT.into()),
        words: more.then(|| "Acconsento.".into()),
        state: more.then(|| "refused".into()),
        history: vec![past()],
    };
    let reader = |more: bool| RequestReader {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        kind: "free".into(),
        household: more.then(|| "RM-0001234".into()),
        preview: more,
    };
    let receipt = ReaderReceipt {
        office: "example-office".into(),
        year: 2026,
        number: 41,
        kind: "sale".into(),
        price_cents: 1000,
        date: DAY.into(),
    };
    let shown =
        ReaderPreview { card: card(true), price_cents: 0, office: "example-office".into(), in_stock: 7 };
    let stock = |more: bool| StockReaders { received: more.then_some(1), counted: more.then_some(2) };
    let stocked =
        ReaderStock { office: "example-office".into(), before: 0, in_stock: 1, stocked_at: TIME.into() };
    let renew = |preview| RenewSelf {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        former_team_number: TEAM.into(),
        contact: contact(false),
        data_processing: preview,
        preview,
    };
    vec![
        request("RecordConsents", &record(true), &record(false)),
        request("GivenConsent", &given(), &given()),
        answer("RecordedConsents", &recorded, &recorded),
        answer("RecordedConsent", &one(true), &one(false)),
        answer("ConsentsPreview", &preview, &preview),
        request("LookUpConsents", &look, &look),
        answer("Consents", &Consents { consents: vec![consent(true)] }, &Consents { consents: vec![] }),
        answer("Consent", &consent(true), &consent(false)),
        answer("PastConsent", &past(), &past()),
        request("RequestReader", &reader(true), &reader(false)),
        answer("ReaderReceipt", &receipt, &receipt),
        answer("ReaderPreview", &shown, &shown),
        request("StockReaders", &stock(true), &stock(false)),
        answer("ReaderStock", &stocked, &stocked),
        request("RenewSelf", &renew(true), &renew(false)),
    ]
}
