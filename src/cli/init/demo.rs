//! The demonstration: everything that an installation has, made for one machine, with nothing worth stealing in it.

mod files;
mod texts;

use std::{
    fs,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use aws_lc_rs::{digest, rand};
use indicatif::{ProgressBar, ProgressStyle};

use super::Args;
use crate::{
    cli::Failure,
    clock::{Clock, SystemClock},
    domain::{fictional, team::Region},
    files::write_new,
    pki::{Ca, Issued, Validity},
};

/// Any number: the same cards in every demonstration.
const SEED: u64 = 2026;
/// Tells a demonstration from anything else before it is removed.
const MARKER: &str = ".sigillo-demo";
const DAY: Duration = Duration::from_secs(86_400);
const SOFTHSM: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
];

/// Makes the demonstration in `directory`. What is half made when it fails is left for a look, and named.
pub(super) fn make(directory: &Path, args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let module = SOFTHSM.iter().map(Path::new).find(|path| path.exists()).ok_or_else(|| {
        Failure::failed(
            "SoftHSM is not installed (Debian and Ubuntu: apt-get install softhsm2, or make deps)",
        )
    })?;
    if directory.exists() {
        let what = "is there already: choose another directory, or remove it";
        return Err(Failure::failed(format!("{} {what}", directory.display())));
    }
    fs::create_dir(directory).map_err(|e| Failure::failed(format!("{}: {e}", directory.display())))?;
    let steps = ProgressBar::new(7)
        .with_style(ProgressStyle::with_template("{bar:20} {msg}").map_err(Failure::failed)?);
    let step = |what: &'static str| {
        steps.set_message(what);
        steps.inc(1);
    };
    step("directories and configurations");
    let demo = Demo { directory, args };
    demo.directories()?;
    demo.write(MARKER, "Made by `sigillo init --demo`. Nothing here is for real use.\n", 0o644)?;
    demo.configurations(module)?;
    step("certificates");
    let pki = demo.pki()?;
    step("policies");
    demo.policies(&pki)?;
    step("the courier's token");
    demo.sigillo(&["hsm", "init", "--config", "courier/hsm.toml", "--out", "courier/public"])?;
    step("the authority's token");
    let transport = "courier/public/transport.pub.pem";
    demo.sigillo(&[
        "hsm",
        "init",
        "--config",
        "authority/hsm.toml",
        "--out",
        "authority/public",
        "--transport-key",
        transport,
    ])?;
    let audit_key = fs::read(demo.at("authority/public/audit.pub.pem")).map_err(Failure::failed)?;
    demo.write("courier/authority-audit.pub.pem", audit_key, 0o644)?;
    let wrapped = "authority/public/verify.wrapped";
    demo.sigillo(&["hsm", "receive", "--config", "courier/hsm.toml", "--wrapped", wrapped])?;
    step("two empty stores");
    demo.sigillo(&["init", "--config", "authority/serve.toml"])?;
    demo.sigillo(&["init", "--courier", "courier/courier.toml"])?;
    step("fictional cards");
    demo.cards()?;
    steps.finish_and_clear();
    writeln!(
        out,
        "demonstration in {}: {} fictional cards, nothing in it is for real use",
        directory.display(),
        args.cards
    )
    .map_err(Failure::failed)
}

/// Certificates whose holders the policy names.
struct Pki {
    bureau: Issued,
    desk: Issued,
    courier: Issued,
    auditor: Issued,
    backup: Issued,
    cards: Ca,
    personalisation: Issued,
    policy: Issued,
    portal: Issued,
    officers: Vec<Issued>,
}

struct Demo<'a> {
    directory: &'a Path,
    args: &'a Args,
}

impl Demo<'_> {
    fn at(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>, mode: u32) -> Result<(), Failure> {
        write_new(&self.at(path), text.as_ref(), mode).map_err(Failure::failed)
    }

    fn directories(&self) -> Result<(), Failure> {
        for directory in [
            "authority",
            "authority/tokens",
            "authority/tls",
            "authority/public",
            "authority/crls",
            "authority/policies",
            "authority/policies/rules",
            "authority/policies/templates",
            "authority/policies/texts",
            "authority/policies/texts/forms",
            "authority/policies/texts/guide",
            "courier",
            "courier/tokens",
            "courier/tls",
            "courier/public",
            "courier/messages",
            "courier/messages/de",
            "courier/messages/fr",
            "courier/messages/sl",
            "courier/templates",
            "clients",
            "kannel",
            "officers",
            "smtp",
            "smtp/mail",
        ] {
            let path = self.at(directory);
            let mode = if directory.ends_with("tokens") { 0o700 } else { 0o755 };
            fs::DirBuilder::new()
                .mode(mode)
                .create(&path)
                .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
        }
        Ok(())
    }

    fn configurations(&self, module: &Path) -> Result<(), Failure> {
        let Args { listen, direct, internal, smtp, sms, receipts, .. } = self.args;
        self.write("authority/serve.toml", files::serve(*listen, *direct, *internal), 0o644)?;
        self.write("courier/courier.toml", files::courier(*listen, *smtp, *sms, *receipts), 0o644)?;
        self.write("courier/smtp.password", secret()?, 0o600)?;
        let password = secret()?;
        let logs = fs::canonicalize(self.at("kannel")).map_err(Failure::failed)?;
        self.write("kannel/kannel.conf", files::kannel(&logs, *sms, &password, &secret()?)?, 0o600)?;
        self.write("courier/sms.password", password, 0o600)?;
        self.write("courier/sms-receipts.key", format!("{}{}", secret()?, secret()?), 0o600)?;
        for role in ["authority", "courier"] {
            let tokens = fs::canonicalize(self.at(&format!("{role}/tokens"))).map_err(Failure::failed)?;
            self.write(&format!("{role}/softhsm2.conf"), files::softhsm(&tokens), 0o644)?;
            self.write(&format!("{role}/hsm.toml"), files::hsm(role, module), 0o644)?;
            self.write(&format!("{role}/pin"), secret()?, 0o600)?;
            self.write(&format!("{role}/so-pin"), secret()?, 0o600)?;
        }
        self.write("courier/policy.toml", files::courier_policy(), 0o644)?;
        for (name, text) in files::POLICIES.iter().filter(|(name, _)| name.starts_with("templates/")) {
            self.write(&format!("courier/{name}"), text, 0o644)?;
        }
        for (name, text) in files::MESSAGES.into_iter().chain(texts::MESSAGES) {
            self.write(&format!("courier/messages/{name}"), text, 0o644)?;
        }
        Ok(())
    }

    /// One authority for servers and one for clients, so that neither kind can pass for the other.
    fn pki(&self) -> Result<Pki, Failure> {
        let now_ms = SystemClock::new().now_ms();
        let days = |n: u32| u64::try_from(DAY.saturating_mul(n).as_millis()).unwrap_or(u64::MAX);
        let validity =
            Validity { from_ms: now_ms.saturating_sub(days(1)), to_ms: now_ms.saturating_add(days(365)) };
        let make = |name: &str| Ca::new(name, validity).map_err(Failure::failed);
        let (servers, clients) = (make("Demo CA servers")?, make("Demo CA clients")?);
        let server = |addresses: &[std::net::SocketAddr]| {
            let addresses: Vec<_> = addresses.iter().map(std::net::SocketAddr::ip).collect();
            servers.server(&["localhost"], &addresses, validity).map_err(Failure::failed)
        };
        let client = |name: &str| clients.client(name, validity).map_err(Failure::failed);
        server(&[self.args.listen, self.args.direct])?
            .write(&self.at("authority/tls"), "server")
            .map_err(Failure::failed)?;
        server(&[self.args.smtp])?.write(&self.at("smtp"), "server").map_err(Failure::failed)?;
        let officers = make("Demo CA officers")?;
        let officer =
            |n: &str| officers.client(&format!("Security officer {n}"), validity).map_err(Failure::failed);
        let pki = Pki {
            officers: ["1", "2", "3"].into_iter().map(officer).collect::<Result<_, _>>()?,
            bureau: client("Card bureau")?,
            desk: client("Counter front end")?,
            courier: client("Courier")?,
            auditor: client("Auditor")?,
            backup: client("Backup")?,
            cards: make("Demo CA cards")?,
            personalisation: client("Personalisation")?,
            policy: client("Policy")?,
            portal: client("Citizens' front end")?,
        };
        for (issued, directory, name) in [
            (&pki.bureau, "clients", "bureau"),
            (&pki.desk, "clients", "desk"),
            (&pki.auditor, "clients", "auditor"),
            (&pki.backup, "clients", "backup"),
            (&pki.personalisation, "clients", "personalisation"),
            (&pki.policy, "clients", "policy"),
            (&pki.portal, "clients", "portal"),
            (&pki.courier, "courier/tls", "courier"),
        ] {
            issued.write(&self.at(directory), name).map_err(Failure::failed)?;
        }
        for (name, subject) in files::OPERATORS_CARDS {
            let card = pki.cards.card(subject, validity).map_err(Failure::failed)?;
            card.write(&self.at("clients"), name).map_err(Failure::failed)?;
        }
        let citizen = Self::citizen()?;
        let card = pki.cards.card(&citizen, validity).map_err(Failure::failed)?;
        card.write(&self.at("clients"), "citizen").map_err(Failure::failed)?;
        let list = pki.cards.crl(1, &[], validity).map_err(Failure::failed)?;
        self.write("authority/crls/demo.crl", list, 0o644)?;
        for (n, issued) in (1..).zip(&pki.officers) {
            issued.write(&self.at("officers"), &format!("officer-{n}")).map_err(Failure::failed)?;
        }
        self.write("authority/tls/client-ca.pem", clients.pem(), 0o644)?;
        for path in ["courier/tls/ca.pem", "courier/tls/relay-ca.pem", "clients/ca.pem"] {
            self.write(path, servers.pem(), 0o644)?;
        }
        Ok(pki)
    }

    /// The name in the certificate of a card of the batch, of the tenth region: who holds it may log in with it.
    fn citizen() -> Result<String, Failure> {
        let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
        let card = fictional::cards(SEED, 10, &regions).last();
        let card = card.ok_or_else(|| Failure::failed("no fictional card"))?;
        let (code, chip) = (card.tax_code.as_str(), card.id_carta.as_str());
        Ok(format!("{code}/{chip}.{}", files::CITIZENS_CARD))
    }

    fn policies(&self, pki: &Pki) -> Result<(), Failure> {
        for (name, text) in files::POLICIES.into_iter().chain(texts::FORMS).chain(texts::GUIDE) {
            self.write(&format!("authority/policies/{name}"), text, 0o644)?;
        }
        self.write("authority/policies/trust.toml", files::trust(&pki.cards.pem())?, 0o644)?;
        let print = |issued: &Issued| hex::encode(digest::digest(&digest::SHA256, issued.der()));
        let callers = files::callers(&[
            ("bureau", print(&pki.bureau)),
            ("desk", print(&pki.desk)),
            ("courier", print(&pki.courier)),
            ("auditor", print(&pki.auditor)),
            ("backup", print(&pki.backup)),
            ("personalisation", print(&pki.personalisation)),
            ("policy", print(&pki.policy)),
            ("portal", print(&pki.portal)),
        ])?;
        self.write("authority/policies/callers.toml", callers, 0o644)?;
        let regions: Vec<_> = Region::KNOWN.iter().map(|(region, _)| region.to_string()).collect();
        self.write("authority/policies/operators.toml", files::operators(&regions), 0o644)?;
        let certificates: Vec<String> = pki.officers.iter().map(Issued::certificate_pem).collect();
        self.write("authority/policies/officers.toml", files::officers(&certificates), 0o644)
    }

    /// Runs this program: each token needs a process of its own, since a PKCS#11 module is configured once.
    fn sigillo(&self, arguments: &[&str]) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let done = Command::new(program)
            .args(arguments)
            .current_dir(self.directory)
            .env_remove("SOFTHSM2_CONF")
            .output()
            .map_err(Failure::failed)?;
        if done.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        Err(Failure::failed(format!("sigillo {}: {}", arguments.join(" "), said.trim())))
    }

    fn cards(&self) -> Result<(), Failure> {
        let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
        let mut text = String::new();
        for card in fictional::cards(SEED, self.args.cards, &regions) {
            let line = serde_json::json!({
                "tax_code": card.tax_code.as_str(),
                "team_number": card.team_number.as_str(),
                "expires_on": card.expiry.to_string(),
            });
            text.push_str(&line.to_string());
            text.push('\n');
        }
        self.write("cards.ndjson", text, 0o644)
    }
}

/// 32 random hexadecimal digits: a token's PIN, a password.
fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Failure::failed("the system gives no random bytes"))?;
    Ok(hex::encode(bytes))
}
