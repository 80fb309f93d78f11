//! The beginning of a registration: a text for the operator's card to sign.

use serde::{Deserialize, Serialize};

use super::CardStanding;
use crate::{
    domain::{
        audit::{Kind, Outcome},
        id::RegistrationId,
        registration::{OPEN_FOR_MS, Registration},
    },
    policy::act,
    service::{Call, Error, Service, effects::fresh, records},
    store::{Expect, Space, Unit},
};

/// A registration that waits for its signature: the stored record, and the answer as it is remembered. The text is made of
/// it and of the request again, so that nothing personal is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::service) struct OpenRegistration {
    pub format: u8,
    pub id: RegistrationId,
    pub caller: String,
    /// Commitment to the key of the card.
    pub key: String,
    pub nonce: String,
    /// Digest of the policy set.
    pub policy: String,
    pub until_ms: u64,
}

/// The answer. Personal data: `Debug` shows the id only.
#[derive(Clone)]
pub struct OpenedRegistration {
    /// Names it.
    pub id: RegistrationId,
    /// What the card signs, in the context of operators' registrations.
    pub text: String,
    /// Last moment for the signature, milliseconds since 1970 UTC.
    pub until_ms: u64,
}

impl std::fmt::Debug for OpenedRegistration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedRegistration").field("id", &self.id).finish_non_exhaustive()
    }
}

impl OpenRegistration {
    /// What the card of this request has to sign.
    pub(super) fn text(&self, call: &Call<act::RegisterOperator>) -> Result<String, Error> {
        let certificate = call.certificate()?;
        let mut nonce = [0; 32];
        hex::decode_to_slice(&self.nonce, &mut nonce).map_err(|_| Error::Bug("a stored nonce".into()))?;
        let text = Registration {
            operator: certificate.tax_code(),
            certificate: certificate.fingerprint(),
            front_end: &self.caller,
            policy: &self.policy,
            nonce: &nonce,
            until_ms: self.until_ms,
        };
        Ok(text.to_string())
    }

    fn answer(&self, call: &Call<act::RegisterOperator>) -> Result<OpenedRegistration, Error> {
        Ok(OpenedRegistration { id: self.id, text: self.text(call)?, until_ms: self.until_ms })
    }
}

impl Service {
    /// Opens the registration of the card of this request. One is open for each operator: it takes the place of an earlier one.
    pub async fn open_registration(
        &self,
        mut call: Call<act::RegisterOperator>,
    ) -> Result<OpenedRegistration, Error> {
        let ([], key) = self.commitments_and_key(&mut call, []).await?;
        if let Some(before) = self.answered::<OpenRegistration>(&key)? {
            return self.replayed(&call, before).await?.answer(&call);
        }
        self.refuse_if_unmarked()?;
        let operator = call.known_operator()?;
        let event = |outcome| self.event(&call, Kind::OperatorRegistrationOpened, outcome);
        let card = operator.key()?;
        if self.card_standing(&call)? == CardStanding::Former {
            self.record(event(Outcome::Refused).with("reason", "operator_former_card").with("key", card))
                .await?;
            return Err(Error::OperatorFormerCard);
        }
        let record = OpenRegistration {
            format: records::FORMAT,
            id: RegistrationId::new(fresh()?),
            caller: call.permit.caller().to_string(),
            key: card.clone(),
            nonce: hex::encode(self.hsm.random::<32>().await?),
            policy: call.permit.policy().digest().to_string(),
            until_ms: self.clock.now_ms().saturating_add(OPEN_FOR_MS),
        };
        let put = records::put(Space::OpenRegistration, &operator.name, &record, Expect::Any)?;
        let opened = event(Outcome::Done).with("registration", record.id.to_string()).with("key", card);
        let unit = Unit { ops: vec![put], events: vec![opened] };
        match self.once(&call, &key, record, unit).await? {
            Ok(record) => record.answer(&call),
            Err(guard) => Err(Error::Bug(format!("a registration that cannot be opened: {guard:?}"))),
        }
    }
}
