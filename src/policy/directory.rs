//! Where a policy set is read from, as often as it is asked for.

use std::path::{Path, PathBuf};

use super::{BadPolicy, MARKER, Policy, files, load};

/// The directory of a policy set.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    test_templates: bool,
}

impl Directory {
    /// This directory. Templates for tests are refused in it unless `test_templates`.
    pub const fn new(path: PathBuf, test_templates: bool) -> Self {
        Self { path, test_templates }
    }

    /// The files of the set in a directory, by their path in it, whatever they hold.
    pub fn names(directory: &Path) -> Result<Vec<PathBuf>, BadPolicy> {
        let names = files::names(directory)?.into_iter();
        Ok(names.filter(|name| name != MARKER).map(PathBuf::from).collect())
    }

    /// Reads the set that is there now, twice: one that is being replaced meanwhile is refused.
    pub fn load(&self) -> Result<Policy, BadPolicy> {
        let policy = if self.test_templates {
            Policy::load_with_test_templates(&self.path)?
        } else {
            Policy::load(&self.path)?
        };
        if load::digest(&self.path)? == **policy.digest() {
            return Ok(policy);
        }
        let reason = "it was changed while it was read: load it again".to_owned();
        Err(BadPolicy { file: self.path.clone(), line: None, reason })
    }
}
