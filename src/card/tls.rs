//! The card as the key of a TLS client: TLS 1.3 with RSA-PSS, TLS 1.2 with either encoding.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    sign::{Signer, SigningKey},
};

use super::{CardError, Certificate, Pin, Session};
use crate::domain::{
    officers::{Scheme, Signature},
    signed_text::{Context, Legible},
};

/// A card that signs handshakes and texts, once a PIN has opened it. Whoever asks waits for the card.
#[derive(Clone, Debug)]
pub struct CardKey {
    session: Arc<Mutex<Session>>,
    certificate: Arc<Certificate>,
    scheme: Scheme,
}

impl CardKey {
    /// Takes a session and the certificate on its card.
    pub fn new(session: Session, certificate: Certificate) -> Self {
        let (session, certificate) = (Arc::new(Mutex::new(session)), Arc::new(certificate));
        Self { session, certificate, scheme: Scheme::RsaPss }
    }

    /// The certificate on the card.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// As [`Session::unlock`].
    ///
    /// # Errors
    /// As there.
    pub fn unlock(&self, pin: &Pin) -> Result<(), CardError> {
        self.session().unlock(pin)
    }

    /// As [`Session::sign_text`].
    ///
    /// # Errors
    /// As there.
    pub fn sign_text(&self, context: Context, text: Legible<'_>) -> Result<Signature, CardError> {
        self.session().sign_text(&self.certificate, context, text)
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SigningKey for CardKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = [Scheme::RsaPss, Scheme::RsaPkcs1];
        let scheme = known.into_iter().find(|scheme| offered.contains(&name(*scheme)))?;
        Some(Box::new(Self { scheme, ..self.clone() }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for CardKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let made = self.session().sign_bytes(&self.certificate, self.scheme, message);
        made.map(|signature| signature.bytes).map_err(|e| rustls::Error::General(e.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        name(self.scheme)
    }
}

/// What TLS calls it.
const fn name(scheme: Scheme) -> SignatureScheme {
    match scheme {
        Scheme::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        Scheme::RsaPkcs1 => SignatureScheme::RSA_PKCS1_SHA256,
        Scheme::RsaPss => SignatureScheme::RSA_PSS_SHA256,
    }
}
