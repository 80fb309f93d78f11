//! The whole way of an operator's smart card: chip, reader, pcscd, PKCS#11 or our own program, TLS 1.3, and the real
//! authority.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};
use sigillo::{
    clock::{Clock, SystemClock},
    files::write_new,
};
use sigillo_vcard::{
    card::{PIN, STINCARD},
    cns::{Authority, Flaw, ID_CARTA, TAX_CODE},
    counter::Counter,
    reader::opensc,
};

use crate::fixture::{
    Installation,
    audit::Log,
    listed::{believe, operator},
    process::SIGILLO,
};

/// An authority that believes the card's, and lists its holder; and a workstation with the card in its reader.
struct Scene {
    home: Installation,
    counter: Counter,
    pin: PathBuf,
}

impl Scene {
    async fn new(roles: &str) -> Self {
        let mut home = Installation::new();
        let issuer = Authority::new();
        believe(&home, "cns", &issuer.pem());
        operator(&home, TAX_CODE, roles);
        let now = Duration::from_millis(SystemClock::new().now_ms());
        fs::write(home.path("authority/crls/cns.crl"), issuer.revocation_list(now)).unwrap();
        home.start().await;
        let pin = home.path("pin");
        write_new(&pin, PIN.as_bytes(), 0o400).unwrap();
        let card = issuer.card(STINCARD, Flaw::None);
        let counter = Counter::open(card, &home.path("logs/pcscd.log"))
            .expect("namespaces take root, or `unshare -r cargo test --test api`");
        Self { home, counter, pin }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.home.ports().direct)
    }

    /// `sigillo card COMMAND` at the workstation.
    async fn card(&self, command: &str, more: &[&str]) -> Output {
        let mut program = Command::new(SIGILLO);
        program.args(["card", command, "--wait", "30", "--url", &self.url(), "--ca"]);
        program.arg(self.home.path("clients/ca.pem")).arg("--pin-file").arg(&self.pin).args(more);
        self.run(program).await
    }

    /// The authority is in the same process as this test's waiting: the runtime goes on meanwhile.
    async fn run(&self, program: Command) -> Output {
        tokio::task::block_in_place(|| self.counter.output(program)).unwrap()
    }

    async fn session(&self) -> Value {
        done(&self.card("login", &[]).await)
    }
}

/// What a command that succeeded wrote, as JSON.
#[track_caller]
fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[track_caller]
fn refused(output: &Output, code: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(code), "{said}");
    assert!(!said.contains(PIN), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_logs_in_is_registered_and_serves_curl_through_opensc() {
    let scene = Scene::new("\"counter_operator\"").await;
    let session = scene.session().await;
    assert_eq!((&session["registration"], &session["actions"]), (&json!("none"), &json!([])));
    assert_eq!(
        (&session["front_end"], &session["operator"]["id_carta"]),
        (&json!("direct"), &json!(ID_CARTA))
    );

    assert_eq!(done(&scene.card("register", &[]).await)["replaced"], false);
    let session = scene.session().await;
    assert_eq!(session["registration"], "registered");
    assert_eq!(session["actions"][0]["action"], "look_up");

    // The same card through OpenSC, which knows real ones.
    let body = json!({ "team_number": "80380000104389020511" }).to_string();
    let object = format!("pkcs11:serial={ID_CARTA};id=%01;type=");
    let curl = |path: &str, more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.env("PKCS11_MODULE_PATH", opensc())
            .args(["--silent", "--show-error", "--max-time", "60", "--tlsv1.3", "--engine", "pkcs11"])
            .args(["--key-type", "ENG", "--cert-type", "ENG", "--cacert"])
            .arg(scene.home.path("clients/ca.pem"))
            .args(["--key", &format!("{object}private?pin-value={PIN}")])
            .args(["--cert", &format!("{object}cert"), "--write-out", "\n%{http_version} %{http_code}"])
            .args(more)
            .arg(format!("{}{path}", scene.url()));
        curl
    };
    let answered = async |command: Command| {
        let output = scene.run(command).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (serde_json::from_str::<Value>(body).unwrap(), status.to_owned())
    };
    let (session, status) = answered(curl("/v1/session", &[])).await;
    assert_eq!((&session["registration"], status.as_str()), (&json!("registered"), "2 200"));
    let look_up = curl("/v1/cards/lookup", &["-H", "Content-Type: application/json", "-d", &body]);
    let (found, status) = answered(look_up).await;
    assert_eq!((&found["code"], status.as_str()), (&json!("card_not_found"), "2 404"));

    // Who is no longer on the list is told so.
    let listed = format!(
        "tax_code = \"{TAX_CODE}\"\noffice = \"demo-office\"\nroles = [\"counter_operator\"]\nvalid_from = \"2020-01-01\"\nvalid_to = \"2099"
    );
    scene.home.edit("authority/policies/operators.toml", &listed, &listed.replace("2099", "2020"));
    scene.home.edit("authority/policies/authority.toml", "\nsequence = 2\n", "\nsequence = 3\n");
    scene.home.api("policy").post("/v1/policy/reload", None, &json!({})).await.ok();
    refused(&scene.card("login", &[]).await, "unknown_operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_approves_what_a_colleague_asks_for_and_nothing_twice() {
    let scene = Scene::new("\"supervisor\"").await;
    done(&scene.card("register", &[]).await);
    let desk = scene.home.api("desk");
    let citizen = scene.home.activated(&desk).await;
    let wanted =
        json!({ "action": "revoke", "card": { "team_number": citizen.card.team_number }, "reason": "lost" });
    let asked = desk.change("/v1/approvals", &wanted).await;
    assert_eq!(asked.status, 201, "{asked:?}");
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    let body = citizen.card.revocation("approval", &id, "lost");
    desk.change("/v1/revocations", &body).await.problem(409, "approval_not_signed");

    // Nobody is asked where there is no terminal, and nothing is signed then.
    let unasked = scene.card("approve", &[&id]).await;
    assert_ne!(unasked.status.code(), Some(0));
    desk.change("/v1/revocations", &body).await.problem(409, "approval_not_signed");
    let signed = scene.card("approve", &["--yes", &id]).await;
    assert_eq!(done(&signed)["state"], "signed");
    let shown = String::from_utf8_lossy(&signed.stderr);
    assert!(shown.contains("Sigillo, approval v1") && shown.contains("lost"), "{shown}");
    refused(&scene.card("approve", &["--yes", &id]).await, "not open");
    let revoked = desk.change("/v1/revocations", &body).await;
    revoked.ok();
    let log = Log::read(&scene.home.api("auditor")).await;
    let kinds: Vec<_> = log.0.iter().map(|event| event.text("kind").to_owned()).collect();
    for kind in ["operator.registered", "approval.signed", "card.revoked"] {
        assert!(kinds.iter().any(|one| one == kind), "{kind} is not in {kinds:?}");
    }
}
