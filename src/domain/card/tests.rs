//! A card's life, state by state.

use super::*;

const NOW: u64 = 1_800_000_000_000;
const FIRST: [u8; 32] = [1; 32];
const SECOND: [u8; 32] = [2; 32];

fn day(text: &str) -> CivilDate {
    text.parse().unwrap()
}

fn today() -> CivilDate {
    day("2027-01-15")
}

fn registered() -> Card {
    let registration = Registration {
        id: CardId::new([7; 16]),
        tax_code_mac: [8; 16],
        team_mac: [9; 16],
        expiry: day("2027-01-15"),
        region: "042".parse().unwrap(),
        template: "IT-042/1".parse().unwrap(),
        predecessor: Some(Predecessor::Renews(CardId::new([6; 16]))),
        registered_at_ms: NOW - 1,
    };
    Card::register(registration, [5; 32])
}

fn active() -> Card {
    registered().activate(Activation::InPerson, NOW, today(), Some(FIRST)).unwrap()
}

fn revoked() -> Card {
    active().revoke(Reason::Lost, NOW + 1).unwrap()
}

#[test]
fn activation() {
    let card = active();
    assert_eq!(card.state(), State::Active { activated_at_ms: NOW });
    assert_eq!(card.cip_first_tag(), Some(&FIRST));
    assert_eq!(card.activate(Activation::InPerson, NOW, today(), None), Err(Refusal::CardAlreadyActive));
    assert_eq!(revoked().activate(Activation::InPerson, NOW, today(), None), Err(Refusal::CardRevoked));
    let late = registered().activate(Activation::InPerson, NOW, day("2027-01-16"), None);
    assert_eq!(late, Err(Refusal::CardExpired), "valid through the printed day, not the one after");
}

#[test]
fn in_use() {
    assert_eq!(registered().check_in_use(today()), Err(Refusal::CardNotActive));
    assert_eq!(active().check_in_use(today()), Ok(()));
    assert_eq!(active().check_in_use(day("2027-01-16")), Err(Refusal::CardExpired));
    assert_eq!(revoked().check_in_use(today()), Err(Refusal::CardRevoked));
}

#[test]
fn revocation_is_final() {
    let never_active = registered().revoke(Reason::Stolen, NOW).unwrap();
    let expected = State::Revoked { activated_at_ms: None, revoked_at_ms: NOW, reason: Reason::Stolen };
    assert_eq!(never_active.state(), expected);
    for card in [never_active, revoked()] {
        assert_eq!(card.revoke(Reason::Faulty, NOW), Err(Refusal::CardRevoked));
        assert_eq!(card.activate(Activation::InPerson, NOW, today(), Some(FIRST)), Err(Refusal::CardRevoked));
        assert_eq!(card.set_second_tag(1, SECOND), Err(Refusal::CardRevoked));
        assert_eq!(card.renew_cip(today()), Err(Refusal::CardRevoked));
        assert_eq!(card.hand_out_cip(FIRST), Err(Refusal::CardRevoked));
    }
}

#[test]
fn second_tag_belongs_to_its_generation() {
    let card = active();
    assert_eq!(registered().set_second_tag(1, SECOND), Err(Refusal::CardNotActive));
    assert_eq!(card.set_second_tag(2, SECOND), Err(Refusal::GenerationChanged));
    let whole = card.set_second_tag(1, SECOND).unwrap();
    assert_eq!(whole.cip_second_tag(), Some(&SECOND));
    assert_eq!(whole.set_second_tag(1, SECOND), Ok(whole.clone()), "the courier may repeat itself");
    assert_eq!(whole.set_second_tag(1, FIRST), Err(Refusal::SecondPartDiffers));
    let without = registered().activate(Activation::InPerson, NOW, today(), None).unwrap();
    assert_eq!(without.set_second_tag(1, SECOND), Err(Refusal::NoCip));
}

#[test]
fn a_new_cip_voids_the_former_parts() {
    let whole = active().set_second_tag(1, SECOND).unwrap();
    let begun = whole.renew_cip(today()).unwrap();
    assert_eq!((begun.cip_first_tag(), begun.cip_second_tag()), (None, None));
    let renewed = begun.hand_out_cip([3; 32]).unwrap();
    assert_eq!(renewed.generation(CodeName::Cip), 2);
    assert_eq!((renewed.generation(CodeName::Pin), renewed.generation(CodeName::Puk)), (1, 1));
    assert_eq!((renewed.cip_first_tag(), renewed.cip_second_tag()), (Some(&[3; 32]), None));
    assert_eq!(renewed.set_second_tag(1, SECOND), Err(Refusal::GenerationChanged), "a late courier");
    assert_eq!(Card::decode(&renewed.encode()), Some(renewed));
    assert_eq!(whole.renew_cip(day("2027-01-16")), Err(Refusal::CardExpired));
    assert_eq!(registered().renew_cip(today()), Err(Refusal::CardNotActive));
    assert_eq!(active().hold().renew_cip(today()), Err(Refusal::CardHeld));
    let mut last = whole;
    last.generations.cip = u32::MAX;
    assert_eq!(last.renew_cip(today()), Err(Refusal::NoCip));
}

#[test]
fn a_renewal_that_is_repeated_leaves_no_cip_that_is_right() {
    let whole = active().set_second_tag(1, SECOND).unwrap();
    let renewed = whole.cip_renewed_before(3);
    assert_eq!(renewed.generation(CodeName::Cip), 3);
    assert_eq!((renewed.cip_first_tag(), renewed.cip_second_tag()), (None, None));
    assert_eq!(renewed.check_has_cip(), Err(Refusal::NoCip));
    assert_eq!(Card::decode(&renewed.encode()), Some(renewed.clone()));
    for (card, generation) in [(whole, 1), (renewed, 3)] {
        assert_eq!(card.cip_renewed_before(generation), card);
    }
}

#[test]
fn salt_outlives_the_card_until_destroyed() {
    for card in [registered(), active()] {
        assert_eq!(card.destroy_salt(), Err(Refusal::CardNotRevoked));
    }
    let destroyed = revoked().destroy_salt().unwrap();
    assert!(revoked().salt().is_some());
    assert_eq!((destroyed.salt(), destroyed.cip_first_tag(), destroyed.cip_second_tag()), (None, None, None));
    assert_eq!(Card::decode(&destroyed.encode()), Some(destroyed));
}

#[test]
fn reasons_have_texts() {
    let texts = Reason::ALL.map(Reason::text);
    assert_eq!(
        texts,
        ["changed_data", "deceased", "faulty", "holder_request", "lost", "renewed", "replaced", "stolen"],
        "part of the API: never changed, only added to"
    );
    assert_eq!(texts.map(str::parse), Reason::ALL.map(Ok));
    assert_eq!("Lost".parse::<Reason>(), Err(BadReason));
}

#[test]
fn refusals_have_codes() {
    for (refusal, code) in [
        (Refusal::CardAlreadyActive, "card_already_active"),
        (Refusal::CardExpired, "card_expired"),
        (Refusal::CardNotActive, "card_not_active"),
        (Refusal::CardNotRevoked, "card_not_revoked"),
        (Refusal::CardRevoked, "card_revoked"),
        (Refusal::GenerationChanged, "generation_changed"),
        (Refusal::NoCip, "no_cip"),
        (Refusal::SecondPartDiffers, "second_part_differs"),
    ] {
        assert_eq!(refusal.code(), code);
    }
}

#[test]
fn states_have_texts() {
    assert_eq!(
        [registered(), active(), active().hold(), revoked()].map(|card| card.state().text()),
        ["registered", "active", "held", "revoked"]
    );
}

#[test]
fn a_held_card_can_only_be_revoked() {
    for card in [registered(), active()] {
        let held = card.hold();
        assert_eq!(Card::decode(&held.encode()), Some(held.clone()));
        assert_eq!(held.hold(), held);
        assert_eq!(held.activated_before(1, None), held);
        assert_eq!(held.activate(Activation::InPerson, NOW, today(), None), Err(Refusal::CardHeld));
        assert_eq!(held.check_in_use(today()), Err(Refusal::CardHeld));
        assert_eq!(held.set_second_tag(1, SECOND), Err(Refusal::CardHeld));
        assert_eq!(held.destroy_salt(), Err(Refusal::CardNotRevoked));
        assert!(matches!(held.revoke(Reason::Replaced, NOW).unwrap().state(), State::Revoked { .. }));
    }
    assert_eq!(revoked().hold(), revoked(), "a revoked card is not made alive by being held");
}

#[test]
fn an_activation_that_is_repeated_brings_no_tag() {
    let card = registered().activated_before(5, Some(Activation::InPerson));
    assert_eq!(card.state(), State::Active { activated_at_ms: 5 });
    assert_eq!((card.cip_first_tag(), card.cip_second_tag()), (None, None));
    assert_eq!(Card::decode(&card.encode()), Some(card));
    for other in [active(), revoked()] {
        assert_eq!(other.activated_before(5, Some(Activation::InPerson)), other);
    }
}

#[test]
fn debug_shows_no_salt() {
    assert_eq!(format!("{:?}", active()), format!("Card({}, active)", "07".repeat(16)));
    assert_eq!(format!("{:?}", active().registration()), format!("Registration({})", "07".repeat(16)));
}

#[test]
fn record_and_back() {
    let whole = active().set_second_tag(1, SECOND).unwrap();
    let mut replaces = registered();
    replaces.registration.predecessor = Some(Predecessor::Replaces(CardId::new([0; 16])));
    for card in [registered(), active(), whole, revoked(), replaces] {
        let record = card.encode();
        assert_eq!(record.len(), Card::SIZE);
        assert_eq!(Card::decode(&record), Some(card));
        for size in 0..record.len() {
            assert_eq!(Card::decode(&record[..size]), None, "{size} bytes");
        }
        assert_eq!(Card::decode(&[record, vec![0]].concat()), None, "a byte more");
    }
}

/// Offsets of the fields of format 1: a record written once must be readable for ever.
#[test]
fn contradictions_are_damage() {
    let record = active().set_second_tag(1, SECOND).unwrap().encode();
    for (what, offset, byte) in [
        ("format", 0, 2),
        ("month", 51, 13),
        ("region", 53, b'x'),
        ("template's length", 56, 33),
        ("template's length within its text", 56, 7),
        ("template's letter", 57, b'i'),
        ("predecessor", 89, 3),
        ("no predecessor, with an id", 89, 0),
        ("state", 114, 4),
        ("registered, but activated", 114, 0),
        ("revoked, but when", 114, 2),
        ("active without a time", 115, 0),
        ("time of revocation, but active", 124, 1),
        ("reason, but active", 133, 1),
        ("generation 0", 137, 0),
        ("no salt, but active", 146, 0),
        ("first tag absent, but its bytes there", 179, 0),
        ("presence", 212, 2),
    ] {
        let mut bad = record.clone();
        assert_ne!(bad[offset], byte, "{what}");
        bad[offset] = byte;
        assert_eq!(Card::decode(&bad), None, "{what}");
    }
    let mut orphan = record.clone();
    orphan[179..212].fill(0);
    assert_eq!(Card::decode(&orphan), None, "second tag without a first");
    let mut reason = revoked().encode();
    reason[133] = 9;
    assert_eq!(Card::decode(&reason), None, "unknown reason");
    let mut early = registered().encode();
    early[179..212].fill(1);
    assert_eq!(Card::decode(&early), None, "tag of a card never activated");
    let mut gone = record;
    gone[146..179].fill(0);
    assert_eq!(Card::decode(&gone), None, "salt gone, card active");
}
