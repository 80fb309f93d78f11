//! An import that is killed goes on where it stopped, and no card is registered twice.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::fixture::{
    Card, Installation,
    audit::Log,
    eventually,
    process::{Process, Ran, SIGILLO},
};

const CARDS: u16 = 6000;

/// Starts an import that may be killed.
fn start(home: &Installation, n: usize) -> Process {
    let mut command = Command::new(SIGILLO);
    command.args(["cards", "import", "--json", "--url"]).arg(format!("https://{}", home.listen_address()));
    command.args(["--ca", "clients/ca.pem", "--cert", "clients/bureau.pem", "--key", "clients/bureau.key"]);
    command.arg("batch.ndjson").current_dir(home.directory());
    Process::launch(home.path(&format!("logs/import-{n}")), command)
}

fn import(home: &Installation, more: &[&str]) -> Ran {
    let rest = [&["--json"], more, &["batch.ndjson"]].concat();
    home.sigillo_as("bureau", &["cards", "import"], &rest)
}

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

/// Lines that were answered, as the import has written down.
fn come_to(journal: &Path) -> u64 {
    // It is replaced as a whole: it is there, or not yet.
    let Ok(text) = fs::read_to_string(journal) else { return 0 };
    serde_json::from_str::<Value>(&text).unwrap()["lines"].as_u64().unwrap()
}

fn write(home: &Installation, lines: &[String]) {
    fs::write(home.path("batch.ndjson"), lines.join("\n") + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_three_times_it_is_whole_at_the_end() {
    let home = Installation::serving().await;
    let cards = home.produced(CARDS.into());
    let mut lines: Vec<String> = cards.iter().map(|card| card.printed().to_string()).collect();
    // Bad lines before and after every stop, one of them the last but one.
    for n in [10, 1500, 3500, CARDS.into()] {
        lines.insert(n, "{\"tax_code\":".into());
    }
    write(&home, &lines);
    let journal = home.path("batch.ndjson.import");
    for n in 0..3 {
        let before = come_to(&journal);
        let mut running = start(&home, n);
        eventually("a step that was answered", async || (come_to(&journal) > before).then_some(())).await;
        assert_eq!(running.ended(), None, "it was killed on the way: {}", running.said());
        running.kill();
        let now = come_to(&journal);
        assert!(now > before && now < u64::from(CARDS), "{before} {now}");
    }
    // What a step that was not written down has left in the file of rejected lines goes.
    let rejected = home.path("batch.ndjson.rejected");
    let left = fs::read_to_string(&rejected).unwrap() + "{\"line\":";
    fs::write(&rejected, left).unwrap();

    // Meanwhile a changed file is refused, and so is another authority.
    let good = fs::read(home.path("batch.ndjson")).unwrap();
    fs::write(home.path("batch.ndjson"), [good.as_slice(), b"\n"].concat()).unwrap();
    let said = import(&home, &[]).ended(1).err;
    assert!(said.contains("of another file: this one was changed"), "{said}");
    fs::write(home.path("batch.ndjson"), &good).unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.replace("https://127.0.0.1", "https://localhost")).unwrap();
    let said = import(&home, &[]).ended(1).err;
    assert!(said.contains("the import that stopped went to https://localhost"), "{said}");
    fs::write(&journal, text).unwrap();

    let ran = import(&home, &[]).ended(1);
    assert!(ran.err.contains("it goes on after line"), "{}", ran.err);
    assert!(ran.err.contains("4 lines were not registered"), "{}", ran.err);
    let done = parsed(&ran);
    assert_eq!((&done["lines"], &done["rejected_lines"]), (&json!(CARDS + 4), &json!(4)));
    let went_in = ["registered", "unchanged"].map(|name| done[name].as_u64().unwrap());
    assert_eq!(went_in.iter().sum::<u64>(), u64::from(CARDS));
    let numbers: Vec<_> =
        done["rejected"].as_array().unwrap().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [11, 1501, 3501, u64::from(CARDS) + 1]);
    let kept = fs::read_to_string(&rejected).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept, done["rejected"].as_array().unwrap().as_slice());
    assert!(!journal.exists(), "it is taken away at the end");
    assert!(done["cards_per_second"].as_f64().unwrap() > 0.0 && done["peak_memory_bytes"].is_u64());

    let log = Log::read(&home.api("auditor")).await;
    let done = log.of("card.registered").filter(|event| event.text("outcome") == "done");
    assert_eq!(done.count(), usize::from(CARDS), "no card twice");
    let desk = home.api("desk");
    for card in cards.iter().step_by(997) {
        assert_eq!(card.look_up(&desk).await["state"], "registered");
    }

    // All of it again: everything is there.
    let store = home.path("authority").to_str().unwrap().to_owned();
    let pid = home.serve.as_ref().unwrap().pid().to_string();
    let again = parsed(&import(&home, &["--store", &store, "--server-pid", &pid]).ended(1));
    assert_eq!((&again["registered"], &again["unchanged"]), (&json!(0), &json!(CARDS)));
    assert!(again["disk_bytes_per_card"].is_u64() && again["server_peak_memory_bytes"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_end_on_the_way_it_says_where_it_goes_on_and_can_begin_anew() {
    let mut home = Installation::serving().await;
    let cards: Vec<Card> = home.produced(1500);
    let mut lines: Vec<String> = cards.iter().map(|card| card.printed().to_string()).collect();
    lines[0] = "{}".into();
    write(&home, &lines);
    // As if it had been killed after its first step, in which nothing went in.
    let whole = import(&home, &["--rejected", "bad.ndjson"]).ended(1);
    let sha256 = parsed(&whole);
    assert_eq!(sha256["registered"], 1499);
    assert!(home.path("bad.ndjson").exists() && !home.path("batch.ndjson.rejected").exists());
    home.serve.as_mut().unwrap().kill();
    let said = import(&home, &[]).ended(1).err;
    assert!(said.contains("after line 0: give it again, and it goes on there"), "{said}");
    home.start().await;
    fs::write(home.path("batch.ndjson.import"), "{}").unwrap();
    let said = import(&home, &[]).ended(1).err;
    assert!(said.contains("not what an import writes") && said.contains("--from-start"), "{said}");
    let anew = parsed(&import(&home, &["--from-start"]).ended(1));
    assert_eq!((&anew["unchanged"], &anew["rejected_lines"]), (&json!(1499), &json!(1)));
}
