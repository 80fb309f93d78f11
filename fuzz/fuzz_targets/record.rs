//! A record as the stores of authority and courier hold it: what is damaged is told from what is whole, and what is whole is
//! written as it was, and can be gone on with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::{
    courier::{judge, sms::smpp},
    domain::{
        applicant::Applicant,
        card::Card,
        limits::Used,
        readers::Desk,
        reprints::Reprints,
        template::Template,
        tries::{Limits, Tries},
        unlocks::{Often, Unlocks},
    },
    secret::SecretBytes,
    service, store,
};

/// A counter that is read can be counted on with, and is read again whatever happens to it.
fn tries(bytes: &[u8]) {
    let Some(tries) = Tries::decode(bytes) else { return };
    let again = |tries: Tries| {
        assert_eq!(Tries::decode(&tries.encode()), Some(tries), "a counter's record");
        assert!(tries.left() <= Limits::LIFETIME_MAX, "no counter grants more than any C.I.P. may have");
    };
    again(tries);
    // Beyond that its numbers come to their end: at a guess a millisecond, after 24 days.
    if bytes.get(1).is_some_and(|byte| byte & 0x80 != 0) {
        return;
    }
    let (spent, ticket) = tries.spend();
    again(spent);
    assert!(spent.left() <= tries.left(), "a spent try is gone");
    if let Some(ticket) = ticket {
        again(spent.forgive(ticket));
    }
    again(tries.renew());
    again(tries.lock(7));
    assert_eq!(tries.lock(7).left(), 0, "a lock leaves none");
    if let Ok(unlocked) = tries.unlock() {
        again(unlocked);
        assert!(unlocked.left() > 0, "an unlock gives some");
    }
}

fuzz_target!(|bytes: &[u8]| {
    store::hostile::records(bytes).unwrap();
    service::hostile::records(bytes).unwrap();
    judge::hostile::records(bytes).unwrap();
    smpp::hostile::records(bytes).unwrap();
    if let Some(card) = Card::decode(bytes) {
        assert_eq!(card.encode(), bytes, "a card's record has one form");
    }
    tries(bytes);
    if let Some(used) = Used::decode(bytes) {
        assert_eq!(used.encode(), bytes, "a budget's record has one form");
    }
    if let Some(desk) = Desk::decode(bytes) {
        assert_eq!(desk.encode(), bytes, "a desk's record has one form");
        let _ = (desk.hand_over(2026), desk.receive(1), desk.count(1));
    }
    if let Some(reprints) = Reprints::decode(bytes) {
        assert_eq!(Reprints::decode(&reprints.encode()).as_ref(), Some(&reprints));
        let _ = reprints.once_more(1_800_000_000_000, Reprints::MOST, 86_400_000);
    }
    if let Some(unlocks) = Unlocks::decode(bytes) {
        assert_eq!(unlocks.encode(), bytes, "a record of unlocks has one form");
        let _ = unlocks.once_more(Often { most: 3, within_ms: 86_400_000 }, 1_800_000_000_000);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(template) = Template::thaw(text)
    {
        assert_eq!(Template::thaw(&template.freeze()).as_ref(), Ok(&template), "a frozen template");
        let _ = template.digest();
    }
    if let Some(applicant) = Applicant::of_dossier(&SecretBytes::new(bytes.to_vec()))
        && let Some(dossier) = applicant.dossier()
    {
        let again = Applicant::of_dossier(&dossier).and_then(|again| again.dossier());
        assert_eq!(again.unwrap().expose(), dossier.expose(), "a dossier");
    }
});
