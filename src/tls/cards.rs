//! The entrance for operators who connect with their own cards: whoever the authorities of the policy in force vouch for.
//!
//! The handshake asks only for the path to such an authority and for the signature of the chip. Dates, revocation, policies
//! and name are asked with each request, so that the holder is told what is wrong, and so that a card that is revoked
//! while it is connected is refused.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{Entrance, ServerTls, provider, server::Identity};
use crate::auth::{
    AuthError, CardPeer, Remote,
    cns::{Authority, Refusal, Trust, leads_to_authority},
};

/// Tells the authorities that are trusted now.
type InForce = dyn Fn() -> Arc<Trust> + Send + Sync;

/// Lets in the cards of the authorities that are trusted at the moment of the handshake.
pub struct CardTls {
    server: Arc<ServerTls>,
    trust: Box<InForce>,
    made: Mutex<Option<Made>>,
}

/// A configuration with what it was made from: as good as new until one of these is another.
struct Made {
    identity: Arc<Identity>,
    trust: Arc<Trust>,
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for CardTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardTls").field("server", &self.server).finish_non_exhaustive()
    }
}

impl CardTls {
    /// With the server certificate of `server`, also when that loads another.
    pub fn new(server: Arc<ServerTls>, trust: impl Fn() -> Arc<Trust> + Send + Sync + 'static) -> Self {
        Self { server, trust: Box::new(trust), made: Mutex::new(None) }
    }
}

impl Entrance for CardTls {
    fn current(&self) -> Arc<ServerConfig> {
        let (identity, trust) = (self.server.identity(), (self.trust)());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made
            && Arc::ptr_eq(&made.identity, &identity)
            && Arc::ptr_eq(&made.trust, &trust)
        {
            return Arc::clone(&made.config);
        }
        let config = Arc::new(identity.with(Arc::new(CardVerifier::new(Arc::clone(&trust)))));
        *made = Some(Made { identity, trust, config: Arc::clone(&config) });
        config
    }

    fn remote(&self, leaf: &[u8], chain: &[CertificateDer<'_>], _: u64) -> Result<Remote, AuthError> {
        Ok(Remote::Card(CardPeer::new(leaf, chain)))
    }
}

#[derive(Debug)]
struct CardVerifier {
    trust: Arc<Trust>,
    authorities: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl CardVerifier {
    fn new(trust: Arc<Trust>) -> Self {
        let subject = |authority: &Authority| authority.subject().to_vec().into();
        let authorities = trust.authorities().iter().map(subject).collect();
        Self { trust, authorities, algorithms: provider().signature_verification_algorithms }
    }
}

impl ClientCertVerifier for CardVerifier {
    /// From these a browser picks the certificate to ask its user for.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now_ms = now.as_secs().saturating_mul(1000);
        leads_to_authority(&self.trust, end_entity, intermediates, now_ms)
            .map(|()| ClientCertVerified::assertion())
            .map_err(|refusal| Error::InvalidCertificate(told(refusal)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// As TLS says it in its alert, and the metric in its class.
#[expect(clippy::wildcard_enum_match_arm, reason = "TLS has a word for few of them")]
fn told(refusal: Refusal) -> CertificateError {
    match refusal {
        Refusal::BadIssuer | Refusal::UnknownCa => CertificateError::UnknownIssuer,
        Refusal::BadSignature => CertificateError::BadSignature,
        Refusal::CaNotValid => CertificateError::Expired,
        Refusal::WrongExtendedKeyUsage => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}
