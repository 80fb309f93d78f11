//! `sigillo card login`: the card is the client's key in the TLS handshake.

use std::io::Write;

use hyper::{HeaderMap, Method};

use super::connection::{Login, said};
use crate::{
    cli::{Failure, client::block_on},
    client::refused,
};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    login: Login,
    /// What to get.
    #[arg(long, value_name = "PATH", default_value = "/v1/session")]
    path: String,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    block_on(async {
        let server = args.login.open()?;
        let answer = server.client.call(Method::GET, &args.path, HeaderMap::new(), Vec::new()).await;
        let (status, _, body) = answer.map_err(|e| said(&e))?;
        if !status.is_success() {
            return Err(said(&refused(status, &body)));
        }
        out.write_all(&body).map_err(Failure::failed)
    })
}
