//! The client's side: its own certificate, and one set of authorities for the server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConfigBuilder,
    client::{Resumption, WantsClientCert, WebPkiServerVerifier},
    pki_types::CertificateDer,
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use serde::Deserialize;

use super::{ClockTime, TlsError, authorities, certificates, private_key, provider};
use crate::clock::Clock;

/// What a client needs, in PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsClientFiles {
    /// Authorities whose server certificates are believed; the system's are not.
    pub server_ca: PathBuf,
    /// The client's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key; mode 0400, 0440 or 0600.
    pub key: PathBuf,
}

/// Versions of HTTP to offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocols {
    /// HTTP/2, or HTTP/1.1 where the server prefers it.
    #[default]
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// Loads the files.
///
/// # Errors
/// [`TlsError`] names the file and the reason.
pub fn client_config(
    files: &TlsClientFiles,
    protocols: Protocols,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, TlsError> {
    let config = verifying(&files.server_ca, clock)?
        .with_client_auth_cert(certificates(&files.certificate)?, private_key(&files.key)?)
        .map_err(|reason| TlsError::Identity {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            reason,
        })?;
    Ok(finished(config, protocols))
}

/// As [`client_config`], without a certificate of the client.
///
/// # Errors
/// [`TlsError`] names the file and the reason.
pub fn anonymous_config(
    server_ca: &Path,
    protocols: Protocols,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, TlsError> {
    Ok(finished(verifying(server_ca, clock)?.with_no_client_auth(), protocols))
}

/// As [`client_config`], with a key that is in no file, such as a smart card's.
///
/// # Errors
/// [`TlsError`] names the file and the reason.
pub fn client_config_with_key(
    server_ca: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
    protocols: Protocols,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, TlsError> {
    let identity = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = verifying(server_ca, clock)?.with_client_cert_resolver(Arc::new(identity));
    Ok(finished(config, protocols))
}

/// Versions, clock and the one authority that is believed.
fn verifying(
    server_ca: &Path,
    clock: Arc<dyn Clock>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let provider = provider();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(authorities(server_ca)?, Arc::clone(&provider))
            .build()
            .map_err(|reason| TlsError::Crl { path: server_ca.to_owned(), reason })?;
    let builder = ClientConfig::builder_with_details(provider, Arc::new(ClockTime(clock)))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?;
    Ok(builder.with_webpki_verifier(verifier))
}

fn finished(mut config: ClientConfig, protocols: Protocols) -> ClientConfig {
    config.alpn_protocols = match protocols {
        Protocols::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Protocols::Http1 => vec![b"http/1.1".to_vec()],
        Protocols::Http2 => vec![b"h2".to_vec()],
    };
    config.resumption = Resumption::disabled();
    config
}
