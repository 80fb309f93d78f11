//! TLS 1.3 and 1.2 with certificates on both sides.
//!
//! No session is ever resumed: a resumed session would skip the dates and the revocation lists.

mod cards;
mod client;
mod server;
mod verifier;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::VerifierBuilderError,
};

use crate::{
    auth::{AuthError, Remote},
    clock::Clock,
    files::{self, FileError},
};

pub use cards::CardTls;
pub use client::{Protocols, TlsClientFiles, anonymous_config, client_config, client_config_with_key};
pub use server::{ServerTls, TlsFiles};
pub use verifier::HandshakeFailure;

/// Whom a listener lets in, and as what.
pub trait Entrance: Send + Sync {
    /// The configuration for a new connection.
    fn current(&self) -> Arc<rustls::ServerConfig>;

    /// Who it is whom TLS let in with these certificates, the client's own first.
    ///
    /// # Errors
    /// [`AuthError`]: nobody; the connection ends.
    fn remote(&self, leaf: &[u8], chain: &[CertificateDer<'_>], now_ms: u64) -> Result<Remote, AuthError>;
}

/// Longest certificate, bundle or key file, bytes.
const MAX_PEM: u64 = 1 << 20;

/// Longest revocation list, bytes.
const MAX_CRL: u64 = 64 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate in an authorities' file cannot be a trust anchor.
    #[error("{}: not a usable certificate authority: {reason}", path.display())]
    Authority {
        /// The bundle.
        path: PathBuf,
        /// What the library says.
        reason: rustls::Error,
    },
    /// A revocation list cannot be used.
    #[error("{}: {reason}", path.display())]
    Crl {
        /// The list.
        path: PathBuf,
        /// What the library says.
        reason: VerifierBuilderError,
    },
    /// A file cannot be read, or a private one lets others in.
    #[error(transparent)]
    File(#[from] FileError),
    /// A private key and a certificate do not belong together, or are of a kind that is not supported.
    #[error("{} does not fit {}: {reason}", key.display(), certificate.display())]
    Identity {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
        /// What the library says.
        reason: rustls::Error,
    },
    /// A file is not PEM, or holds nothing of the expected kind (named).
    #[error("{}: no {expected} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// The cryptographic library refuses the protocol versions.
    #[error("TLS cannot be set up: {0}")]
    Provider(rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    items(path, MAX_PEM, "certificate")
}

/// All sections of one kind, at least one.
fn items<T: PemObject>(path: &Path, limit: u64, expected: &'static str) -> Result<Vec<T>, TlsError> {
    let bytes = files::read_public(path, limit)?;
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::Pem { path: path.to_owned(), expected }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = files::read_private(path, MAX_PEM)?;
    PrivateKeyDer::from_pem_slice(bytes.expose())
        .map_err(|_| TlsError::Pem { path: path.to_owned(), expected: "private key" })
}

fn authorities(path: &Path) -> Result<Arc<rustls::RootCertStore>, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|reason| TlsError::Authority { path: path.to_owned(), reason })?;
    }
    Ok(Arc::new(roots))
}

/// The clock port as TLS wants it.
struct ClockTime(Arc<dyn Clock>);

impl std::fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClockTime")
    }
}

impl rustls::time_provider::TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(self.0.now_ms())))
    }
}

/// What TLS said, if a socket error carries it.
pub(crate) fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
