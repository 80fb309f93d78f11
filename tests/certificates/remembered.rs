//! What is remembered: bounded, and never longer than what it was judged by.

use std::{fs, sync::Arc};

use sigillo::auth::cns::{Authority, Refusal, Trust};

use crate::{
    build::Crl,
    world::{DAY, NOW, World},
};

#[test]
fn what_is_remembered_ends_with_the_list_and_with_the_certificate() {
    let mut world = World::new();
    world.crl.next_update = Some("260603");
    let (_directory, validator, trust) = world.set_up();
    let (leaf, chain) = world.certificates();
    let at = |now| validator.validate(&trust, &leaf, &chain, now).map(drop);
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(validator.remembered(), 1);
    assert_eq!(at(NOW + 2 * DAY), Ok(()), "the last moment of the list");
    assert_eq!(at(NOW + 2 * DAY + 1), Err(Refusal::CrlStale));

    let mut world = World::new();
    world.leaf.to = "260601";
    let (_directory, validator, trust) = world.set_up();
    let (leaf, chain) = world.certificates();
    let at = |now| validator.validate(&trust, &leaf, &chain, now).map(drop);
    assert_eq!(at(NOW + 999), Ok(()));
    assert_eq!(at(NOW + 1000), Err(Refusal::Expired));
}

#[test]
fn a_new_list_counts_at_once() {
    let world = World::new();
    let (directory, validator, trust) = world.set_up();
    let (leaf, chain) = world.certificates();
    assert!(validator.validate(&trust, &leaf, &chain, NOW).is_ok());
    let mut revoked = world.crl.clone();
    revoked.revoke(&world.leaf.serial, Some(6));
    fs::write(directory.path().join("root.crl"), revoked.sign(&world.root_key)).unwrap();
    assert!(validator.validate(&trust, &leaf, &chain, NOW).is_ok(), "nobody has read it yet");
    assert_eq!(validator.refresh(&trust), []);
    assert_eq!(validator.validate(&trust, &leaf, &chain, NOW).err(), Some(Refusal::OnHold));
    fs::write(directory.path().join("root.crl"), world.crl.sign(&world.root_key)).unwrap();
    assert_eq!(validator.refresh(&trust), []);
    assert!(validator.validate(&trust, &leaf, &chain, NOW).is_ok(), "taken off hold");
}

#[test]
fn what_is_no_newer_list_of_the_authority_does_not_take_the_place_of_a_good_one() {
    let mut world = World::new();
    world.crl.revoke(&[0x77], Some(1));
    world.crl.revoke(&world.leaf.serial.clone(), Some(1));
    let (directory, validator, trust) = world.set_up();
    let (leaf, chain) = world.certificates();
    let file = directory.path().join("root.crl");
    let mut older = Crl::of("CA Cittadini");
    older.this_update = "260530";
    let forged = Crl::of("CA Cittadini").sign(&world.leaf_key);
    for (bytes, fault) in [
        (b"<html>".to_vec(), Refusal::CrlMalformed),
        (forged, Refusal::CrlBadSignature),
        (older.sign(&world.root_key), Refusal::CrlStale),
    ] {
        fs::write(&file, bytes).unwrap();
        assert_eq!(validator.refresh(&trust), [("root.crl".to_owned(), fault)]);
        assert_eq!(validator.validate(&trust, &leaf, &chain, NOW).err(), Some(Refusal::Revoked), "{fault:?}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(validator.refresh(&trust), [("root.crl".to_owned(), Refusal::CrlMissing)]);
    assert_eq!(validator.validate(&trust, &leaf, &chain, NOW).err(), Some(Refusal::Revoked));
}

#[test]
fn memory_is_bounded_and_holds_no_refused_certificate() {
    let mut world = World::new();
    world.rules.remember = 3;
    let (_directory, validator, trust) = world.set_up();
    for serial in 1..=10_u8 {
        world.leaf.serial = vec![serial];
        let (leaf, chain) = world.certificates();
        assert!(validator.validate(&trust, &leaf, &chain, NOW).is_ok());
        assert!(validator.remembered() <= 3);
    }
    assert_eq!(validator.remembered(), 3);
    world.leaf.damaged = true;
    let (_directory, validator, trust) = world.set_up();
    let (leaf, chain) = world.certificates();
    assert!(validator.validate(&trust, &leaf, &chain, NOW).is_err());
    assert_eq!(validator.remembered(), 0);
}

#[test]
fn another_policy_set_judges_anew() {
    let world = World::new();
    let (_directory, validator, trust) = world.set_up();
    let (leaf, chain) = world.certificates();
    assert!(validator.validate(&trust, &leaf, &chain, NOW).is_ok());
    let mut rules = world.rules.clone();
    rules.policies = vec!["1.3.76.47.4".parse().unwrap()];
    let root = world.root.sign(&world.root_key);
    let authority = Authority::new("cittadini", &root, vec!["root.crl".into()]).unwrap();
    let other = Arc::new(Trust::new(vec![authority], rules));
    assert_eq!(validator.validate(&other, &leaf, &chain, NOW).err(), Some(Refusal::MissingPolicy));
    assert!(validator.validate(&trust, &leaf, &chain, NOW).is_ok());
}
