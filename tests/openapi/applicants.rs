//! Who asks, and what is printed.

use sigillo::{
    api::{
        applicant::{Applicant, Document, MaskedApplicant, Proxy},
        cards::Card,
        paper::Paper,
    },
    domain::tries::{Limits, Tries},
};

use super::{DAY, HEX32, Sample, TIME, answer, request, some};

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

pub(super) fn applicant(more: bool) -> Applicant {
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

pub(super) fn card(more: bool) -> Card {
    let left = Tries::new(Limits { in_a_row: 5, lifetime: 100 }).left();
    Card {
        state: "active".into(),
        expires_on: DAY.into(),
        expired: false,
        region: "060".into(),
        template: "IT/1".into(),
        cip_tries_left: more.then_some(left),
        activation: more.then(|| "proxy:guardian".into()),
        delivery: more.then(|| HEX32.into()),
    }
}
