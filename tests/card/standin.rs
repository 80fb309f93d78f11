//! Registra CNS and four eyes as the API has them, for one operator: the product's own documents, texts and proof, on the
//! tests' own server. Tests know of it the address and what it saw.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use sigillo::{
    api::{
        approvals::{Approval, SignApproval, SignedApproval},
        operators::{
            OpenRegistration, OpenedRegistration, Session, SessionOperator, SignRegistration,
            SignedRegistration,
        },
        problem::ProblemDocument,
    },
    auth::cns::proof,
    clock::{Clock, SystemClock},
    domain::{
        approval::{Asked, Facts},
        audit::time_text,
        card::Reason,
        id::{ApprovalId, CardId, RegistrationId},
        officers::fingerprint,
        registration::{OPEN_FOR_MS, Registration},
        signed_text::Context,
        tax_code::TaxCode,
    },
};
use sigillo_vcard::{
    card::Card,
    cns::{Authority, ID_CARTA},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::server::{Request, Server};

pub(crate) const APPROVAL: ApprovalId = ApprovalId::new([0xA5; 16]);
const REGISTRATION: RegistrationId = RegistrationId::new([0x5A; 16]);

/// What it does otherwise than the authority, and what it saw.
pub(crate) struct State {
    /// What becomes of a text before it is sent.
    pub(crate) forge: Box<dyn Fn(String) -> String + Send>,
    /// What is answered to a signature, whatever it is.
    pub(crate) refusal: Option<ProblemDocument>,
    /// What is done to the card when a text is sent.
    pub(crate) meanwhile: fn(&Card),
    /// State of the approval.
    pub(crate) approval: &'static str,
    /// Method and path of each request.
    pub(crate) seen: Vec<String>,
    /// The idempotency keys of posts.
    pub(crate) keys: Vec<String>,
    /// Connections that ended before a request.
    pub(crate) unheard: u32,
    /// What the card had been told when a text was sent last.
    pub(crate) told_before: Vec<u8>,
    /// Signatures that hold, with context and text.
    pub(crate) signed: Vec<(Context, String, Vec<u8>)>,
    /// Key of the card, DER.
    pub(crate) spki: Vec<u8>,
    text: String,
    until_ms: u64,
}

pub(crate) struct StandIn {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    pub(crate) fn start(directory: &Path, authority: &Authority, card: &Card) -> Self {
        let state = State {
            forge: Box::new(|text| text),
            refusal: None,
            meanwhile: |_| {},
            approval: "open",
            seen: Vec::new(),
            keys: Vec::new(),
            unheard: 0,
            told_before: Vec::new(),
            signed: Vec::new(),
            spki: Vec::new(),
            text: String::new(),
            until_ms: SystemClock::new().now_ms() + OPEN_FOR_MS,
        };
        let state = Arc::new(Mutex::new(state));
        let (answering, counting, card) = (Arc::clone(&state), Arc::clone(&state), card.clone());
        let answer = move |request: &Request| answering.lock().unwrap().answer(request, &card);
        let server = Server::start(directory, &authority.pem(), answer, move |_| {
            counting.lock().unwrap().unheard += 1;
        });
        Self { server, state }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn answer(&mut self, request: &Request, card: &Card) -> (u16, Vec<u8>) {
        self.seen.push(request.line.clone());
        let (_, certificate) = X509Certificate::from_der(&request.certificate).unwrap();
        self.spki = certificate.public_key().raw.to_vec();
        if request.line.starts_with("POST") {
            assert_eq!(request.header("content-type"), Some("application/json"));
            self.keys.push(request.header("idempotency-key").unwrap().to_owned());
        }
        let approval = format!("/v1/approvals/{APPROVAL}");
        let sign = format!("POST /v1/operator-registrations/{REGISTRATION}/sign");
        match request.line.as_str() {
            "GET /v1/session" => (200, json(&session())),
            "POST /v1/operator-registrations" => {
                let OpenRegistration {} = serde_json::from_slice(&request.body).unwrap();
                let operator: TaxCode = request.name().split('/').next().unwrap().parse().unwrap();
                let text = Registration {
                    operator: &operator,
                    certificate: &fingerprint(&request.certificate),
                    front_end: "direct",
                    policy: &"9a".repeat(32),
                    nonce: &[7; 32],
                    until_ms: self.until_ms,
                };
                let text = self.send(text.to_string(), card);
                let expires_at = time_text(self.until_ms);
                (201, json(&OpenedRegistration { id: REGISTRATION.to_string(), text, expires_at }))
            }
            line if line == sign => {
                let SignRegistration { signature } = serde_json::from_slice(&request.body).unwrap();
                self.take(Context::OperatorRegistration, &signature).unwrap_or_else(|| {
                    let registered_at = time_text(SystemClock::new().now_ms());
                    (200, json(&SignedRegistration { registered_at, replaced: false }))
                })
            }
            line if line == format!("GET {approval}") => {
                let text = self.send(asked(self.until_ms), card);
                let (id, state) = (APPROVAL.to_string(), self.approval.to_owned());
                (200, json(&Approval { id, text, state, expires_at: time_text(self.until_ms) }))
            }
            line if line == format!("POST {approval}/sign") => {
                let SignApproval { signature } = serde_json::from_slice(&request.body).unwrap();
                self.take(Context::Approval, &signature).unwrap_or_else(|| {
                    let expires_at = time_text(self.until_ms);
                    (200, json(&SignedApproval { state: "signed".into(), expires_at }))
                })
            }
            _ => (404, json(&problem(404, "no_such_path", "There is no such path", None))),
        }
    }

    fn send(&mut self, text: String, card: &Card) -> String {
        self.text = (self.forge)(text);
        self.told_before.clone_from(&card.state.lock().unwrap().seen);
        (self.meanwhile)(card);
        self.text.clone()
    }

    /// Keeps a signature that holds; a refusal of one that does not, or of any.
    fn take(&mut self, context: Context, signature: &str) -> Option<(u16, Vec<u8>)> {
        let signature = STANDARD.decode(signature).unwrap();
        if let Some(refusal) = &self.refusal {
            return Some((refusal.status, json(refusal)));
        }
        if proof::holds(&self.spki, context, &self.text, &signature).is_err() {
            return Some((422, json(&problem(422, "bad_signature", "A value is not acceptable", None))));
        }
        self.signed.push((context, self.text.clone(), signature));
        None
    }
}

pub(crate) fn problem(status: u16, code: &str, title: &str, detail: Option<&str>) -> ProblemDocument {
    ProblemDocument {
        kind: format!("urn:sigillo:problem:{code}"),
        title: title.to_owned(),
        status,
        code: code.to_owned(),
        detail: detail.map(str::to_owned),
        field: None,
        request_id: "0".repeat(32),
    }
}

/// The text of the approval that a colleague has asked for.
pub(crate) fn asked(until_ms: u64) -> String {
    Facts {
        id: APPROVAL,
        asked: &Asked::Revoke { card: CardId::new([9; 16]), reason: Reason::Stolen },
        contact: None,
        team: &"80380000900090510553".parse().unwrap(),
        operator: &"RSSMRA75C22H501I".parse().unwrap(),
        office: "rome-1",
        front_end: "desk",
        policy: (&"9a".repeat(32), 7),
        time_ms: (until_ms - OPEN_FOR_MS, until_ms),
        nonce: [2; 16],
    }
    .text()
}

fn session() -> Session {
    Session {
        operator: SessionOperator {
            name: None,
            id_carta: ID_CARTA.into(),
            certificate_until: time_text(2_000_000_000_000),
            office: "rome-1".into(),
            roles: vec!["counter".into()],
            regions: vec!["120".into()],
        },
        registration: "none".into(),
        front_end: "direct".into(),
        actions: Vec::new(),
        policy: "9a".repeat(32),
        sequence: 7,
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
