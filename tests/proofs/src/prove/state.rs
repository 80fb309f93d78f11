//! What was proved on a commit, so that an interrupted run goes on.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use aws_lc_rs::digest;
use sigillo_proofs::{claim::Claim, report::Repeated};

use crate::arguments::Arguments;

/// Directory of one commit's results, in one form, with one pair of programs: the one that proves and the one that is proved.
pub(crate) struct State {
    directory: PathBuf,
    root: PathBuf,
    commit: String,
    /// What git said, if it knows none.
    no_commit: Option<String>,
    form: String,
    is_altered: bool,
}

impl State {
    /// Finds out which commit this is. Files that differ from it make every result of before worthless.
    pub(crate) fn open(arguments: &Arguments) -> Result<Self, String> {
        let (commit, no_commit) = commit(&arguments.root)?;
        let altered = altered(arguments);
        let plain = if arguments.short { "short" } else { "full" };
        fs::create_dir_all(&arguments.out).map_err(|e| format!("{}: {e}", arguments.out.display()))?;
        let out = fs::canonicalize(&arguments.out).map_err(|e| e.to_string())?;
        let form = if altered.is_empty() { plain } else { "altered" };
        let directory = out.join(&commit).join(form).join(programs(arguments)?);
        // Of changed files, or in a form of one's own, a single proof may be run again and again; never a resumed run.
        if (commit.ends_with(CHANGED) || !altered.is_empty()) && directory.exists() {
            fs::remove_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let form = if altered.is_empty() {
            plain.to_owned()
        } else {
            format!("{plain}, altered by {}", altered.join(" and "))
        };
        Ok(Self {
            directory,
            root: arguments.root.clone(),
            commit,
            no_commit,
            form,
            is_altered: !altered.is_empty(),
        })
    }

    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    /// Why there is no commit: what git said.
    pub(crate) fn no_commit(&self) -> Option<&str> {
        self.no_commit.as_deref()
    }

    /// `short` or `full`, and by which options it was altered.
    pub(crate) fn form(&self) -> &str {
        &self.form
    }

    /// Whether options made a proof another than the one that the list describes.
    pub(crate) const fn is_altered(&self) -> bool {
        self.is_altered
    }

    /// An empty directory for a proof's own files.
    pub(crate) fn directory_of(&self, proof: &str) -> Result<PathBuf, String> {
        let directory = self.directory.join(proof);
        let told = |e| format!("{}: {e}", directory.display());
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(told)?;
        }
        fs::create_dir(&directory).map_err(told)?;
        Ok(directory)
    }

    fn file(&self, proof: &str) -> PathBuf {
        self.directory.join(format!("{proof}.json"))
    }

    /// The claims of a proof that is done.
    pub(crate) fn done(&self, proof: &str) -> Result<Option<Vec<Claim>>, String> {
        let file = self.file(proof);
        match fs::read(&file) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|e| format!("{}: {e}", file.display()))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", file.display())),
        }
    }

    fn former(&self, proof: &str, number: usize) -> PathBuf {
        self.directory.join(format!("{proof}.{number}.json"))
    }

    /// Puts the result of a proof aside, which is run again: it is told of, and not taken for the new one if that cannot be run.
    pub(crate) fn put_aside(&self, proof: &str) -> Result<(), String> {
        let number = (1..).find(|number| !self.former(proof, *number).exists());
        let (file, aside) = (self.file(proof), self.former(proof, number.unwrap_or(1)));
        match fs::rename(&file, &aside) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("{}: {e}", aside.display())),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn reason(&self, proof: &str) -> PathBuf {
        self.directory.join(format!("{proof}.why"))
    }

    /// Keeps why a proof could not be run.
    pub(crate) fn not_run(&self, proof: &str, why: &str) -> Result<(), String> {
        let file = self.reason(proof);
        fs::write(&file, why).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Why a proof without a result has none; nothing if it was not tried.
    pub(crate) fn why_not(&self, proof: &str) -> Result<Option<String>, String> {
        let file = self.reason(proof);
        match fs::read_to_string(&file) {
            Ok(why) => Ok(Some(why)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", file.display())),
        }
    }

    /// How often a proof was run before the result that counts.
    pub(crate) fn repeated(&self, proof: &'static str) -> Result<Option<Repeated>, String> {
        let files = (1..).map(|number| self.former(proof, number)).take_while(|file| file.exists());
        let mut repeated = Repeated { proof, before: 0, not_shown: 0 };
        for file in files {
            let text = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let claims: Vec<Claim> =
                serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", file.display()))?;
            repeated.before = repeated.before.saturating_add(1);
            let shown = claims.iter().all(Claim::is_shown);
            repeated.not_shown = repeated.not_shown.saturating_add(usize::from(!shown));
        }
        Ok((repeated.before > 0).then_some(repeated))
    }

    /// Keeps the claims of a proof: whole, or not at all.
    ///
    /// # Errors
    /// The source is another than it was when this run began: nobody knows which of the two was proved.
    pub(crate) fn keep(&self, proof: &str, claims: &[Claim]) -> Result<(), String> {
        let (now, _) = commit(&self.root)?;
        if now != self.commit {
            return Err(format!(
                "the source was {} and is {now} now: this result is of neither",
                self.commit
            ));
        }
        let (file, part) = (self.file(proof), self.directory.join(format!("{proof}.part")));
        let text = serde_json::to_vec(claims).map_err(|e| e.to_string())?;
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &file))
            .map_err(|e| format!("{}: {e}", file.display()))
    }
}

const CHANGED: &str = "-changed";

/// Options that make a proof another than the one that the list describes.
fn altered(arguments: &Arguments) -> Vec<&'static str> {
    let options = [
        ("--url", arguments.url.is_some()),
        ("--tuples", arguments.tuples.is_some()),
        ("--pairs", arguments.pairs.is_some()),
        ("--cards", arguments.cards.is_some()),
    ];
    options.into_iter().filter_map(|(option, given)| given.then_some(option)).collect()
}

/// Names the program that is proved and this one by their content.
fn programs(arguments: &Arguments) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut both = digest::Context::new(&digest::SHA256);
    for program in [&arguments.sigillo, &own] {
        let content = fs::read(program).map_err(|e| format!("{}: {e}", program.display()))?;
        both.update(digest::digest(&digest::SHA256, &content).as_ref());
    }
    Ok(hex::encode(both.finish().as_ref().first_chunk::<8>().ok_or("a digest of SHA-256 is longer")?))
}

/// The commit; what git said, if there is none to be known.
fn commit(root: &Path) -> Result<(String, Option<String>), String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output();
        let output = output.map_err(|e| format!("git: {e}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(format!("git: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    };
    // A source without its history is proved too; nothing of it is remembered.
    let commit = match git(&["rev-parse", "HEAD"]) {
        Ok(commit) => commit,
        Err(why) => return Ok((format!("unknown{CHANGED}"), Some(why))),
    };
    let clean = git(&["status", "--porcelain"])?.is_empty();
    Ok((if clean { commit } else { commit + CHANGED }, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_where_there_is_no_commit_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (name, why) = commit(directory.path()).unwrap();
        assert_eq!(name, "unknown-changed");
        let why = why.unwrap();
        assert!(why.starts_with("git: ") && why.len() > 10, "{why}");
    }

    #[test]
    fn what_is_run_again_is_put_aside_and_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_owned();
        // No source: its name is that of one without a history.
        let mut state = State {
            directory: place.clone(),
            root: place,
            commit: format!("unknown{CHANGED}"),
            no_commit: None,
            form: "full".into(),
            is_altered: false,
        };
        let claims = |holds| {
            let text = || "text".to_owned();
            let (proof, claim, figure, bound) = (text(), text(), text(), text());
            [Claim { proof, claim, figure, bound, holds, control_failed_as_it_must: None }]
        };
        state.put_aside("one").unwrap();
        assert_eq!(state.repeated("one"), Ok(None));
        assert_eq!(state.why_not("one"), Ok(None));
        state.not_run("one", "no /dev/fuse").unwrap();
        assert_eq!(state.why_not("one"), Ok(Some("no /dev/fuse".into())));
        assert_eq!(state.done("one"), Ok(None), "a reason is no result");
        for holds in [false, true, false, true] {
            state.put_aside("one").unwrap();
            assert_eq!(state.done("one"), Ok(None), "not taken for the new one");
            state.keep("one", &claims(holds)).unwrap();
        }
        assert_eq!(state.repeated("one"), Ok(Some(Repeated { proof: "one", before: 3, not_shown: 2 })));
        assert_eq!(state.done("one"), Ok(Some(claims(true).to_vec())));
        state.commit = "another".into();
        assert!(state.keep("one", &claims(true)).unwrap_err().contains("is of neither"));
    }
}
