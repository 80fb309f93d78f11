//! `sigillo-bench`: load on an installation, and what it costs beside its ceilings of the same run.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "the figures are what this program is for")]

mod arrivals;
mod audit;
mod ceiling;
mod compare;
mod courier;
mod import;
mod load;
mod measure;
mod meter;
mod number;
mod place;
mod plot;
mod report;
mod run;
mod soak;
mod work;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Parser, Subcommand};
use sigillo::api::cards::NewCard;
use tokio::signal::unix::{SignalKind, signal};

use self::{place::Place, run::Run};

/// Load on an installation, and what it costs beside its ceilings.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples (after `demo demo --keep-running --for-load` in another terminal; --pid is its process `sigillo serve`):
  sigillo-bench verify --internal 127.0.0.1:9464 --pid 4711 --out before.json
  sigillo-bench verify --rate 500 --http2
  sigillo-bench import --count 10000 --keep a.ndjson
  sigillo-bench courier --cards a.ndjson --courier-pid 4712 --in-flight 128 --seconds 20
  sigillo-bench import --from 10000 --count 10000 --keep b.ndjson
  sigillo-bench mixed --cards b.ndjson --rate 60 --seconds 20
  sigillo-bench import --from 20000 --count 30000 --keep c.ndjson
  sigillo-bench soak --cards c.ndjson --pid 4711 --minutes 30
  sigillo-bench import --from 50000 --count 40000 --keep d.ndjson
  sigillo-bench activate --cards d.ndjson --seconds 5        # leaves the courier a queue for minutes
  sigillo-bench handshake
  sigillo-bench hello
  sigillo-bench compare before.json after.json
  sigillo-bench plot before.json > latency.svg
  sigillo-bench plot before.json --over-time > time.svg
  sigillo-bench report --sigillo target/release/sigillo

Loads that use cards up (activate, mixed, courier, soak) take cards that are registered and not yet active: a file of its own for each.
The policy's limits on requests of one operator must be lifted for load (--for-load does), and the operator's card be registered.
Answers to verifications leave on the policy's tick, so one client alone measures the tick: use many, or a rate.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Wrong C.I.P.s: by design the same work as right ones. Cards of nobody, unless --cards says which.
    Verify(Place),
    /// Activations of the cards of --cards, each once: codes, tags, a queued delivery.
    Activate(Place),
    /// Look-ups, activations, presented C.I.P.s, histories, reprints and revocations, in the shares of a day.
    Mixed(Place),
    /// Registrations of fictional cards: cards a second, CPU and bytes of each.
    Import(import::Import),
    /// Activations until the mail relay has the second parts: deliveries a second, CPU of authority and courier.
    Courier(courier::Courier),
    /// The mixture for a long time: whether memory stays flat, latencies as it goes.
    Soak(soak::Soak),
    /// A new connection for each request, with client certificates: Sigillo's, and the bare server's beside it.
    ///
    /// At most 64 at a time in a closed loop, since a server takes 128 unfinished handshakes as shipped (max_handshakes) and closes
    /// what is more.
    Handshake {
        #[command(flatten)]
        place: Place,
        /// Directory with server.pem, server.key and client-ca.pem for the bare server, which listens on 127.0.0.1; without the
        /// directory it is left out.
        #[arg(long, default_value = "demo/authority/tls", value_name = "DIR")]
        tls: PathBuf,
    },
    /// The ceiling of TLS and HTTP: a bare server with the same certificates, which is started for it.
    Hello {
        #[command(flatten)]
        place: Place,
        /// Directory with server.pem, server.key and client-ca.pem.
        #[arg(long, default_value = "demo/authority/tls", value_name = "DIR")]
        tls: PathBuf,
    },
    /// The ceiling of the HSM: MACs in a loop, on the token of an hsm.toml, with a key that lives as long as the loop.
    Hsm {
        /// The token's configuration.
        #[arg(long, default_value = "demo/authority/hsm.toml", value_name = "FILE")]
        hsm: PathBuf,
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// The ceiling of the disk: appends of a batch, each durable.
    Disk {
        /// Where; a file is made and removed.
        directory: PathBuf,
        /// Bytes of a batch.
        #[arg(long, default_value_t = 65_536)]
        batch: usize,
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Two files of results: quotients of each run that both have, with 95 % intervals.
    Compare { before: PathBuf, after: PathBuf },
    /// Latencies of a file of results, as SVG on standard output.
    Plot {
        results: PathBuf,
        /// Requests a second, latency and memory over the time of each run instead.
        #[arg(long)]
        over_time: bool,
    },
    /// All of it on an installation of its own: the table of targets, and report.json.
    Report(report::Arguments),
    #[command(hide = true)]
    ServeHello {
        #[arg(long)]
        tls: PathBuf,
    },
    #[command(hide = true)]
    RawHsm {
        #[arg(long)]
        hsm: PathBuf,
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime
        .map_err(|e| e.to_string())
        .and_then(|runtime| runtime.block_on(until_terminated(carry_out(command))))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sigillo-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the work where SIGTERM asks for it: dropped, it ends the processes that it has started. Ctrl-C in a terminal reaches them by itself.
async fn until_terminated(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Err("terminated".into()),
    }
}

async fn carry_out(command: Command) -> Result<(), String> {
    let seconds = Duration::from_secs;
    match command {
        Command::Verify(place) => {
            let cards = Arc::new(place.cards()?);
            tell(&place, measure::verify(&place, &cards, place.plan()).await?)
        }
        Command::Activate(place) => {
            let cards = Arc::new(registered(&place)?);
            tell(&place, measure::activate(&place, &cards, place.plan()).await?)
        }
        Command::Mixed(place) => {
            let cards = Arc::new(registered(&place)?);
            tell(&place, measure::mixed(&place, &cards, place.plan()).await?)
        }
        Command::Import(arguments) => {
            let done = import::import(&arguments).await?;
            println!("{done}");
            keep(arguments.out.as_deref(), done.run)
        }
        Command::Courier(arguments) => {
            let cards = registered(&arguments.place)?;
            let run = courier::measure(&arguments, cards, arguments.place.plan()).await?;
            tell(&arguments.place, run)
        }
        Command::Soak(arguments) => {
            let run = arguments.run().await?;
            println!("{run}");
            keep(arguments.out.as_deref(), run.clone())?;
            arguments.judge(&run)
        }
        Command::Handshake { place, tls } => {
            let place = place.for_handshakes()?;
            tell(&place, measure::handshake(&place, place.plan()).await?)?;
            if !tls.is_dir() {
                println!("No bare server beside it: --tls {} is no directory.", tls.display());
                return Ok(());
            }
            tell(&place, measure::hello_handshake(&place, &tls, place.plan()).await?)
        }
        Command::Hello { place, tls } => tell(&place, measure::hello(&place, &tls, place.plan()).await?),
        Command::Hsm { hsm, seconds: time } => {
            let macs = ceiling::hsm::measure(&hsm, seconds(time.max(1)))?;
            println!("{:.0} MACs a second in one thread, {:.2} us of CPU each", macs.per_second, macs.micros);
            Ok(())
        }
        Command::Disk { directory, batch, seconds: time } => {
            let rate = ceiling::disk::measure(&directory, batch, seconds(time))?;
            println!("{rate:.0} durable appends of {batch} bytes a second");
            Ok(())
        }
        Command::Compare { before, after } => {
            print!("{}", compare::table(&run::read(&before)?, &run::read(&after)?)?);
            Ok(())
        }
        Command::Plot { results, over_time } => {
            let draw = if over_time { plot::time::svg } else { plot::svg };
            print!("{}", draw(&run::read(&results)?)?);
            Ok(())
        }
        Command::Report(arguments) => report::run(&arguments).await,
        Command::ServeHello { tls } => {
            ceiling::hello::serve(&tls, |address| println!("listening on {address}")).await
        }
        Command::RawHsm { hsm, seconds: time } => {
            let macs = ceiling::hsm::raw(&hsm, seconds(time))?;
            println!("{}", serde_json::to_string(&macs).map_err(|e| e.to_string())?);
            Ok(())
        }
    }
}

/// The cards of `--cards`, which this load needs.
fn registered(place: &Place) -> Result<Vec<NewCard>, String> {
    if place.cards.is_none() {
        return Err("--cards FILE: this load needs cards that are registered and not yet active".into());
    }
    place.cards()
}

/// Prints a run, and adds it to the file of results. One with errors is kept, and is none to be content with.
fn tell(place: &Place, run: Run) -> Result<(), String> {
    println!("{run}");
    keep(place.out.as_deref(), run.clone())?;
    run.without_errors().map(drop)
}

fn keep(out: Option<&Path>, run: Run) -> Result<(), String> {
    out.map_or(Ok(()), |file| add(file, run))
}

fn add(file: &Path, run: Run) -> Result<(), String> {
    let mut all = if file.exists() { run::read(file)? } else { Vec::new() };
    all.push(run);
    run::write(file, &all)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(words: &[&str]) -> Command {
        Arguments::try_parse_from([&["sigillo-bench"], words].concat()).unwrap().command
    }

    #[test]
    fn handshakes_are_few_at_once_and_of_one_version() {
        let Command::Handshake { place, .. } = parsed(&["handshake"]) else { panic!() };
        assert_eq!(place.for_handshakes().unwrap().in_flight, 64);
        let Command::Handshake { place, .. } = parsed(&["handshake", "--in-flight", "8"]) else { panic!() };
        assert_eq!(place.for_handshakes().unwrap().in_flight, 8);
        let Command::Handshake { place, .. } = parsed(&["handshake", "--http2"]) else { panic!() };
        place.for_handshakes().unwrap_err();
    }

    /// `make bench FULL=1 ARGS='--soak 600'`.
    #[test]
    fn the_last_of_an_option_of_the_report_counts() {
        let environment = ["--delaying-environment", "A=1", "--delaying-environment", "B=2"];
        let Command::Report(report) =
            parsed(&[&["report", "--soak", "1800", "--soak", "600"], &environment[..]].concat())
        else {
            panic!()
        };
        assert_eq!(
            (report.soak, report.delaying_environment),
            (600, vec!["A=1".to_owned(), "B=2".to_owned()])
        );
    }

    /// Every example of every help text, as a shell would cut it into words.
    #[test]
    fn the_examples_of_the_help_texts_are_understood() {
        let main = Arguments::command();
        let texts = main.get_subcommands().chain([&main]).filter_map(clap::Command::get_after_help);
        let whole = |text: &clap::builder::StyledStr| text.to_string().replace("\\\n", "");
        let mut examples = 0;
        for text in texts.map(whole) {
            for line in text.lines().filter_map(|line| line.strip_prefix("  sigillo-bench ")) {
                let line = line.split(['#', '>']).next().unwrap_or_default();
                // `"$(pgrep -f 'sigillo serve')"` is one word.
                let words = line.split('"').enumerate().flat_map(|(n, text)| {
                    let is_quoted = n % 2 == 1;
                    if is_quoted { vec!["4711"] } else { text.split_whitespace().collect() }
                });
                let parsed = Arguments::try_parse_from(["sigillo-bench"].into_iter().chain(words));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                examples += 1;
            }
        }
        assert!(examples >= 20, "{examples} examples");
    }
}
