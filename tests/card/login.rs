//! The card as the key of a TLS client.

use std::process::{Child, Command, Stdio};

use sigillo_vcard::{
    card::{OTHER_MAKER, STINCARD},
    cns::{Authority, Flaw, TAX_CODE},
    reader::{READERS, listening},
};

use super::{
    server::{Naming, server_files},
    stage::{Stage, sigillo, stderr, stdout, until},
};

fn login(stage: &Stage, url: &str, pin: &str) -> std::process::Output {
    let pin = stage.secret("pin", pin);
    let ca = stage.path().join("server-ca.pem");
    let fixed = ["login", "--wait", "30", "--url", url, "--pin-file"].map(std::ffi::OsStr::new);
    sigillo([&fixed[..], &[pin.as_os_str(), "--ca".as_ref(), ca.as_os_str()]].concat())
}

#[test]
fn the_card_logs_in_over_tls() {
    for atr in [STINCARD, OTHER_MAKER] {
        let stage = Stage::new();
        let authority = Authority::new();
        let card = authority.card(atr, Flaw::None);
        let _inserted = card.insert(READERS[0]);
        let server = Naming::start(stage.path(), &authority.pem());
        let output = login(&stage, &server.url(), "12345");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let (version, name) = server.next().unwrap();
        assert_eq!(version, "TLSv1_3");
        assert!(name.starts_with(TAX_CODE));
        assert!(stdout(&output).contains(&name));
        assert!(!stderr(&output).contains("12345"));
    }
}

#[test]
fn a_card_that_leaves_in_the_handshake_logs_nobody_in() {
    let stage = Stage::new();
    let authority = Authority::new();
    let card = authority.card(STINCARD, Flaw::None);
    card.state.lock().unwrap().vanishes_at = Some(0x2A);
    let _inserted = card.insert(READERS[0]);
    let server = Naming::start(stage.path(), &authority.pem());
    let output = login(&stage, &server.url(), "12345");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was removed or reset"), "{}", stderr(&output));
    assert!(server.next().is_err());
}

#[test]
fn a_card_of_an_unknown_authority_is_refused() {
    let stage = Stage::new();
    let card = Authority::new().card(STINCARD, Flaw::None);
    let _inserted = card.insert(READERS[0]);
    let server = Naming::start(stage.path(), &Authority::new().pem());
    let output = login(&stage, &server.url(), "12345");
    assert_eq!(output.status.code(), Some(1));
    assert!(server.next().is_err());
}

#[test]
fn the_card_logs_in_over_tls_1_2_with_the_older_encoding() {
    let stage = Stage::new();
    let authority = Authority::new();
    let card = authority.card(STINCARD, Flaw::None);
    let _inserted = card.insert(READERS[0]);
    server_files(stage.path());
    std::fs::write(stage.path().join("cns-ca.pem"), authority.pem()).unwrap();
    let server = Command::new("openssl")
        .args(["s_server", "-4", "-www", "-tls1_2", "-accept", "44330", "-client_sigalgs", "RSA+SHA256"])
        .args(["-Verify", "1", "-verify_return_error", "-CAfile", "cns-ca.pem", "-cert", "server.pem"])
        .args(["-key", "server.key"])
        .current_dir(stage.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ended = Ended(server);
    until("openssl listens", || listening(44330));
    let output = login(&stage, "https://localhost:44330", "12345");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = stdout(&output);
    assert!(page.contains("Protocol  : TLSv1.2") && page.contains(TAX_CODE), "{page}");
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let (Ok(()) | Err(_)) = self.0.kill();
        self.0.wait().unwrap();
    }
}
