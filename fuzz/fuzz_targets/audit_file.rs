//! An exported log, as `sigillo audit verify` and `sigillo audit operations` read it, and what a witness keeps of it.
//!
//! The input is twice used: as a whole export, which nobody has signed; and line by line as events, of which an export is made
//! and signed. Of that one a bit is turned then.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use libfuzzer_sys::fuzz_target;
use sigillo::{
    cli::hostile::witness,
    domain::{
        audit::Head,
        checkpoint::{self, Checkpoint, Claim, Verified},
        in_force::InForce,
        logged::Logged,
        note,
        operations::Account,
        recovery::{Gap, Order},
    },
};

static KEY: LazyLock<(EcdsaKeyPair, Vec<u8>)> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let public = public.as_ref().to_vec();
    (pair, public)
});

/// What an export that holds says, with every event.
fn held(export: &[u8], witnesses: &[String]) -> Option<(Verified, Vec<String>)> {
    let mut events = Vec::new();
    let whole =
        checkpoint::verify_export(export, &KEY.1, witnesses, |_, event| events.push(event.to_owned()));
    whole.ok().map(|whole| (whole, events))
}

/// An export of these events, and its checkpoint.
fn export(events: &[&str]) -> Option<(Vec<u8>, String)> {
    let (mut head, mut lines) = (Head::EMPTY, String::new());
    for event in events {
        head = head.next(event.as_bytes())?;
        lines.push_str(&format!("{{\"hash\":\"{}\",\"event\":{event}}}\n", hex::encode(head.hash)));
    }
    let claim = Claim { log: "demo", head, policy: "aa", sequence: 1, recoveries: 0, at_ms: 1 };
    let text = checkpoint::text(&claim);
    let signature = KEY.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    let signed = checkpoint::signed(&text, signature.as_ref().try_into().unwrap());
    lines.push_str(&serde_json::json!({ "checkpoint": signed }).to_string());
    lines.push('\n');
    Some((lines.into_bytes(), signed))
}

fuzz_target!(|bytes: &[u8]| {
    assert!(held(bytes, &[]).is_none(), "a log that nobody has signed holds");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(Checkpoint::open(text, &KEY.1).is_err(), "a checkpoint that nobody has signed");
    assert!(InForce::open(text, "demo", &KEY.1).is_err(), "a policy set that nobody has signed");
    assert!(Checkpoint::open(&witness(text, &KEY.1), &KEY.1).is_err(), "a witness of nothing");
    let _ = (checkpoint::sequence(text), note::checkpoint(text, &KEY.1));
    if let Ok(order) = text.parse::<Order>() {
        assert_eq!(order.to_string(), text, "an order has one form");
    }

    // Numbered as the log numbers them, so that the first lines of the input need not be.
    let events: Vec<String> = (1..)
        .zip(text.lines().filter_map(|line| line.strip_prefix('{')).take(16))
        .map(|(seq, rest)| format!("{{\"seq\":{seq},{rest}"))
        .collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let (mut account, mut gap, mut head) =
        (Account::default(), Gap::after(Head::EMPTY, Head::EMPTY), Head::EMPTY);
    for event in &events {
        let _ = (account.take(event), Logged::read(event.as_bytes()));
        head = head.next(event.as_bytes()).unwrap();
        gap.take(&head, event);
    }
    let _ = (account.since_start(), account.total());
    if events.is_empty() {
        return;
    }
    let (whole, signed) = export(&events).unwrap();
    let note = note::of(&signed, &KEY.1).unwrap();
    assert_eq!(note::checkpoint(&note, &KEY.1).as_ref(), Some(&signed), "a note and back");
    let Some((before, seen)) = held(&whole, &[witness(&note, &KEY.1)]) else { return };
    assert_eq!(seen, events, "an export that holds has the events that were signed");
    let mut turned = whole.clone();
    let place = bytes.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let last = turned.len();
    turned[(place / 8) % last] ^= 1 << (place % 8);
    if let Some((after, seen)) = held(&turned, &[signed]) {
        assert_eq!(
            (after, seen),
            (before, events.iter().map(|event| (*event).to_owned()).collect()),
            "a bit was turned"
        );
    }
});
