//! The table: one thing spoiled, one code.

use std::collections::BTreeSet;

use sigillo::auth::cns::Refusal;

use crate::{
    build::{
        CLIENT_AUTH, CN, CNS, Certificate, Crl, Key, RSA_SHA256, basic, distribution_point, ec_spki,
        ed25519_spki, extended, key_usage, policies, rsa_spki, uri,
    },
    der::{extension, integer, name, oid, seq, tlv},
    world::{CARD, DAY, HASH, NOW, TAX_CODE, World, common_name},
};

type Case = (&'static str, fn(&mut World), Option<Refusal>);

fn named(world: &mut World, text: &str) {
    world.leaf.subject = name(&[("2.5.4.6", "IT"), (CN, text)]);
}

fn scoped(parts: &[u8]) -> Vec<u8> {
    extension("2.5.29.28", true, &tlv(0x30, parts))
}

const DATES: &[Case] = &[
    ("a card as it should be", |_| {}, None),
    ("on its first day", |w| w.leaf.from = "260601", None),
    ("on the day after its last", |w| w.leaf.to = "260531", Some(Refusal::Expired)),
    ("not before tomorrow", |w| w.leaf.from = "260602", Some(Refusal::NotYetValid)),
    ("never valid", |w| (w.leaf.from, w.leaf.to) = ("260602", "260501"), Some(Refusal::NotYetValid)),
    ("authority expired", |w| w.root.to = "260531", Some(Refusal::CaNotValid)),
    ("authority not yet valid", |w| w.root.from = "260602", Some(Refusal::CaNotValid)),
    ("authority between expired", |w| w.below().to = "260531", Some(Refusal::CaNotValid)),
];

const PROFILE: &[Case] = &[
    (
        "for servers",
        |w| w.leaf.extensions[1] = extended(&["1.3.6.1.5.5.7.3.1"]),
        Some(Refusal::WrongExtendedKeyUsage),
    ),
    (
        "for any purpose",
        |w| w.leaf.extensions[1] = extended(&["2.5.29.37.0"]),
        Some(Refusal::WrongExtendedKeyUsage),
    ),
    (
        "smart card log-on beside",
        |w| w.leaf.extensions[1] = extended(&[CLIENT_AUTH, "1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.5.7.3.4"]),
        None,
    ),
    ("no extended key usage", |w| drop(w.leaf.extensions.remove(1)), Some(Refusal::WrongExtendedKeyUsage)),
    (
        "empty extended key usage",
        |w| w.leaf.extensions[1] = extended(&[]),
        Some(Refusal::WrongExtendedKeyUsage),
    ),
    ("no key usage", |w| drop(w.leaf.extensions.remove(0)), Some(Refusal::WrongKeyUsage)),
    ("nonRepudiation only", |w| w.leaf.extensions[0] = key_usage(0x40), Some(Refusal::WrongKeyUsage)),
    ("nonRepudiation too", |w| w.leaf.extensions[0] = key_usage(0xc0), Some(Refusal::WrongKeyUsage)),
    ("keyEncipherment only", |w| w.leaf.extensions[0] = key_usage(0x20), Some(Refusal::WrongKeyUsage)),
    ("keyCertSign too", |w| w.leaf.extensions[0] = key_usage(0x84), Some(Refusal::WrongKeyUsage)),
    ("digitalSignature only", |w| w.leaf.extensions[0] = key_usage(0x80), None),
    ("no policy", |w| drop(w.leaf.extensions.remove(2)), Some(Refusal::MissingPolicy)),
    ("another policy", |w| w.leaf.extensions[2] = policies(&["1.3.76.47.4"]), Some(Refusal::MissingPolicy)),
    ("anyPolicy", |w| w.leaf.extensions[2] = policies(&["2.5.29.32.0"]), Some(Refusal::MissingPolicy)),
    ("two policies", |w| w.leaf.extensions[2] = policies(&["1.3.76.47.4", CNS]), None),
    (
        "a policy that this installation adds",
        |w| {
            w.leaf.extensions[2] = policies(&["1.3.159.6.1.3.2.10"]);
            w.rules.policies.push("1.3.159.6.1.3.2.10".parse().unwrap());
        },
        None,
    ),
    ("an authority's certificate", |w| w.leaf.extensions.push(basic(true, None)), Some(Refusal::IsCa)),
    ("says that it is no authority", |w| w.leaf.extensions.push(basic(false, None)), None),
    ("key usage twice", |w| w.leaf.extensions.push(key_usage(0xa0)), Some(Refusal::DuplicateExtension)),
    ("policies twice", |w| w.leaf.extensions.push(policies(&[CNS])), Some(Refusal::DuplicateExtension)),
    (
        "a critical extension that nobody knows",
        |w| w.leaf.extensions.push(extension("1.3.76.99.1", true, &[5, 0])),
        Some(Refusal::UnknownCriticalExtension),
    ),
    ("the same, not critical", |w| w.leaf.extensions.push(extension("1.3.76.99.1", false, &[5, 0])), None),
    (
        "critical name constraints on a card",
        |w| w.leaf.extensions.push(extension("2.5.29.30", true, &seq(&[]))),
        Some(Refusal::UnknownCriticalExtension),
    ),
    (
        "key usage that cannot be read",
        |w| w.leaf.extensions[0] = extension("2.5.29.15", true, &[1]),
        Some(Refusal::Malformed),
    ),
    ("version 1", |w| (w.leaf.version, w.leaf.extensions) = (0, Vec::new()), Some(Refusal::Malformed)),
    ("a byte more", |w| w.leaf.trailing.push(0), Some(Refusal::Malformed)),
    (
        "too large",
        |w| w.leaf.extensions.push(extension("1.3.76.99.1", false, &vec![0; 17_000])),
        Some(Refusal::TooLarge),
    ),
];

const KEYS: &[Case] = &[
    ("RSA-1024", |w| w.leaf.spki = rsa_spki(1024, 3), Some(Refusal::WeakKey)),
    ("RSA-2040", |w| w.leaf.spki = rsa_spki(2040, 3), Some(Refusal::WeakKey)),
    ("RSA-2048", |w| w.leaf.spki = rsa_spki(2048, 3), None),
    ("RSA-8192", |w| w.leaf.spki = rsa_spki(8192, 3), None),
    ("RSA-16384", |w| w.leaf.spki = rsa_spki(16_384, 3), Some(Refusal::WeakKey)),
    ("RSA with exponent 1", |w| w.leaf.spki = rsa_spki(2048, 1), Some(Refusal::WeakKey)),
    ("P-224", |w| w.leaf.spki = ec_spki("1.3.132.0.33", 28), Some(Refusal::WeakKey)),
    ("P-384", |w| w.leaf.spki = Key::p384().spki(), None),
    ("P-521", |w| w.leaf.spki = ec_spki("1.3.132.0.35", 66), Some(Refusal::WeakKey)),
    ("secp256k1", |w| w.leaf.spki = ec_spki("1.3.132.0.10", 32), Some(Refusal::WeakKey)),
    ("Ed25519", |w| w.leaf.spki = ed25519_spki(), Some(Refusal::WeakKey)),
    (
        "signed with SHA-1 and RSA",
        |w| w.leaf.algorithm = Some(seq(&[&oid("1.2.840.113549.1.1.5"), &tlv(5, &[])])),
        Some(Refusal::WeakSignature),
    ),
    (
        "signed with SHA-1 and ECDSA",
        |w| w.leaf.algorithm = Some(seq(&[&oid("1.2.840.10045.4.1")])),
        Some(Refusal::WeakSignature),
    ),
    (
        "an authority between, signed with SHA-1",
        |w| w.below().algorithm = Some(seq(&[&oid("1.2.840.10045.4.1")])),
        Some(Refusal::WeakSignature),
    ),
    (
        "an authority with RSA-2048",
        |w| {
            w.root_key = Key::rsa();
            w.root.spki = w.root_key.spki();
        },
        None,
    ),
    (
        "an authority with P-384",
        |w| {
            w.root_key = Key::p384();
            w.root.spki = w.root_key.spki();
        },
        None,
    ),
    (
        "one algorithm inside, another outside",
        |w| w.leaf.outside = Some(seq(&[&oid(RSA_SHA256), &tlv(5, &[])])),
        Some(Refusal::Malformed),
    ),
    ("signature damaged", |w| w.leaf.damaged = true, Some(Refusal::BadSignature)),
    ("signed by another key", |w| w.leaf_signer = Some(Key::p256()), Some(Refusal::BadSignature)),
];

const NAMES: &[Case] = &[
    ("provisional C.F. of a foreigner", |w| named(w, &common_name("12345678903")), None),
    ("an omocode", |w| named(w, &common_name("RSSMRA75C22H50MA")), None),
    ("another / in the hash", |w| named(w, &format!("{TAX_CODE}/{CARD}.a/b+c/d1e2f3g4h5i6j7k8l9m0n=")), None),
    (
        "C.F. with a wrong check letter",
        |w| named(w, &common_name("RSSMRA75C22H501J")),
        Some(Refusal::BadTaxCode),
    ),
    ("C.F. in lower case", |w| named(w, &common_name("rssmra75c22h501i")), Some(Refusal::BadTaxCode)),
    (
        "provisional C.F. with a wrong digit",
        |w| named(w, &common_name("12345678904")),
        Some(Refusal::BadTaxCode),
    ),
    ("C.F. of another country", |w| named(w, &common_name("PNOES-12345678Z")), Some(Refusal::BadTaxCode)),
    ("no C.F.", |w| named(w, &common_name("")), Some(Refusal::BadTaxCode)),
    (
        "ID_Carta of 15 digits",
        |w| named(w, &format!("{TAX_CODE}/609001002492500.{HASH}")),
        Some(Refusal::BadCommonName),
    ),
    (
        "ID_Carta of 17 digits",
        |w| named(w, &format!("{TAX_CODE}/60900100249250031.{HASH}")),
        Some(Refusal::BadCommonName),
    ),
    (
        "a letter in ID_Carta",
        |w| named(w, &format!("{TAX_CODE}/609001002492500A.{HASH}")),
        Some(Refusal::BadCommonName),
    ),
    ("no hash", |w| named(w, &format!("{TAX_CODE}/{CARD}")), Some(Refusal::BadCommonName)),
    ("hash too short", |w| named(w, &format!("{TAX_CODE}/{CARD}.AAAA")), Some(Refusal::BadCommonName)),
    (
        "hash with a comma",
        |w| named(w, &format!("{TAX_CODE}/{CARD}.lsKV,lNtBAmc8x5lzSb+cxx2UzE=")),
        Some(Refusal::BadCommonName),
    ),
    ("no /", |w| named(w, &format!("{TAX_CODE}.{CARD}.{HASH}")), Some(Refusal::BadCommonName)),
    (
        "too long a name",
        |w| named(w, &format!("{}{HASH}", common_name(TAX_CODE))),
        Some(Refusal::BadCommonName),
    ),
    ("no common name", |w| w.leaf.subject = name(&[("2.5.4.6", "IT")]), Some(Refusal::BadCommonName)),
    (
        "two common names",
        |w| {
            let text = common_name(TAX_CODE);
            w.leaf.subject = name(&[(CN, &text), (CN, &text)]);
        },
        Some(Refusal::BadCommonName),
    ),
];

const PATHS: &[Case] = &[
    ("an authority that nobody trusts", |w| w.trusted = false, Some(Refusal::UnknownCa)),
    (
        "self-signed",
        |w| {
            w.leaf.issuer = w.leaf.subject.clone();
            let key = Key::p256();
            w.leaf.spki = key.spki();
            w.leaf_signer = Some(key);
        },
        Some(Refusal::UnknownCa),
    ),
    ("another authority", |w| w.leaf.issuer = name(&[(CN, "CA Altra")]), Some(Refusal::UnknownCa)),
    (
        "another authority, sent with it",
        |w| {
            let key = Key::p256();
            w.also_sent.push(Certificate::authority("CA Altra", "CA Altra", &key).sign(&key));
            w.leaf.issuer = name(&[(CN, "CA Altra")]);
            w.leaf_signer = Some(key);
        },
        Some(Refusal::UnknownCa),
    ),
    ("an authority between", |w| drop(w.below().clone()), None),
    (
        "an authority between that is not sent",
        |w| {
            w.below();
            let key = w.between.remove(0).1;
            w.leaf_signer = Some(key);
        },
        Some(Refusal::UnknownCa),
    ),
    (
        "what is between is no authority",
        |w| w.below().extensions[0] = basic(false, None),
        Some(Refusal::BadIssuer),
    ),
    ("what is between may not sign", |w| w.below().extensions[1] = key_usage(0x80), Some(Refusal::BadIssuer)),
    (
        "no authority below that of the policy",
        |w| {
            w.below();
            w.root.extensions[0] = basic(true, Some(0));
        },
        Some(Refusal::PathLength),
    ),
    (
        "no authority below the one between",
        |w| {
            w.below().extensions[0] = basic(true, Some(0));
            let key = Key::p256();
            let lowest = Certificate::authority("CA Infima", "CA Sotto", &key);
            w.leaf.issuer = lowest.subject.clone();
            w.between.insert(0, (lowest, key));
        },
        Some(Refusal::PathLength),
    ),
    (
        "chain too long",
        |w| {
            let root = w.root.sign(&w.root_key);
            w.also_sent = vec![root; 5];
        },
        Some(Refusal::ChainTooLong),
    ),
    (
        "too large a certificate in the chain",
        |w| w.also_sent.push(vec![0x30; 20_000]),
        Some(Refusal::TooLarge),
    ),
    (
        "an authority for other names",
        |w| {
            let permitted = tlv(0xa0, &seq(&[&tlv(0xa4, &name(&[("2.5.4.6", "FR")]))]));
            w.below().extensions.push(extension("2.5.29.30", true, &seq(&[&permitted])));
        },
        Some(Refusal::NameConstraint),
    ),
    (
        "a critical extension of an authority that nobody knows",
        |w| {
            w.below().extensions.push(extension("1.3.76.99.1", true, &[5, 0]));
        },
        Some(Refusal::UnknownCriticalExtension),
    ),
];

const LISTS: &[Case] = &[
    ("revoked", |w| w.crl.revoke(&[0x22, 0x33], Some(1)), Some(Refusal::Revoked)),
    ("revoked without a reason", |w| w.crl.revoke(&[0x22, 0x33], None), Some(Refusal::Revoked)),
    ("on hold", |w| w.crl.revoke(&[0x22, 0x33], Some(6)), Some(Refusal::OnHold)),
    ("removed from hold", |w| w.crl.revoke(&[0x22, 0x33], Some(8)), None),
    (
        "on hold and removed",
        |w| {
            w.crl.revoke(&[0x22, 0x33], Some(6));
            w.crl.revoke(&[0x22, 0x33], Some(8));
        },
        Some(Refusal::OnHold),
    ),
    ("another card revoked", |w| w.crl.revoke(&[0x22, 0x34], Some(1)), None),
    ("no list", |w| w.crl_file = Some(None), Some(Refusal::CrlMissing)),
    ("list out of date by its own word", |w| w.crl.next_update = Some("260531"), Some(Refusal::CrlStale)),
    (
        "list too old by the policy",
        |w| (w.crl.this_update, w.crl.next_update) = ("260520", Some("260701")),
        Some(Refusal::CrlStale),
    ),
    (
        "list out of date, which the policy lets serve",
        |w| {
            w.crl.next_update = Some("260531");
            w.rules.stale_crl_for_ms = 2 * DAY;
        },
        None,
    ),
    (
        "list out of date for longer than that",
        |w| {
            w.crl.next_update = Some("260531");
            w.rules.stale_crl_for_ms = DAY / 2;
        },
        Some(Refusal::CrlStale),
    ),
    (
        "revoked on a list that is out of date",
        |w| {
            w.crl.next_update = Some("260531");
            w.crl.revoke(&[0x22, 0x33], Some(1));
        },
        Some(Refusal::Revoked),
    ),
    (
        "list from the future",
        |w| (w.crl.this_update, w.crl.next_update) = ("260602", Some("260603")),
        Some(Refusal::CrlNotYetValid),
    ),
    ("list without an end", |w| w.crl.next_update = None, Some(Refusal::CrlMalformed)),
    ("list with a bad signature", |w| w.crl.damaged = true, Some(Refusal::CrlBadSignature)),
    (
        "list signed by another key",
        |w| w.crl_file = Some(Some(w.crl.sign(&Key::p256()))),
        Some(Refusal::CrlBadSignature),
    ),
    ("list of another authority", |w| w.crl = Crl::of("CA Altra"), Some(Refusal::CrlWrongIssuer)),
    ("list with a byte more", |w| w.crl.trailing.push(0), Some(Refusal::CrlMalformed)),
    ("what is no list", |w| w.crl_file = Some(Some(b"<html>".to_vec())), Some(Refusal::CrlMalformed)),
    (
        "list in PEM",
        |w| {
            let text = pem::encode(&pem::Pem::new("X509 CRL", w.crl.sign(&w.root_key)));
            w.crl_file = Some(Some(text.into_bytes()));
        },
        None,
    ),
    (
        "delta list",
        |w| w.crl.extensions.push(extension("2.5.29.27", true, &integer(&[1]))),
        Some(Refusal::CrlUnsupported),
    ),
    ("indirect list", |w| w.crl.extensions.push(scoped(&tlv(0x84, &[0xff]))), Some(Refusal::CrlUnsupported)),
    (
        "list of some reasons",
        |w| w.crl.extensions.push(scoped(&tlv(0x83, &[6, 0x40]))),
        Some(Refusal::CrlUnsupported),
    ),
    (
        "list of attribute certificates",
        |w| w.crl.extensions.push(scoped(&tlv(0x85, &[0xff]))),
        Some(Refusal::CrlUnsupported),
    ),
    (
        "list of authorities only",
        |w| w.crl.extensions.push(scoped(&tlv(0x82, &[0xff]))),
        Some(Refusal::CrlOtherScope),
    ),
    ("list of users only", |w| w.crl.extensions.push(scoped(&tlv(0x81, &[0xff]))), None),
    (
        "list of another partition",
        |w| w.crl.extensions.push(scoped(&uri("http://ca/7.crl"))),
        Some(Refusal::CrlOtherScope),
    ),
    (
        "list of the card's partition",
        |w| {
            w.crl.extensions.push(scoped(&uri("http://ca/7.crl")));
            w.leaf.extensions.push(distribution_point("http://ca/7.crl"));
        },
        None,
    ),
    (
        "list with an entry of another authority",
        |w| {
            let other = extension("2.5.29.29", true, &seq(&[&tlv(0xa4, &name(&[(CN, "CA Altra")]))]));
            w.crl.entries.push((vec![9], None, other));
        },
        Some(Refusal::CrlUnsupported),
    ),
    (
        "list with a critical extension that nobody knows",
        |w| {
            w.crl.extensions.push(extension("1.3.76.99.1", true, &[5, 0]));
        },
        Some(Refusal::CrlUnsupported),
    ),
    (
        "authority between revoked",
        |w| {
            w.below();
            w.crl.revoke(&[0x11], Some(2));
        },
        Some(Refusal::CaRevoked),
    ),
    (
        "authority between without a list",
        |w| {
            w.below();
            w.more_crls.clear();
        },
        Some(Refusal::CrlWrongIssuer),
    ),
    (
        "card revoked by the authority between",
        |w| {
            w.below();
            let mut list = Crl::of("CA Sotto");
            list.revoke(&[0x22, 0x33], Some(4));
            w.more_crls[0] = list.sign(&w.between[0].1);
        },
        Some(Refusal::Revoked),
    ),
    (
        "list of the authority between, signed by another",
        |w| {
            w.below();
            w.more_crls[0] = Crl::of("CA Sotto").sign(&w.root_key);
        },
        Some(Refusal::CrlBadSignature),
    ),
];

#[test]
fn every_certificate_gets_the_answer_that_the_table_says() {
    let tables = [DATES, PROFILE, KEYS, NAMES, PATHS, LISTS];
    let (mut wrong, mut names, mut codes) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (case, spoil, expected) in tables.iter().copied().flatten() {
        let mut world = World::new();
        spoil(&mut world);
        let got = world.outcome().err();
        if got != *expected {
            wrong.push(format!("{case}: {got:?}, not {expected:?}"));
        }
        assert!(names.insert(*case), "{case} is there twice");
        codes.extend(expected.map(Refusal::code));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(names.len() >= 60, "{} cases", names.len());
    let all: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes, all, "every code has a case");
    assert_eq!(all.len(), Refusal::ALL.len(), "no code stands for two");
}

#[test]
fn a_valid_certificate_says_who_the_operator_is() {
    let world = World::new();
    let valid = world.outcome().unwrap();
    assert_eq!(valid.tax_code().as_str(), TAX_CODE);
    assert_eq!(valid.card(), CARD);
    assert_eq!(&**valid.authority(), "cittadini");
    assert_eq!(valid.spki(), world.leaf_key.spki());
    assert!(valid.not_after_ms() > NOW);
    assert!(!format!("{valid:?}").contains("RSS"), "personal data");
}
