//! An installation to prove things on: authority, courier and mail relay as processes, cards with C.I.P.s that are known.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use serde_json::{Value, json};
use sigillo::{
    api::{cards::NewCard, codes::HandedOut},
    tls::Protocols,
};
use sigillo_bench::{
    desk::Desk,
    installation::{API, Installation, run},
    mailbox::Mailbox,
};

use crate::{Run, front_ends, together::together};

/// Regions whose cards have another template than the default one.
const OTHERS: [&str; 3] = ["8038000010", "8038000030", "8038000042"];
/// Activations before their messages are waited for.
const BATCH: usize = 200;

/// An active card, whole.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) team: String,
    pub(crate) cip: String,
}

impl Active {
    /// The C.I.P. with its digit at this place changed by so much.
    pub(crate) fn wrong(&self, at: usize, by: u8) -> String {
        let digit = |(place, c): (usize, char)| match c.to_digit(10) {
            Some(value) if place == at => {
                char::from_digit(value.wrapping_add(u32::from(by).max(1)) % 10, 10).unwrap_or('0')
            }
            _ => c,
        };
        self.cip.chars().enumerate().map(digit).collect()
    }
}

/// The body of a verification.
pub(crate) fn guess(team: &str, code: &str) -> Value {
    json!({ "team_number": team, "code": code, "purpose": "revocation" })
}

fn holder() -> Value {
    json!({ "is": "holder", "document": {
        "kind": "identity_card", "number": "CA12345AB", "issuer": "Comune di Roma",
        "issued_on": "2020-01-01", "expires_on": "2099-12-31",
    } })
}

/// The body of an activation by the holder, by e-mail.
pub(crate) fn activation(card: &NewCard, address: &str) -> Value {
    json!({
        "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on,
        "applicant": holder(), "data_processing": true,
        "contact": { "channel": "email", "address": address },
    })
}

/// Changes a file of the installation.
pub(crate) fn edit(file: &Path, change: impl FnOnce(&str) -> String) -> Result<(), String> {
    let text = fs::read_to_string(file).and_then(|text| fs::write(file, change(&text)));
    text.map_err(|e| format!("{}: {e}", file.display()))
}

/// An activated card, and its paper.
struct Activated {
    card: NewCard,
    /// Mailbox that the second parts go to.
    address: String,
    paper: HandedOut,
}

/// Activates the card that was used as this one.
async fn activate(desk: &Desk, card: NewCard, used: usize) -> Result<Activated, String> {
    let address = format!("citizen-{used}@example.it");
    let body = activation(&card, &address);
    let key = format!("activation-{used}");
    let paper = desk.post("/v1/activations", &key, &body).await.map_err(|e| e.to_string())?;
    Ok(Activated { card, address, paper })
}

/// Revokes an active card by its C.I.P.
pub(crate) async fn revoke(desk: &Desk, card: &Active) -> Result<(), String> {
    let key = format!("revoke-{}", card.team);
    let verified: Value = desk
        .post("/v1/verifications", &format!("{key}-v"), &guess(&card.team, &card.cip))
        .await
        .map_err(|e| e.to_string())?;
    let body = json!({
        "team_number": card.team, "verification": verified.get("verification"), "reason": "stolen",
        "applicant": holder(),
    });
    desk.post::<_, Value>("/v1/revocations", &key, &body).await.map(drop).map_err(|e| e.to_string())
}

pub(crate) struct Ground {
    pub(crate) here: Installation,
    pub(crate) sigillo: PathBuf,
    cards: VecDeque<NewCard>,
    used: usize,
    mailbox: Mailbox,
}

impl Ground {
    /// Everything started, `cards` registered, the operator's card too.
    pub(crate) async fn new(run: &Run<'_>, name: &str, cards: u64) -> Result<Self, String> {
        Self::with(run, name, cards, |_| Ok(())).await
    }

    /// The same with an installation that is changed before anything is started.
    pub(crate) async fn with(
        run: &Run<'_>,
        name: &str,
        cards: u64,
        change: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<Self, String> {
        let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
        let (root, sigillo) = (&run.arguments.root, &run.arguments.sigillo);
        let sigillo = fs::canonicalize(sigillo).map_err(|e| told(sigillo, e))?;
        let relay = root.join("tests/support/smtpd.py");
        let relay = fs::canonicalize(&relay).map_err(|e| told(&relay, e))?;
        run.bar.set_message("an installation is made");
        let mut here = Installation::make(&sigillo, &run.directory.join(name), cards)?;
        here.lift_limits()?;
        front_ends::make(here.directory())?;
        change(here.directory())?;
        here.start_relay(&relay)?;
        here.start_authority(&sigillo)?;
        here.start_courier(&sigillo)?;
        let batch = here.directory().join("cards.ndjson");
        let mut import = with_certificate(&sigillo, here.directory(), "bureau", &["cards", "import"]);
        self::run(import.arg(&batch))?;
        let text = fs::read_to_string(&batch).map_err(|e| told(&batch, e))?;
        let cards = text.lines().filter(|line| !OTHERS.iter().any(|start| line.contains(start)));
        let cards = cards.map(serde_json::from_str).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let mailbox = Mailbox::new(here.directory().join("smtp/mail/new"));
        let ground = Self { here, sigillo, cards, used: 0, mailbox };
        let desk = ground.desk(Protocols::Any)?;
        desk.register_operator("operator").await.map_err(|e| e.to_string())?;
        Ok(ground)
    }

    /// A client of the front end, with connections of its own.
    pub(crate) fn desk(&self, protocols: Protocols) -> Result<Desk, String> {
        self.front_end("desk", protocols)
    }

    /// The same with another front end's certificate.
    pub(crate) fn front_end(&self, name: &str, protocols: Protocols) -> Result<Desk, String> {
        let clients = self.here.directory().join("clients");
        Desk::new(&clients, (name, "operator"), &format!("https://{API}"), protocols)
    }

    /// A registered card that nothing was done to yet.
    pub(crate) fn card(&mut self) -> Result<NewCard, String> {
        self.used = self.used.saturating_add(1);
        self.cards.pop_front().ok_or_else(|| "too few cards".into())
    }

    /// Activates so many cards, several at one time.
    async fn activate(&mut self, desk: &Arc<Desk>, number: usize) -> Result<Vec<Activated>, String> {
        let mut work = Vec::new();
        for _ in 0..number {
            let (desk, card, used) = (Arc::clone(desk), self.card()?, self.used);
            work.push(async move { activate(&desk, card, used).await });
        }
        together(work).await
    }

    /// Waits for the second parts.
    async fn whole(&mut self, Activated { card, address, paper }: Activated) -> Result<Active, String> {
        let message = self.mailbox.wait_for(&address, &paper.control).await?;
        let first = paper.first_parts.get("CIP").ok_or("no first part of a C.I.P.")?;
        let second = message.second_parts.get("CIP").ok_or("no second part of a C.I.P.")?;
        Ok(Active { team: card.team_number, cip: format!("{first}{second}") })
    }

    /// An active card whose second parts have arrived.
    pub(crate) async fn active(&mut self, desk: &Desk) -> Result<Active, String> {
        let card = self.card()?;
        let activated = activate(desk, card, self.used).await?;
        self.whole(activated).await
    }

    /// So many of them.
    pub(crate) async fn active_ones(
        &mut self,
        desk: &Arc<Desk>,
        number: usize,
    ) -> Result<Vec<Active>, String> {
        let mut active = Vec::new();
        while active.len() < number {
            let batch = number.saturating_sub(active.len()).min(BATCH);
            for activated in self.activate(desk, batch).await? {
                active.push(self.whole(activated).await?);
            }
        }
        Ok(active)
    }

    /// Activated cards whose second parts nobody brings: their TEAM numbers. The courier is gone afterwards.
    pub(crate) async fn undelivered(
        &mut self,
        desk: &Arc<Desk>,
        number: usize,
    ) -> Result<Vec<String>, String> {
        self.here.kill("courier")?;
        Ok(self.activate(desk, number).await?.into_iter().map(|done| done.card.team_number).collect())
    }

    /// The log as an auditor exports it, checked by `sigillo audit verify`.
    pub(crate) fn export(&self, to: &Path) -> Result<String, String> {
        export(&self.sigillo, self.here.directory(), &format!("https://{API}"), to)?;
        verify(&self.sigillo, &self.audit_key(), &[], to)?;
        fs::read_to_string(to).map_err(|e| e.to_string())
    }

    /// Public half of the audit key.
    pub(crate) fn audit_key(&self) -> PathBuf {
        self.here.directory().join("authority/public/audit.pub.pem")
    }
}

/// `sigillo` as the caller with this certificate.
pub(crate) fn with_certificate(sigillo: &Path, home: &Path, name: &str, words: &[&str]) -> Command {
    let clients = home.join("clients");
    let mut command = Command::new(sigillo);
    command.args(words).args(["--url", &format!("https://{API}"), "--ca"]).arg(clients.join("ca.pem"));
    command.arg("--cert").arg(clients.join(format!("{name}.pem")));
    command.arg("--key").arg(clients.join(format!("{name}.key")));
    command
}

/// Exports the log of the authority at `url`, with the auditor's certificate of `clients` in `home`.
pub(crate) fn export(sigillo: &Path, home: &Path, url: &str, to: &Path) -> Result<(), String> {
    let mut command = Command::new(sigillo);
    let clients = home.join("clients");
    command.args(["audit", "export", "--url", url, "--ca"]).arg(clients.join("ca.pem"));
    command.arg("--cert").arg(clients.join("auditor.pem")).arg("--key").arg(clients.join("auditor.key"));
    run(command.arg("--out").arg(to)).map(drop)
}

/// `sigillo audit verify`: what it says, or why the log does not hold.
pub(crate) fn verify(sigillo: &Path, key: &Path, witnesses: &[&Path], log: &Path) -> Result<String, String> {
    let mut command = Command::new(sigillo);
    command.args(["audit", "verify", "--public-key"]).arg(key);
    for witness in witnesses {
        command.arg("--witness").arg(witness);
    }
    run(command.arg(log))
}
