//! How commands reach a running authority.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper::HeaderMap;

use super::Failure;
use crate::{
    client::{Client, ClientLimits},
    clock::SystemClock,
    tls::TlsClientFiles,
};

/// Address and certificates of a client.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// Address of the authority.
    #[arg(long, value_name = "URL")]
    pub(super) url: String,
    /// Authority that issued the server's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: PathBuf,
    /// Client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    pub(super) cert: PathBuf,
    /// Its private key, PEM, mode 0400, 0440 or 0600.
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
}

impl Connection {
    pub(super) fn client(&self, limits: ClientLimits) -> Result<Client, Failure> {
        let files = TlsClientFiles {
            server_ca: self.ca.clone(),
            certificate: self.cert.clone(),
            key: self.key.clone(),
        };
        Client::new(&self.url, &files, limits, Arc::new(SystemClock::new())).map_err(Failure::config)
    }
}

/// Runs a command that waits on the network.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(work)
}

/// Reads a stream of any length into a file that must not exist, of this mode, and gives its length. The file is kept only
/// if it is whole.
pub(super) async fn download(
    client: &Client,
    path: &str,
    headers: HeaderMap,
    to: &Path,
    mode: u32,
) -> Result<u64, Failure> {
    let at = |e: std::io::Error| Failure::failed(format!("{}: {e}", to.display()));
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(to).await.map_err(at)?;
    match client.download(path, headers, &mut file).await {
        Ok(bytes) => {
            file.sync_all().await.map_err(at)?;
            Ok(bytes)
        }
        Err(e) => {
            tokio::fs::remove_file(to).await.map_err(at)?;
            Err(Failure::failed(e))
        }
    }
}
