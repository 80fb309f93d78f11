//! An operator's smart card in a reader, where this process may have a pcscd of its own.

use std::{path::Path, process::Command};

use sigillo::files::write_new;
use sigillo_bench::counter::Counter;
use sigillo_vcard::{
    card::{PIN, STINCARD},
    cns::{Authority, Flaw, TAX_CODE},
};

use crate::Teller;

/// Puts the card in, has it read, and proves that PIN and chip fit.
pub(crate) async fn play(teller: &mut Teller, directory: &Path, sigillo: &Path) -> Result<(), String> {
    println!("\nA counter has a smart card reader.\n");
    let card = Authority::new().card(STINCARD, Flaw::None);
    let counter = match Counter::open(card, &directory.join("logs/pcscd.log")) {
        Ok(counter) => counter,
        Err(why) => {
            println!("    (not here: {why}; it takes root and namespaces. The demonstration does without.)");
            return Ok(());
        }
    };
    let card = |arguments: &[&str]| {
        let mut command = Command::new(sigillo);
        command.arg("card").args(arguments).args(["--wait", "30"]);
        command
    };
    let what = "An operator puts a card in (a virtual one, behind the real pcscd); it is read without a PIN";
    let said = teller.step(what, async { counter.run(card(&["read"])) }).await?;
    for line in said.lines().filter(|line| line.starts_with("holder") || line.starts_with("TEAM")) {
        println!("    {line}");
    }
    if !said.contains(TAX_CODE) {
        return Err("the card is of somebody else".into());
    }
    let pin = directory.join("clients/card.pin");
    write_new(&pin, PIN.as_bytes(), 0o400).map_err(|e| e.to_string())?;
    let what = "PIN and chip fit: the card signs a challenge";
    let mut check = card(&["check"]);
    check.arg("--pin-file").arg(&pin);
    let said = teller.step(what, async { counter.run(check) }).await?;
    println!("    {said}");
    Ok(())
}
