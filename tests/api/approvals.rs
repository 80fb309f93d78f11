//! Four eyes through the API: real certificates, real signatures, and one that a card really makes in TLS.

use std::sync::{Arc, Mutex};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use rustls::{
    ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::{CertifiedKey, Signer, SigningKey},
};
use serde_json::{Value, json};
use sigillo::{
    domain::{
        fictional,
        signed_text::{Context, signed_bytes},
    },
    pki::Issued,
};
use tokio::net::TcpStream;

use crate::fixture::{
    Answer, Api, Installation,
    api::{OPERATOR_HEADER, forwarded, json_with, json_with_operator, key},
    audit::Log,
    listed::{self, SecondCa},
    registered::OperatorCard,
};

/// Cards of an authority of this test, whose holders are operators.
struct Colleagues {
    /// Approves, and does nothing else.
    supervisor: Issued,
    /// Two cards of one who serves at the counter too.
    both: [Issued; 2],
}

impl Colleagues {
    /// Lists them in the policy set, which is not in force yet.
    fn of(home: &Installation) -> Self {
        let ca = SecondCa::of(home);
        let mut codes = fictional::cards(13, 2, &["120".parse().unwrap()]);
        let mut list = |roles: &str| {
            let code = codes.next().unwrap().tax_code.as_str().to_owned();
            listed::operator(home, &code, roles);
            format!("{code}/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE=")
        };
        let (one, two) = (list(r#""supervisor""#), list(r#""counter_operator", "supervisor""#));
        let card = |name: &str| ca.card(name);
        Self { supervisor: card(&one), both: [card(&two), card(&two)] }
    }
}

/// Registers the card for its holder.
async fn register(desk: &Api, card: &Issued) {
    let (certificate, key) = (card.certificate_pem(), card.key_pem());
    OperatorCard::new(certificate.as_bytes(), key.as_bytes()).register(desk).await;
}

/// What a card signs.
fn signature(card: &Issued, bytes: &[u8]) -> String {
    let key = PrivateKeyDer::from_pem_slice(card.key_pem().as_bytes()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der()).unwrap();
    STANDARD.encode(pair.sign(&SystemRandom::new(), bytes).unwrap())
}

/// Asks as the holder of this card; a change with a key of its own.
async fn by(api: &Api, card: &Issued, method: Method, path: &str, body: &Value) -> Answer {
    let change = (method != Method::GET).then(key);
    let mut headers = json_with(change.as_deref());
    headers.insert(OPERATOR_HEADER, forwarded(card.certificate_pem().as_bytes()));
    let body = change.map(|_| body.to_string()).unwrap_or_default();
    api.send(method, path, headers, body).await.unwrap()
}

async fn sign(api: &Api, card: &Issued, id: &str, signature: &str) -> Answer {
    let body = json!({ "signature": signature });
    by(api, card, Method::POST, &format!("/v1/approvals/{id}/sign"), &body).await
}

fn wanted(number: &str) -> Value {
    json!({ "action": "revoke", "card": { "team_number": number }, "reason": "lost" })
}

fn revocation(number: &str, id: &str, reason: &str) -> Value {
    crate::fixture::cards::revocation(number, "approval", id, reason)
}

/// Id and text of what was asked for.
#[track_caller]
fn asked(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = answer.json();
    (body["id"].as_str().unwrap().to_owned(), body["text"].as_str().unwrap().to_owned())
}

/// A card as a client's key in TLS, and what it was made to sign.
#[derive(Clone, Debug)]
struct InTls {
    certificate: CertificateDer<'static>,
    key: Arc<dyn SigningKey>,
    made: Made,
}

/// Messages with their signatures.
type Made = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

impl ResolvesClientCert for InTls {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::new(CertifiedKey::new(vec![self.certificate.clone()], Arc::new(self.clone()))))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl SigningKey for InTls {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Noting(self.key.choose_scheme(offered)?, Arc::clone(&self.made))))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct Noting(Box<dyn Signer>, Made);

impl Signer for Noting {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = self.0.sign(message)?;
        self.1.lock().unwrap().push((message.to_vec(), signature.clone()));
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}

/// A handshake with the authority in which the card's key proves itself; what it signed.
async fn certificate_verify(home: &Installation, card: &Issued) -> (Vec<u8>, Vec<u8>) {
    let key = PrivateKeyDer::from_pem_slice(card.key_pem().as_bytes()).unwrap();
    let in_tls = InTls {
        certificate: CertificateDer::from(card.der().to_vec()),
        key: any_supported_type(&key).unwrap(),
        made: Arc::default(),
    };
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_file_iter(home.path("clients/ca.pem")).unwrap() {
        roots.add(ca.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(in_tls.clone()));
    let stream = TcpStream::connect(home.listen_address()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    // The client is done before the server judges the certificate: no front end's, it is refused then.
    drop(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await);
    let made = in_tls.made.lock().unwrap();
    let [one] = made.as_slice() else { panic!("one signature in a handshake") };
    one.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_card_signs_elsewhere_approves() {
    let mut home = Installation::new();
    let colleagues = Colleagues::of(&home);
    home.start().await;
    let (desk, card) = (home.api("desk"), home.cards(1).await.remove(0));
    let number = card.team_number.as_str();
    let answer = desk.change("/v1/approvals", &wanted(number)).await;
    let (id, text) = asked(&answer);
    let (_, other) = asked(&desk.change("/v1/approvals", &wanted(number)).await);
    let supervisor = &colleagues.supervisor;
    register(&desk, supervisor).await;

    let (message, in_handshake) = certificate_verify(&home, supervisor).await;
    let prefix = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0"].concat();
    assert!(message.starts_with(&prefix), "a real CertificateVerify of TLS 1.3");
    // And one as if the text were the transcript of a handshake.
    let as_if = signature(supervisor, &[&prefix, text.as_bytes()].concat());
    let over = |context, text: &str| signature(supervisor, &signed_bytes(context, text));
    for bad in [
        STANDARD.encode(in_handshake),
        as_if,
        signature(supervisor, text.as_bytes()),
        over(Context::OperatorRegistration, &text),
        over(Context::Approval, &other),
        over(Context::Approval, &text.replace("reason: lost", "reason: stolen")),
        signature(&colleagues.both[0], &signed_bytes(Context::Approval, &text)),
    ] {
        let refused = sign(&desk, supervisor, &id, &bad).await;
        refused.problem(403, "approval_signature");
        let log = Log::read(&home.api("auditor")).await;
        let [event] = &log.by(&refused)[..] else { panic!("one event") };
        assert_eq!((event.text("kind"), event.text("outcome")), ("approval.signed", "refused"));
        assert_eq!((event.text("reason"), event.text("approval")), ("approval_signature", id.as_str()));
    }
    assert_eq!(
        sign(&desk, supervisor, &id, "????").await.problem(422, "invalid_value").unwrap(),
        "$.signature"
    );
    desk.change("/v1/revocations", &revocation(number, &id, "lost"))
        .await
        .problem(409, "approval_not_signed");
    sign(&desk, supervisor, &id, &over(Context::Approval, &text)).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_revoke_a_card_that_one_alone_cannot() {
    let mut home = Installation::new();
    let Colleagues { supervisor, both: [card_1, card_2] } = Colleagues::of(&home);
    home.start().await;
    let (desk, cards) = (home.api("desk"), home.cards(2).await);
    let [number, other] = [&cards[0], &cards[1]].map(|card| card.team_number.as_str());
    for body in [
        json!({ "team_number": number, "reason": "lost", "applicant": { "is": "holder" } }),
        json!({
            "team_number": number, "reason": "lost", "applicant": { "is": "holder" },
            "approval": "0".repeat(32), "verification": "0".repeat(32),
        }),
    ] {
        let refused = desk.change("/v1/revocations", &body).await;
        assert_eq!(refused.problem(422, "invalid_value").unwrap(), "$.verification");
    }
    let right = |card, text: &str| signature(card, &signed_bytes(Context::Approval, text));

    register(&desk, &supervisor).await;
    register(&desk, &card_1).await;

    // The demonstration's operator, who serves at the counter only, asks.
    let asking = desk.change("/v1/approvals", &wanted(number)).await;
    let (id, text) = asked(&asking);
    let path = format!("/v1/approvals/{id}");
    desk.get(&path).await.problem(400, "operator_missing");
    let mut own = json_with(None);
    own.remove("content-type");
    desk.send(Method::GET, &path, own, "").await.unwrap().problem(403, "operator_not_allowed");
    let shown = by(&desk, &supervisor, Method::GET, &path, &Value::Null).await.ok();
    assert_eq!((&shown["text"], &shown["state"]), (&text.as_str().into(), &"open".into()));
    let signature = json!({ "signature": right(&supervisor, &text) });
    let key = key();
    let sign_once = async |id: &str| {
        let headers = json_with_operator(Some(&key), forwarded(supervisor.certificate_pem().as_bytes()));
        let path = format!("/v1/approvals/{id}/sign");
        desk.send(Method::POST, &path, headers, signature.to_string()).await.unwrap()
    };
    let signing = sign_once(&id).await;
    assert_eq!(signing.ok()["expires_at"], asking.json()["expires_at"]);
    // The id is part of the request: with the same key and body another approval is another request.
    let (another, _) = asked(&desk.change("/v1/approvals", &wanted(other)).await);
    for id in [another, "0".repeat(32)] {
        sign_once(&id).await.problem(422, "idempotency_key_reused");
    }
    assert_eq!(sign_once(&id).await.ok(), signing.ok(), "a repetition");
    sign(&desk, &card_1, &id, &right(&card_1, &text)).await.problem(409, "approval_already_signed");

    // It serves what was approved, once.
    let revoke =
        async |number, reason| desk.change("/v1/revocations", &revocation(number, &id, reason)).await;
    revoke(other, "lost").await.problem(409, "approval_other_request");
    revoke(number, "stolen").await.problem(409, "approval_other_request");
    let body = revocation(number, &id, "lost");
    let elsewhere = by(&desk, &card_1, Method::POST, "/v1/revocations", &body).await;
    elsewhere.problem(409, "approval_other_request");
    let revoking = revoke(number, "lost").await;
    assert_eq!(revoking.ok()["state"], "revoked");
    revoke(number, "lost").await.problem(404, "approval_not_found");
    sign(&desk, &card_1, &id, &right(&card_1, &text)).await.problem(404, "approval_not_found");
    assert_eq!(cards[0].look_up(&desk).await["state"], "revoked");
    assert_eq!(cards[1].look_up(&desk).await["state"], "registered");

    // Who approves may also ask, but not approve that, with whichever card.
    let answer = by(&desk, &card_1, Method::POST, "/v1/approvals", &wanted(other)).await;
    let (id, text) = asked(&answer);
    sign(&desk, &card_1, &id, &right(&card_1, &text)).await.problem(403, "approval_own_request");
    register(&desk, &card_2).await;
    sign(&desk, &card_2, &id, &right(&card_2, &text)).await.problem(403, "approval_own_request");
    sign(&desk, &supervisor, &id, &right(&supervisor, &text)).await.ok();

    // Another policy set ends what was approved under the former.
    home.edit("authority/policies/authority.toml", "\nsequence = 2\n", "\nsequence = 3\n");
    home.api("policy").post("/v1/policy/reload", None, &json!({})).await.ok();
    let body = revocation(other, &id, "lost");
    let late = by(&desk, &card_2, Method::POST, "/v1/revocations", &body).await;
    late.problem(409, "approval_other_policy");

    let log = Log::read(&home.api("auditor")).await;
    let last = |answer: &Answer| (*log.by(answer).last().unwrap()).clone();
    let (asked, signed, revoked) = (last(&asking), last(&signing), last(&revoking));
    assert_eq!((asked.text("kind"), signed.text("kind")), ("approval.asked", "approval.signed"));
    assert_eq!((revoked.text("kind"), revoked.text("outcome")), ("card.revoked", "done"));
    assert_eq!(revoked.text("operator"), asked.text("operator"));
    assert_eq!(revoked.text("approver"), signed.text("operator"));
    assert_ne!(revoked.text("approver"), revoked.text("operator"));
    for refused in [&elsewhere, &late] {
        let [event] = &log.by(refused)[..] else { panic!("one event") };
        assert_eq!((event.text("kind"), event.text("outcome")), ("card.revoked", "refused"));
    }
}
