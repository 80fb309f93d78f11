//! `sigillo store check`, as an operator calls it.

use std::{path::Path, process::Command};

use sigillo::store::{Expect, Space, Unit};

use super::{
    on_disk::tamper,
    setup::{Disk, event, put, start},
};

/// Exit code, standard output and standard error.
fn check(arguments: &[&Path]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigillo"));
    let done = command.args(["store", "check"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

#[tokio::test]
async fn it_says_what_holds_and_what_does_not() {
    let disk = Disk::new();
    let dir = disk.config().dir;
    let option = Path::new("--store");
    let (code, _, said) = check(&[option, &dir]);
    assert!(code == 1 && said.contains("no store in"), "{said}");
    let (code, _, said) = check(&[]);
    assert!(code == 64 && said.contains("--config <FILE>|--store <DIR>"), "{said}");
    let missing = dir.join("serve.toml");
    assert_eq!(check(&[Path::new("--config"), &missing]).0, 64);

    let store = start(&disk);
    for n in 0..200_u8 {
        let ops = vec![put(Space::Card, &[n], b"a card", Expect::Absent)];
        store.submit(Unit { ops, events: vec![event(false)] }).await.unwrap();
    }
    let (code, _, said) = check(&[option, &dir]);
    assert!(code == 1 && said.contains("already open"), "{said}");
    store.close().await;
    drop(store);

    // Cards, events, and the store's own three.
    let holds = "403 records, ";
    for _ in 0..2 {
        let (code, out, said) = check(&[option, &dir]);
        assert!(code == 0 && out.contains(holds) && out.contains(": the sum holds"), "{out}{said}");
        assert!(out.contains("log of 200 events: each is chained"), "{out}");
    }

    let second = [b"e".as_slice(), &2_u64.to_be_bytes()].concat();
    let mut kept = None;
    tamper(&disk, |db| kept = db.remove(&second).unwrap());
    let (code, out, said) = check(&[option, &dir]);
    assert_eq!((code, out.as_str()), (1, ""));
    for words in ["402 records", "do not add up", "log does not hold: event 2 is not", "sigillo restore"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut changed = kept.clone().unwrap().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    tamper(&disk, |db| drop(db.insert(&second, changed).unwrap()));
    let (code, out, said) = check(&[option, &dir]);
    assert!(code == 1 && out.is_empty() && said.contains("event 2 is not the one"), "{out}{said}");
    // A card alone: the log is good evidence.
    tamper(&disk, |db| {
        db.insert(second, kept.unwrap()).unwrap();
        db.remove(b"c\x07").unwrap().unwrap();
    });
    let (code, out, said) = check(&[option, &dir]);
    assert!(code == 1 && out.contains("log of 200 events") && said.contains("do not add up"), "{out}{said}");
    // What was found once is not forgotten.
    let card = [&[0, 0, 0, 0, 0, 0, 0, 8], b"a card".as_slice()].concat();
    tamper(&disk, |db| drop(db.insert(b"c\x07", card).unwrap()));
    let (code, out, said) = check(&[option, &dir]);
    assert!(code == 1 && !out.contains("the sum holds"), "{out}");
    assert!(said.contains("add up now, but a pass has found before"), "{said}");
}
