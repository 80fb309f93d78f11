//! `sigillo card login`: the card is the client's key in the TLS handshake.

use std::{io::Write, path::PathBuf, sync::Arc};

use hyper::{HeaderMap, Method};

use super::{Reader, pin};
use crate::{
    card::{CardKey, Use},
    cli::{Failure, client::block_on},
    client::{Client, ClientLimits},
    clock::{Clock, SystemClock},
    tls::{Protocols, client_config_with_key},
};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reader: Reader,
    /// Address of the server.
    #[arg(long, value_name = "URL")]
    url: String,
    /// Authority that issued the server's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// What to get.
    #[arg(long, value_name = "PATH", default_value = "/v1/openapi.json")]
    path: String,
    /// The PIN, in a file of mode 0400, 0440 or 0600; else it is asked for.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut session = args.reader.open(Use::Alone)?;
    let certificate = session.certificate().map_err(Failure::failed)?;
    let chain = vec![certificate.der().to_vec().into()];
    let pin = pin::ask("PIN", args.pin_file.as_deref())?;
    session.unlock(&pin).map_err(Failure::failed)?;
    drop(pin);
    let key = Arc::new(CardKey::new(session, certificate));
    let limits = ClientLimits { protocols: Protocols::Http1, ..ClientLimits::default() };
    let config = client_config_with_key(&args.ca, chain, key, limits.protocols, Arc::clone(&clock))
        .map_err(Failure::config)?;
    let client = Client::with_config(&args.url, config, limits, clock).map_err(Failure::config)?;
    let (status, _, body) = block_on(async {
        client.call(Method::GET, &args.path, HeaderMap::new(), Vec::new()).await.map_err(Failure::failed)
    })?;
    out.write_all(&body).map_err(Failure::failed)?;
    if status.is_success() { Ok(()) } else { Err(Failure::failed(format!("the server answered {status}"))) }
}
