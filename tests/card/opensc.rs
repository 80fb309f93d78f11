//! OpenSC, which knows real CNS cards, works with the virtual one: it is not only a card as we imagine it.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use sigillo_vcard::{
    card::{Card, Inserted, OTHER_MAKER, STINCARD},
    cns::{Authority, Flaw, ID_CARTA, TAX_CODE},
    reader::{READERS, opensc},
};

use super::{
    server::Naming,
    stage::{Stage, sigillo, stderr, stdout, until},
};

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", stdout(&output), stderr(&output));
    output
}

/// Inserted, and seen by pcscd.
fn ready(card: &Card) -> Inserted {
    let inserted = card.insert(READERS[0]);
    until("the card is read", || sigillo(["read"]).status.success());
    inserted
}

/// The public key in the certificate on the card.
fn public_key(stage: &Stage, card: &Card) -> PathBuf {
    let (der, pem) = (stage.path().join("card.der"), stage.path().join("card.pub"));
    let file = card.state.lock().unwrap().files[&vec![0x1100, 0x1101]].clone();
    std::fs::write(&der, file).unwrap();
    let key =
        ran(Command::new("openssl").args(["x509", "-inform", "DER", "-noout", "-pubkey", "-in"]).arg(&der));
    std::fs::write(&pem, key.stdout).unwrap();
    pem
}

#[test]
fn opensc_signs_with_the_card_and_openssl_verifies_it() {
    for (atr, mechanism) in
        [(STINCARD, "SHA256-RSA-PKCS"), (STINCARD, "SHA256-RSA-PKCS-PSS"), (OTHER_MAKER, "SHA256-RSA-PKCS")]
    {
        let stage = Stage::new();
        let card = Authority::new().card(atr, Flaw::None);
        let _inserted = ready(&card);
        let (data, signature) = (stage.path().join("data"), stage.path().join("signature"));
        std::fs::write(&data, "what is signed").unwrap();
        ran(Command::new("pkcs11-tool")
            .arg("--module")
            .arg(opensc())
            .args(["--login", "--pin", "12345", "--sign", "--id", "01", "-m", mechanism, "-i"])
            .arg(&data)
            .arg("-o")
            .arg(&signature));
        let mut verify = Command::new("openssl");
        verify.args(["dgst", "-sha256", "-verify"]).arg(public_key(&stage, &card));
        if mechanism.ends_with("PSS") {
            verify.args(["-sigopt", "rsa_padding_mode:pss"]);
        }
        ran(verify.arg("-signature").arg(&signature).arg(&data));
    }
}

#[test]
fn curl_logs_in_with_opensc_and_the_card() {
    let stage = Stage::new();
    let authority = Authority::new();
    let card = authority.card(STINCARD, Flaw::None);
    let _inserted = ready(&card);
    let server = Naming::start(stage.path(), &authority.pem());
    let object = format!("pkcs11:serial={ID_CARTA};id=%01;type=");
    let output = ran(Command::new("curl")
        .env("PKCS11_MODULE_PATH", opensc())
        .args(["--silent", "--show-error", "--http1.1", "--max-time", "60", "--engine", "pkcs11"])
        .args(["--key-type", "ENG", "--cert-type", "ENG", "--cacert"])
        .arg(stage.path().join("server-ca.pem"))
        .args(["--key", &format!("{object}private?pin-value=12345")])
        .args(["--cert", &format!("{object}cert")])
        .arg(format!("{}/", server.url())));
    let (version, name) = server.next().unwrap();
    assert_eq!(version, "TLSv1_3");
    assert!(name.starts_with(TAX_CODE));
    assert!(stdout(&output).contains(&name));
}
