//! Real SMTP, TLS and AUTH, against `tests/support/smtpd.py`.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use sigillo::{
    clock::{Clock, SystemClock},
    courier::{Gateway, Outcome, config::Config, mail::MailGateway},
    domain::{
        contact::{Channel, Contact},
        id::{DeliveryId, LeaseId},
    },
    pki::{Ca, Validity},
};
use tempfile::TempDir;

use crate::fakes::{Event, World, world_of};

/// The relay, its certificate, and a configuration that fits.
pub(crate) struct Relay {
    dir: TempDir,
    start: &'static str,
    port: u16,
    child: Child,
}

impl Relay {
    pub(crate) fn start(start: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now_ms = SystemClock::new().now_ms();
        let validity = Validity { from_ms: now_ms - 3_600_000, to_ms: now_ms + 3_600_000 };
        for name in ["ca", "other"] {
            let ca = Ca::new("Relay CA", validity).unwrap();
            std::fs::write(dir.path().join(format!("{name}.pem")), ca.pem()).unwrap();
            let server = ca.server(&["localhost"], &[], validity).unwrap();
            if name == "ca" {
                std::fs::write(dir.path().join("server.pem"), server.certificate_pem()).unwrap();
                std::fs::write(dir.path().join("server.key"), server.key_pem().as_bytes()).unwrap();
            }
        }
        secret(&dir.path().join("right"), "segreto smtp\n");
        secret(&dir.path().join("wrong"), "sbagliato\n");
        let (child, port) = spawn(dir.path(), start, 0);
        Self { dir, start, port, child }
    }

    /// Loses power and comes back on the same port.
    fn restart(&mut self) {
        self.stop();
        (self.child, self.port) = spawn(self.dir.path(), self.start, self.port);
    }

    fn stop(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// A courier that uses this relay; `changes` are made to its configuration.
    fn world(&self, changes: &[(&str, &str)]) -> World<MailGateway> {
        self.world_with(changes, |gateway, _| gateway)
    }

    /// As [`Relay::world`], with the gateway made into another.
    pub(crate) fn world_with<G: Gateway>(
        &self,
        changes: &[(&str, &str)],
        make: impl FnOnce(MailGateway, Arc<dyn Clock>) -> G,
    ) -> World<G> {
        let start = if self.start == "tls" { "tls" } else { "starttls" };
        let mut text = format!(
            r#"
            hsm = "unused.toml"
            messages = "unused"
            policy = "unused"
            [state]
            directory = "unused"
            [authority]
            url = "https://localhost:1"
            server_ca = "unused"
            certificate = "unused"
            key = "unused"
            audit_key = "unused"
            [smtp]
            host = "localhost"
            port = {}
            tls = "{start}"
            user = "sigillo"
            password_file = "right"
            ca_file = "ca.pem"
            from = "Tessera sanitaria – Città <non-rispondere@esempio.it>"
            "#,
            self.port
        );
        for (from, to) in changes {
            assert!(text.contains(from));
            text = text.replace(from, to);
        }
        let file = self.dir.path().join("courier.toml");
        std::fs::write(&file, text).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let config = Config::load(&file).unwrap();
        world_of(make(config.mail(None, Arc::clone(&clock)).unwrap().unwrap(), Arc::clone(&clock)), clock)
    }

    /// What has arrived, in order, as Python's own mail parser reads it: one header or body line per line.
    pub(crate) fn mails(&self) -> Vec<String> {
        let new = self.dir.path().join("new");
        let mut files: Vec<PathBuf> = std::fs::read_dir(new).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| read(file)).collect()
    }

    /// The commands that the relay has seen, over all connections.
    fn commands(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("commands")).unwrap();
        text.lines().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.child.stdin.is_some() {
            self.stop();
        }
    }
}

fn secret(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o400)).unwrap();
}

fn spawn(dir: &Path, start: &str, port: u16) -> (Child, u16) {
    let mut child = Command::new("/usr/bin/python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtpd.py"))
        .args(["--start", start, "--port", &port.to_string(), "--directory"])
        .arg(dir)
        .arg("--password-file")
        .arg(dir.join("right"))
        .arg("--certificate")
        .arg(dir.join("server.pem"))
        .arg("--key")
        .arg(dir.join("server.key"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("smtpd.py (python3-aiosmtpd) prints its port"))
}

fn read(mail: &Path) -> String {
    const PARSE: &str = "
import email, email.policy, sys
m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
print('\\n'.join(f'{k}: {v}' for k, v in m.items()), m.get_content(), sep='\\n\\n', end='')
";
    let out = Command::new("/usr/bin/python3").args(["-c", PARSE]).arg(mail).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Carries out one delivery and answers its last report's reason too.
async fn deliver(w: &World<MailGateway>, number: u8, to: &str) -> (Outcome, String) {
    let mut lease = w.lease(number, to);
    lease.until_ms = u64::MAX;
    let outcome = w.deliver(&lease).await;
    let reason = match w.script.events().pop() {
        Some(Event::Reported { reason, .. }) => reason.unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    (outcome, reason)
}

#[tokio::test]
async fn mail_arrives_encrypted_whole_and_readable() {
    for start in ["starttls", "tls"] {
        let relay = Relay::start(start);
        let w = relay.world(&[]);
        assert_eq!(deliver(&w, 1, "mario@esempio.it").await, (Outcome::Sent, String::new()));
        assert_eq!(deliver(&w, 2, "luisa@esempio.it").await.0, Outcome::Sent);

        let mails = relay.mails();
        assert_eq!(mails.len(), 2);
        let (head, body) = mails[0].split_once("\n\n").unwrap();
        let id = "01".repeat(16);
        for line in [
            "X-TLS: yes",
            "X-Mail-From: non-rispondere@esempio.it",
            "X-Rcpt-To: mario@esempio.it",
            "From: Tessera sanitaria – Città <non-rispondere@esempio.it>",
            "To: mario@esempio.it",
            "Subject: La seconda parte dei codici della Sua tessera sanitaria",
            &format!("Message-ID: <{id}@esempio.it>"),
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=\"utf-8\"",
        ] {
            assert!(head.lines().any(|l| l == line), "{line}\n{head}");
        }
        assert!(head.contains("Date: "));

        let mut expected = include_str!("../../policies/courier/messages/activation.txt").to_owned();
        expected = expected.split_once("\n\n").unwrap().1.replace("{control}", "246810");
        for (field, part) in [
            ("{pin_second}", w.part("PIN".parse().unwrap(), 1, 3, 0).await),
            ("{puk_second}", w.part("PUK".parse().unwrap(), 2, 6, 0).await),
            ("{cip_second}", w.part("CIP".parse().unwrap(), 3, 4, 0).await),
        ] {
            expected = expected.replace(field, &part);
        }
        assert_eq!(body, expected);

        // One connection, one log-in for both.
        w.courier.gateway().close().await;
        let hello = if start == "starttls" { "EHLO EHLO" } else { "EHLO" };
        assert_eq!(relay.commands(), format!("{hello} AUTH EHLO MAIL MAIL"));
    }
}

#[tokio::test]
async fn a_second_attempt_has_the_same_message_id() {
    let relay = Relay::start("starttls");
    let w = relay.world(&[]);
    let (outcome, reason) = deliver(&w, 1, "dopo@esempio.it").await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Retry, "relay: DATA: SMTP 451 4.3.0"));
    assert!(relay.mails().is_empty());
    assert_eq!(deliver(&w, 1, "dopo@esempio.it").await.0, Outcome::Sent);
    let mails = relay.mails();
    let id = format!("Message-ID: <{}@esempio.it>", "01".repeat(16));
    assert!(mails.len() == 1 && mails[0].lines().any(|l| l == id), "{mails:?}");
}

#[tokio::test]
async fn refusals_of_one_recipient_do_not_touch_the_next() {
    let relay = Relay::start("starttls");
    let w = relay.world(&[]);
    for (to, outcome, reason) in [
        ("pieno@esempio.it", Outcome::Retry, "relay: RCPT: SMTP 452 4.2.2"),
        ("ignoto@esempio.it", Outcome::Failed, "relay: RCPT: SMTP 550 5.1.1"),
        ("vietato@esempio.it", Outcome::Retry, "relay: RCPT: SMTP 550 5.7.1"),
        ("mario@esempio.it", Outcome::Sent, ""),
    ] {
        assert_eq!(deliver(&w, 1, to).await, (outcome, reason.to_owned()));
    }
    assert_eq!(relay.mails().len(), 1);
    assert_eq!(relay.commands(), "EHLO EHLO AUTH EHLO MAIL MAIL MAIL MAIL");
}

#[tokio::test]
async fn a_wrong_password_is_trouble_and_asked_once() {
    let relay = Relay::start("starttls");
    let w = relay.world(&[("\"right\"", "\"wrong\"")]);
    let (outcome, reason) = deliver(&w, 1, "mario@esempio.it").await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "relay: AUTH PLAIN: SMTP 535 5.7.8"));
    assert_eq!(relay.commands(), "EHLO EHLO AUTH");
}

#[tokio::test]
async fn nothing_is_said_in_clear() {
    for (start, reason) in [
        ("plain", "relay: STARTTLS: not offered; refused to go on in clear"),
        ("injected", "relay: STARTTLS: more than the answer came before TLS"),
    ] {
        let relay = Relay::start(start);
        let w = relay.world(&[]);
        assert_eq!(deliver(&w, 1, "mario@esempio.it").await, (Outcome::Trouble, reason.to_owned()));
        assert_eq!(relay.commands(), "EHLO");
        assert!(relay.mails().is_empty());
    }
}

#[tokio::test]
async fn only_a_relay_that_proves_its_name_is_told_anything() {
    let relay = Relay::start("starttls");
    for change in [("\"ca.pem\"", "\"other.pem\""), ("\"localhost\"", "\"127.0.0.1\"")] {
        let w = relay.world(&[change]);
        let (outcome, reason) = deliver(&w, 1, "mario@esempio.it").await;
        assert_eq!(outcome, Outcome::Trouble);
        assert!(reason.starts_with("relay: TLS: invalid peer certificate"), "{reason}");
    }
    assert_eq!(relay.commands(), "EHLO EHLO");
}

#[tokio::test]
async fn a_relay_that_goes_away_and_comes_back_is_found_again() {
    let mut relay = Relay::start("starttls");
    let w = relay.world(&[]);
    assert_eq!(deliver(&w, 1, "mario@esempio.it").await.0, Outcome::Sent);
    relay.restart();
    assert_eq!(deliver(&w, 2, "luisa@esempio.it").await.0, Outcome::Sent);
    relay.stop();
    let (outcome, reason) = deliver(&w, 3, "carla@esempio.it").await;
    assert_eq!(outcome, Outcome::Trouble);
    assert!(reason.starts_with("relay: connection: "), "{reason}");
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_left() {
    let relay = Relay::start("starttls");
    let w = relay.world(&[("port =", "timeout_ms = 1500\nport =")]);
    let (outcome, reason) = deliver(&w, 1, "muto@esempio.it").await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "relay: not done within 1500 ms"));
    assert_eq!(deliver(&w, 2, "mario@esempio.it").await.0, Outcome::Sent);
}

#[tokio::test]
async fn lines_of_any_form_arrive_as_written() {
    let relay = Relay::start("starttls");
    let texts = tempfile::tempdir().unwrap();
    let mut body =
        String::from("{control}\n.\n..\n. punto\nPIN {pin_second} = uguale = \nperché così è già più lì\n");
    for length in 70..80 {
        writeln!(body, "{}è", "x".repeat(length)).unwrap();
    }
    std::fs::write(texts.path().join("prova.txt"), format!("Oggetto: Perché è così\n\n{body}")).unwrap();
    let messages = sigillo::courier::message::Messages::load(texts.path()).unwrap();
    let parts = [("PIN".parse().unwrap(), sigillo::secret::Digits::parse("123".to_owned()).unwrap())];
    let text = messages.render("prova", Channel::Email, "000000", &parts).unwrap();

    let w = relay.world(&[]);
    let to = Contact::parse(Channel::Email, "mario@esempio.it").unwrap();
    let (delivery, lease) = (DeliveryId::new([1; 16]), LeaseId::new([2; 16]));
    let mail = sigillo::courier::Mail { delivery, lease, to: &to, text: &text };
    Gateway::send(w.courier.gateway(), &mail).await.unwrap();
    let (head, arrived) =
        relay.mails().remove(0).split_once("\n\n").map(|(h, b)| (h.to_owned(), b.to_owned())).unwrap();
    assert!(head.lines().any(|l| l == "Subject: Perché è così"), "{head}");
    assert_eq!(arrived, body.replace("{control}", "000000").replace("{pin_second}", "123"));
}
