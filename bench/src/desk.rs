//! A front end at a counter, or another caller, over mutual TLS.

use std::{path::Path, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Bytes,
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
    /// The caller `name` of a demonstration's `clients` directory, with the operator of the files `operator`.
    ///
    /// # Errors
    /// A sentence, if its files cannot be used.
    pub fn new(
        clients: &Path,
        (name, operator): (&str, &str),
        url: &str,
        protocols: Protocols,
    ) -> Result<Self, String> {
        let limits = ClientLimits { protocols, concurrent: CONCURRENT, ..ClientLimits::default() };
        Self::with_limits(clients, (name, operator), url, limits)
    }

    /// As [`Desk::new`], with a client of these limits.
    ///
    /// # Errors
    /// A sentence, if its files cannot be used.
    pub fn with_limits(
        clients: &Path,
        (name, operator): (&str, &str),
        url: &str,
        limits: ClientLimits,
    ) -> Result<Self, String> {
        let files = TlsClientFiles {
            server_ca: clients.join("ca.pem"),
            certificate: clients.join(format!("{name}.pem")),
            key: clients.join(format!("{name}.key")),
        };
        let client =
            Client::new(url, &files, limits, Arc::new(SystemClock::new())).map_err(|e| e.to_string())?;
        let file = |kind: &str| clients.join(format!("{operator}.{kind}"));
        let (file, key) = (file("pem"), file("key"));
        let pem = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let inner: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let operator = HeaderValue::from_str(&format!(":{inner}:")).map_err(|e| e.to_string())?;
        let file = key;
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
        let signature = self.sign(Context::OperatorRegistration, &opened.text).map_err(Refused::Broken)?;
        let body = SignRegistration { signature };
        let path = format!("/v1/operator-registrations/{}/sign", opened.id);
        self.post(&path, &format!("{key}-sign"), &body).await
    }

    /// Base64 of the signature that the operator's card makes over a text of the authority.
    ///
    /// # Errors
    /// A sentence.
    pub fn sign(&self, context: Context, text: &str) -> Result<String, String> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.card.expose())
            .map_err(|_| "the operator's key is not one on P-256")?;
        let signed = pair.sign(&SystemRandom::new(), &signed_bytes(context, text));
        Ok(STANDARD.encode(signed.map_err(|_| "the key does not sign")?.as_ref()))
    }

    /// Who the operator is.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn session(&self) -> Result<Session, Refused> {
        self.get_as_operator("/v1/session").await
    }

    /// Posts a value, with an idempotency key, and gives the answer as it came, whatever its status.
    ///
    /// # Errors
    /// No answer, or none that could be read.
    pub async fn post_raw<T: Serialize + Sync>(
        &self,
        path: &str,
        key: &str,
        value: &T,
    ) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        let headers = self.headers(key)?;
        let body = serde_json::to_vec(value).map_err(|e| e.to_string())?;
        self.client.call(Method::POST, path, headers, body).await.map_err(|e| e.to_string())
    }

    /// The headers of a request with this idempotency key, in the operator's name.
    ///
    /// # Errors
    /// A sentence, if the key is no value of a header.
    pub fn headers(&self, key: &str) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("client-cert", self.operator.clone());
        headers.insert("idempotency-key", HeaderValue::from_str(key).map_err(|e| e.to_string())?);
        Ok(headers)
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
        let headers = self.headers(key).map_err(Refused::Broken)?;
        let body = serde_json::to_vec(value).map_err(|e| Refused::Broken(e.to_string()))?;
        self.call(Method::POST, path, headers, body).await
    }

    /// Posts lines of JSON, as a caller who forwards no operator.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn post_lines<R: DeserializeOwned>(&self, path: &str, lines: Vec<u8>) -> Result<R, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        self.call(Method::POST, path, headers, lines).await
    }

    /// Gets a value that takes no operator.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, Refused> {
        self.call(Method::GET, path, HeaderMap::new(), Vec::new()).await
    }

    /// Gets a value as the operator.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn get_as_operator<R: DeserializeOwned>(&self, path: &str) -> Result<R, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert("client-cert", self.operator.clone());
        self.call(Method::GET, path, headers, Vec::new()).await
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
