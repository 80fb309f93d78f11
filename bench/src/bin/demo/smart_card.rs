//! An operator's smart card in a reader, where this process may have a pcscd of its own.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::Command,
    time::Duration,
};

use sigillo::{
    api::operators::Session,
    clock::{Clock, SystemClock},
    files::write_new,
};
use sigillo_bench::installation::{DIRECT, printed};
use sigillo_vcard::{
    card::{Card, PIN, STINCARD},
    cns::{Authority, Flaw, TAX_CODE},
    counter::Counter,
};

use crate::Teller;

/// Makes a card and has the policy believe its authority and list its holder. The authority has not started yet.
pub(crate) fn issue(directory: &Path) -> Result<Card, String> {
    let issuer = Authority::new();
    let (certificate, policies) = (issuer.pem(), directory.join("authority/policies"));
    let table = format!(
        "\n[[ca]]\nname = \"virtual-cns\"\ncertificate = \"\"\"\n{certificate}\"\"\"\ncrls = [\"virtual-cns.crl\"]\n"
    );
    append(&policies.join("trust.toml"), &table)?;
    let operator = format!(
        "\n[[operator]]\ntax_code = \"{TAX_CODE}\"\noffice = \"demo-office\"\nroles = [\"counter_operator\"]\n\
         valid_from = \"2020-01-01\"\nvalid_to = \"2099-12-31\"\n"
    );
    append(&policies.join("operators.toml"), &operator)?;
    let list = issuer.revocation_list(Duration::from_millis(SystemClock::new().now_ms()));
    fs::write(directory.join("authority/crls/virtual-cns.crl"), list).map_err(|e| e.to_string())?;
    Ok(issuer.card(STINCARD, Flaw::None))
}

fn append(file: &Path, text: &str) -> Result<(), String> {
    let written =
        OpenOptions::new().append(true).open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|e| format!("{}: {e}", file.display()))
}

/// Puts the card in and has it read; its holder logs in to the authority with it, with no front end between, and registers it.
pub(crate) async fn play(
    teller: &mut Teller,
    directory: &Path,
    sigillo: &Path,
    card: Card,
) -> Result<(), String> {
    println!("\nA counter has a smart card reader.\n");
    let counter = match Counter::open(card, &directory.join("logs/pcscd.log")) {
        Ok(counter) => counter,
        Err(why) => {
            println!("    (not here: {why}; it takes root and namespaces. The demonstration does without.)");
            return Ok(());
        }
    };
    let pin = directory.join("clients/card.pin");
    write_new(&pin, PIN.as_bytes(), 0o400).map_err(|e| e.to_string())?;
    let card = |arguments: &[&str]| {
        let mut command = Command::new(sigillo);
        command.arg("card").args(arguments).args(["--wait", "30"]);
        command
    };
    let run = async |command: Command| printed(&counter.output(command)?);
    let what = "An operator puts a card in (a virtual one, behind the real pcscd); it is read without a PIN";
    let said = teller.step(what, run(card(&["read"]))).await?;
    for line in said.lines().filter(|line| line.starts_with("holder") || line.starts_with("TEAM")) {
        println!("    {line}");
    }
    if !said.contains(TAX_CODE) {
        return Err("the card is of somebody else".into());
    }
    let url = format!("https://{DIRECT}");
    let ca = directory.join("clients/ca.pem");
    let at_authority = |command: &str| {
        let mut command = card(&[command, "--url", &url]);
        command.arg("--ca").arg(&ca).arg("--pin-file").arg(&pin);
        command
    };
    let what = "With the PIN the card is the key of a TLS login to the authority, with no front end between";
    expect("none", &teller.step(what, run(at_authority("login"))).await?)?;
    println!("    registered: no; nothing is allowed yet");
    let what = "Registra CNS: the authority's text is shown, and signed by the card";
    let registered = teller.step(what, async { counter.output(at_authority("register")) }).await?;
    printed(&registered)?;
    for line in String::from_utf8_lossy(&registered.stderr).lines() {
        println!("    {line}");
    }
    let what = "The next login says what the operator may do";
    let session = expect("registered", &teller.step(what, run(at_authority("login"))).await?)?;
    let actions: Vec<String> = session.actions.into_iter().map(|one| one.action).collect();
    println!("    {}", actions.join(", "));
    Ok(())
}

/// The session that the authority showed, if the card stands so.
fn expect(registration: &str, said: &str) -> Result<Session, String> {
    let session: Session = serde_json::from_str(said).map_err(|e| format!("{e}: {said}"))?;
    if session.registration == registration {
        Ok(session)
    } else {
        Err(format!("the card is {}, not {registration}", session.registration))
    }
}
