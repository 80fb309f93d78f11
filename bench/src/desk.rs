//! A front end at a counter, or another caller, over mutual TLS.

use std::{path::Path, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use sigillo::{
    api::{
        operators::{OpenRegistration, OpenedRegistration, Session, SignRegistration, SignedRegistration},
        problem::ProblemDocument,
    },
    client::{Client, ClientLimits},
    clock::SystemClock,
    domain::signed_text::{Context, signed_bytes},
    secret::SecretBytes,
    tls::{Protocols, TlsClientFiles},
};

/// Calls under way at one time, at most.
const CONCURRENT: usize = 1024;

/// A caller with a certificate of its own.
#[derive(Debug)]
pub struct Desk {
    client: Client,
    /// Certificate of an operator who is nobody and holds no card, as a front end forwards it.
    operator: HeaderValue,
    /// The key that would be in the chip of the operator's card (PKCS#8, DER).
    card: SecretBytes,
}

/// A refusal, or no answer.
#[derive(Debug)]
pub enum Refused {
    /// No answer, or none that could be read.
    Broken(String),
    /// The authority's refusal.
    Problem(ProblemDocument),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::Problem(problem) => write!(f, "{} {}", problem.status, problem.code),
        }
    }
}

impl Desk {
    /// The caller `name` of a demonstration's `clients` directory.
    ///
    /// # Errors
    /// A sentence, if its files cannot be used.
    pub fn new(clients: &Path, name: &str, url: &str, protocols: Protocols) -> Result<Self, String> {
        let files = TlsClientFiles {
            server_ca: clients.join("ca.pem"),
            certificate: clients.join(format!("{name}.pem")),
            key: clients.join(format!("{name}.key")),
        };
        let limits = ClientLimits { protocols, concurrent: CONCURRENT, ..ClientLimits::default() };
        let client =
            Client::new(url, &files, limits, Arc::new(SystemClock::new())).map_err(|e| e.to_string())?;
        let file = clients.join("operator.pem");
        let pem = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let inner: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let operator = HeaderValue::from_str(&format!(":{inner}:")).map_err(|e| e.to_string())?;
        let file = clients.join("operator.key");
        let pem = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let card = pem::parse(&pem).map_err(|e| format!("{}: {e}", file.display()))?.into_contents();
        Ok(Self { client, operator, card: SecretBytes::new(card) })
    }

    /// Registers the operator's card: the authority's text is signed by its key. Answers whether another card was replaced.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn register_operator(&self, key: &str) -> Result<SignedRegistration, Refused> {
        let opened: OpenedRegistration =
            self.post("/v1/operator-registrations", &format!("{key}-open"), &OpenRegistration {}).await?;
        let broken = |what: &str| Refused::Broken(what.to_owned());
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.card.expose())
            .map_err(|_| broken("operator.key is not a key on P-256"))?;
        let bytes = signed_bytes(Context::OperatorRegistration, &opened.text);
        let signed = pair.sign(&SystemRandom::new(), &bytes).map_err(|_| broken("the key does not sign"))?;
        let body = SignRegistration { signature: STANDARD.encode(signed.as_ref()) };
        let path = format!("/v1/operator-registrations/{}/sign", opened.id);
        self.post(&path, &format!("{key}-sign"), &body).await
    }

    /// Who the operator is.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn session(&self) -> Result<Session, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert("client-cert", self.operator.clone());
        self.call(Method::GET, "/v1/session", headers, Vec::new()).await
    }

    /// Posts a value, with an idempotency key.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn post<T: Serialize + Sync, R: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        value: &T,
    ) -> Result<R, Refused> {
        let broken = |e: &dyn std::error::Error| Refused::Broken(e.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("client-cert", self.operator.clone());
        headers.insert("idempotency-key", HeaderValue::from_str(key).map_err(|e| broken(&e))?);
        let body = serde_json::to_vec(value).map_err(|e| broken(&e))?;
        self.call(Method::POST, path, headers, body).await
    }

    /// Gets a value.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, Refused> {
        self.call(Method::GET, path, HeaderMap::new(), Vec::new()).await
    }

    async fn call<R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<R, Refused> {
        let broken = |e: &dyn std::error::Error| Refused::Broken(e.to_string());
        let (status, _, body) =
            self.client.call(method, path, headers, body).await.map_err(|e| broken(&e))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| broken(&e));
        }
        Err(serde_json::from_slice(&body).map_or_else(|e| broken(&e), Refused::Problem))
    }
}
