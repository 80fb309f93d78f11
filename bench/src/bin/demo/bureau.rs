//! The card bureau gets the codes of chips: made offline with both tokens, encrypted to its certificate, opened with openssl.

use std::{fs, path::Path, process::Command};

use sigillo_bench::installation::{API, run};

use crate::Teller;

/// Cards that get a chip here.
const CHIPS: usize = 5;

/// Makes a few and opens them.
pub(crate) async fn play(teller: &mut Teller, directory: &Path, sigillo: &Path) -> Result<(), String> {
    println!(
        "\nThe bureau needs PIN and PUK for the chips of {CHIPS} cards. No process that runs here can make a whole one.\n"
    );
    let bureau = directory.join("bureau");
    let what = "The bureau makes a key and a certificate for encryption; it tells the certificate's SHA-256 on another way";
    let sha256 = teller.step(what, async { certificate(&bureau) }).await?;
    let what =
        "The authority exports what the codes are derived from: no code, signed, an event for each card";
    let said = teller.step(what, async { export(directory, &bureau, sigillo) }).await?;
    println!("    {said}");
    let what = "Both officers' tokens, here copies in one place: each derives its parts in a process of its own, a third joins and encrypts";
    let said = teller.step(what, async { make(directory, &bureau, sigillo, &sha256) }).await?;
    said.lines().for_each(|line| println!("    {line}"));
    let what = "The bureau checks the signatures of both tokens over the manifest, and every file";
    let mut check = Command::new(sigillo);
    check
        .args(["personalise", "check", "--public-key"])
        .arg(directory.join("authority/public/audit.pub.pem"));
    check.arg("--courier-key").arg(directory.join("courier/public/audit.pub.pem")).arg(bureau.join("chips"));
    teller.step(what, async { run(&mut check) }).await?;
    let what = "It opens the file with `openssl cms -decrypt` and its private key";
    let mut open = Command::new("openssl");
    open.args(["cms", "-decrypt", "-inform", "DER", "-in", "chips/cards-0001.p7m"]);
    open.args(["-recip", "bureau.pem", "-inkey", "bureau.key"]).current_dir(&bureau);
    let codes = teller.step(what, async { run(&mut open) }).await?;
    codes.lines().for_each(|line| println!("    {line}"));
    let count = codes.lines().count();
    if count == CHIPS.saturating_add(1) { Ok(()) } else { Err(format!("{count} lines")) }
}

/// Makes it, and gives its SHA-256.
fn certificate(bureau: &Path) -> Result<String, String> {
    fs::create_dir(bureau).map_err(|e| e.to_string())?;
    let mut request = Command::new("openssl");
    request.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=Card bureau",
    ]);
    request.args([
        "-addext",
        "keyUsage=critical,keyEncipherment",
        "-keyout",
        "bureau.key",
        "-out",
        "bureau.pem",
    ]);
    run(request.current_dir(bureau))?;
    let mut print = Command::new("openssl");
    print.args(["x509", "-noout", "-fingerprint", "-sha256", "-in", "bureau.pem"]).current_dir(bureau);
    let said = run(&mut print)?;
    said.split_once('=').map(|(_, sha256)| sha256.to_owned()).ok_or(said)
}

fn export(directory: &Path, bureau: &Path, sigillo: &Path) -> Result<String, String> {
    let told = |e: std::io::Error| e.to_string();
    let batch = fs::read_to_string(directory.join("cards.ndjson")).map_err(told)?;
    // The last ones: the story has others.
    let skipped = batch.lines().count().saturating_sub(CHIPS);
    let few: Vec<&str> = batch.lines().skip(skipped).collect();
    fs::write(bureau.join("batch.ndjson"), few.join("\n")).map_err(told)?;
    let clients = directory.join("clients");
    let mut export = Command::new(sigillo);
    export.args(["cards", "export", "--url", &format!("https://{API}"), "--ca"]).arg(clients.join("ca.pem"));
    export.arg("--cert").arg(clients.join("personalisation.pem"));
    export.arg("--key").arg(clients.join("personalisation.key"));
    export.args(["--out", "batch.cards", "batch.ndjson"]);
    run(export.current_dir(bureau))
}

/// The courier's token may be another user's by now: the officer brings a copy.
fn make(directory: &Path, bureau: &Path, sigillo: &Path, sha256: &str) -> Result<String, String> {
    let told = |e: std::io::Error| e.to_string();
    let (from, to) = (directory.join("courier"), bureau.join("courier"));
    copy(&from.join("tokens"), &to.join("tokens")).map_err(told)?;
    for name in ["hsm.toml", "pin", "so-pin", "softhsm2.conf"] {
        fs::copy(from.join(name), to.join(name)).map_err(told)?;
    }
    let conf = to.join("softhsm2.conf");
    let text = fs::read_to_string(&conf).map_err(told)?;
    let tokens = |at: &Path| format!("directories.tokendir = {}", at.join("tokens").display());
    fs::write(&conf, text.replace(&tokens(&from), &tokens(&to))).map_err(told)?;
    let mut make = Command::new(sigillo);
    make.args(["personalise", "make", "--may-swap", "--authority"]).arg(directory.join("authority/hsm.toml"));
    make.args(["--courier", "courier/hsm.toml", "--cards", "batch.cards", "--certificate", "bureau.pem"]);
    make.args(["--certificate-sha256", sha256, "--journal", "runs.ndjson", "--out", "chips"]);
    run(make.current_dir(bureau))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
