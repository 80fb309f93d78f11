use std::path::Path;

use aws_lc_rs::{
    digest::Digest,
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

use super::*;
use crate::{
    domain::{
        checkpoint::Claim,
        officers::{OfficerKey, Purpose, fingerprint},
    },
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

/// An audit key: what it signs with, and its public half.
struct Audit(EcdsaKeyPair, Vec<u8>);

impl Audit {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = aws_lc_rs::signature::KeyPair::public_key(&key);
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public).unwrap();
        let spki = spki.as_ref().to_vec();
        Self(key, spki)
    }

    fn sign(&self, hash: [u8; 32]) -> [u8; 64] {
        let hash = Digest::import_less_safe(&hash, &digest::SHA256).unwrap();
        self.0.sign_digest(&hash).unwrap().as_ref().try_into().unwrap()
    }

    fn checkpoint(&self, seq: u64, at_ms: u64) -> String {
        let claim = Claim { log: "demo", head: head(seq), policy: "", sequence: 1, recoveries: 0, at_ms };
        let text = checkpoint::text(&claim);
        checkpoint::signed(&text, &self.sign(checkpoint::digest(&text)))
    }

    /// A backup of a log that ends at event `seq`.
    fn backup(&self, officers: &[Officer], entries: &[Entry], seq: u64) -> Vec<u8> {
        let (mut writer, mut file) =
            Writer::begin(officers, "demo", "2026-01-01T00:00:00.000Z", head(seq)).unwrap();
        file.extend(writer.checkpoint(&self.checkpoint(seq, 0)).unwrap());
        for step in entries.chunks(100) {
            file.extend(writer.entries(step).unwrap());
        }
        let signature = self.sign(writer.to_sign());
        file.extend(writer.finish(&signature).unwrap());
        file
    }

    fn read(&self, file: &[u8], holder: &Holder) -> Result<Vec<Entry>, Error> {
        let mut reader = BackupReader::open(file, holder, &self.1)?;
        assert_eq!((reader.log(), reader.checkpoint().log.as_str()), ("demo", "demo"));
        let mut all = Vec::new();
        while let Some(entries) = reader.next(77)? {
            all.extend(entries);
        }
        Ok(all)
    }
}

fn head(seq: u64) -> Head {
    Head { seq, hash: [5; 32] }
}

#[test]
fn any_officer_opens_it_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::new();
    let ((a, key_a), (b, key_b), (_, stranger)) =
        (officer("a", dir.path()), officer("b", dir.path()), officer("c", dir.path()));
    for count in [0, 1, 1000] {
        let entries = entries(count);
        let file = audit.backup(&[a.clone(), b.clone()], &entries, 9);
        for key in [&key_a, &key_b] {
            assert_eq!(audit.read(&file, key).unwrap(), entries);
        }
        assert!(matches!(audit.read(&file, &stranger), Err(Error::NotForThis)));
        // The certificate of an officer with somebody else's key.
        let thief = Holder::load(&dir.path().join("a.pem"), &dir.path().join("c.key")).unwrap();
        assert!(matches!(audit.read(&file, &thief), Err(Error::WrongKey)));
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
    let audit = Audit::new();
    let file = audit.backup(std::slice::from_ref(&officer), &entries, 9);
    assert_eq!(audit.read(&file, &holder).unwrap(), entries);
    let signature = holder.sign(Purpose::Recovery, "x").unwrap();
    let officers = crate::domain::officers::Officers::new(vec![officer], 1).unwrap();
    assert_eq!(officers.agree(Purpose::Recovery, "x", &[("r.sig".into(), signature)]).unwrap(), ["r"]);
}

#[test]
fn a_changed_cut_or_longer_file_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (a, key) = officer("a", dir.path());
    let audit = Audit::new();
    let file = audit.backup(&[a], &entries(1000), 9);
    let read = |file: &[u8], key: &Holder| audit.read(file, key);
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

/// The file's start, its key and its records, as somebody has them who holds an officer's key.
fn opened(file: &[u8], holder: &Holder) -> (Vec<u8>, Secret<32>, Vec<Vec<u8>>) {
    let size = u32::from_be_bytes(*file[MAGIC.len()..].first_chunk().unwrap());
    let (start, chunks) = file.split_at([MAGIC.len(), 4, usize::try_from(size).unwrap()].iter().sum());
    let header: Header = serde_json::from_slice(&start[MAGIC.len()..][4..]).unwrap();
    let key = wrap::unwrap(&header.keys[0], holder).unwrap();
    let mut opener = Opener::new(chunks, &key, digest::digest(&digest::SHA256, start)).unwrap();
    let mut records = Vec::new();
    while !opener.is_over() {
        let mut record = vec![opener.byte().unwrap()];
        let fields = match record[0] {
            b'C' => 1,
            b'R' => 2,
            _ => {
                record.resize(1 + end::SIZE, 0);
                opener.exact(&mut record[1..]).unwrap();
                0
            }
        };
        for _ in 0..fields {
            let bytes = field(&mut opener).unwrap();
            record.extend([&length(&bytes).unwrap()[..], &bytes].concat());
        }
        records.push(record);
    }
    (start.to_vec(), key, records)
}

fn sealed(start: &[u8], key: &Secret<32>, records: &[Vec<u8>]) -> Vec<u8> {
    let mut sealer = Sealer::new(key, digest::digest(&digest::SHA256, start)).unwrap();
    let mut file = start.to_vec();
    for record in records {
        file.extend(sealer.push(record).unwrap());
    }
    file.extend(sealer.finish().unwrap());
    file
}

#[test]
fn nobody_but_the_authority_makes_a_backup_even_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (a, key) = officer("a", dir.path());
    let (audit, other) = (Audit::new(), Audit::new());
    let file = audit.backup(std::slice::from_ref(&a), &entries(300), 9);
    let (start, secret, records) = opened(&file, &key);
    assert_eq!((records.len(), sealed(&start, &secret, &records)), (302, file));
    let later = audit.backup(std::slice::from_ref(&a), &entries(300), 10);
    let end_of_later = opened(&later, &key).2.pop().unwrap();
    let unsigned = |end: &[u8]| end[..end.len() - 64].to_vec();
    let signed_by = |audit: &Audit, records: &[Vec<u8>]| {
        let mut contents = Contents::new(&start, head(9));
        contents.add(&records[0]);
        records[1..].iter().for_each(|record| contents.add_entry(record));
        let end = contents.end();
        [&b"E"[..], &end.signed(&audit.sign(end.to_sign()))].concat()
    };
    let end = 301;
    assert_eq!(unsigned(&signed_by(&audit, &records[..end])), unsigned(&records[end]));

    let refused = |what: &str, change: &dyn Fn(&mut Vec<Vec<u8>>), said: &str| {
        let mut forged = records.clone();
        change(&mut forged);
        let read = audit.read(&sealed(&start, &secret, &forged), &key).map(|_| ());
        let error = read.unwrap_err().to_string();
        assert!(error.contains(said), "{what}: {error}");
    };
    let others = "its records are not the ones that were signed";
    refused("a byte of a value", &|all| *all[7].last_mut().unwrap() ^= 1, others);
    refused("a byte of a key", &|all| all[300][11] = b'~', others);
    refused(
        "another checkpoint",
        &|all| {
            let text = audit.checkpoint(9, 1000);
            all[0] = [&b"C"[..], &length(text.as_bytes()).unwrap(), text.as_bytes()].concat();
        },
        others,
    );
    refused("one less", &|all| drop(all.remove(7)), "more or fewer");
    refused("one more", &|all| all.insert(end, [&b"R\0\0\0\x01z\0\0\0\0"[..]].concat()), "more or fewer");
    refused("two in another order", &|all| all.swap(7, 8), "not in their order");
    refused("one twice", &|all| all[8] = all[7].clone(), "not in their order");
    refused("the end of another", &|all| all[end].clone_from(&end_of_later), "its end is of another backup");
    refused("no end", &|all| drop(all.pop()), "it is cut off: it has no end");
    refused("half an end", &|all| all[end].truncate(80), "it ends inside a record");
    refused("more after the end", &|all| all.push(all[7].clone()), "something follows its end");
    let by_another = "not signed by this audit key";
    refused("signed with another key", &|all| all[end] = signed_by(&other, &all[..end]), by_another);
    refused(
        "changed, and signed with another key",
        &|all| {
            *all[7].last_mut().unwrap() ^= 1;
            all[end] = signed_by(&other, &all[..end]);
        },
        by_another,
    );
    refused(
        "its count changed in the end too",
        &|all| {
            all.remove(7);
            all[300][8] = 0x2b;
        },
        by_another,
    );
    refused("no signature", &|all| all[end][81..].fill(0), by_another);

    // Encrypted to the officers anew, by somebody who has none of their keys: another key, another start.
    let made_anew = other.backup(std::slice::from_ref(&a), &entries(300), 9);
    let (new_start, new_secret, _) = opened(&made_anew, &key);
    let error = audit.read(&sealed(&new_start, &new_secret, &records), &key).unwrap_err().to_string();
    assert!(error.contains(others), "{error}");
    let error = audit.read(&made_anew, &key).unwrap_err().to_string();
    assert!(error.contains("checkpoint at event 9: the signature is not of this key"), "{error}");
}

#[test]
fn the_form_that_was_not_signed_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (a, key) = officer("a", dir.path());
    let audit = Audit::new();
    let mut file = audit.backup(&[a], &entries(3), 9);
    file[MAGIC.len() - 2] = b'1';
    let error = audit.read(&file, &key).unwrap_err().to_string();
    assert!(error.contains("earlier version (v1), whose records are not signed"), "{error}");
    file[MAGIC.len() - 2] = b'3';
    assert!(matches!(audit.read(&file, &key), Err(Error::Damaged("it does not begin like one"))));
}
