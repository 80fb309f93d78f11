//! Policy sets: signed by officers, put in place while the service runs, refused with their reason.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::json;

use crate::fixture::{
    Answer, Api, Installation, audit::Log, demo::copy_all, eventually, process::Ran, registered::OperatorCard,
};

const CONFIG: &str = "authority/serve.toml";
const IN_PLACE: &str = "authority/policies";

/// An installation whose officers sign: nothing is signed yet.
fn home() -> Installation {
    let home = Installation::unserved();
    let text = fs::read_to_string(home.path(CONFIG)).unwrap();
    assert_eq!(text.matches("unsigned_policies = true\n").count(), 1);
    fs::write(home.path(CONFIG), text.replace("unsigned_policies = true\n", "")).unwrap();
    home
}

fn sign(home: &Installation, set: &str, officer: usize) -> Ran {
    let (cert, key) = (format!("officers/officer-{officer}.pem"), format!("officers/officer-{officer}.key"));
    home.sigillo(&["policy", "sign", set, "--cert", &cert, "--key", &key])
}

/// A copy of the set in place, with another number and one change; nobody has signed it.
fn next(home: &Installation, set: &str, (from, to): (&str, &str), change: (&str, &str)) {
    let at = home.path(set);
    fs::create_dir(&at).unwrap();
    copy_all(&home.path(IN_PLACE), &at);
    if at.join("signatures").exists() {
        fs::remove_dir_all(at.join("signatures")).unwrap();
    }
    edit(&at.join("authority.toml"), from, to);
    edit(&at.join("authority.toml"), change.0, change.1);
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    fs::write(file, text.replace(from, to)).unwrap();
}

async fn reload(api: &Api) -> Answer {
    api.post("/v1/policy/reload", None, &json!({})).await
}

const TWO: (&str, &str) = ("\nsequence = 1\n", "\nsequence = 2\n");
const THREE: (&str, &str) = ("\nsequence = 2\n", "\nsequence = 3\n");

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_first_set_is_refused_however_often_it_is_tried() {
    let mut home = home();
    for _ in 0..2 {
        let said = home.sigillo(&["serve", "--config", CONFIG]).ended(1).err;
        assert!(said.contains("0 of 2 officers have signed"), "{said}");
    }
    sign(&home, IN_PLACE, 1).ended(0);
    let said = home.sigillo(&["serve", "--config", CONFIG]).ended(1).err;
    assert!(said.contains("1 of 2 officers have signed"), "{said}");
    sign(&home, IN_PLACE, 3).ended(0);
    home.start().await;
    let log = Log::read(&home.api("auditor")).await;
    let [activated] = &log.of("policy.activated").collect::<Vec<_>>()[..] else { panic!("one set") };
    assert_eq!((activated.text("officers"), activated.text("sequence")), ("officer-1,officer-3", "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_change_under_load_by_officers_alone_and_a_bad_one_changes_nothing() {
    let mut home = home();
    sign(&home, IN_PLACE, 1).ended(0);
    sign(&home, IN_PLACE, 2).ended(0);
    home.start().await;
    let (desk, policy) = (home.api("desk"), home.api("policy"));
    OperatorCard::of_demo(home.directory()).register(&desk).await;
    let card = home.cards(1).await.remove(0);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        while !stop.load(Ordering::Relaxed) {
            assert_eq!(card.look_up(&desk).await["state"], "registered");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let story = async {
        let first = reload(&policy).await.ok();
        assert_eq!((&first["changed"], &first["sequence"]), (&json!(false), &json!(1)));
        reload(&desk).await.problem(403, "not_allowed");

        // Nobody, one officer, a signature of another set: refused, and the directory is as it was.
        next(&home, "next", TWO, ("keep_h = 24", "keep_h = 48"));
        let activate = |home: &Installation| {
            home.sigillo_as("policy", &["policy", "activate", "next", "--config", CONFIG], &[])
        };
        assert!(activate(&home).ended(1).err.contains("0 of 2 officers"));
        sign(&home, "next", 2).ended(0);
        assert!(activate(&home).ended(1).err.contains("1 of 2 officers"));
        sign(&home, "next", 3).ended(0);
        edit(&home.path("next/authority.toml"), "keep_h = 48", "keep_h = 47");
        let said = activate(&home).ended(1).err;
        assert!(said.contains("signatures/") && said.contains("is not over this text"), "{said}");
        assert_eq!(reload(&policy).await.ok(), first);
        edit(&home.path("next/authority.toml"), "keep_h = 47", "keep_h = 48");
        let said = activate(&home).ended(0).out;
        assert!(said.contains("in force: set 2"), "{said}");
        let second = reload(&policy).await.ok();
        assert_eq!((&second["changed"], &second["sequence"]), (&json!(false), &json!(2)));

        // Files that do not hold, put there by hand: file, line and reason.
        let file = home.path(IN_PLACE).join("authority.toml");
        let good = fs::read_to_string(&file).unwrap();
        fs::write(&file, good.replace("keep_h = 48", "keep_for = 48")).unwrap();
        let refused = reload(&policy).await;
        refused.problem(409, "policy_refused");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        let line = good.lines().position(|line| line.starts_with("keep_h")).unwrap() + 1;
        assert!(detail.contains(&format!("authority.toml, line {line}: unknown field")), "{detail}");
        fs::write(&file, good.replace("keep_h = 48", "keep_h = 49")).unwrap();
        let refused = reload(&policy).await;
        assert!(refused.json()["detail"].as_str().unwrap().contains("number 2 is in force"), "{refused:?}");
        fs::write(&file, good.replace("sequence = 2", "sequence = 1")).unwrap();
        let refused = reload(&policy).await;
        assert!(refused.json()["detail"].as_str().unwrap().contains("an older set"), "{refused:?}");
        fs::write(&file, good.replace("sequence = 2", "sequence = 3")).unwrap();
        let refused = reload(&policy).await;
        assert!(refused.json()["detail"].as_str().unwrap().contains("is not over this text"), "{refused:?}");
        fs::write(&file, &good).unwrap();
        assert_eq!(reload(&policy).await.ok(), second);

        // By a signal.
        next(&home, "third", THREE, ("keep_h = 48", "keep_h = 72"));
        sign(&home, "third", 1).ended(0);
        sign(&home, "third", 3).ended(0);
        home.sigillo(&["policy", "activate", "third", "--config", CONFIG]).ended(0);
        let serve = home.serve.as_ref().unwrap();
        serve.hang_up();
        eventually("set 3 is in force", async || {
            let said = serve.said();
            said.lines()
                .any(|line| line.contains("another policy set is in force") && line.contains("sequence=3"))
                .then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, story);
    assert!(answered.load(Ordering::Relaxed) > 0);

    let log = Log::read(&home.api("auditor")).await;
    let of = |kind: &str, name: &str| -> Vec<String> {
        log.of(kind).map(|event| event.text(name).to_owned()).collect()
    };
    assert_eq!(of("policy.activated", "sequence"), ["1", "2", "3"]);
    assert_eq!(of("policy.activated", "caller"), ["sigillo", "policy", "sigillo"]);
    assert_eq!(
        of("policy.activated", "officers"),
        ["officer-1,officer-2", "officer-2,officer-3", "officer-1,officer-3"]
    );
    let reasons = ["does_not_hold", "not_admitted", "not_admitted", "not_admitted"];
    assert_eq!(of("policy.refused", "reason"), reasons);
    home.serve.as_mut().unwrap().kill();
    home.start().await;
    assert_eq!(reload(&home.api("policy")).await.ok()["sequence"], 3);
}

/// An activation that breaks off leaves a marker: what is in memory stays, and no start reads half a set.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_set_is_read_by_nobody() {
    let mut home = home();
    sign(&home, IN_PLACE, 1).ended(0);
    sign(&home, IN_PLACE, 2).ended(0);
    home.start().await;
    let policy = home.api("policy");
    next(&home, "next", TWO, ("keep_h = 24", "keep_h = 48"));
    sign(&home, "next", 1).ended(0);
    sign(&home, "next", 2).ended(0);
    fs::write(home.path(IN_PLACE).join(".activating"), "").unwrap();
    let refused = reload(&policy).await;
    refused.problem(409, "policy_refused");
    assert!(refused.json()["detail"].as_str().unwrap().contains("an activation broke off"), "{refused:?}");
    let said = home.sigillo(&["serve", "--config", CONFIG, "--check"]).ended(64).err;
    assert!(said.contains("an activation broke off"), "{said}");
    home.sigillo_as("policy", &["policy", "activate", "next", "--config", CONFIG], &[]).ended(0);
    assert_eq!(reload(&policy).await.ok()["sequence"], 2);
}

/// A refusal puts the former set back. Where no answer says what became of it, the new one stays: `serve` may have it.
#[tokio::test(flavor = "multi_thread")]
async fn the_former_set_comes_back_only_when_serve_has_refused_the_new_one() {
    let mut home = home();
    sign(&home, IN_PLACE, 1).ended(0);
    sign(&home, IN_PLACE, 2).ended(0);
    home.start().await;
    next(&home, "next", TWO, ("keep_h = 24", "keep_h = 48"));
    sign(&home, "next", 1).ended(0);
    sign(&home, "next", 2).ended(0);
    let in_place = |sequence: &str| {
        let text = fs::read_to_string(home.path(IN_PLACE).join("authority.toml")).unwrap();
        assert!(text.contains(sequence), "{text}");
        assert!(!home.path(IN_PLACE).join(".activating").exists());
    };
    let activate = |caller| home.sigillo_as(caller, &["policy", "activate", "next", "--config", CONFIG], &[]);
    let said = activate("desk").ended(1).err;
    assert!(said.contains("not_allowed") && said.contains("the former set is in place again"), "{said}");
    // Whoever signs is told if it will not count.
    let foreign = ["--cert", "clients/desk.pem", "--key", "clients/desk.key", "--out", "foreign.sig"];
    let said = home.sigillo(&[&["policy", "sign", "next"], &foreign[..]].concat()).ended(0).err;
    assert!(said.contains("no officer of this set"), "{said}");
    assert!(!sign(&home, "next", 3).ended(0).err.contains("no officer"));
    in_place(TWO.0);

    fs::rename(home.path("authority/tokens"), home.path("away")).unwrap();
    let ready = async |wanted: u16| {
        eventually("readiness", async || (home.internal("/readyz").await.0 == wanted).then_some(())).await;
    };
    ready(503).await;
    let said = activate("policy").ended(1).err;
    assert!(said.contains("the set is in place, and may be in force"), "{said}");
    in_place(TWO.1);
    fs::rename(home.path("away"), home.path("authority/tokens")).unwrap();
    ready(200).await;
    let set = reload(&home.api("policy")).await.ok();
    assert_eq!((&set["changed"], &set["sequence"]), (&json!(true), &json!(2)));
}
