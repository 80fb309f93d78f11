//! A checkpoint as a signed note (c2sp.org/signed-note), which tools of others read and add their signatures to.
//!
//! Text and signature are the checkpoint's own, the signature in another writing: so every checkpoint that was ever signed is a
//! note as well, and back. Not a tlog-checkpoint: that names the root of an RFC 6962 tree, and this log is a chain.

use aws_lc_rs::digest as sha;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    checkpoint::{self, Broken, Checkpoint},
    encoding::{ecdsa_der, ecdsa_fixed},
};

/// Between text and signatures.
const END_OF_TEXT: &str = "\n\n";
/// Begins a line with a signature.
const DASH: &str = "\u{2014} ";
/// ECDSA over SHA-256; the name of a key is then in no digest, the key alone is.
const ECDSA: u8 = 2;
const SIGNATURE: &str = "signature ";

/// First bytes of the SHA-256 of a `SubjectPublicKeyInfo`.
fn key_id(public_key: &[u8]) -> [u8; 4] {
    let digest = sha::digest(&sha::SHA256, public_key);
    let mut id = [0; 4];
    id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    id
}

/// The note of this checkpoint, if it holds under this key (`SubjectPublicKeyInfo`, DER). Its key has the log's name.
///
/// # Errors
/// [`Broken`]: what [`Checkpoint::open`] says.
pub fn of(text: &str, public_key: &[u8]) -> Result<String, Broken> {
    let Checkpoint { log, .. } = Checkpoint::open(text, public_key)?;
    let broken = || Broken::NotACheckpoint("signature");
    let (body, last) = text.split_at_checked(text.find(SIGNATURE).ok_or_else(broken)?).ok_or_else(broken)?;
    let mut signature = [0; 64];
    let digits = last.strip_prefix(SIGNATURE).ok_or_else(broken)?.trim_end_matches('\n');
    hex::decode_to_slice(digits, &mut signature).map_err(|_| broken())?;
    let signature = [&key_id(public_key)[..], &ecdsa_der(&signature)].concat();
    Ok(format!("{body}\n{DASH}{log} {}\n", STANDARD.encode(signature)))
}

/// The key as a verifier of notes takes it: name, id and key.
pub fn verifier(log: &str, public_key: &[u8]) -> String {
    let key = STANDARD.encode([&[ECDSA][..], public_key].concat());
    format!("{log}+{}+{key}", hex::encode(key_id(public_key)))
}

/// The checkpoint in a note: its text with the signature by this key. Whether it holds, [`Checkpoint::open`] tells; signatures
/// by others are passed over. Nothing if the text is no note, or has none by this key.
pub fn checkpoint(note: &str, public_key: &[u8]) -> Option<String> {
    let (text, signatures) = note.rsplit_once(END_OF_TEXT)?;
    let by_key = |line: &str| {
        let (_, signature) = line.strip_prefix(DASH)?.rsplit_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        ecdsa_fixed(bytes.strip_prefix(&key_id(public_key))?)
    };
    let signature = signatures.lines().find_map(by_key)?;
    Some(checkpoint::signed(&format!("{text}\n"), &signature))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
            UnparsedPublicKey,
        },
    };

    use super::*;
    use crate::domain::audit::Head;

    fn key() -> (EcdsaKeyPair, Vec<u8>) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let public = public.as_ref().to_vec();
        (pair, public)
    }

    fn signed(pair: &EcdsaKeyPair) -> String {
        let text = checkpoint::text(&checkpoint::Claim {
            log: "demo/personalise",
            head: Head { seq: 7, hash: [9; 32] },
            policy: "aa",
            sequence: 1,
            recoveries: 0,
            at_ms: 1_764_000_000_000,
        });
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        checkpoint::signed(&text, signature.as_ref().try_into().unwrap())
    }

    #[test]
    fn a_checkpoint_is_a_note_and_back() {
        let (pair, public) = key();
        // Short and long integers come by chance.
        for _ in 0..300 {
            let text = signed(&pair);
            let note = of(&text, &public).unwrap();
            assert_eq!(checkpoint(&note, &public).as_ref(), Some(&text));
            // As a verifier of another making takes it apart.
            let (body, line) = note.split_once("\n\n").unwrap();
            let encoded =
                line.strip_prefix("\u{2014} demo/personalise ").unwrap().strip_suffix('\n').unwrap();
            let bytes = STANDARD.decode(encoded).unwrap();
            let (id, signature) = bytes.split_at(4);
            assert!(verifier("demo/personalise", &public).contains(&format!("+{}+Aj", hex::encode(id))));
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &public)
                .verify(format!("{body}\n").as_bytes(), signature)
                .unwrap();
        }
    }

    #[test]
    fn signatures_by_others_are_passed_over() {
        let ((pair, public), (_, other)) = (key(), key());
        let text = signed(&pair);
        let note = of(&text, &public).unwrap();
        let (body, ours) = note.split_once("\n\n").unwrap();
        let witness = format!("\u{2014} witness.example {}\n", STANDARD.encode([7; 76]));
        assert_eq!(checkpoint(&format!("{body}\n\n{witness}{ours}"), &public), Some(text.clone()));
        assert_eq!(checkpoint(&format!("{body}\n\n{witness}"), &public), None);
        assert_eq!(checkpoint(&note, &other), None);
        assert_eq!(checkpoint(&text, &public), None, "a checkpoint as it is");
        assert!(of(&text, &other).is_err() && of("", &public).is_err());
    }

    #[test]
    fn a_changed_note_does_not_hold() {
        let (pair, public) = key();
        let note = of(&signed(&pair), &public).unwrap().replace("seq 7", "seq 8");
        let text = checkpoint(&note, &public).unwrap();
        assert!(matches!(Checkpoint::open(&text, &public), Err(Broken::Signature(8))));
    }
}
