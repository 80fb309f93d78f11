//! The files of a policy set, read whole or not at all. Whoever may write the directory is not believed before officers'
//! signatures are checked: no link is followed, no pipe waited for, and everything has a limit.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::files::read_no_link;

/// Why a policy set was refused.
#[derive(Debug, thiserror::Error)]
#[error("policy {}{}: {reason}", file.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub struct BadPolicy {
    /// The file or directory at fault.
    pub file: PathBuf,
    /// Its line, from 1, where one is at fault.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub reason: String,
}

pub(super) fn bad(file: &Path, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { file: file.into(), line: None, reason: reason.into() }
}

/// A file of a set.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl File {
    /// The line, from 1, that holds the byte at `offset`.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|b| *b == b'\n').count().saturating_add(1)
    }
}

/// Lies in a directory while its set is being replaced.
pub const MARKER: &str = ".activating";

/// Most files and directories of a set.
const ENTRIES_MAX: usize = 1000;
/// Most directories on the way to a file, from the set's own.
const DEPTH_MAX: usize = 4;
/// Longest file, in bytes, but for the operators.
const FILE_MAX: u64 = 4 << 20;
/// Longest list of operators, in bytes: an entry takes about 150, and a country has some 100,000.
const OPERATORS_MAX: u64 = 32 << 20;
/// Most bytes of all files.
const ALL_MAX: usize = 48 << 20;

/// The names of a set's files: everything in the directory but the courier's own. The directory itself may be a link,
/// nothing in it.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, BadPolicy> {
    let (mut found, mut entries) = (Vec::new(), 0_usize);
    let mut open = vec![(directory.to_owned(), String::new(), 0_usize)];
    while let Some((at, prefix, depth)) = open.pop() {
        for entry in fs::read_dir(&at).map_err(|e| bad(&at, e.to_string()))? {
            let entry = entry.map_err(|e| bad(&at, e.to_string()))?;
            let path = entry.path();
            entries = entries.saturating_add(1);
            if entries > ENTRIES_MAX {
                return Err(bad(directory, format!("more than {ENTRIES_MAX} files and directories")));
            }
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
                return Err(bad(&path, "the name is not UTF-8"));
            };
            if name.chars().any(|c| c.is_control() || is_unseen(c)) {
                let shown = at.join(name.escape_default().to_string());
                return Err(bad(&shown, "the name has characters that are not shown"));
            }
            let name = format!("{prefix}{name}");
            // Of the entry itself, not of what it may lead to.
            let kind = entry.file_type().map_err(|e| bad(&path, e.to_string()))?;
            if kind.is_file() {
                found.push(name);
            } else if kind.is_symlink() {
                return Err(bad(&path, "a symbolic link, which is not followed in a policy set"));
            } else if !kind.is_dir() {
                return Err(bad(&path, "not a regular file"));
            } else if name != "courier" {
                let depth = depth.saturating_add(1);
                if depth > DEPTH_MAX {
                    return Err(bad(&path, format!("more than {DEPTH_MAX} directories deep")));
                }
                open.push((path, format!("{name}/"), depth));
            }
        }
    }
    Ok(found)
}

/// The files of a set by name.
pub(super) fn read(directory: &Path) -> Result<BTreeMap<String, File>, BadPolicy> {
    let (mut found, mut all) = (BTreeMap::new(), 0_usize);
    for name in names(directory)? {
        let path = directory.join(&name);
        if name == MARKER {
            return Err(bad(directory, "an activation broke off: run `sigillo policy activate` again"));
        }
        let most = if name == "operators.toml" { OPERATORS_MAX } else { FILE_MAX };
        let bytes = read_no_link(&path, most).map_err(|e| bad(&path, e.reason.to_string()))?;
        all = all.saturating_add(bytes.len());
        if all > ALL_MAX {
            return Err(bad(directory, format!("more than {ALL_MAX} bytes in all")));
        }
        let text = String::from_utf8(bytes).map_err(|_| bad(&path, "it is not UTF-8"))?;
        let file = File { path, text };
        if name.ends_with(".cedar") || name.ends_with(".toml") || name.starts_with("texts/") {
            check_shown(&file)?;
        }
        found.insert(name, file);
    }
    Ok(found)
}

/// What changes how the text beside it is shown, or breaks a line unseen: directions, and separators of lines.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Refuses what would let people who sign see another text than the one that is in force.
fn check_shown(file: &File) -> Result<(), BadPolicy> {
    let mut chars = file.text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let fine = match c {
            '\n' | '\t' => true,
            '\r' => chars.peek().is_some_and(|(_, next)| *next == '\n'),
            _ => !c.is_control() && !is_unseen(c),
        };
        if !fine {
            let reason = format!(
                "the character U+{:04X}, which is not shown or changes how others are shown",
                u32::from(c)
            );
            return Err(BadPolicy { file: file.path.clone(), line: Some(file.line_at(at)), reason });
        }
    }
    Ok(())
}
