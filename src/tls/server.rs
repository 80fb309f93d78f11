//! The server's side: a client certificate is mandatory, and files can be loaded anew while running.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ConfigBuilder, ServerConfig, WantsVerifier,
    pki_types::{CertificateDer, CertificateRevocationListDer},
    server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use serde::Deserialize;

use super::{
    ClockTime, Entrance, MAX_CRL, TlsError, authorities, certificates, items, private_key, provider,
    verifier::PeerVerifier,
};
use crate::{
    auth::{AuthError, Peer, Remote},
    clock::Clock,
};

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
    current: RwLock<InForce>,
}

#[derive(Clone)]
struct InForce {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
}

/// What the server shows of itself, with what all its configurations have in common.
pub(super) struct Identity {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    certificate: Arc<dyn ResolvesServerCert>,
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
        let current = RwLock::new(in_force(&files, &clock)?);
        Ok(Self { files, clock, current })
    }

    /// Loads the files again, for connections to come (new certificate, new revocation lists).
    ///
    /// # Errors
    /// [`TlsError`]; then the configuration in force stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = in_force(&self.files, &self.clock)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What the server shows of itself now.
    pub(super) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.in_force().identity)
    }

    fn in_force(&self) -> InForce {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Entrance for ServerTls {
    fn current(&self) -> Arc<ServerConfig> {
        self.in_force().config
    }

    fn remote(&self, leaf: &[u8], _: &[CertificateDer<'_>], now_ms: u64) -> Result<Remote, AuthError> {
        Peer::from_certificate(leaf, now_ms).map(Remote::Caller)
    }
}

impl Identity {
    fn load(files: &TlsFiles, clock: &Arc<dyn Clock>) -> Result<Self, TlsError> {
        let provider = provider();
        let (chain, key) = (certificates(&files.certificate)?, private_key(&files.key)?);
        let certificate = CertifiedKey::from_der(chain, key, &provider).map_err(|reason| {
            TlsError::Identity { certificate: files.certificate.clone(), key: files.key.clone(), reason }
        })?;
        let builder = ServerConfig::builder_with_details(provider, Arc::new(ClockTime(Arc::clone(clock))))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Provider)?;
        Ok(Self { builder, certificate: Arc::new(SingleCertAndKey::from(certificate)) })
    }

    /// A configuration that lets in whom this verifier does.
    pub(super) fn with(&self, verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
        let builder = self.builder.clone().with_client_cert_verifier(verifier);
        let mut config = builder.with_cert_resolver(Arc::clone(&self.certificate));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config
    }
}

fn in_force(files: &TlsFiles, clock: &Arc<dyn Clock>) -> Result<InForce, TlsError> {
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(authorities(&files.client_ca)?, provider())
            .enforce_revocation_expiration();
    for path in &files.crls {
        let lists = items::<CertificateRevocationListDer<'static>>(path, MAX_CRL, "revocation list")?;
        verifier = verifier.with_crls(lists);
    }
    let verifier = verifier.build().map_err(|reason| TlsError::Crl {
        path: files.crls.first().unwrap_or(&files.client_ca).clone(),
        reason,
    })?;
    let identity = Arc::new(Identity::load(files, clock)?);
    let config = Arc::new(identity.with(Arc::new(PeerVerifier::new(verifier))));
    Ok(InForce { identity, config })
}
