//! `sigillo-bench`: load on a running installation. Speeds are told as shares of a ceiling of the same run.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod load;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use sigillo::tls::Protocols;

/// Wrong C.I.P. verifications, closed loop, beside the same requests to a page that does nothing.
#[derive(Debug, Parser)]
#[command(after_help = "\
Example (after `make run` in another terminal):
  cargo run --release -p sigillo-bench -- --clients demo/clients

Every verification is mutual TLS, two durable commits, two audit events and six HSM calls. The ceiling is
GET /v1/nothing (404) over the same connections: TLS, HTTP and routing alone. Answers leave on the policy's tick,
so one client alone measures the tick: compare with many.")]
struct Arguments {
    /// Directory with ca.pem, desk.pem and desk.key.
    #[arg(long, default_value = "demo/clients")]
    clients: PathBuf,
    /// Address of the authority.
    #[arg(long, default_value = "https://127.0.0.1:8443")]
    url: String,
    /// Requests in flight.
    #[arg(long, default_value_t = 512)]
    in_flight: usize,
    /// Seconds for each of the two.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// HTTP/2 instead of HTTP/1.1.
    #[arg(long)]
    http2: bool,
}

fn main() -> ExitCode {
    let Arguments { clients, url, in_flight, seconds, http2 } = Arguments::parse();
    let protocols = if http2 { Protocols::Http2 } else { Protocols::Http1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(|e| e.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let load = load::Load::new(&clients, &url, protocols, in_flight, Duration::from_secs(seconds))?;
            let ceiling = load.pages().await?;
            let verified = load.verifications().await?;
            Ok::<_, String>((ceiling, verified))
        })
    });
    match result {
        Ok((ceiling, verified)) => {
            println!("ceiling        {ceiling}");
            println!("verifications  {verified}");
            println!("share          {:.2} of the ceiling", verified.rate() / ceiling.rate());
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("no figures: {why}");
            ExitCode::FAILURE
        }
    }
}
