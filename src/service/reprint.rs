//! Reprint: the same PIN and PUK once more, never a new one.

use super::{
    Call, CardData, Error, Service,
    hand_out::{Asked, HandedOut, Handing, check_channel},
};
use crate::{
    domain::{audit::Kind, contact::Contact, template::CodeName},
    policy::act,
};

/// A card whose PIN and PUK are to be handed out again.
#[derive(Debug)]
pub struct ReprintRequest {
    /// What is printed on it.
    pub card: CardData,
    /// One of the policy's.
    pub reason: String,
    /// Where the second parts go.
    pub contact: Contact,
}

impl Service {
    /// Hands out PIN and PUK again and cancels an older delivery. The C.I.P. goes with them only while no
    /// gateway has taken its second part, or if that was reported as failed: otherwise it would be lost for good.
    pub async fn reprint(
        &self,
        mut call: Call<act::Reprint>,
        request: ReprintRequest,
    ) -> Result<HandedOut, Error> {
        if !call.permit.policy().parameters().is_reprint_reason(&request.reason) {
            let detail = "not one of the policy's reasons";
            return Err(Error::Field { field: "reason", code: "unknown_reason", detail });
        }
        check_channel(&call, &request.contact)?;
        let (key, found, permit) = match self.asked(&mut call, Kind::CodesReprinted, &request.card).await? {
            Asked::Before(answer) => return Ok(answer),
            Asked::Now(new) => *new,
        };
        self.allowed(&call, Kind::CodesReprinted, &found.id(), found.card.check_in_use(self.today()?))
            .await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        let cip_again = self.on_their_way(&found.id())?.contains(&CodeName::Cip);
        let wanted = |code: &CodeName| match code {
            CodeName::Pin | CodeName::Puk => true,
            CodeName::Cip => cip_again && template.shape(*code).is_some(),
        };
        let handing = Handing {
            kind: Kind::CodesReprinted,
            codes: CodeName::ALL.into_iter().filter(wanted).collect(),
            contact: &request.contact,
            message: "reprint",
            detail: vec![("reason", request.reason)],
            revokes: None,
            activates: None,
            new_cip: None,
            ops: Vec::new(),
            template,
            found,
        };
        self.hand_out(&call, &permit, &key, handing).await
    }
}
