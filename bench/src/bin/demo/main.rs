//! The demonstration: one citizen's whole journey, with real parts, in plain words.
#![expect(clippy::print_stdout, reason = "telling the story is what this program is for")]

mod aftercare;
mod bureau;
mod colleagues;
mod counter;
mod ending;
mod figures;
mod forms;
mod journey;
mod officers;
mod phone;
mod services;
mod smart_card;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Parser;
use sigillo::{
    clock::{Clock, SystemClock},
    tls::Protocols,
};
use sigillo_bench::{
    desk::Desk,
    installation::{API, INTERNAL, Installation, run},
};

use crate::ending::Ending;

/// Plays a citizen's journey on an installation of its own: SoftHSM tokens, mutual TLS, a mail relay, Kannel.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the installation is made; a former demonstration there is removed.
    #[arg(default_value = "demo")]
    directory: PathBuf,

    /// The program to demonstrate.
    #[arg(long, default_value = "target/release/sigillo")]
    sigillo: PathBuf,

    /// The mail relay.
    #[arg(long, default_value = "tests/support/smtpd.py")]
    relay: PathBuf,

    /// Fictional cards in the batch.
    #[arg(long, default_value_t = 1000)]
    cards: u64,

    /// Only start it, say how to call it, and run until Ctrl-C, SIGTERM or SIGHUP.
    #[arg(long)]
    keep_running: bool,

    /// Sets limits of requests that one operator does not meet, to put load on it.
    #[arg(long, requires = "keep_running")]
    for_load: bool,
}

/// Tells each step with its time.
pub(crate) struct Teller {
    clock: SystemClock,
    step: u32,
    ending: Ending,
}

impl Teller {
    /// Does a step and tells it.
    pub(crate) async fn step<T>(
        &mut self,
        what: &str,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        self.step = self.step.saturating_add(1);
        let start = self.clock.uptime();
        let result = tokio::select! {
            biased;
            signal = self.ending.told() => Err(format!("it was told to end ({signal})")),
            result = work => result,
        };
        let result = result.map_err(|e| format!("step {}, {what}: {e}", self.step))?;
        let took = self.clock.uptime().saturating_sub(start).as_millis();
        println!("{:>2}. {what} [{took} ms]", self.step);
        Ok(result)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let played = runtime.map_err(|e| e.to_string()).and_then(|runtime| runtime.block_on(play(&arguments)));
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("The demonstration failed at {why}");
            let logs = arguments.directory.join("logs");
            if logs.is_dir() {
                println!("The logs are in {}.", logs.display());
            }
            ExitCode::FAILURE
        }
    }
}

async fn play(arguments: &Arguments) -> Result<(), String> {
    let Arguments { directory, sigillo, relay, cards, keep_running, for_load } = arguments;
    let sigillo = &std::fs::canonicalize(sigillo).map_err(|e| format!("{}: {e}", sigillo.display()))?;
    let relay = &std::fs::canonicalize(relay).map_err(|e| format!("{}: {e}", relay.display()))?;
    let mut teller = Teller { clock: SystemClock::new(), step: 0, ending: Ending::new()? };

    println!("Sigillo: a demonstration with real parts on this machine. All cards are fictional.\n");
    let what = format!("Two SoftHSM tokens, their keys, a PKI, policies and {cards} cards are made");
    let mut here = teller.step(&what, async { Installation::make(sigillo, directory, *cards) }).await?;
    if *for_load {
        here.lift_limits()?;
    }
    let card = smart_card::issue(here.directory())?;
    teller
        .step("A mail relay starts (aiosmtpd, STARTTLS, password)", async { here.start_relay(relay) })
        .await?;
    let what = "An SMS gateway starts (Kannel, with settings that keep texts out of its files, and its own fake network)";
    teller.step(what, async { here.start_kannel() }).await?;
    let what = "The authority starts: it can make first parts, and no second parts";
    teller.step(what, async { here.start_authority(sigillo) }).await?;
    let what = "The courier starts: it can make second parts, and no first parts";
    teller.step(what, async { here.start_courier(sigillo) }).await?;
    println!(
        "    ({})",
        if here.courier_apart() {
            "as a process and a user of its own"
        } else {
            "as a process of its own; for a user of its own this must be run as root, in a place all users reach"
        }
    );
    let clients = here.directory().join("clients");
    let what = "The card bureau registers the batch over mutual TLS";
    let mut import = Command::new(sigillo);
    import.args(["cards", "import", "--url", &format!("https://{API}"), "--ca"]).arg(clients.join("ca.pem"));
    import.arg("--cert").arg(clients.join("bureau.pem")).arg("--key").arg(clients.join("bureau.key"));
    import.arg(here.directory().join("cards.ndjson"));
    let said = teller.step(what, async { run(&mut import) }).await?;
    println!("    {said}");

    if *keep_running {
        for who in ["operator", "supervisor"] {
            let desk = Desk::new(&clients, ("desk", who), &format!("https://{API}"), Protocols::Any)?;
            let what = format!("The {who}'s card is registered");
            let registered = async { desk.register_operator(who).await.map_err(|e| e.to_string()) };
            teller.step(&what, registered).await?;
        }
        how_to_call(here.directory());
        let signal = teller.ending.told().await;
        println!("It was told to end ({signal}).");
    } else {
        bureau::play(&mut teller, here.directory(), sigillo).await?;
        smart_card::play(&mut teller, here.directory(), sigillo, card).await?;
        journey::play(&mut teller, &mut here, sigillo).await?;
    }
    let what = "Everything is told to end; the authority drains and signs a last checkpoint";
    teller.step(what, async { here.stop() }).await?;
    if !keep_running {
        println!("\nDone. `make run` makes a fresh installation and keeps it running.");
    }
    Ok(())
}

fn how_to_call(directory: &std::path::Path) {
    let at = directory.display();
    println!(
        r#"
It runs until Ctrl-C. The API is https://{API}, /readyz and /metrics are http://{INTERNAL}.
Cards to play with are in {at}/cards.ndjson, mail arrives in {at}/smtp/mail/new, text messages in
{at}/logs/network.log, logs are in {at}/logs.

Look a card up (put in the three data of a line of cards.ndjson):

  curl --cacert {at}/clients/ca.pem --cert {at}/clients/desk.pem --key {at}/clients/desk.key \
    -H 'content-type: application/json' \
    -H "client-cert: :$(grep -v -- ----- {at}/clients/operator.pem | tr -d '\n'):" https://{API}/v1/cards/lookup \
    -d '{{"tax_code": "...", "team_number": "...", "expires_on": "..."}}'

Activate it; with "preview": true nothing is done yet:

  curl --cacert {at}/clients/ca.pem --cert {at}/clients/desk.pem --key {at}/clients/desk.key \
    -H 'content-type: application/json' -H 'idempotency-key: first-activation' \
    -H "client-cert: :$(grep -v -- ----- {at}/clients/operator.pem | tr -d '\n'):" https://{API}/v1/activations \
    -d '{{"tax_code": "...", "team_number": "...", "expires_on": "...",
         "applicant": {{"is": "holder", "document": {{"kind": "identity_card", "number": "CA12345AB", "issuer": "Comune di Roma",
           "issued_on": "2020-01-01", "expires_on": "2099-12-31"}}}},
         "contact": {{"channel": "email", "address": "citizen@example.it"}}, "data_processing": true}}'

With "contact": {{"channel": "sms", "address": "+393331234567"}} the second parts go by SMS. Who approves a revocation without
the C.I.P. is {at}/clients/supervisor.pem; README.md has the steps.

Everything else is in https://{API}/v1/openapi.json.
"#
    );
}
