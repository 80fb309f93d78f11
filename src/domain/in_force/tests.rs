use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};

use super::*;
use crate::domain::{
    checkpoint,
    officers::{Scheme, Signature, signed_bytes},
};

struct Signer(Officer, EcdsaKeyPair);

impl Signer {
    fn new(name: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki =
            aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key());
        let spki = spki.unwrap().as_ref().to_vec();
        Self(Officer::new(name.into(), name.as_bytes(), OfficerKey::P256(spki)), key)
    }

    fn sign(&self, purpose: Purpose, text: &str) -> Signature {
        let made = self.1.sign(&SystemRandom::new(), &signed_bytes(purpose, text)).unwrap();
        let bytes = made.as_ref().to_vec();
        Signature { fingerprint: *self.0.fingerprint(), scheme: Scheme::EcdsaP256, bytes }
    }
}

struct Lab {
    old: [Signer; 2],
    new: Signer,
    in_force: InForce,
    next: Officers,
}

fn lab() -> Lab {
    let (old, new) = ([Signer::new("a"), Signer::new("b")], Signer::new("n"));
    let officers = Officers::new(old.iter().map(|s| s.0.clone()).collect(), 2).unwrap();
    let next = Officers::new(vec![new.0.clone()], 1).unwrap();
    Lab { old, new, in_force: InForce { sequence: 4, policy: "d4".into(), officers }, next }
}

impl Lab {
    fn of_old(&self, sequence: u64, policy: &str) -> Vec<Signature> {
        let text = statement(sequence, policy);
        self.old.iter().map(|signer| signer.sign(Purpose::PolicySet, &text)).collect()
    }

    fn ask(
        &self,
        (sequence, policy): (u64, &str),
        signatures: &[Signature],
        mark: Option<(u64, &str)>,
        in_force: bool,
        signing: Signing,
    ) -> Result<Admission, NotAdmitted> {
        let signatures: Vec<_> = signatures.iter().map(|s| ("a.sig".to_owned(), s.clone())).collect();
        let candidate = Candidate { sequence, policy, officers: &self.next, signatures: &signatures };
        admit(&candidate, mark, in_force.then_some(&self.in_force), signing)
    }
}

#[test]
fn the_officers_in_force_admit_the_next_set_and_nobody_else_does() {
    let lab = lab();
    let ask = |set: (u64, &str), signatures: &[Signature]| {
        lab.ask(set, signatures, Some((4, "d4")), true, Signing::Required)
    };
    let good = lab.of_old(5, "d5");
    assert_eq!(ask((5, "d5"), &good), Ok(Admission::Signed(vec!["a".into(), "b".into()])));
    assert_eq!(ask((9, "d5"), &lab.of_old(9, "d5")), Ok(Admission::Signed(vec!["a".into(), "b".into()])));
    let text = statement(5, "d5");
    let not_enough = |there| Err(NotAdmitted::Unsigned(Disagreement::NotEnough { there, needed: 2 }));
    assert_eq!(ask((5, "d5"), &[]), not_enough(0));
    assert_eq!(ask((5, "d5"), &good[..1]), not_enough(1));
    let own = lab.new.sign(Purpose::PolicySet, &text);
    let stranger = ask((5, "d5"), &[own]);
    assert!(matches!(stranger, Err(NotAdmitted::Unsigned(Disagreement::Stranger { .. }))), "{stranger:?}");
    let wrong = |signatures: Vec<Signature>| {
        let refused = ask((5, "d5"), &signatures);
        assert!(matches!(refused, Err(NotAdmitted::Unsigned(Disagreement::Wrong { .. }))), "{refused:?}");
    };
    wrong(lab.of_old(6, "d5"));
    wrong(lab.of_old(5, "d6"));
    wrong(lab.old.iter().map(|signer| signer.sign(Purpose::Recovery, &text)).collect());
}

#[test]
fn no_set_goes_back_or_changes_under_its_number_whoever_signs_and_even_in_a_demonstration() {
    let lab = lab();
    for signing in [Signing::Required, Signing::Waived] {
        let ask = |set: (u64, &str), mark, in_force| {
            lab.ask(set, &lab.of_old(set.0, set.1), mark, in_force, signing)
        };
        let older = |sequence, known| Err(NotAdmitted::Older { sequence, known });
        assert_eq!(ask((3, "d3"), None, true), older(3, 4));
        assert_eq!(ask((3, "d3"), Some((4, "d4")), false), older(3, 4));
        assert_eq!(ask((4, "d4"), Some((6, "d6")), true), older(4, 6));
        assert_eq!(ask((4, "x"), None, true), Err(NotAdmitted::Changed(4)));
        assert_eq!(ask((4, "x"), Some((4, "d4")), false), Err(NotAdmitted::Changed(4)));
        assert_eq!(ask((4, "d4"), Some((4, "d4")), true), Ok(Admission::Already));
        assert_eq!(ask((6, "d6"), Some((6, "d6")), true), Ok(Admission::Known));
        assert_eq!(ask((6, "d6"), Some((6, "d6")), false), Ok(Admission::Known));
    }
}

#[test]
fn an_older_copy_of_the_store_does_not_say_whose_word_counts() {
    let lab = lab();
    let asked = lab.ask((7, "d7"), &lab.of_old(7, "d7"), Some((6, "d6")), true, Signing::Required);
    assert_eq!(asked, Err(NotAdmitted::NoPredecessor(6)), "officers of 4 may be gone since 5");
    let asked = lab.ask((7, "d7"), &lab.of_old(7, "d7"), Some((6, "d6")), false, Signing::Required);
    assert_eq!(asked, Err(NotAdmitted::NoPredecessor(6)));
}

#[test]
fn the_first_set_is_on_the_word_of_its_own_officers() {
    let lab = lab();
    let signed = [lab.new.sign(Purpose::PolicySet, &statement(1, "d1"))];
    let first = |signatures: &[Signature], signing| lab.ask((1, "d1"), signatures, None, false, signing);
    assert_eq!(first(&signed, Signing::Required), Ok(Admission::Signed(vec!["n".into()])));
    assert!(matches!(first(&[], Signing::Required), Err(NotAdmitted::Unsigned(_))));
    assert_eq!(first(&[], Signing::Waived), Ok(Admission::Waived));
    let nobody = Officers::new(Vec::new(), 2).unwrap();
    let candidate = Candidate { sequence: 1, policy: "d1", officers: &nobody, signatures: &[] };
    assert_eq!(admit(&candidate, None, None, Signing::Required), Err(NotAdmitted::NoOfficers));
}

#[test]
fn a_record_is_the_tokens_and_of_this_log() {
    let lab = lab();
    let token = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public =
        aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(token.public_key());
    let public = public.unwrap();
    let text = lab.in_force.text("demo");
    let made = token.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    let signed = checkpoint::signed(&text, made.as_ref().try_into().unwrap());
    let opened = InForce::open(&signed, "demo", public.as_ref()).unwrap();
    assert_eq!((opened.sequence, &*opened.policy), (4, "d4"));
    assert_eq!(opened.text("demo"), text);
    let refused = |text: &str, log| InForce::open(text, log, public.as_ref()).unwrap_err().to_string();
    assert!(refused(&signed, "other").contains("another log"));
    for (from, to) in [("sequence 4", "sequence 3"), ("policy d4", "policy d5"), ("needed 2", "needed 1")] {
        assert!(refused(&signed.replace(from, to), "demo").contains("audit key"), "{from}");
    }
    let (first, _) = text.split_once("officer b").unwrap();
    assert!(refused(&signed.replace(&text, first), "demo").contains("audit key"));
    // A checkpoint of the same key is not such a record.
    let other = "sigillo audit checkpoint v2\nlog demo\n";
    let made = token.sign(&SystemRandom::new(), other.as_bytes()).unwrap();
    let signed = checkpoint::signed(other, made.as_ref().try_into().unwrap());
    assert!(refused(&signed, "demo").contains("first line"));
    assert!(refused("", "demo").contains("no signature"));
}
