//! A log whose audit key was replaced twice, and what is done to it.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::*;
use crate::domain::checkpoint::{Broken, Claim, Verified, text, verify_export};

struct Key {
    pair: EcdsaKeyPair,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let public = public.as_ref().to_vec();
        Self { pair, public }
    }

    fn sign(&self, text: &str) -> [u8; 64] {
        self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().try_into().unwrap()
    }

    fn checkpoint(&self, head: Head, recoveries: u64) -> String {
        let claim = Claim { log: "demo", head, policy: "aa", sequence: 1, recoveries, at_ms: 1 };
        let text = text(&claim);
        checkpoint::signed(&text, &self.sign(&text))
    }

    fn hands_over_at(&self, head: Head, to: &Self) -> Handover {
        let (from, to) = (self.public.clone(), to.public.clone());
        Handover { log: "demo".into(), head, recoveries: 0, from, to, at_ms: 1_764_000_000_000 }
    }
}

fn by_both(handover: &Handover, goes: &Key, comes: &Key) -> String {
    let text = handover.text();
    let text = signed(&text, &goes.sign(&text));
    accepted(&text, &comes.sign(&text))
}

/// An export in the making.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    heads: Vec<Head>,
}

impl Log {
    fn head(&self) -> Head {
        self.heads.last().copied().unwrap_or(Head::EMPTY)
    }

    fn event(&mut self, members: &[(&str, &str)]) {
        let mut event = serde_json::Map::new();
        event.insert("seq".into(), self.head().seq.saturating_add(1).into());
        event.extend(members.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
        let event = serde_json::Value::from(event).to_string();
        let head = self.head().next(event.as_bytes()).unwrap();
        self.lines.push(format!("{{\"hash\":\"{}\",\"event\":{event}}}", hex::encode(head.hash)));
        self.heads.push(head);
    }

    fn events(&mut self, count: usize) {
        for _ in 0..count {
            self.event(&[("kind", "verification.spent")]);
        }
    }

    fn handed_over(&mut self, handover: &str) {
        self.event(&[("kind", KIND), (MEMBER, handover)]);
    }

    fn head_of(&self, seq: usize) -> Head {
        self.heads[seq.saturating_sub(1)]
    }

    fn verify(&self, last: &str, key: &Key, witnesses: &[String]) -> Result<Verified, Broken> {
        let mut text = self.lines.join("\n");
        text.push_str(&format!("\n{}\n", serde_json::json!({ "checkpoint": last })));
        verify_export(text.as_bytes(), &key.public, witnesses, |_, _| ())
    }
}

/// Three keys, and a log of 14 events: the second key comes with event 5, the third with event 10.
struct World {
    keys: [Key; 3],
    log: Log,
}

fn world() -> World {
    let keys = [Key::new(), Key::new(), Key::new()];
    let mut log = Log::default();
    for pair in keys.windows(2) {
        log.events(4);
        log.handed_over(&by_both(&pair[0].hands_over_at(log.head(), &pair[1]), &pair[0], &pair[1]));
    }
    log.events(4);
    World { keys, log }
}

impl World {
    fn newest(&self) -> String {
        self.keys[2].checkpoint(self.log.head(), 0)
    }
}

/// A log like the world's, with one handover of the first key to the second that `change` has made another.
fn changed(w: &World, change: impl FnOnce(&mut Handover), comes: &Key) -> Result<Verified, Broken> {
    let [first, second, _] = &w.keys;
    let mut log = Log::default();
    log.events(4);
    let mut handover = first.hands_over_at(log.head(), second);
    change(&mut handover);
    log.handed_over(&by_both(&handover, first, comes));
    log.verify(&second.checkpoint(log.head(), 0), first, &[])
}

#[test]
fn a_log_of_three_keys_holds_under_each_of_them() {
    let w = world();
    for key in &w.keys {
        let verified = w.log.verify(&w.newest(), key, &[]).unwrap();
        let keys: Vec<_> = verified.keys.newest_first().collect();
        assert_eq!(keys, [&w.keys[2].public, &w.keys[1].public, &w.keys[0].public]);
        assert_eq!(verified.newest.head.seq, 14);
    }
    let stranger = Key::new();
    assert!(matches!(w.log.verify(&w.newest(), &stranger, &[]), Err(Broken::KeyNotOfLog(3))));
}

#[test]
fn each_key_signs_up_to_the_end_of_its_time_and_from_the_event_that_names_it() {
    let w = world();
    // Events 5 and 10 are the handovers: up to the event before the former key, from it on the new one.
    for (seq, of) in [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (14, 2)] {
        for (number, key) in w.keys.iter().enumerate() {
            let kept = key.checkpoint(w.log.head_of(seq), 0);
            let said = w.log.verify(&w.newest(), &w.keys[1], &[kept]);
            if number == of {
                assert!(said.is_ok(), "{seq}, key {number}: {said:?}");
            } else {
                let at = u64::try_from(seq).unwrap();
                assert!(
                    matches!(said, Err(Broken::KeyNotInForce(s)) if s == at),
                    "{seq}, key {number}: {said:?}"
                );
            }
        }
    }
    // The end itself.
    for key in &w.keys[..2] {
        let said = w.log.verify(&key.checkpoint(w.log.head(), 0), &w.keys[0], &[]);
        assert!(matches!(said, Err(Broken::KeyNotInForce(14))), "{said:?}");
    }
    // What a checkpoint says of recoveries is no way round its place on the chain.
    let mut log = Log::default();
    log.events(2);
    let lost = Head { seq: 9, hash: [9; 32] };
    log.event(&[
        ("kind", "store.recovered"),
        ("from_seq", "2"),
        ("lost_seq", "9"),
        ("lost_hash", &hex::encode(lost.hash)),
        ("recoveries", "1"),
    ]);
    let [first, second, _] = &w.keys;
    let handover = Handover { recoveries: 1, ..first.hands_over_at(log.head(), second) };
    log.handed_over(&by_both(&handover, first, second));
    log.events(3);
    let newest = second.checkpoint(log.head(), 1);
    assert!(log.verify(&newest, second, &[first.checkpoint(log.head_of(3), 1)]).is_ok());
    let said = log.verify(&newest, second, &[first.checkpoint(log.head_of(6), 0)]);
    assert!(matches!(said, Err(Broken::KeyNotInForce(6))), "{said:?}");
    // The branch that was lost was the first key's to its end, further than the handover's event.
    assert_eq!(log.verify(&newest, second, &[first.checkpoint(lost, 0)]).unwrap().lost.len(), 1);
    let said = log.verify(&newest, second, &[second.checkpoint(lost, 0)]);
    assert!(matches!(said, Err(Broken::KeyNotInForce(9))), "{said:?}");
}

#[test]
fn what_is_ahead_of_the_export_is_the_newest_keys() {
    let w = world();
    let ahead = Head { seq: 20, hash: [7; 32] };
    let verify = |key: &Key| w.log.verify(&w.newest(), &w.keys[0], &[key.checkpoint(ahead, 0)]);
    assert!(matches!(verify(&w.keys[2]), Err(Broken::Truncated { vouched: 20, end: 14 })));
    assert!(matches!(verify(&w.keys[1]), Err(Broken::KeyNotInForce(20))));
    assert!(matches!(verify(&Key::new()), Err(Broken::Signature(20))));
}

#[test]
fn a_handover_is_of_one_place_and_signed_by_both() {
    let w = world();
    let [first, second, third] = &w.keys;
    assert!(changed(&w, |_| (), second).is_ok());
    let why = |result: Result<Verified, Broken>| match result {
        Err(Broken::Handover { seq: 5, why }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(changed(&w, |of| of.head.seq = 3, second)), BadHandover::OtherPlace);
    assert_eq!(why(changed(&w, |of| of.head.hash = [1; 32], second)), BadHandover::OtherPlace);
    assert_eq!(why(changed(&w, |of| of.recoveries = 1, second)), BadHandover::OtherPlace);
    assert_eq!(why(changed(&w, |_| (), third)), BadHandover::NotAccepted);
    assert_eq!(why(changed(&w, |of| of.to.clone_from(&third.public), second)), BadHandover::NotAccepted);
    assert_eq!(why(changed(&w, |of| of.from.clone_from(&third.public), second)), BadHandover::NotSigned);
    let same = changed(&w, |of| of.to.clone_from(&first.public), first);
    assert!(matches!(why(same), BadHandover::Form(_)));
    let of_another = changed(&w, |of| of.log = "other".into(), second);
    assert!(matches!(of_another, Err(Broken::OtherLog { .. })), "{of_another:?}");
}

#[test]
fn a_handover_that_was_changed_or_is_missing_hands_nothing_over() {
    let w = world();
    let [first, second, third] = &w.keys;
    let whole = by_both(&first.hands_over_at(w.log.head_of(4), second), first, second);
    assert_eq!(Handover::open(&whole).unwrap(), first.hands_over_at(w.log.head_of(4), second));
    let ids = [&second.public, &third.public].map(hex::encode);
    for (changed, why) in [
        (whole.replace("seq 4", "seq 3"), BadHandover::NotSigned),
        (whole.replace(&ids[0], &ids[1]), BadHandover::NotSigned),
        (whole.replace("log demo", "log dem"), BadHandover::NotSigned),
        (whole.replace("seq 4", "seq 04"), BadHandover::Form("not as it is written")),
        (whole.replace(" v1", " v2"), BadHandover::Form("first line")),
        (whole.replace("accepted ", "refused "), BadHandover::Form("no acceptance")),
        (format!("{whole}\n"), BadHandover::Form("acceptance")),
        (whole.replace("time ", "to 00\ntime "), BadHandover::Form("time")),
    ] {
        assert_eq!(Handover::open(&changed).unwrap_err(), why, "{changed}");
    }
    for members in [&[("kind", KIND)][..], &[("kind", KIND), (MEMBER, "")]] {
        let mut log = Log::default();
        log.event(members);
        let said = log.verify(&first.checkpoint(log.head(), 0), first, &[]);
        assert!(matches!(said, Err(Broken::Handover { seq: 1, why: BadHandover::Form(_) })), "{said:?}");
    }
    // One without its event: the new key speaks for a log that never was handed over to it.
    let mut log = Log::default();
    log.events(6);
    let said = log.verify(&second.checkpoint(log.head(), 0), first, &[]);
    assert!(matches!(said, Err(Broken::Signature(6))), "{said:?}");
}

#[test]
fn only_the_key_in_force_hands_over() {
    let w = world();
    let [first, second, third] = &w.keys;
    let mut log = Log::default();
    log.events(2);
    log.handed_over(&by_both(&first.hands_over_at(log.head(), second), first, second));
    // The key that is gone, once more.
    log.handed_over(&by_both(&first.hands_over_at(log.head(), third), first, third));
    let said = log.verify(&third.checkpoint(log.head(), 0), first, &[]);
    assert!(matches!(said, Err(Broken::Handover { seq: 4, why: BadHandover::NotInForce })), "{said:?}");
}

#[test]
fn a_record_of_handovers_says_which_key_signed_what_was_kept() {
    let w = world();
    let [first, second, third] = &w.keys;
    let at = |seq| w.log.head_of(seq);
    let texts = [
        by_both(&first.hands_over_at(at(4), second), first, second),
        by_both(&second.hands_over_at(at(9), third), second, third),
    ];
    let keys = AuditKeys::read("demo", &texts.concat()).unwrap().unwrap();
    assert_eq!((keys.now(), keys.count()), (&third.public[..], 3));
    for (seq, of) in [(4, first), (5, second), (9, second), (10, third), (14, third)] {
        for key in &w.keys {
            let opened = keys.open(&key.checkpoint(at(seq), 0));
            let is_its = key.public == of.public;
            assert_eq!(opened.is_ok(), is_its, "{seq}: {opened:?}");
            assert!(is_its || matches!(opened, Err(Broken::KeyNotInForce(_))), "{opened:?}");
        }
    }
    // After a recovery it is the newest key's, whatever the event.
    assert!(
        keys.open(&third.checkpoint(at(2), 1)).is_ok() && keys.open(&first.checkpoint(at(2), 1)).is_err()
    );
    let refused = |log: &str, record: &str| AuditKeys::read(log, record).unwrap_err();
    assert_eq!(refused("other", &texts[0]), BadHandover::OtherLog);
    assert_eq!(refused("demo", &[&*texts[1], &texts[0]].concat()), BadHandover::NotInForce);
    assert_eq!(refused("demo", &[&*texts[0], &texts[0]].concat()), BadHandover::NotInForce);
    assert_eq!(refused("demo", &format!("x{}", texts[0])), BadHandover::Form("first line"));
    assert_eq!(refused("demo", ""), BadHandover::Form("first line"));
    let back = [&*texts[0], &by_both(&second.hands_over_at(at(4), third), second, third)].concat();
    assert_eq!(refused("demo", &back), BadHandover::OtherPlace);
}
