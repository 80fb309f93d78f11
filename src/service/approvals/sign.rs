//! The second pair of eyes: another operator's card signs the text.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    super::{Call, Error, Service, commitments, effects::Guard, records},
    approval_key,
};
use crate::{
    auth::cns::proof,
    domain::{
        approval::NotApproved,
        audit::{Event, Kind, Outcome},
        id::ApprovalId,
        signed_text::Context,
    },
    policy::act,
    store::{Space, Unit},
};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// Which.
    pub approval: ApprovalId,
    /// From then on it serves nothing; milliseconds since 1970 UTC.
    pub until_ms: u64,
}

impl Service {
    /// Takes the signature of another operator than the one who asked, by the key of the certificate that this request
    /// came with.
    pub async fn sign_approval(
        &self,
        mut call: Call<act::Approve>,
        id: ApprovalId,
        signature: &[u8],
    ) -> Result<SignedApproval, Error> {
        let message = call.operator_mut()?.key_message()?;
        let ([key_mac], key) = self.commitments_and_key(&mut call, [message]).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        let (approval, expect, found) = self.to_be_approved(&call, Kind::ApprovalSigned, &id).await?;
        let by = call.party(hex::encode(commitments::half(&key_mac)))?;
        let spki = call.certificate()?.spki().to_vec();
        let policy = call.permit.policy().digest();
        let decided = approval.may_be_signed_by(&by, policy, self.clock.now_ms()).and_then(|()| {
            proof::holds(&spki, Context::Approval, &approval.text, signature)
                .map_err(|proof::NotSigned| NotApproved::BadSignature)
        });
        if let Err(refused) = decided {
            return Err(self.not_approved(&call, Kind::ApprovalSigned, (&found, &id), refused).await?);
        }
        self.refuse_if_unmarked()?;

        let answer = SignedApproval { approval: id, until_ms: approval.until_ms };
        let event = |outcome| {
            let event = self.event(&call, Kind::ApprovalSigned, outcome);
            Event { card: Some(*found.id().bytes()), ..event }.with("approval", id.to_string())
        };
        // Whoever kept the text and the certificate can show what was signed; the log alone names nobody.
        let text = hex::encode(digest::digest(&digest::SHA256, approval.text.as_bytes()));
        let signed = event(Outcome::Done).with("text", text).with("signature", STANDARD.encode(signature));
        let mut ops = Vec::from(key.answer_at_once(answer)?);
        ops.push(records::put(Space::Approval, &approval_key(&id), &approval.signed(by), expect)?);
        match self.commit(Unit { ops, events: vec![signed] }).await? {
            Ok(()) => Ok(answer),
            Err(Guard(0)) => {
                let before = self.answered(&key)?.ok_or(Error::OutcomeUnknown)?;
                self.replayed(&call, before).await
            }
            Err(_) => {
                self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
                Err(Error::Conflict)
            }
        }
    }
}
