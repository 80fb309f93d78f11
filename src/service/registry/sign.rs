//! The end of a registration: the card's signature, and in the same commit the key that it binds.

use serde::{Deserialize, Serialize};

use super::{CardStanding, FoundOperatorCard, open::OpenRegistration};
use crate::{
    auth::cns::proof,
    domain::{
        audit::{Event, Kind, Outcome},
        id::RegistrationId,
        signed_text::Context,
    },
    policy::act,
    service::{Call, Error, Service, error::What, operator::Known, records},
    store::{Expect, Op, Space, Unit},
};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRegistration {
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Whether another card was registered before, which is refused from now on.
    pub replaced: bool,
}

/// Why a card is not registered.
#[derive(Clone, Copy)]
enum Unregistered {
    BadSignature,
    Former,
    NotOpen,
}

impl Service {
    /// Registers the card of this request, if `signature` is its own over the text of the open registration `id`. That one
    /// is used up in the same commit. The answer comes once the token's checkpoint vouches for it: from then on the former
    /// card is refused after a recovery too.
    pub async fn sign_registration(
        &self,
        mut call: Call<act::RegisterOperator>,
        id: RegistrationId,
        signature: &[u8],
    ) -> Result<SignedRegistration, Error> {
        let ([], key) = self.commitments_and_key(&mut call, []).await?;
        if let Some(before) = self.answered(&key)? {
            let answer = self.replayed(&call, before).await?;
            self.checkpoint().await?;
            return Ok(answer);
        }
        self.refuse_if_unmarked()?;
        let operator = call.known_operator()?;
        let card = operator.key()?;
        let event = |outcome| {
            let event = self.event(&call, Kind::OperatorRegistered, outcome);
            event.with("registration", id.to_string()).with("key", card.clone())
        };
        let decided = self.decide_registration(&call, &operator, &id, &card, signature)?;
        let (open, mut found) = match decided {
            Ok(decided) => decided,
            Err(why) => return Err(self.not_registered(event(Outcome::Refused), why).await?),
        };
        let now_ms = self.clock.now_ms();
        let former = found.record.bind(card.clone(), now_ms);
        let ops = vec![
            Op::Delete { space: Space::OpenRegistration, key: operator.name.to_vec(), expect: open },
            records::put(Space::OperatorCard, &operator.name, &found.record, found.expect)?,
        ];
        let answer = SignedRegistration { at_ms: now_ms, replaced: former.is_some() };
        // From it a recovery makes the record again.
        let mut done = Event { at_ms: now_ms, ..event(Outcome::Done) };
        if let Some(former) = former {
            done = done.with("replaces", former);
        }
        match self.once(&call, &key, answer, Unit { ops, events: vec![done] }).await? {
            Ok(answer) => {
                self.checkpoint().await?;
                Ok(answer)
            }
            // Another request has used it up, or ended the card, since.
            Err(_) => Err(self.not_registered(event(Outcome::Refused), Unregistered::NotOpen).await?),
        }
    }

    /// Decides: the guard on the open registration, and the operator's card as it was.
    fn decide_registration(
        &self,
        call: &Call<act::RegisterOperator>,
        operator: &Known,
        id: &RegistrationId,
        card: &str,
        signature: &[u8],
    ) -> Result<Result<(Expect, FoundOperatorCard), Unregistered>, Error> {
        let Some(found) = self.store.get(Space::OpenRegistration, &operator.name)? else {
            return Ok(Err(Unregistered::NotOpen));
        };
        let open: OpenRegistration = records::read(&found)?;
        let holds = open.id == *id
            && open.caller == **call.permit.caller()
            && open.key == card
            && open.policy == **call.permit.policy().digest()
            && open.until_ms >= self.clock.now_ms();
        if !holds {
            return Ok(Err(Unregistered::NotOpen));
        }
        let registered = self.operator_card(&operator.name)?;
        if registered.standing_of(card) == CardStanding::Former {
            return Ok(Err(Unregistered::Former));
        }
        let (spki, text) = (call.certificate()?.spki(), open.text(call)?);
        let signed = proof::holds(spki, Context::OperatorRegistration, &text, signature);
        let decided = signed.map(|()| (Expect::Version(found.version), registered));
        Ok(decided.map_err(|_| Unregistered::BadSignature))
    }

    /// Records a refusal, and answers it.
    async fn not_registered(&self, event: Event, why: Unregistered) -> Result<Error, Error> {
        let (reason, error) = match why {
            Unregistered::BadSignature => {
                let detail = "not the card's signature over the text of this registration";
                ("bad_signature", Error::Field { field: "signature", code: "bad_signature", detail })
            }
            Unregistered::Former => ("operator_former_card", Error::OperatorFormerCard),
            Unregistered::NotOpen => ("no_open_registration", Error::NotFound(What::Registration)),
        };
        self.record(event.with("reason", reason)).await?;
        Ok(error)
    }
}
