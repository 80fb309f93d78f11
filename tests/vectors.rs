//! The derivation of parts and tags and the audit chain, against vectors that `tests/vectors/make.py` computes on its own.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use aws_lc_rs::hmac;
use serde::Deserialize;
use sigillo::{
    domain::{
        audit::{Event, Head, Kind, Outcome},
        derive,
        id::{CardId, RequestId},
        template::{CodeName, Part},
    },
    secret::{Digits, Secret},
};

#[derive(Deserialize)]
struct Derivation {
    keys: Keys,
    vectors: Vec<PartVector>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys {
    print: String,
    deliver: String,
    verify: String,
}

#[derive(Deserialize)]
struct PartVector {
    part: String,
    code: String,
    card: String,
    generation: u32,
    salt: String,
    template: String,
    length: u8,
    forbidden: Vec<String>,
    counter: u32,
    message: String,
    digits: String,
}

#[derive(Deserialize)]
struct Tags {
    keys: Keys,
    vectors: Vec<TagVector>,
}

#[derive(Deserialize)]
struct TagVector {
    part: String,
    card: String,
    generation: u32,
    salt: String,
    digits: String,
    message: String,
    tag: String,
}

#[derive(Deserialize)]
struct Chain {
    chain: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    seq: u64,
    event: Option<String>,
    repeat: Option<(String, usize)>,
    hash: String,
}

fn key(hexadecimal: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &hex::decode(hexadecimal).unwrap())
}

fn mac(key: &hmac::Key, message: &[u8]) -> Secret<32> {
    Secret::new(hmac::sign(key, message).as_ref().try_into().unwrap())
}

fn bytes<const N: usize>(hexadecimal: &str) -> [u8; N] {
    hex::decode(hexadecimal).unwrap().try_into().unwrap()
}

fn part(text: &str) -> Part {
    [Part::First, Part::Second].into_iter().find(|part| part.text() == text).unwrap()
}

#[test]
fn parts() {
    let file: Derivation = serde_json::from_str(include_str!("vectors/derivation.json")).unwrap();
    let (print, deliver) = (key(&file.keys.print), key(&file.keys.deliver));
    let mut passed_over = 0;
    for vector in &file.vectors {
        let (part, card) = (part(&vector.part), CardId::new(bytes(&vector.card)));
        let code: CodeName = vector.code.parse().unwrap();
        let key = if part == Part::First { &print } else { &deliver };
        let message = |counter| {
            let template = vector.template.parse().unwrap();
            derive::part_message(
                part,
                code,
                &card,
                vector.generation,
                &bytes(&vector.salt),
                &template,
                counter,
            )
        };
        assert_eq!(hex::encode(message(vector.counter).expose()), vector.message);
        let mut search = derive::Search::new(vector.length, &vector.forbidden);
        let mut asked = 0;
        let found = loop {
            match search.offer(&mac(key, message(asked).expose())) {
                derive::Step::Found(part) => break part,
                derive::Step::Ask(counter) => asked = counter,
                derive::Step::Never => panic!("{} {}: no part", vector.part, vector.template),
            }
        };
        assert_eq!(found.expose(), vector.digits, "{} {}", vector.part, vector.template);
        assert_eq!(asked, vector.counter);
        passed_over += u32::from(asked > 1);
    }
    assert!(file.vectors.len() > 70 && passed_over > 8, "the file has lost its hard cases");
}

#[test]
fn tags() {
    let file: Tags = serde_json::from_str(include_str!("vectors/tags.json")).unwrap();
    let verify = key(&file.keys.verify);
    for vector in &file.vectors {
        let message = derive::tag_message(
            part(&vector.part),
            &CardId::new(bytes(&vector.card)),
            vector.generation,
            &bytes(&vector.salt),
            &Digits::parse(vector.digits.clone()).unwrap(),
        );
        assert_eq!(hex::encode(message.expose()), vector.message);
        assert!(bool::from(mac(&verify, message.expose()).ct_eq(&bytes(&vector.tag))));
    }
    assert_eq!(file.vectors.len(), 28);
}

#[test]
fn audit_chain() {
    let file: Chain = serde_json::from_str(include_str!("vectors/audit_chain.json")).unwrap();
    let mut head = Head::EMPTY;
    for link in &file.chain {
        let text = link.event.clone().or_else(|| link.repeat.as_ref().map(|(text, n)| text.repeat(*n)));
        head = head.next(text.unwrap().as_bytes()).unwrap();
        assert_eq!((head.seq, hex::encode(head.hash)), (link.seq, link.hash.clone()));
    }
    assert_eq!(head.seq, 5);
}

#[test]
fn audit_event_says_what_the_vector_says() {
    let file: Chain = serde_json::from_str(include_str!("vectors/audit_chain.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(file.chain[0].event.as_ref().unwrap()).unwrap();
    let event = Event {
        at_ms: 1_774_746_000_000,
        kind: Kind::CardRegistered,
        outcome: Outcome::Done,
        caller: "console".into(),
        request: RequestId::new([7; 16]),
        policy: "ab".repeat(32),
        card: Some(bytes(expected["card"].as_str().unwrap())),
        with_ticket: false,
        detail: Vec::new(),
    };
    let written: serde_json::Value = serde_json::from_slice(&event.encode(1, None)).unwrap();
    assert_eq!(written, expected);
}
