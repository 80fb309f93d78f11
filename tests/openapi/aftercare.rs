//! Samples of what is done about a C.I.P. or a delivery.

use sigillo::api::{
    cip::{RenewCip, Unlock, Unlocked},
    deliveries::{ChangeContact, ContactChanged, Resend, Resent},
};

use crate::samples::{
    CF, DAY, HEX32, Sample, TEAM, TIME, answer,
    codes::{applicant, contact},
    request, some,
};

/// All of them.
pub(crate) fn all() -> Vec<Sample> {
    let mut all = cip();
    all.extend(deliveries());
    all
}

fn cip() -> Vec<Sample> {
    let unlock = |approval| Unlock {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        reason: "holder_mistyped".into(),
        approval,
    };
    let renew = |approval| RenewCip {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        reason: "seen_by_others".into(),
        applicant: applicant(true),
        contact: contact(false),
        approval,
    };
    let unlocked = Unlocked { unlocked_at: TIME.into(), cip_tries_left: 5 };
    vec![
        request("RenewCip", &renew(some(HEX32)), &renew(None)),
        request("Unlock", &unlock(some(HEX32)), &unlock(None)),
        answer("Unlocked", &unlocked, &unlocked),
    ]
}

fn deliveries() -> Vec<Sample> {
    let change = |approval| ChangeContact {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        reason: "bounced".into(),
        contact: contact(false),
        approval,
    };
    let changed = ContactChanged { delivery: HEX32.into(), control: "735204".into() };
    let resent = Resent { state: "queued".into(), queued_at: TIME.into() };
    vec![
        request("ChangeContact", &change(some(HEX32)), &change(None)),
        answer("ContactChanged", &changed, &changed),
        request("Resend", &Resend {}, &Resend {}),
        answer("Resent", &resent, &resent),
    ]
}
