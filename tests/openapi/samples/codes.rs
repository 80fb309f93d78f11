//! Samples of activations, reprints, verifications, and of who asks.

use std::collections::BTreeMap;

use serde_json::json;
use sigillo::{
    api::{
        applicant::{Applicant, Document, MaskedApplicant, Proxy},
        cards::Card,
        codes::{
            Activate, Checkpoint, ContactTo, Delivery, HandedOut, Preview, Reprint, Split, Verified, Verify,
        },
        paper::Paper,
        policy::Reloaded,
    },
    domain::tries::{Limits, Tries},
};

use super::{CF, DAY, HEX32, Sample, TEAM, TIME, answer, reads, request, some};

/// Where second parts go: with the address typed twice and a language, or with neither.
pub(crate) fn contact(more: bool) -> ContactTo {
    let address = || "mario.rossi@example.it".to_owned();
    let language = more.then(|| "de".to_owned());
    ContactTo { channel: "email".into(), address: address(), repeated: more.then(address), language }
}

pub(super) fn card(more: bool) -> Card {
    let left = Tries::new(Limits { in_a_row: 5, lifetime: 100 }).left();
    Card {
        state: "active".into(),
        expires_on: DAY.into(),
        expired: false,
        region: "060".into(),
        template: "IT/1".into(),
        cip_tries_left: more.then_some(left),
        cip_lock: more.then(|| "in_a_row".into()),
        activation: more.then(|| "proxy:guardian".into()),
        delivery: more.then(|| HEX32.into()),
    }
}

fn proxy() -> Proxy {
    Proxy {
        title: "guardian".into(),
        tax_code: "CCCFBA85D03L219P".into(),
        given_name: "Anna".into(),
        family_name: "Bianchi".into(),
    }
}

fn document(expires_on: Option<String>) -> Document {
    Document {
        kind: "identity_card".into(),
        number: "CA12345AB".into(),
        issuer: "Comune di Roma".into(),
        issued_on: "2022-03-01".into(),
        expires_on,
    }
}

pub(crate) fn applicant(more: bool) -> Applicant {
    Applicant {
        is: if more { "proxy" } else { "holder" }.into(),
        proxy: more.then(proxy),
        document: more.then(|| document(some(DAY))),
        declaration: more,
        holder_born_on: more.then(|| "1916-01-01".into()),
    }
}

pub(super) fn paper(more: bool) -> Paper {
    Paper {
        operation: "activation".into(),
        at: TIME.into(),
        office: "example-office".into(),
        expires_on: DAY.into(),
        number_ends: "7893".into(),
        applicant: "holder".into(),
        document: more.then(|| "identity_card".into()),
        channel: more.then(|| "email".into()),
        contact: more.then(|| "m***@e***.it".into()),
        texts: vec!["second_parts_follow".into()],
    }
}

pub(super) fn applicants() -> Vec<Sample> {
    let masked = |more: bool| MaskedApplicant {
        is: "proxy:guardian".into(),
        name: more.then(|| "A*** B******".into()),
        tax_code: more.then(|| "CCCFBA**********".into()),
        document: more.then(|| "identity_card".into()),
        document_number: more.then(|| "******5AB".into()),
    };
    vec![
        request("Applicant", &applicant(true), &applicant(false)),
        request("Proxy", &proxy(), &proxy()),
        request("Document", &document(some(DAY)), &document(None)),
        answer("MaskedApplicant", &masked(true), &masked(false)),
        answer("Paper", &paper(true), &paper(false)),
    ]
}

pub(super) fn codes() -> Vec<Sample> {
    let activate = |preview| Activate {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        applicant: applicant(preview),
        contact: contact(false),
        data_processing: preview,
        preview,
    };
    let reprint = |preview| Reprint {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        reason: "lost_paper".into(),
        applicant: applicant(preview),
        contact: contact(false),
        preview,
    };
    let split = || Split { first: 2, second: 3 };
    let preview = Preview {
        card: card(true),
        codes: BTreeMap::from([("PIN".into(), split())]),
        applicant: MaskedApplicant {
            is: "holder".into(),
            name: None,
            tax_code: None,
            document: None,
            document_number: None,
        },
        channel: "email".into(),
        contact: "m***@e***.it".into(),
        language: "it".into(),
        lacks: vec!["data_processing_missing".into()],
    };
    let handed = |delivery| HandedOut {
        first_parts: BTreeMap::from([("PIN".into(), "07".into())]),
        control: "735204".into(),
        delivery,
        paper: paper(true),
    };
    let verified = Verified { outcome: "accepted".into(), verification: HEX32.into() };
    let delivery = |reason| Delivery {
        state: "queued".into(),
        channel: "email".into(),
        control: "735204".into(),
        attempts: 1,
        reason,
        queued_at: TIME.into(),
    };
    let checkpoint = Checkpoint { checkpoint: "sigillo audit checkpoint v2\n".into() };
    let reloaded = |signed_by| Reloaded { policy: "00".repeat(32), sequence: 2, changed: true, signed_by };
    // It is read only, never written.
    let verify = json!({ "team_number": TEAM, "code": "48215907", "purpose": "revocation" });
    vec![
        request("ContactTo", &contact(true), &contact(false)),
        request("Activate", &activate(true), &activate(false)),
        request("Reprint", &reprint(true), &reprint(false)),
        answer("Split", &split(), &split()),
        answer("Preview", &preview, &preview),
        answer("HandedOut", &handed(some(HEX32)), &handed(None)),
        Sample {
            name: "Verify",
            full: verify.clone(),
            least: verify,
            is_request: true,
            reads: reads::<Verify>,
        },
        answer("Verified", &verified, &verified),
        answer("Delivery", &delivery(some("relay: RCPT: SMTP 550 5.1.1")), &delivery(None)),
        answer("Checkpoint", &checkpoint, &checkpoint),
        answer("Reloaded", &reloaded(vec!["officer-1".into()]), &reloaded(Vec::new())),
    ]
}
