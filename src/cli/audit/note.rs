//! `sigillo audit note`: a checkpoint in a form that tools of others read.

use std::{fs, io::Write, path::PathBuf};

use super::{checkpoint_text, public_key};
use crate::{
    cli::Failure,
    domain::{checkpoint::Checkpoint, note},
    files,
};

/// Arguments of `note`.
#[derive(Debug, clap::Args)]
pub struct Note {
    /// Public half of the log's audit key, PEM.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The checkpoint: an answer of /v1/audit/checkpoint, or a file of a witness.
    checkpoint: PathBuf,
}

pub(super) fn run(args: &Note, out: &mut impl Write) -> Result<(), Failure> {
    let at = |path: &PathBuf, e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", path.display()));
    let text = fs::read_to_string(&args.checkpoint).map_err(|e| at(&args.checkpoint, &e))?;
    let key = public_key(&args.public_key)?;
    let text = checkpoint_text(text, std::iter::once(&*key));
    let note = note::of(&text, &key).map_err(|e| at(&args.checkpoint, &e))?;
    let log = Checkpoint::open(&text, &key).map_err(|e| at(&args.checkpoint, &e))?.log;
    files::write_new(&args.out, note.as_bytes(), 0o644).map_err(|e| at(&args.out, &e))?;
    writeln!(out, "{}", note::verifier(&log, &key)).map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use aws_lc_rs::{
        encoding::{AsDer as _, PublicKeyX509Der},
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;
    use crate::{
        cli::audit::{Verify, verify},
        domain::{
            audit::Head,
            checkpoint::{Claim, signed, text},
        },
    };

    /// A log of one event, its checkpoint as the API answers it, and the public key.
    fn files(dir: &Path) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", public.as_ref()));
        let event = r#"{"seq":1}"#;
        let head = Head::EMPTY.next(event.as_bytes()).unwrap();
        let claim = Claim { log: "demo", head, policy: "aa", sequence: 1, recoveries: 0, at_ms: 1 };
        let body = text(&claim);
        let signature = pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap();
        let checkpoint = signed(&body, signature.as_ref().try_into().unwrap());
        let line = format!("{{\"hash\":\"{}\",\"event\":{event}}}\n", hex::encode(head.hash));
        let answer = serde_json::json!({ "checkpoint": checkpoint }).to_string();
        for (name, text) in [("audit.pub.pem", &pem), ("audit.ndjson", &line), ("answer.json", &answer)] {
            fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn a_note_is_verified_by_openssl_and_is_a_witness() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        files(dir.path());
        let args = |checkpoint: &str, out: &str| Note {
            public_key: at("audit.pub.pem"),
            out: at(out),
            checkpoint: at(checkpoint),
        };
        let mut said = Vec::new();
        run(&args("answer.json", "checkpoint.note"), &mut said).unwrap();
        assert!(String::from_utf8(said).unwrap().starts_with("demo+"));
        let note = fs::read_to_string(at("checkpoint.note")).unwrap();
        // A note of a note is the same.
        run(&args("checkpoint.note", "again.note"), &mut Vec::new()).unwrap();
        assert_eq!(fs::read_to_string(at("again.note")).unwrap(), note);

        let (body, line) = note.split_once("\n\n").unwrap();
        let signature = STANDARD.decode(line.trim_end().rsplit_once(' ').unwrap().1).unwrap();
        fs::write(at("body"), format!("{body}\n")).unwrap();
        fs::write(at("signature"), &signature[4..]).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-verify"]).arg(at("audit.pub.pem"));
        let verified = openssl.arg("-signature").arg(at("signature")).arg(at("body")).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

        let verify = |witness: &str, out: &mut Vec<u8>| {
            let (public_key, witness) = (at("audit.pub.pem"), vec![at(witness)]);
            verify(&Verify { public_key, witness, json: false, file: at("audit.ndjson") }, out)
        };
        let mut said = Vec::new();
        verify("checkpoint.note", &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("1 checkpoints kept elsewhere agree"), "{said}");
        fs::write(at("changed.note"), note.replace("seq 1\n", "seq 2\n")).unwrap();
        assert!(verify("changed.note", &mut Vec::new()).is_err());
        assert!(run(&args("changed.note", "not.note"), &mut Vec::new()).is_err() && !at("not.note").exists());
    }
}
