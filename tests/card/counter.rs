//! At the counter: reading, PIN and PUK, readers and cards that come and go.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;
use sigillo_vcard::{
    card::{Card, OTHER_MAKER, STINCARD, padded},
    cns::{Authority, Flaw, ID_CARTA, TAX_CODE},
    reader::{NAMES, READERS},
};

use super::{
    stage::{Stage, command, sigillo, stderr, stdout, until},
    terminal::at_terminal,
};

const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2A;

fn card() -> Card {
    Authority::new().card(STINCARD, Flaw::None)
}

fn check(pin: &Path) -> Output {
    let fixed = ["check", "--wait", "30", "--pin-file"].map(OsStr::new);
    sigillo([&fixed[..], &[pin.as_os_str()]].concat())
}

fn read_json(arguments: &[&str]) -> (Value, Option<i32>, String) {
    let output = sigillo([&["read", "--json"], arguments].concat());
    let log = stderr(&output);
    assert!(!output.stdout.is_empty(), "{log}");
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code(), log)
}

#[test]
fn a_card_is_read_and_compared_without_a_pin() {
    for atr in [STINCARD, OTHER_MAKER] {
        let _stage = Stage::new();
        let card = Authority::new().card(atr, Flaw::None);
        let _inserted = card.insert(READERS[0]);
        let (said, code, log) = read_json(&["--wait", "30", "--printed", "80380000900090510553"]);
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(said["tax_code"], TAX_CODE);
        assert_eq!(said["team_number"], "80380000900090510553");
        assert_eq!(said["id_carta"], ID_CARTA);
        assert_eq!(said["expiry"], "2090-01-01");
        assert_eq!(said["certificate"]["tax_code"], TAX_CODE);
        assert_eq!(said["findings"], Value::Array(Vec::new()));
        assert!(!card.state.lock().unwrap().seen.contains(&VERIFY), "no PIN is needed");
        for personal in [TAX_CODE, "ROSSI", ID_CARTA] {
            assert!(!log.contains(personal), "the log names {personal}");
        }
    }
}

#[test]
fn what_does_not_fit_on_a_card_is_named() {
    let _stage = Stage::new();
    let card = Authority::new().card(STINCARD, Flaw::Certificate);
    let _inserted = card.insert(READERS[0]);
    let (said, code, log) = read_json(&["--wait", "30", "--printed", "80380000601234567893"]);
    assert_eq!(code, Some(2), "{log}");
    let codes: Vec<&str> =
        said["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    let expected = ["certificate_id_carta", "certificate_tax_code", "printed_number", "certificate_policy"];
    assert_eq!(codes, expected);
}

#[test]
fn a_card_put_in_while_waiting_is_read() {
    let _stage = Stage::new();
    let nobody = sigillo(["read"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("no card in a reader"), "{}", stderr(&nobody));
    let waiting = command().args(["read", "--json", "--wait", "60"]).stdout(Stdio::piped()).spawn().unwrap();
    let _inserted = card().insert(READERS[1]);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains(TAX_CODE));
}

#[test]
fn of_several_cards_one_must_be_chosen_by_its_reader() {
    let _stage = Stage::new();
    let (first, second) = (card(), Authority::new().card(OTHER_MAKER, Flaw::Certificate));
    let inserted = (first.insert(READERS[0]), second.insert(READERS[1]));
    let both = || stderr(&sigillo(["read"]));
    until("both cards are seen", || both().contains("choose one with --reader"));
    assert!(NAMES.iter().all(|name| both().contains(name)), "{}", both());
    assert_eq!(sigillo(["read", "--reader", NAMES[0]]).status.code(), Some(0));
    assert_eq!(sigillo(["read", "--reader", NAMES[1]]).status.code(), Some(2));
    let other = sigillo(["read", "--reader", "no such reader"]);
    assert!(stderr(&other).contains("no reader \"no such reader\""), "{}", stderr(&other));
    drop(inserted);
}

#[test]
fn a_card_that_is_no_cns_is_refused_and_does_not_stand_in_the_way() {
    let _stage = Stage::new();
    let mut other = card();
    other.atr = vec![0x3B, 0x80, 0x80, 0x01, 0x01];
    let _other = other.insert(READERS[0]);
    let read = sigillo(["read", "--wait", "30"]);
    assert_eq!(read.status.code(), Some(1));
    assert!(stderr(&read).contains("is not a CNS"), "{}", stderr(&read));
    let seen = other.state.lock().unwrap().seen.clone();
    assert!(seen.is_empty(), "a stranger's card is sent nothing: {seen:02X?}");
    let _inserted = card().insert(READERS[1]);
    until("the CNS beside it is read", || sigillo(["read"]).status.code() == Some(0));
}

#[test]
fn pin_and_chip_fit_and_a_wrong_pin_costs_a_try() {
    for atr in [STINCARD, OTHER_MAKER] {
        let stage = Stage::new();
        let (right, wrong) = (stage.secret("right", "12345\n"), stage.secret("wrong", "99999"));
        let card = Authority::new().card(atr, Flaw::None);
        let _inserted = card.insert(READERS[0]);
        let output = check(&right);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        for left in ["2 tries", "1 try"] {
            let output = check(&wrong);
            assert_eq!(output.status.code(), Some(1));
            assert!(stderr(&output).contains(&format!("wrong PIN: {left} left")), "{}", stderr(&output));
        }
        let blocked = check(&wrong);
        assert!(stderr(&blocked).contains("the PIN is blocked"), "{}", stderr(&blocked));
        let still = check(&right);
        assert!(stderr(&still).contains("the PIN is blocked"), "{}", stderr(&still));
        let state = card.state.lock().unwrap();
        assert_eq!((state.pin_tries, state.empty_verifies), (0, 0));
        drop(state);
        for output in [&output, &blocked, &still] {
            let said = stdout(output) + &stderr(output);
            assert!(!said.contains("12345") && !said.contains("99999"), "a PIN was shown: {said}");
        }
    }
}

#[test]
fn the_puk_unblocks_and_sets_a_new_pin() {
    let stage = Stage::new();
    let card = card();
    card.state.lock().unwrap().pin_tries = 0;
    let _inserted = card.insert(READERS[0]);
    let new = stage.secret("new", "24680");
    let unblock = |puk: &str, name: &str| {
        let puk = stage.secret(name, puk);
        let files = ["--puk-file".as_ref(), puk.as_os_str(), "--new-pin-file".as_ref(), new.as_os_str()];
        sigillo([&["unblock".as_ref(), "--wait".as_ref(), "30".as_ref()][..], &files].concat())
    };
    let wrong = unblock("11111111", "wrong");
    assert!(stderr(&wrong).contains("wrong PUK: 9 tries left"), "{}", stderr(&wrong));
    let done = unblock("87654321", "puk");
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let state = card.state.lock().unwrap();
    assert_eq!((state.pin.clone(), state.pin_tries, state.puk_tries), (padded("24680"), 3, 10));
    drop(state);
    card.state.lock().unwrap().puk_tries = 1;
    let blocked = unblock("11111111", "last");
    assert!(stderr(&blocked).contains("the PUK is blocked"), "{}", stderr(&blocked));
}

#[test]
fn a_card_taken_out_in_use_is_a_clear_error() {
    for at in [VERIFY, SIGN, 0xB0] {
        let stage = Stage::new();
        let pin = stage.secret("pin", "12345");
        let card = card();
        card.state.lock().unwrap().vanishes_at = Some(at);
        let _inserted = card.insert(READERS[0]);
        let output = check(&pin);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("was removed or reset"), "{at:02X}: {}", stderr(&output));
    }
}

#[test]
fn a_pin_of_the_wrong_form_never_reaches_the_card() {
    let stage = Stage::new();
    let card = card();
    let _inserted = card.insert(READERS[0]);
    for (name, pin) in
        [("empty", ""), ("line", "\n"), ("short", "1234"), ("long", "123456789"), ("letters", "1234a")]
    {
        let file = stage.secret(name, pin);
        assert_eq!(check(&file).status.code(), Some(1), "{name}");
    }
    let open = stage.path().join("open");
    std::fs::write(&open, "12345").unwrap();
    let output = check(&open);
    assert!(stderr(&output).contains("lets others in"), "{}", stderr(&output));
    assert!(!card.state.lock().unwrap().seen.contains(&VERIFY));
}

#[test]
fn without_a_card_service_the_message_says_what_to_start() {
    let _alone = Stage::without_daemon();
    let output = sigillo(["read"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("start pcscd"), "{}", stderr(&output));
}

#[test]
fn a_pin_typed_at_the_terminal_is_not_shown() {
    let _stage = Stage::new();
    let _inserted = card().insert(READERS[0]);
    // A wrong key, taken back.
    let (output, shown) = at_terminal(["check", "--wait", "30"], &[("PIN: ", "12346\x7f5\r")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(shown, "PIN: \r\n");
}

#[test]
fn a_chip_with_another_key_than_its_certificates_does_not_fit() {
    let stage = Stage::new();
    let card = Authority::new().card(STINCARD, Flaw::Key);
    let _inserted = card.insert(READERS[0]);
    let output = check(&stage.secret("pin", "12345"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another key"), "{}", stderr(&output));
}

#[test]
fn no_pin_is_given_to_a_card_that_another_program_uses() {
    let stage = Stage::new();
    let card = card();
    let _inserted = card.insert(READERS[0]);
    assert_eq!(sigillo(["read", "--wait", "30"]).status.code(), Some(0));
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let reader = context.list_readers_owned().unwrap().remove(0);
    let other = context.connect(&reader, pcsc::ShareMode::Shared, pcsc::Protocols::ANY).unwrap();
    let output = check(&stage.secret("pin", "12345"));
    assert!(stderr(&output).contains("another program"), "{}", stderr(&output));
    assert_eq!(sigillo(["read"]).status.code(), Some(0), "reading is for all");
    assert!(!card.state.lock().unwrap().seen.contains(&VERIFY));
    drop(other);
}
