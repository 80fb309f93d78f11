//! The card as the key of a TLS client: TLS 1.3 with RSA-PSS, TLS 1.2 with either encoding.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    sign::{Signer, SigningKey},
};

use super::{Certificate, Session};
use crate::domain::officers::Scheme;

/// A card that a PIN has opened. The handshake waits for the card.
#[derive(Clone, Debug)]
pub struct CardKey {
    session: Arc<Mutex<Session>>,
    certificate: Arc<Certificate>,
    scheme: Scheme,
}

impl CardKey {
    /// Takes a session that [`Session::unlock`] has opened, and the certificate on the card.
    pub fn new(session: Session, certificate: Certificate) -> Self {
        let (session, certificate) = (Arc::new(Mutex::new(session)), Arc::new(certificate));
        Self { session, certificate, scheme: Scheme::RsaPss }
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
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let made = session.sign_bytes(&self.certificate, self.scheme, message);
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
