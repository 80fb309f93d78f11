//! The client certificate check: the library's (chain, dates, revocation, signature), then [`Peer`]'s.
//!
//! Both run inside the handshake, so that a refused client gets a TLS alert and never sends a request.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::auth::{AuthError, Peer};

#[derive(Debug)]
pub(super) struct PeerVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    pub(super) const fn new(inner: Arc<dyn ClientCertVerifier>) -> Self {
        Self { inner }
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let now_ms = now.as_secs().saturating_mul(1000);
        Peer::from_certificate(end_entity, now_ms)
            .map(|_| verified)
            .map_err(|error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Why a handshake failed, as the metric label of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// Out of date, or not yet valid.
    Dates,
    /// The connection broke.
    Io,
    /// The client has no certificate.
    NoCertificate,
    /// Any other fault of the certificate.
    OtherCertificate,
    /// No common version, cipher or application protocol, or not TLS at all.
    Protocol,
    /// Not for client authentication.
    Purpose,
    /// Revoked, or not known to be good.
    Revoked,
    /// Not finished in time.
    Timeout,
    /// Issued by an authority that is not trusted.
    UnknownAuthority,
    /// The key is too short.
    WeakKey,
}

impl HandshakeFailure {
    /// All of them, for tables.
    pub const ALL: [Self; 10] = [
        Self::Dates,
        Self::Io,
        Self::NoCertificate,
        Self::OtherCertificate,
        Self::Protocol,
        Self::Purpose,
        Self::Revoked,
        Self::Timeout,
        Self::UnknownAuthority,
        Self::WeakKey,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dates => "dates",
            Self::Io => "io",
            Self::NoCertificate => "no_certificate",
            Self::OtherCertificate => "other_certificate",
            Self::Protocol => "protocol",
            Self::Purpose => "purpose",
            Self::Revoked => "revoked",
            Self::Timeout => "timeout",
            Self::UnknownAuthority => "unknown_authority",
            Self::WeakKey => "weak_key",
        }
    }

    /// The class of an error of the TLS acceptor.
    pub fn of(error: &std::io::Error) -> Self {
        match super::cause(error) {
            None => Self::Io,
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Some(_) => Self::Protocol,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Dates,
            CertificateError::Revoked
            | CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Self::Revoked,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            CertificateError::Other(OtherError(inner)) => {
                inner.downcast_ref::<AuthError>().map_or(Self::OtherCertificate, |error| (*error).into())
            }
            _ => Self::OtherCertificate,
        }
    }
}

impl From<AuthError> for HandshakeFailure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::CommonName | AuthError::NotACertificate => Self::OtherCertificate,
            AuthError::Expired | AuthError::NotYetValid => Self::Dates,
            AuthError::NoClientAuth | AuthError::NotForSignatures => Self::Purpose,
            AuthError::WeakKey(_) => Self::WeakKey,
        }
    }
}
