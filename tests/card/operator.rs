//! `card register` and `card approve`: what the card signs, and above all what it does not.

use std::{ffi::OsString, process::Output};

use sigillo::{
    api::{
        approvals::SignedApproval,
        operators::{Session, SignedRegistration},
    },
    auth::cns::proof,
    domain::signed_text::Context,
};
use sigillo_vcard::{
    card::{Card, Inserted, OTHER_MAKER, STINCARD},
    cns::{Authority, Flaw, TAX_CODE},
    reader::READERS,
};

use super::{
    server::server_files,
    stage::{Stage, sigillo, stderr, stdout},
    standin::{APPROVAL, StandIn, asked, problem},
    terminal::{at_terminal, without_terminal},
};

const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2A;

/// A card in a reader, and a server that believes it.
struct Scene {
    server: StandIn,
    card: Card,
    _inserted: Inserted,
    stage: Stage,
}

impl Scene {
    fn new(atr: &str) -> Self {
        let stage = Stage::new();
        let authority = Authority::new();
        let card = authority.card(atr, Flaw::None);
        let inserted = card.insert(READERS[0]);
        let server = StandIn::start(stage.path(), &authority, &card);
        Self { server, card, _inserted: inserted, stage }
    }

    fn arguments(&self, command: &str, pin: &str) -> Vec<OsString> {
        let file = self.stage.path().join(format!("pin-{pin}"));
        if !file.exists() {
            self.stage.secret(&format!("pin-{pin}"), pin);
        }
        let ca = self.stage.path().join("server-ca.pem");
        let url = self.server.url();
        let mut all: Vec<OsString> =
            [command, "--wait", "30", "--url", &url, "--ca"].map(OsString::from).to_vec();
        all.extend([ca.into(), "--pin-file".into(), file.into()]);
        if command == "approve" {
            all.push(APPROVAL.to_string().into());
        }
        all
    }

    fn register(&self, pin: &str) -> Output {
        sigillo(self.arguments("register", pin))
    }

    fn approve(&self, pin: &str) -> Output {
        let mut arguments = self.arguments("approve", pin);
        arguments.push("--yes".into());
        sigillo(arguments)
    }

    fn count(&self, instruction: u8) -> usize {
        self.card.state.lock().unwrap().seen.iter().filter(|seen| **seen == instruction).count()
    }

    /// The card has signed nothing since the last text was sent, and the server was told nothing.
    fn nothing_was_signed(&self, what: &str) {
        let state = self.server.state();
        assert!(!state.told_before.is_empty(), "{what}: a text was sent");
        let before = state.told_before.iter().filter(|seen| **seen == SIGN).count();
        assert_eq!(self.count(SIGN), before, "{what}: the card signed");
        assert!(!state.seen.iter().any(|line| line.ends_with("/sign")), "{what}: {:?}", state.seen);
    }
}

fn failed(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert!(stderr(output).contains(why), "{why:?} is not in {}", stderr(output));
    assert_eq!(stdout(output), "");
}

#[test]
fn the_card_registers_itself_with_one_pin() {
    for atr in [STINCARD, OTHER_MAKER] {
        let scene = Scene::new(atr);
        let output = scene.register("12345");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let said: SignedRegistration = serde_json::from_str(&stdout(&output)).unwrap();
        assert!(!said.replaced);
        let state = scene.server.state();
        let [(Context::OperatorRegistration, text, signature)] = state.signed.as_slice() else {
            panic!("{:?}", state.seen);
        };
        assert!(text.contains(TAX_CODE) && stderr(&output).contains(text), "the person sees all of it");
        assert!(stderr(&output).contains(Context::OperatorRegistration.text()));
        assert_eq!(proof::holds(&state.spki, Context::OperatorRegistration, text, signature), Ok(()));
        assert!(proof::holds(&state.spki, Context::Approval, text, signature).is_err());
        assert_eq!(state.keys.len(), 2);
        assert_ne!(state.keys[0], state.keys[1]);
        assert_eq!(scene.count(VERIFY), 1, "one PIN for login and signature");
        assert!(!stderr(&output).contains("12345") && !text.contains("12345"));
    }
}

#[test]
fn the_card_signs_what_a_colleague_asks_for() {
    let scene = Scene::new(STINCARD);
    let output = scene.approve("12345");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said: SignedApproval = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(said.state, "signed");
    let state = scene.server.state();
    let [(Context::Approval, text, signature)] = state.signed.as_slice() else { panic!("{:?}", state.seen) };
    assert!(stderr(&output).contains(text), "the person sees all of it");
    assert_eq!(proof::holds(&state.spki, Context::Approval, text, signature), Ok(()));
    assert!(proof::holds(&state.spki, Context::OperatorRegistration, text, signature).is_err());
    assert_eq!(scene.count(VERIFY), 1);
    assert!(!stderr(&output).contains("12345"));
}

#[test]
fn a_person_reads_the_text_and_says_yes_or_no() {
    let scene = Scene::new(STINCARD);
    let question = "Sign it? (yes or no): ";
    let arguments = || scene.arguments("approve", "12345");
    for answer in ["no\n", "\n", "y\n", "\u{4}"] {
        // A yes that was typed before there was anything to read does not count.
        let (output, shown) = at_terminal(arguments(), &[("", "yes\n"), (question, answer)]);
        failed(&output, "nothing was signed");
        scene.nothing_was_signed(answer);
        assert!(shown.contains("reason: stolen\r\n"), "{shown}");
    }
    let (output, shown) = at_terminal(arguments(), &[(question, "yes\n")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let state = scene.server.state();
    assert!(shown.contains(&state.signed[0].1.replace('\n', "\r\n")), "{shown}");
    drop(state);
    let output = without_terminal(arguments());
    failed(&output, "with --yes nobody is asked");
    assert_eq!(scene.server.state().signed.len(), 1);
}

#[test]
fn a_text_that_a_terminal_would_not_show_as_it_is_is_not_signed() {
    let scene = Scene::new(STINCARD);
    for hidden in ["\u{1b}[2K", "\r", "\u{8}", "\0", "\u{9b}1A", "\u{202e}", "\u{7f}", "è"] {
        let forged = hidden.to_owned();
        scene.server.state().forge = Box::new(move |text| text.replacen('d', &format!("{forged}d"), 1));
        for output in [scene.register("12345"), scene.approve("12345")] {
            failed(&output, "the server's text is not signed: line ");
            assert!(stderr(&output).contains("a character that is not shown as it is (U+"), "{hidden:?}");
            assert!(!stderr(&output).contains("The card signs"), "it is not shown either");
            scene.nothing_was_signed(hidden);
        }
    }
}

#[test]
fn a_text_that_is_not_the_one_that_is_meant_is_not_signed() {
    type Forge = fn(String) -> String;
    let scene = Scene::new(STINCARD);
    let registration: [(&str, Forge); 6] = [
        ("operator", |text| text.replace(TAX_CODE, "RSSMRA75C22H501I")),
        ("certificate", |text| text.replacen("certificate ", "certificate 00", 1)),
        ("until", |text| text.replace("Z\n", "1Z\n")),
        ("text", |text| text + "and the card of somebody else\n"),
        ("front-end", |text| text.replace("front-end direct", "front-end direct and more")),
        ("front-end", |_| asked(1_780_000_900_000)),
    ];
    for (field, forge) in registration {
        scene.server.state().forge = Box::new(forge);
        failed(&scene.register("12345"), &format!("not signed: its \"{field}\" is not what it must be"));
        scene.nothing_was_signed(field);
    }
    let approval: [(&str, Forge); 6] = [
        ("id", |text| text.replace(&APPROVAL.to_string(), &"11".repeat(16))),
        ("action", |text| text.replace("revoke", "activate")),
        ("valid until", |_| asked(1_780_000_900_000)),
        ("text", |text| text + "and: more\n"),
        ("reason", |text| text.replace("stolen", "theft")),
        ("text", |text| text.replace("Sigillo approval", "sigillo operator registration v1")),
    ];
    for (field, forge) in approval {
        scene.server.state().forge = Box::new(forge);
        failed(&scene.approve("12345"), &format!("not signed: its \"{field}\" is not what it must be"));
        scene.nothing_was_signed(field);
    }
}

#[test]
fn a_wrong_pin_is_given_once_and_nobody_is_called() {
    let scene = Scene::new(STINCARD);
    let login = |pin| sigillo(scene.arguments("login", pin));
    let outputs = [scene.register("99999"), scene.approve("99999")];
    assert_eq!(scene.count(VERIFY), 2, "one for each command");
    for (output, left) in outputs.iter().zip(["2 tries", "1 try"]) {
        failed(output, &format!("wrong PIN: {left} left"));
        assert!(!stderr(output).contains("99999"));
    }
    scene.card.state.lock().unwrap().pin_tries = 3;
    failed(&login("99999"), "wrong PIN: 2 tries left");
    let state = scene.server.state();
    assert_eq!((state.seen.len(), state.unheard), (0, 0));
    assert_eq!(scene.card.state.lock().unwrap().empty_verifies, 0);
}

#[test]
fn a_blocked_pin_is_said_so_and_not_given_again() {
    let scene = Scene::new(STINCARD);
    scene.card.state.lock().unwrap().pin_tries = 0;
    for (n, command) in (1..).zip([Scene::register, Scene::approve]) {
        let output = command(&scene, "12345");
        failed(&output, "the PIN is blocked: unblock it with the PUK (sigillo card unblock)");
        assert_eq!(scene.count(VERIFY), n, "the one whose answer says so");
    }
    let state = scene.server.state();
    assert_eq!((state.seen.len(), state.unheard), (0, 0));
    assert_eq!(scene.card.state.lock().unwrap().empty_verifies, 0);
}

#[test]
fn a_card_that_leaves_after_the_login_signs_nothing() {
    for command in ["register", "approve"] {
        let scene = Scene::new(STINCARD);
        scene.server.state().meanwhile = |card| card.state.lock().unwrap().vanishes_at = Some(SIGN);
        let output = if command == "register" { scene.register("12345") } else { scene.approve("12345") };
        failed(&output, "was removed or reset");
        assert!(!scene.server.state().seen.iter().any(|line| line.ends_with("/sign")));
    }
}

#[test]
fn the_servers_reason_is_said_plainly() {
    let scene = Scene::new(STINCARD);
    let title = "Nobody approves what they asked for, with whichever card";
    scene.server.state().refusal = Some(problem(403, "approval_own_request", title, None));
    failed(&scene.approve("12345"), &format!("sigillo: the server refused: approval_own_request: {title}\n"));
    let detail = Some("until \u{1b}[2Jtomorrow");
    scene.server.state().refusal = Some(problem(403, "unknown_operator", "Not listed", detail));
    let shown = "unknown_operator: Not listed (until \u{fffd}[2Jtomorrow)\n";
    failed(&scene.register("12345"), shown);
    scene.server.state().refusal = Some(problem(503, "unavailable", "Service unavailable", None));
    failed(&scene.register("12345"), "unavailable: Service unavailable (it may have been done: try again)\n");
    let unknown = sigillo([scene.arguments("login", "12345"), vec!["--path".into(), "/x".into()]].concat());
    failed(&unknown, "no_such_path: There is no such path");
}

#[test]
fn what_somebody_has_signed_is_not_signed_again() {
    let scene = Scene::new(STINCARD);
    scene.server.state().approval = "signed";
    let output = scene.approve("12345");
    failed(&output, "the approval is not open");
    assert!(stderr(&output).contains("reason: stolen"), "it is shown all the same");
    scene.nothing_was_signed("signed before");
}

#[test]
fn login_shows_the_session() {
    let scene = Scene::new(STINCARD);
    let output = sigillo(scene.arguments("login", "12345"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let session: Session = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(session.registration, "none");
    assert_eq!(scene.server.state().seen, ["GET /v1/session"]);
}

#[test]
fn a_wrong_option_costs_no_pin() {
    let scene = Scene::new(STINCARD);
    let mut arguments = scene.arguments("register", "12345");
    arguments[6] = scene.stage.path().join("nothing.pem").into();
    let output = sigillo(&arguments);
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing.pem"), "{}", stderr(&output));
    assert_eq!(scene.count(VERIFY), 0);
}

#[test]
fn a_slip_is_said_before_anybody_looks_for_a_card() {
    // Nothing is there: no pcscd, no card.
    let dir = Stage::without_daemon();
    server_files(dir.path());
    let ca = dir.path().join("server-ca.pem").display().to_string();
    let nothing = dir.path().join("nothing.pem").display().to_string();
    for (url, ca, said) in [
        ("http://localhost", ca.as_str(), "not of the form https://host:port"),
        ("https://localhost", nothing.as_str(), "nothing.pem"),
    ] {
        let output = sigillo(["login", "--url", url, "--ca", ca]);
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}
