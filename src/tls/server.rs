//! The server's side: a client certificate is mandatory, and files can be loaded anew while running.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    pki_types::CertificateRevocationListDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use serde::Deserialize;

use super::{
    ClockTime, MAX_CRL, TlsError, authorities, certificates, items, private_key, provider,
    verifier::PeerVerifier,
};
use crate::clock::Clock;

/// What a server needs, in PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key; mode 0400, 0440 or 0600.
    pub key: PathBuf,
    /// Authorities whose client certificates are let in.
    pub client_ca: PathBuf,
    /// Revocation lists. With none, revocation is not checked; with any, every authority in a chain needs a
    /// list that is not out of date, or the chain is refused.
    #[serde(default)]
    pub crls: Vec<PathBuf>,
}

/// The configuration in force. Connections that are open keep what they started with.
pub struct ServerTls {
    files: TlsFiles,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<ServerConfig>>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Loads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and the reason.
    pub fn load(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(configuration(&files, &clock)?));
        Ok(Self { files, clock, current })
    }

    /// Loads the files again, for connections to come (new certificate, new revocation lists).
    ///
    /// # Errors
    /// [`TlsError`]; then the configuration in force stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(configuration(&self.files, &self.clock)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The configuration for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn configuration(files: &TlsFiles, clock: &Arc<dyn Clock>) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(authorities(&files.client_ca)?, Arc::clone(&provider))
            .enforce_revocation_expiration();
    for path in &files.crls {
        let lists = items::<CertificateRevocationListDer<'static>>(path, MAX_CRL, "revocation list")?;
        verifier = verifier.with_crls(lists);
    }
    let verifier = verifier.build().map_err(|reason| TlsError::Crl {
        path: files.crls.first().unwrap_or(&files.client_ca).clone(),
        reason,
    })?;
    let verifier = PeerVerifier::new(verifier);
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(ClockTime(Arc::clone(clock))))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(certificates(&files.certificate)?, private_key(&files.key)?)
        .map_err(|reason| TlsError::Identity {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            reason,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
