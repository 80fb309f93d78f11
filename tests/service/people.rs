//! The callers of a service: bureau, counters, courier, auditor. Their permits come from the policy, by certificate.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use sigillo::{
    domain::{
        card::Reason,
        contact::{Channel, Contact},
        date::CivilDate,
        fictional::FictionalCard,
        id::{DeliveryId, LeaseId, RequestId, VerificationId},
        tax_code::TaxCode,
        template::CodeName,
    },
    policy::{Act, act},
    secret::{Digits, SecretBytes},
    service::{
        ActivationRequest, Call, CardData, CardNumber, CardView, DeliveryOutcome, DeliveryView, Error,
        HandedOut, Leased, LeasedDelivery, Line, LineOutcome, Operator, Purpose, ReprintRequest,
        RevocationRequest, Revoked, Service, Summary, Verification, VerificationRequest,
    },
};

use crate::world::NOW_MS;

/// Where every citizen reads second parts.
pub(crate) const ADDRESS: &str = "assistita.di.prova@esempio.example";

/// One client certificate.
#[derive(Clone)]
pub(crate) struct Client {
    service: Arc<Service>,
    print: [u8; 32],
    /// C.F. of whoever uses it.
    operator: String,
}

/// An operator who holds no card.
pub(crate) const OPERATOR: &str = "RSSMRA80A01H501U";

pub(crate) fn contact() -> Contact {
    Contact::parse(Channel::Email, ADDRESS).unwrap()
}

/// The line with which the bureau registers a card.
pub(crate) fn line(card: &FictionalCard) -> Line {
    Line {
        tax_code: card.tax_code.clone(),
        team: card.team_number.clone(),
        expires_on: card.expiry,
        former: None,
    }
}

/// The first part of a code on a paper.
pub(crate) fn first(paper: &HandedOut, code: CodeName) -> Option<&str> {
    paper.first_parts.0.iter().find(|(c, _)| *c == code).map(|(_, digits)| digits.expose())
}

/// Everything on a paper, to compare two.
pub(crate) fn printed(paper: &HandedOut) -> (Vec<(CodeName, String)>, Option<DeliveryId>, String) {
    let parts = paper.first_parts.0.iter().map(|(code, digits)| (*code, digits.expose().to_owned()));
    (parts.collect(), paper.delivery, paper.control.clone())
}

impl Client {
    pub(crate) fn new(service: &Arc<Service>, print: [u8; 32]) -> Self {
        Self { service: Arc::clone(service), print, operator: OPERATOR.to_owned() }
    }

    /// The same counter, used by somebody else.
    pub(crate) fn used_by(&self, tax_code: &str) -> Self {
        Self { operator: tax_code.to_owned(), ..self.clone() }
    }

    pub(crate) fn moves_to(&mut self, service: &Arc<Service>) {
        self.service = Arc::clone(service);
    }

    /// A request as it comes out of the transport.
    pub(crate) fn call<A: Act>(&self, key: &str, body: &str) -> Call<A> {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let number = u128::from(REQUESTS.fetch_add(1, SeqCst));
        let policy = self.service.policy();
        let who: TaxCode = self.operator.parse().unwrap();
        let caller = policy.caller(&self.print).expect("a caller of the policy");
        Call {
            permit: policy
                .permit(caller, Some(&who), CivilDate::moment_in_italy(NOW_MS).unwrap())
                .expect("allowed by the policy"),
            request: RequestId::new(number.to_be_bytes()),
            key: Some(key.to_owned()),
            operator: Some(Operator::new(who)),
            body: SecretBytes::new(body.as_bytes().to_vec()),
        }
    }

    pub(crate) async fn register(&self, lines: &[Line]) -> Result<Vec<LineOutcome>, Error> {
        self.service.register(&self.call("", ""), lines).await
    }

    pub(crate) async fn look_up(&self, card: &FictionalCard) -> Result<CardView, Error> {
        self.service.look_up(self.call("", ""), CardNumber::Full(data(card))).await
    }

    pub(crate) async fn preview(&self, card: &FictionalCard) -> Result<Summary, Error> {
        self.service.preview_activation(self.call("", ""), activation(card)).await
    }

    pub(crate) async fn activate(&self, card: &FictionalCard, key: &str) -> Result<HandedOut, Error> {
        self.service.activate(self.call(key, card.team_number.as_str()), activation(card)).await
    }

    /// Activates it, with the second parts to this number.
    pub(crate) async fn activate_by_sms(
        &self,
        card: &FictionalCard,
        number: &str,
    ) -> Result<HandedOut, Error> {
        let contact = Contact::parse(Channel::Sms, number).unwrap();
        let request = ActivationRequest { card: data(card), contact };
        self.service.activate(self.call(number, card.team_number.as_str()), request).await
    }

    pub(crate) async fn reprint(&self, card: &FictionalCard, key: &str) -> Result<HandedOut, Error> {
        self.reprint_because(card, key, "lost_paper").await
    }

    pub(crate) async fn reprint_because(
        &self,
        card: &FictionalCard,
        key: &str,
        reason: &str,
    ) -> Result<HandedOut, Error> {
        let request = ReprintRequest { card: data(card), reason: reason.to_owned(), contact: contact() };
        self.service.reprint(self.call(key, card.team_number.as_str()), request).await
    }

    pub(crate) async fn verify(
        &self,
        card: &FictionalCard,
        code: &str,
        key: &str,
    ) -> Result<Verification, Error> {
        let body = format!("{} {code}", card.team_number.as_str());
        let code = Digits::parse(code.to_owned()).unwrap();
        let request =
            VerificationRequest { team: card.team_number.clone(), code, purpose: Purpose::Revocation };
        self.service.verify(self.call(key, &body), request).await
    }

    pub(crate) async fn revoke(
        &self,
        card: &FictionalCard,
        verification: VerificationId,
        key: &str,
    ) -> Result<Revoked, Error> {
        self.revoke_because(card, verification, key, Reason::Lost).await
    }

    pub(crate) async fn revoke_because(
        &self,
        card: &FictionalCard,
        verification: VerificationId,
        key: &str,
        reason: Reason,
    ) -> Result<Revoked, Error> {
        let request = RevocationRequest { team: card.team_number.clone(), verification, reason };
        let call: Call<act::Revoke> = self.call(key, &format!("{verification} {}", reason.text()));
        self.service.revoke(call, request).await
    }

    pub(crate) async fn delivery(&self, id: DeliveryId) -> Result<DeliveryView, Error> {
        self.service.delivery(self.call("", ""), id).await
    }

    pub(crate) async fn lease(&self, limit: usize) -> Result<Vec<LeasedDelivery>, Error> {
        Ok(self.lease_with(limit, None).await?.deliveries)
    }

    /// As a courier that keeps this checkpoint.
    pub(crate) async fn lease_with(&self, limit: usize, kept: Option<&str>) -> Result<Leased, Error> {
        self.service.lease(&self.call("", ""), limit, kept).await
    }

    pub(crate) async fn report(
        &self,
        held: (LeaseId, DeliveryId),
        outcome: DeliveryOutcome,
    ) -> Result<&'static str, Error> {
        self.service.report(&self.call("", ""), held.0, held.1, &outcome).await
    }
}

fn activation(card: &FictionalCard) -> ActivationRequest {
    ActivationRequest { card: data(card), contact: contact() }
}

fn data(card: &FictionalCard) -> CardData {
    CardData { tax_code: card.tax_code.clone(), team: card.team_number.clone(), expires_on: card.expiry }
}
