use std::path::Path;

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
};

use super::*;
use crate::{
    domain::officers::{OfficerKey, Purpose, fingerprint},
    pki::{Ca, Validity},
    policy::officer_key,
};

/// An officer with a P-256 key, by files.
fn officer(name: &str, dir: &Path) -> (Officer, Holder) {
    let validity = Validity { from_ms: 1_700_000_000_000, to_ms: 1_900_000_000_000 };
    let issued = Ca::new("CA", validity).unwrap().client(name, validity).unwrap();
    issued.write(dir, name).unwrap();
    let of = |kind: &str| dir.join(format!("{name}.{kind}"));
    let holder = Holder::load(&of("pem"), &of("key")).unwrap();
    (Officer::new(name.into(), issued.der(), officer_key(issued.der()).unwrap()), holder)
}

fn entries(count: usize) -> Vec<Entry> {
    (0..count).map(|n| (format!("c{n:06}").into_bytes(), vec![u8::try_from(n % 251).unwrap(); 245])).collect()
}

fn backup(officers: &[Officer], entries: &[Entry]) -> Vec<u8> {
    let (mut writer, mut file) = Writer::begin(officers, "demo", "2026-01-01T00:00:00.000Z").unwrap();
    file.extend(writer.checkpoint("checkpoint\n").unwrap());
    for step in entries.chunks(100) {
        file.extend(writer.entries(step).unwrap());
    }
    file.extend(writer.finish().unwrap());
    file
}

fn read(file: &[u8], holder: &Holder) -> Result<Vec<Entry>, Error> {
    let mut reader = BackupReader::open(file, holder)?;
    assert_eq!((reader.log(), reader.checkpoint()), ("demo", "checkpoint\n"));
    let mut all = Vec::new();
    while let Some(entries) = reader.next(77)? {
        all.extend(entries);
    }
    Ok(all)
}

#[test]
fn any_officer_opens_it_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let ((a, key_a), (b, key_b), (_, stranger)) =
        (officer("a", dir.path()), officer("b", dir.path()), officer("c", dir.path()));
    for count in [0, 1, 1000] {
        let entries = entries(count);
        let file = backup(&[a.clone(), b.clone()], &entries);
        for key in [&key_a, &key_b] {
            assert_eq!(read(&file, key).unwrap(), entries);
        }
        assert!(matches!(read(&file, &stranger), Err(Error::NotForThis)));
        // The certificate of an officer with somebody else's key.
        let thief = Holder::load(&dir.path().join("a.pem"), &dir.path().join("c.key")).unwrap();
        assert!(matches!(read(&file, &thief), Err(Error::WrongKey)));
        thief.sign(Purpose::Recovery, "x").unwrap_err();
        assert!(!file.windows(7).any(|bytes| bytes == b"c000000"), "it is encrypted");
    }
}

#[test]
fn a_key_for_an_rsa_certificate() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(
        aws_lc_rs::signature::KeyPair::public_key(&pair),
    );
    let officer = Officer::new("r".into(), b"certificate", OfficerKey::Rsa(spki.unwrap().as_ref().to_vec()));
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec();
    let holder = Holder::for_tests(fingerprint(b"certificate"), officer.key().clone(), pkcs8);
    let entries = entries(3);
    assert_eq!(read(&backup(std::slice::from_ref(&officer), &entries), &holder).unwrap(), entries);
    let signature = holder.sign(Purpose::Recovery, "x").unwrap();
    let officers = crate::domain::officers::Officers::new(vec![officer], 1).unwrap();
    assert_eq!(officers.agree(Purpose::Recovery, "x", &[signature]).unwrap(), ["r"]);
}

#[test]
fn a_changed_cut_or_longer_file_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (a, key) = officer("a", dir.path());
    let file = backup(&[a], &entries(1000));
    assert!(file.len() > 200_000);
    read(&file, &key).unwrap();
    // Every byte counts: some of the header, of lengths, ciphertexts and tags.
    let start = MAGIC.len() + 4;
    for at in
        [0, 17, 18, 21, start, start + 60, start + 300, 70_000, 140_000, file.len() - 1, file.len() - 20]
    {
        let mut changed = file.clone();
        changed[at] ^= 1;
        read(&changed, &key).unwrap_err();
    }
    let mut longer = file.clone();
    longer.push(0);
    read(&longer, &key).unwrap_err();

    // Whole chunks left out, moved, or the end cut off at a chunk.
    let header = usize::try_from(u32::from_be_bytes(file[18..22].try_into().unwrap())).unwrap();
    let (mut at, mut chunks) = (start + header, Vec::new());
    while at < file.len() {
        let size = usize::try_from(u32::from_be_bytes(file[at..at + 4].try_into().unwrap())).unwrap() + 4;
        chunks.push(file[at..at + size].to_vec());
        at += size;
    }
    assert!(chunks.len() >= 4);
    let join = |chunks: &[Vec<u8>]| [&file[..start + header], &chunks.concat()].concat();
    assert_eq!(join(&chunks), file);
    let mut swapped = chunks.clone();
    swapped.swap(0, 1);
    let mut short = chunks.clone();
    short.remove(1);
    for bad in
        [join(&swapped), join(&short), join(&chunks[..2]), join(&chunks[..chunks.len() - 1]), join(&[])]
    {
        read(&bad, &key).unwrap_err();
    }
    for length in [0, 10, 20, start + 10, file.len() / 2, file.len() - 1] {
        read(&file[..length], &key).unwrap_err();
    }
}
