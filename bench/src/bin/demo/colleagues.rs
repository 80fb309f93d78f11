//! Four eyes: a card without a C.I.P. is revoked once a second operator has approved it.

use std::path::Path;

use serde_json::json;
use sigillo::{
    api::{
        approvals::{Approval, SignApproval, SignedApproval},
        cards::{NewCard, Revoked},
    },
    domain::signed_text::Context,
    tls::Protocols,
};
use sigillo_bench::{desk::Desk, installation::API};

use crate::{
    Teller, counter,
    journey::{expect, post, refused},
};

/// Has the card revoked by two operators.
pub(crate) async fn play(
    teller: &mut Teller,
    desk: &Desk,
    card: &NewCard,
    clients: &Path,
) -> Result<(), String> {
    println!("\nThat card is lost. There is no C.I.P. to prove who asks: a second operator has to agree.\n");
    let supervisor = Desk::new(clients, ("desk", "supervisor"), &format!("https://{API}"), Protocols::Any)?;
    let what = "The supervisor's card is registered";
    let registered = async { supervisor.register_operator("supervisor").await.map_err(|e| e.to_string()) };
    teller.step(what, registered).await?;
    let ask = json!({
        "action": "revoke", "card": { "team_number": card.team_number }, "reason": "lost",
    });
    let what = "The operator asks for an approval";
    let asked: Approval = teller.step(what, post(desk, "/v1/approvals", "ask", &ask)).await?;
    let revocation = json!({
        "team_number": card.team_number, "approval": asked.id, "reason": "lost", "applicant": counter::holder(),
    });
    let what = "Before it is given, the revocation is refused";
    let said = teller.step(what, refused(desk, "/v1/revocations", "alone", &revocation)).await?;
    expect("approval_not_signed", &said)?;
    let what = "The supervisor reads the text";
    let path = format!("/v1/approvals/{}", asked.id);
    let shown = async { supervisor.get_as_operator::<Approval>(&path).await.map_err(|e| e.to_string()) };
    let shown = teller.step(what, shown).await?;
    shown.text.lines().for_each(|line| println!("    | {line}"));
    let what = "The supervisor's card signs it";
    let signature = supervisor.sign(Context::Approval, &shown.text)?;
    let body = json!(SignApproval { signature });
    let path = format!("{path}/sign");
    let signed: SignedApproval = teller.step(what, post(&supervisor, &path, "sign", &body)).await?;
    expect("signed", &signed.state)?;
    let what = "The operator revokes the card with the approval, which is used up";
    let revoked: Revoked = teller.step(what, post(desk, "/v1/revocations", "approved", &revocation)).await?;
    expect("revoked", &revoked.state)
}
