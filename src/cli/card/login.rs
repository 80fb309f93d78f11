//! `sigillo card login`: the card is the client's key in the TLS handshake.

use std::io::{IsTerminal, Write};

use hyper::{HeaderMap, Method};

use super::connection::{Login, said};
use crate::{
    cli::{Failure, client::block_on},
    client::{harmless, refused},
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
        let shown = for_reader(body.as_ref(), std::io::stdout().is_terminal());
        out.write_all(&shown).map_err(Failure::failed)
    })
}

/// A body as it is; at a terminal what it says and no more.
fn for_reader(body: &[u8], terminal: bool) -> Vec<u8> {
    if !terminal {
        return body.to_vec();
    }
    let text = String::from_utf8_lossy(body);
    text.split_inclusive('\n')
        .flat_map(|line| {
            match line.strip_suffix('\n') {
                Some(line) => harmless(line) + "\n",
                None => harmless(line),
            }
            .into_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands_and_a_file_gets_the_bytes() {
        let body = b"{ \"a\": 1 }\r\n\x1b[2J\xc2\x9b2J\n\xff";
        assert_eq!(for_reader(body, false), body);
        let shown = String::from_utf8(for_reader(body, true)).unwrap();
        assert_eq!(shown, "{ \"a\": 1 }\u{fffd}\n\u{fffd}[2J\u{fffd}2J\n\u{fffd}");
    }
}
