//! The audit log of an installation that was measured: exported over the API, verified offline by the program itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sigillo_bench::installation::run;

use crate::place::Authority;

/// What it takes.
#[derive(Clone, Debug)]
pub(crate) struct Audit<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) sigillo: &'a Path,
    /// The authority's public key of the audit log.
    pub(crate) key: &'a Path,
    /// A file for the export.
    pub(crate) export: PathBuf,
}

impl Audit<'_> {
    fn commands(&self) -> [Command; 2] {
        let at = |path: &str| self.authority.clients.join(path);
        let (mut export, mut verify) = (Command::new(self.sigillo), Command::new(self.sigillo));
        export.args(["audit", "export", "--url", &self.authority.url, "--ca"]).arg(at("ca.pem"));
        export.arg("--cert").arg(at("auditor.pem")).arg("--key").arg(at("auditor.key"));
        export.arg("--out").arg(&self.export);
        verify.args(["audit", "verify", "--public-key"]).arg(self.key).arg(&self.export);
        [export, verify]
    }

    /// Exports and verifies it, and removes the export: what the program said of it.
    ///
    /// # Errors
    /// There is no export, or it cannot be removed: nothing is known of the log.
    pub(crate) fn verify(&self) -> Result<Result<String, String>, String> {
        let [mut export, mut verify] = self.commands();
        run(&mut export).map_err(|why| format!("it cannot be exported: {why}"))?;
        let said = run(&mut verify);
        fs::remove_file(&self.export).map_err(|e| format!("{}: {e}", self.export.display()))?;
        Ok(said)
    }

    /// The same, for people to type.
    pub(crate) fn how(&self) -> String {
        let line = |command: &Command| {
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        self.commands().iter().map(|command| format!("  {}\n", line(command))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_done() {
        let authority = Authority {
            clients: "demo/clients".into(),
            url: "https://127.0.0.1:8443".into(),
            internal: None,
            pid: None,
        };
        let (sigillo, key) = (Path::new("sigillo"), Path::new("audit.pub.pem"));
        let audit = Audit { authority: &authority, sigillo, key, export: "audit.ndjson".into() };
        assert_eq!(
            audit.how(),
            "  sigillo audit export --url https://127.0.0.1:8443 --ca demo/clients/ca.pem --cert demo/clients/auditor.pem \
             --key demo/clients/auditor.key --out audit.ndjson\n  sigillo audit verify --public-key audit.pub.pem audit.ndjson\n"
        );
    }
}
