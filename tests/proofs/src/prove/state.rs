//! What was proved on a commit, so that an interrupted run goes on.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use sigillo_proofs::claim::Claim;

use crate::Arguments;

/// Directory of one commit's results, in one of the two forms.
pub(crate) struct State {
    directory: PathBuf,
    commit: String,
}

impl State {
    /// Finds out which commit this is. Files that differ from it make every result of before worthless.
    pub(crate) fn open(arguments: &Arguments) -> Result<Self, String> {
        let commit = commit(&arguments.root)?;
        let form = if arguments.short { "short" } else { "full" };
        fs::create_dir_all(&arguments.out).map_err(|e| format!("{}: {e}", arguments.out.display()))?;
        let out = fs::canonicalize(&arguments.out).map_err(|e| e.to_string())?;
        let directory = out.join(&commit).join(form);
        // Of changed files a single proof may be run again and again while it is written; never a resumed run.
        if commit.ends_with(CHANGED) && directory.exists() {
            fs::remove_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        Ok(Self { directory, commit })
    }

    pub(crate) fn commit(&self) -> &str {
        &self.commit
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

    /// Keeps the claims of a proof: whole, or not at all.
    pub(crate) fn keep(&self, proof: &str, claims: &[Claim]) -> Result<(), String> {
        let (file, part) = (self.file(proof), self.directory.join(format!("{proof}.part")));
        let text = serde_json::to_vec(claims).map_err(|e| e.to_string())?;
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &file))
            .map_err(|e| format!("{}: {e}", file.display()))
    }
}

const CHANGED: &str = "-changed";

fn commit(root: &Path) -> Result<String, String> {
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
    let Ok(commit) = git(&["rev-parse", "HEAD"]) else { return Ok(format!("unknown{CHANGED}")) };
    let clean = git(&["status", "--porcelain"])?.is_empty();
    Ok(if clean { commit } else { commit + CHANGED })
}

/// Processors and memory of this machine.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().replace("MemTotal:", "");
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default().to_owned();
    format!("{processors} processors{model}, {} of memory", memory.trim())
}
