//! What comes after: the same message once more, and a new C.I.P. in the place of one that others have seen.

use std::path::Path;

use serde_json::json;
use sigillo::{
    api::{
        approvals::{Approval, SignApproval, SignedApproval},
        cards::NewCard,
        codes::{HandedOut, Verified},
        deliveries::Resent,
    },
    domain::signed_text::Context,
    tls::Protocols,
};
use sigillo_bench::{desk::Desk, installation::API, mailbox};

use crate::{
    Teller, counter,
    journey::{expect, post, refused},
};

/// The citizen has deleted the message.
pub(crate) async fn resend(teller: &mut Teller, desk: &Desk, delivery: &str) -> Result<(), String> {
    let what = "The citizen has deleted it. The operator has the very same message sent once more";
    let path = format!("/v1/deliveries/{delivery}/resend");
    let resent: Resent = teller.step(what, post(desk, &path, "resend", &json!({}))).await?;
    expect("queued", &resent.state)
}

/// Gives a card a new C.I.P., by two operators, the second of whom has registered a card.
pub(crate) async fn new_cip(
    teller: &mut Teller,
    desk: &Desk,
    card: &NewCard,
    directory: &Path,
) -> Result<(), String> {
    const ADDRESS: &str = "another-citizen@example.it";
    println!("\nSomebody has looked over a citizen's shoulder: the C.I.P. is not a secret any more.\n");
    let data = json!({
        "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on,
        "applicant": counter::holder(), "contact": { "channel": "email", "address": ADDRESS },
    });
    let mut activation = data.clone();
    if let Some(fields) = activation.as_object_mut() {
        fields.insert("data_processing".into(), true.into());
    }
    let mail = directory.join("smtp/mail/new");
    let what = "The card, as it was activated";
    let paper: HandedOut = teller.step(what, post(desk, "/v1/activations", "seen", &activation)).await?;
    let message = mailbox::wait_for(&mail, &paper.control).await?;
    let joined = |paper: &HandedOut, message: &mailbox::Message| {
        let first = paper.first_parts.get("CIP").ok_or("no part of a C.I.P.")?;
        let second = message.second_parts.get("CIP").ok_or("no second part of a C.I.P.")?;
        Ok::<_, String>(format!("{first}{second}"))
    };
    let former = joined(&paper, &message)?;
    let mut renewal = data.clone();
    if let Some(fields) = renewal.as_object_mut() {
        fields.insert("reason".into(), "seen_by_others".into());
    }
    let what = "One operator alone gets no new one";
    let said = teller.step(what, refused(desk, "/v1/cip-renewals", "alone", &renewal)).await?;
    expect("not_allowed_on_card", &said)?;
    let ask = json!({
        "action": "renew_cip", "card": { "team_number": card.team_number }, "reason": "seen_by_others",
    });
    let what = "The supervisor reads what is asked for, and the card signs it";
    let agreed = async {
        let asked: Approval = post(desk, "/v1/approvals", "ask-renewal", &ask).await?;
        let clients = directory.join("clients");
        let url = format!("https://{API}");
        let supervisor = Desk::new(&clients, ("desk", "supervisor"), &url, Protocols::Any)?;
        let signature = supervisor.sign(Context::Approval, &asked.text)?;
        let path = format!("/v1/approvals/{}/sign", asked.id);
        let body = json!(SignApproval { signature });
        let signed: SignedApproval = post(&supervisor, &path, "sign-renewal", &body).await?;
        expect("signed", &signed.state)?;
        Ok::<_, String>(asked.id)
    };
    let approval = teller.step(what, agreed).await?;
    if let Some(fields) = renewal.as_object_mut() {
        fields.insert("approval".into(), approval.into());
    }
    let what = "The paper of the new one";
    let paper: HandedOut = teller.step(what, post(desk, "/v1/cip-renewals", "renewal", &renewal)).await?;
    let verify =
        |code: &str| json!({ "team_number": card.team_number, "code": code, "purpose": "revocation" });
    let what = "The former one is rejected from now on";
    let verified: Verified =
        teller.step(what, post(desk, "/v1/verifications", "dead", &verify(&former))).await?;
    expect("rejected", &verified.outcome)?;
    let what = "The second part follows; the new one is accepted";
    let arrived = async {
        let message = mailbox::wait_for(&mail, &paper.control).await?;
        let new = joined(&paper, &message)?;
        post::<Verified>(desk, "/v1/verifications", "alive", &verify(&new)).await
    };
    let verified = teller.step(what, arrived).await?;
    expect("accepted", &verified.outcome)
}
