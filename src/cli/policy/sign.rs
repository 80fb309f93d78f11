//! `sigillo policy sign`: an officer's signature over number and digest of a set.

use std::{fs, io::Write, path::PathBuf};

use crate::{
    cli::Failure,
    domain::{in_force::statement, officers::Purpose},
    files,
    officer_key::Holder,
    policy::Policy,
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy sign policies --cert officer-1.pem --key officer-1.key
  sigillo policy sign policies --cert officer-1.pem --key officer-1.key --out officer-1.sig

Read the set first (`sigillo policy check`, `sigillo policy diff`). The signature holds for the very bytes of this set and its
number. It counts if the officer is one of the set that is in force when this one is activated; of a new installation's
first set, if the officer is one of that set. Without --out it is written into the set, in signatures/, which is no part
of the digest.

Exit codes: 0 done; 1 failed; 64 bad options, or the set is refused.";

/// Arguments of `policy sign`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the set.
    directory: PathBuf,
    /// The officer's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0400, 0440 or 0600.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let policy = Policy::load_with_test_templates(&args.directory).map_err(Failure::config)?;
    let holder = Holder::load(&args.cert, &args.key).map_err(Failure::failed)?;
    if !policy.officers().list().iter().any(|officer| officer.fingerprint() == holder.fingerprint()) {
        tracing::warn!(
            "{} is no officer of this set: the signature counts only if it is one of the set in force",
            args.cert.display()
        );
    }
    let statement = statement(policy.parameters().sequence, policy.digest());
    let signature = holder.sign(Purpose::PolicySet, &statement).map_err(Failure::failed)?;
    let to = match &args.out {
        Some(file) => file.clone(),
        None => {
            let directory = args.directory.join("signatures");
            fs::create_dir_all(&directory)
                .map_err(|e| Failure::failed(format!("{}: {e}", directory.display())))?;
            let name: String = hex::encode(holder.fingerprint()).chars().take(16).collect();
            let file = directory.join(format!("{name}.sig"));
            // One's own signature of an earlier number is of no use any more.
            match fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::failed(format!("{}: {e}", file.display())));
                }
                Ok(()) | Err(_) => file,
            }
        }
    };
    files::write_new(&to, signature.to_string().as_bytes(), 0o644).map_err(Failure::failed)?;
    writeln!(out, "signed, in {}:\n{statement}", to.display()).map_err(Failure::failed)
}
