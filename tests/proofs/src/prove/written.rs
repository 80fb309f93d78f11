//! The files of the report. A run with options of its own has its own: it never takes the place of what the real form has shown.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sigillo_proofs::{
    claim::Claim,
    report::{self, About, Described},
};

use crate::list::PROOFS;

/// Writes the report, and says which file people read.
pub(crate) fn write(out: &Path, altered: bool, about: &About, claims: &[Claim]) -> Result<PathBuf, String> {
    let list =
        PROOFS.iter().map(|one| Described { proof: one.name, what: one.what, not_covered: one.not_covered });
    let list: Vec<_> = list.collect();
    let stem = if altered { "report-altered" } else { "report" };
    for (end, text) in [
        (".md", report::markdown(about, &list, claims)),
        (".json", report::json(claims)?),
        ("-run.json", report::run_json(about)?),
    ] {
        let file = out.join(format!("{stem}{end}"));
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(out.join(format!("{stem}.md")))
}

/// The last line.
pub(crate) fn said(report: &Path, altered: bool) -> String {
    let beside = if altered { "; report.md, of the real form, stays as it was" } else { "" };
    format!("The report is {}{beside}.", report.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_run_leaves_the_real_report_alone() {
        let out = tempfile::tempdir().unwrap();
        let about = |form: &str| About {
            commit: "abc".into(),
            no_commit: None,
            form: form.into(),
            date: "2026-11-30".into(),
            machine: "2 processors".into(),
            kernel: "Linux 6.1".into(),
            against: None,
            proofs: 0,
            not_run: Vec::new(),
            repeated: Vec::new(),
        };
        let names = ["report.md", "report.json", "report-run.json"];
        let read = || names.map(|name| fs::read_to_string(out.path().join(name)).unwrap());
        assert_eq!(write(out.path(), false, &about("full"), &[]), Ok(out.path().join("report.md")));
        let real = read();
        let altered = write(out.path(), true, &about("full, altered by --url"), &[]).unwrap();
        assert_eq!(read(), real);
        assert!(fs::read_to_string(&altered).unwrap().contains("altered by --url"));
        for name in ["report-altered.md", "report-altered.json", "report-altered-run.json"] {
            assert!(out.path().join(name).is_file(), "{name}");
        }
        assert!(said(&altered, true).contains("report.md, of the real form, stays"), "{altered:?}");
    }
}
