//! How commands reach a running authority.

use std::{path::PathBuf, sync::Arc};

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
