//! A backup is restored after guesses and a revocation: refused, then recovered by officers. No guess is given back, and no
//! card is alive again (I4, I11, I13).

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use hyper::{HeaderMap, Method, header::CONTENT_TYPE};
use serde_json::Value;

use crate::fixture::{Activated, Card, Installation, cards::wrong, process::Ran, registered::OperatorCard};

const KEY: &str = "authority/public/audit.pub.pem";
const CONFIG: &str = "authority/serve.toml";

struct Lost {
    home: Installation,
    guessed: (Activated, String),
    stolen: (Activated, String),
    untouched: (Activated, String),
    late: Card,
    new: Card,
    /// Acknowledged as active before the backup was asked for, with others at the same time.
    early: Vec<Card>,
}

async fn active(home: &Installation) -> (Activated, String) {
    let active = home.activated(&home.api("desk")).await;
    let cip = active.cip(home).await;
    (active, cip)
}

/// Guesses at one card and activates others until told to stop; answers those that were acknowledged.
async fn load(home: &Installation, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<Card>> {
    let (desk, cards) = (home.api("desk"), home.cards(60).await);
    tokio::spawn(async move {
        let mut done = Vec::new();
        for card in cards {
            if stop.load(SeqCst) {
                break;
            }
            desk.change("/v1/activations", &card.activation("carico@esempio.it")).await.ok();
            desk.change("/v1/verifications", &card.guess("00000000")).await.ok();
            done.push(card);
        }
        done
    })
}

/// A backup under load, what happens after it, and its restore in the place of the store.
async fn lost() -> Lost {
    let mut home = Installation::delivering().await;
    let (guessed, stolen, untouched) = (active(&home).await, active(&home).await, active(&home).await);
    let late = home.cards(1).await.remove(0);
    let desk = home.api("desk");
    let early = home.cards(5).await;
    for card in &early {
        desk.change("/v1/activations", &card.activation("presto@esempio.it")).await.ok();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let busy = load(&home, Arc::clone(&stop)).await;
    home.sigillo_as("backup", &["backup"], &["--out", "monday.backup"]).ended(0);
    stop.store(true, SeqCst);
    assert!(!busy.await.unwrap().is_empty());
    // Only who may take one gets one, and nothing in it is in clear.
    home.sigillo_as("desk", &["backup"], &["--out", "other.backup"]).ended(1);
    assert!(!home.path("other.backup").exists());
    let backup = fs::read(home.path("monday.backup")).unwrap();
    assert!(!backup.windows(14).any(|bytes| bytes == b"card.activated"));

    for n in 0..3 {
        assert_eq!(guessed.0.card.verify(&desk, &wrong(&guessed.1, n)).await.0, "rejected");
    }
    let (outcome, verification) = stolen.0.card.verify(&desk, &stolen.1).await;
    assert_eq!(outcome, "accepted");
    let revoke = stolen.0.card.revocation("verification", &verification, "stolen");
    desk.change("/v1/revocations", &revoke).await.ok();
    home.activate(&desk, &late).await;
    let new = home.cards(1).await.remove(0);
    // Or it reports something after the export, which the newest checkpoint may hold and the evidence does not.
    home.courier.as_mut().unwrap().kill();
    let witness = home.api("auditor").get("/v1/audit/checkpoint").await;
    fs::write(home.path("witness.json"), &witness.body).unwrap();
    home.sigillo_as("auditor", &["audit", "export"], &["--out", "audit.ndjson"]).ended(0);
    home.serve.as_mut().unwrap().kill();
    Lost { home, guessed, stolen, untouched, late, new, early }
}

impl Lost {
    fn restore(&self, officer: &str, key: &str) -> Ran {
        self.restore_from("monday.backup", KEY, officer, key)
    }

    fn restore_from(&self, backup: &str, public: &str, officer: &str, key: &str) -> Ran {
        let (cert, key) = (format!("officers/{officer}.pem"), format!("officers/{key}.key"));
        let files = ["--backup", backup, "--cert", &cert, "--key", &key, "--public-key", public];
        self.home.sigillo(&[&["restore", "--config", CONFIG][..], &files].concat())
    }

    /// Of another authority, of the form that was not signed, or without its end: there is no store of it.
    fn altered_backups_are_refused(&self) {
        let refused = |backup: &str, public: &str, what: &str| {
            let said = self.restore_from(backup, public, "officer-2", "officer-2").ended(1).err;
            assert!(said.contains(what), "{said}");
            assert!(!self.home.path("authority/store.restoring").exists(), "{what}: nothing is left");
        };
        refused("monday.backup", "courier/public/audit.pub.pem", "the signature is not of this key");
        let mut file = fs::read(self.home.path("monday.backup")).unwrap();
        fs::write(self.home.path("short.backup"), &file[..file.len() - 1]).unwrap();
        refused("short.backup", KEY, "it is cut off");
        file[16] = b'1';
        fs::write(self.home.path("old.backup"), file).unwrap();
        refused("old.backup", KEY, "whose records are not signed");
    }

    /// A restore that was killed has left a directory, which the next one removes; not one that it has not made.
    fn what_was_left_is_removed_and_said(&self) {
        let partial = self.home.path("authority/store.restoring");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join("db"), "half a store").unwrap();
        let said = self.restore("officer-2", "officer-2").ended(1).err;
        assert!(said.contains("store.restoring: it is in the way, and no restore has made it"), "{said}");
        let lock = fs::File::create(partial.join("lock")).unwrap();
        lock.lock().unwrap();
        let around = fs::File::open(self.home.path("authority")).unwrap();
        around.lock().unwrap();
        let said = self.restore("officer-2", "officer-2").ended(1).err;
        assert!(said.contains("another restore is at work there"), "{said}");
        drop(around);
        let said = self.restore("officer-2", "officer-2").ended(1).err;
        assert!(said.contains("already open"), "another restore is at work: {said}");
        assert_eq!(fs::read(partial.join("db")).unwrap(), b"half a store");
        drop(lock);
        let said = self.restore("officer-2", "officer-2").ended(0).err;
        assert!(said.contains("store.restoring: left by a restore that was ended before its time"), "{said}");
        assert!(!partial.exists());
    }

    fn refused(&self, what: &str) {
        let said = self.home.sigillo(&["serve", "--config", CONFIG]).ended(1).err;
        assert!(said.contains(what), "{said}");
    }

    fn recover(&self, command: &str, evidence: &[&str], rest: &[&str]) -> Ran {
        self.home.sigillo(&[&["recover", command, "--config", CONFIG][..], evidence, rest].concat())
    }

    fn sign(&self, officer: &str) -> String {
        let [cert, key, out] = ["pem", "key", "sig"].map(|kind| format!("officers/{officer}.{kind}"));
        let files = ["--order", "order.txt", "--cert", &cert, "--key", &key, "--out", &out];
        let said = self.home.sigillo(&[&["recover", "sign"][..], &files].concat()).ended(0).out;
        assert!(said.contains("store-seq"), "the officer sees what is signed: {said}");
        out
    }

    /// Restores the backup, proves that it is refused, and has the officers bring it back.
    async fn come_back(&mut self, evidence: &[&str]) -> Value {
        let store = self.home.path("authority/store");
        assert!(self.restore("officer-2", "officer-2").ended(1).err.contains("there is a store already"));
        fs::rename(&store, self.home.path("lost")).unwrap();
        assert!(self.restore("officer-2", "officer-3").ended(1).err.contains("private key"));
        assert!(!store.exists());
        self.altered_backups_are_refused();
        assert!(!store.exists());
        self.what_was_left_is_removed_and_said();
        self.refused("the store is older than the newest checkpoint");

        let plan = self.recover("plan", evidence, &["--out", "order.txt"]).ended(0).out;
        assert!(plan.contains("known-seq"), "{plan}");
        let (one, three) = (self.sign("officer-1"), self.sign("officer-3"));
        let order = ["--order", "order.txt", "--json", "--signature", &one];
        let said = self.recover("apply", evidence, &order).ended(1).err;
        assert!(said.contains("1 of 2 officers"), "{said}");
        let said =
            self.recover("apply", evidence, &[&order[..], &["--signature", &one]].concat()).ended(1).err;
        assert!(said.contains("1 of 2 officers"), "{said}");
        self.refused("the store is older than the newest checkpoint");
        let done =
            self.recover("apply", evidence, &[&order[..], &["--signature", &three]].concat()).ended(0).out;
        self.home.start().await;
        let report: Value = serde_json::from_str(&done).unwrap();
        if report["every_operator"] == true {
            OperatorCard::of_demo(self.home.directory()).register(&self.home.api("desk")).await;
        }
        report
    }

    /// Neither the guesses nor the card come back, whoever asks.
    async fn check(&self) {
        let desk = self.home.api("desk");
        let (guessed, right) = &self.guessed;
        assert_eq!(guessed.card.verify(&desk, right).await.0, "rejected");
        assert_eq!(guessed.card.look_up(&desk).await["cip_tries_left"], 0);
        let (stolen, right) = &self.stolen;
        assert_eq!(stolen.card.verify(&desk, right).await.0, "rejected");
        assert_ne!(stolen.card.look_up(&desk).await["state"], "active");
        let reprint = stolen.card.reprint("ladro@esempio.it", "lost_paper");
        assert_eq!(desk.change("/v1/reprints", &reprint).await.status, 409);
        let again = stolen.card.activation("ladro@esempio.it");
        assert_eq!(desk.change("/v1/activations", &again).await.status, 409);
        let again = self.late.activation("altro@esempio.it");
        assert_eq!(desk.change("/v1/activations", &again).await.status, 409);

        // The auditors' checkpoint of the lost branch speaks for the recovery, not against the log.
        let export = self.home.sigillo_as("auditor", &["audit", "export"], &["--out", "after.ndjson"]);
        export.ended(0);
        let verify = ["audit", "verify", "--public-key", KEY, "--witness", "witness.json", "after.ndjson"];
        let said = self.home.sigillo(&verify).ended(0).out;
        assert!(said.contains("a branch that officers ended by a recovery"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_comes_back_with_evidence() {
    let mut lost = lost().await;
    // What the auditors kept may be a signed note as well.
    let note = ["audit", "note", "--public-key", KEY, "--out", "witness.note", "witness.json"];
    lost.home.sigillo(&note).ended(0);
    let report = lost.come_back(&["--evidence", "audit.ndjson", "--witness", "witness.note"]).await;
    assert_eq!((report["held"].as_u64(), report["revoked"].as_array().unwrap().len()), (Some(0), 1));
    assert!(!report["lost"].as_array().unwrap().is_empty(), "{report}");
    lost.check().await;
    let desk = lost.home.api("desk");
    assert_eq!(lost.stolen.0.card.look_up(&desk).await["state"], "revoked");
    assert_eq!(lost.guessed.0.card.look_up(&desk).await["state"], "active");
    assert_eq!(lost.late.look_up(&desk).await["state"], "active");
    let gone = desk.post("/v1/cards/lookup", None, &lost.new.printed()).await;
    gone.problem(404, "card_not_found");
    // Who was not in the gap notices nothing, and what was acknowledged before the backup is in it.
    assert_eq!(lost.untouched.0.card.verify(&desk, &lost.untouched.1).await.0, "accepted");
    for card in &lost.early {
        assert_eq!(card.look_up(&desk).await["state"], "active");
    }
    // The store that was lost is refused from now on, and so is the backup.
    lost.home.serve.as_mut().unwrap().terminate();
    assert_eq!(lost.home.serve.as_mut().unwrap().wait().await, Some(0));
    fs::rename(lost.home.path("authority/store"), lost.home.path("recovered")).unwrap();
    fs::rename(lost.home.path("lost"), lost.home.path("authority/store")).unwrap();
    lost.refused("the store knows of 0 recoveries, the newest checkpoint of 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_comes_back_without_evidence() {
    let mut lost = lost().await;
    let report = lost.come_back(&["--without-events"]).await;
    assert_eq!(report["held"], report["locked"]);
    lost.check().await;
    let desk = lost.home.api("desk");
    for card in [&lost.guessed.0.card, &lost.stolen.0.card, &lost.untouched.0.card, &lost.late] {
        assert_eq!(card.look_up(&desk).await["state"], "held");
        let refused = desk.change("/v1/activations", &card.activation("altro@esempio.it")).await;
        refused.problem(409, "card_held");
    }
    // The way out: another card in its place.
    let held = &lost.untouched.0.card;
    let mut other = lost.home.produced(1).remove(0).printed();
    other["tax_code"] = held.tax_code.clone().into();
    other["replaces"] = held.team_number.clone().into();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/x-ndjson".parse().unwrap());
    let bureau = lost.home.api("bureau");
    let answer = bureau.send(Method::POST, "/v1/cards", headers, other.to_string()).await.unwrap().ok();
    assert_eq!(answer["registered"], 1, "{answer}");
    assert_eq!(held.look_up(&desk).await["state"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_as_new_as_its_checkpoint_is_not_recovered() {
    let mut home = Installation::serving().await;
    home.cards(1).await;
    home.serve.as_mut().unwrap().kill();
    let plan = ["recover", "plan", "--config", CONFIG, "--without-events", "--out", "order.txt"];
    assert!(home.sigillo(&plan).ended(1).err.contains("start `sigillo serve`"));
    assert!(!home.path("order.txt").exists());
    home.start().await;
}
