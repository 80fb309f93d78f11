//! The callers of a service: bureau, counters, courier, auditor. Their permits come from the policy, by certificate.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use sigillo::{
    auth::cns::OperatorCertificate,
    domain::{
        applicant::{Applicant, Document, Personal},
        card::Reason,
        contact::{Channel, Contact},
        date::CivilDate,
        fictional::FictionalCard,
        id::{ApprovalId, DeliveryId, LeaseId, RegistrationId, RequestId, VerificationId},
        message::MessageLanguage,
        signed_text::{Context, signed_bytes},
        tax_code::TaxCode,
        template::CodeName,
    },
    policy::{Act, act},
    secret::{Digits, SecretBytes},
    service::{
        ActivationRequest, ApprovalRequest, ApprovalView, Call, CardData, CardNumber, CardView,
        DeliveryOutcome, DeliveryView, Error, HandedOut, Leased, LeasedDelivery, Line, LineOutcome,
        OpenedRegistration, Operator, Purpose, ReprintRequest, RevocationProof, RevocationRequest, Revoked,
        Service, Session, SignedApproval, SignedRegistration, Summary, Verification, VerificationRequest,
    },
};

use crate::world::NOW_MS;

/// Where every citizen reads second parts.
pub(crate) const ADDRESS: &str = "assistita.di.prova@esempio.example";

/// One client certificate.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) service: Arc<Service>,
    print: [u8; 32],
    /// C.F. of whoever uses it.
    operator: String,
    /// Whose card they use, and which of several.
    card: (String, u8),
}

/// The key of an operator's card, made when it is first asked for.
fn key_of(card: &(String, u8)) -> Arc<EcdsaKeyPair> {
    static KEYS: Mutex<BTreeMap<(String, u8), Arc<EcdsaKeyPair>>> = Mutex::new(BTreeMap::new());
    let new = || Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap());
    let mut keys = KEYS.lock().unwrap();
    Arc::clone(keys.entry(card.clone()).or_insert_with(new))
}

/// An operator who holds no card.
pub(crate) const OPERATOR: &str = "RSSMRA80A01H501U";

pub(crate) fn contact() -> Contact {
    Contact::parse(Channel::Email, ADDRESS).unwrap()
}

/// The holder, with an identity card that is valid in every test.
pub(crate) fn in_person() -> Applicant {
    Applicant { document: Some(identity_card()), ..Applicant::holder() }
}

pub(crate) fn identity_card() -> Document {
    Document {
        kind: "identity_card".into(),
        number: Personal::number("CA12345AB").unwrap(),
        issuer: Personal::issuer("Comune di Roma").unwrap(),
        issued_on: "2020-01-01".parse().unwrap(),
        expires_on: Some("2099-12-31".parse().unwrap()),
    }
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
        let (operator, card) = (OPERATOR.to_owned(), (OPERATOR.to_owned(), 0));
        Self { service: Arc::clone(service), print, operator, card }
    }

    /// The same counter, used by somebody else, who has registered a card.
    pub(crate) async fn used_by(&self, tax_code: &str) -> Self {
        let other = self.used_by_new(tax_code);
        other.register_operator().await.unwrap();
        other
    }

    /// The same counter, used by somebody else, who has registered nothing.
    pub(crate) fn used_by_new(&self, tax_code: &str) -> Self {
        Self { operator: tax_code.to_owned(), card: (tax_code.to_owned(), 0), ..self.clone() }
    }

    /// The same counter and operator, with the card of somebody else: the same key in another certificate.
    pub(crate) fn with_the_card_of(&self, other: &Self) -> Self {
        Self { card: other.card.clone(), ..self.clone() }
    }

    /// What the operator's card signs.
    pub(crate) fn signs(&self, bytes: &[u8]) -> Vec<u8> {
        key_of(&self.card).sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }

    /// C.F. of whoever uses it.
    pub(crate) fn operator(&self) -> String {
        self.operator.clone()
    }

    /// The same operator with another card.
    pub(crate) fn with_card(&self, card: u8) -> Self {
        Self { card: (self.operator.clone(), card), ..self.clone() }
    }

    pub(crate) async fn open_registration(&self, key: &str) -> Result<OpenedRegistration, Error> {
        self.service.open_registration(self.call(key, "{}")).await
    }

    /// What the card signs for a text.
    pub(crate) fn signature(&self, context: Context, text: &str) -> Vec<u8> {
        self.signs(&signed_bytes(context, text))
    }

    pub(crate) async fn sign_registration(
        &self,
        id: RegistrationId,
        signature: &[u8],
        key: &str,
    ) -> Result<SignedRegistration, Error> {
        self.service.sign_registration(self.call_of(key, id, "signature"), id, signature).await
    }

    /// Registers the operator's card.
    pub(crate) async fn register_operator(&self) -> Result<SignedRegistration, Error> {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = || format!("registration {}", KEYS.fetch_add(1, SeqCst));
        let open = self.open_registration(&key()).await?;
        let signature = self.signature(Context::OperatorRegistration, &open.text);
        self.sign_registration(open.id, &signature, &key()).await
    }

    pub(crate) async fn session(&self) -> Result<Session, Error> {
        self.service.session(self.call("", "")).await
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
        let spki = key_of(&self.card).public_key().as_der().unwrap().as_ref().to_vec();
        let certificate = OperatorCertificate::of_nobody(who.clone(), spki, NOW_MS + 1);
        Call {
            permit: policy
                .permit(caller, Some(&who), CivilDate::moment_in_italy(NOW_MS).unwrap())
                .expect("allowed by the policy"),
            request: RequestId::new(number.to_be_bytes()),
            key: Some(key.to_owned()),
            operator: Some(Operator::from(Arc::new(certificate))),
            path_id: None,
            body: SecretBytes::new(body.as_bytes().to_vec()),
        }
    }

    /// As [`Client::call`], with an id in the path.
    pub(crate) fn call_of<A: Act>(&self, key: &str, path_id: impl ToString, body: &str) -> Call<A> {
        Call { path_id: Some(path_id.to_string()), ..self.call(key, body) }
    }

    /// Puts a request about a card, whose body is the same for every applicant.
    pub(crate) async fn service_call<A: Act, T>(
        &self,
        key: &str,
        card: &FictionalCard,
        put: impl AsyncFnOnce(&Service, Call<A>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        put(&self.service, self.call(key, card.team_number.as_str())).await
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
        let request = ActivationRequest { contact, ..activation(card) };
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
        let request = ReprintRequest {
            card: data(card),
            reason: reason.to_owned(),
            applicant: in_person(),
            contact: contact(),
            language: MessageLanguage::Italian,
        };
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
        let proof = RevocationProof::Verification(verification);
        self.revoke_with(card, proof, key, reason).await
    }

    pub(crate) async fn revoke_with(
        &self,
        card: &FictionalCard,
        proof: RevocationProof,
        key: &str,
        reason: Reason,
    ) -> Result<Revoked, Error> {
        let team = card.team_number.clone();
        let request = RevocationRequest { team, proof, reason, applicant: Applicant::holder() };
        let call: Call<act::Revoke> = self.call(key, &format!("{proof:?} {}", reason.text()));
        self.service.revoke(call, request).await
    }

    /// Asks a colleague to approve that a card, which is lost, is revoked without its C.I.P.
    pub(crate) async fn ask(&self, card: &FictionalCard, key: &str) -> Result<ApprovalView, Error> {
        let request = ApprovalRequest::Revoke { team: card.team_number.clone(), reason: Reason::Lost };
        self.service.ask_approval(self.call(key, card.team_number.as_str()), request).await
    }

    pub(crate) async fn shown(&self, id: ApprovalId) -> Result<ApprovalView, Error> {
        self.service.approval(self.call("", ""), id).await
    }

    /// Signs it as it should be.
    pub(crate) async fn approve(&self, asked: &ApprovalView, key: &str) -> Result<SignedApproval, Error> {
        let signature = self.signature(Context::Approval, &asked.text);
        self.sign(asked.id, &signature, key).await
    }

    pub(crate) async fn sign(
        &self,
        id: ApprovalId,
        signature: &[u8],
        key: &str,
    ) -> Result<SignedApproval, Error> {
        // The signature differs each time; a repeated request is the same in all its bytes.
        self.service.sign_approval(self.call_of(key, id, "signature"), id, signature).await
    }

    pub(crate) async fn revoke_approved(
        &self,
        card: &FictionalCard,
        id: ApprovalId,
        key: &str,
    ) -> Result<Revoked, Error> {
        self.revoke_with(card, RevocationProof::Approval(id), key, Reason::Lost).await
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

pub(crate) fn activation(card: &FictionalCard) -> ActivationRequest {
    ActivationRequest {
        card: data(card),
        applicant: in_person(),
        contact: contact(),
        language: MessageLanguage::Italian,
        data_processing: true,
    }
}

pub(crate) fn data(card: &FictionalCard) -> CardData {
    CardData { tax_code: card.tax_code.clone(), team: card.team_number.clone(), expires_on: card.expiry }
}
