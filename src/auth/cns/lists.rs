//! The revocation lists of a directory that somebody else fills, say a timer that downloads them.
//!
//! A file is read when it changed. What is no list of its authority never takes the place of one that was good, nor does
//! an older list: who can write there, or sits between here and the authority, can at most let a list grow stale.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use super::{Authority, Refusal, Rules, Trust, crl::List, path::Step};
use crate::files;

/// Longest list, bytes.
const MAX: u64 = 64 << 20;

/// What tells a file from the one that was there before: device, inode, size, and when it changed, to the nanosecond.
type Stamp = (u64, u64, u64, i64, i64);

/// The lists at one time.
#[derive(Default)]
pub(super) struct Lists {
    generation: u64,
    files: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    stamp: Option<Stamp>,
    list: Result<Arc<List>, Refusal>,
}

/// The directory and what was last read of it.
pub(super) struct ListDirectory {
    directory: Option<PathBuf>,
    current: RwLock<Arc<Lists>>,
    /// One refresh at a time: a slower one would put older lists in the place of newer ones.
    turn: Mutex<()>,
}

impl ListDirectory {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, current: RwLock::default(), turn: Mutex::default() }
    }

    pub(super) fn current(&self) -> Arc<Lists> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what changed; answers what could not be used, by file.
    pub(super) fn refresh(&self, trust: &Trust) -> Vec<(String, Refusal)> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let (mut files, mut faults) = (BTreeMap::new(), Vec::new());
        for authority in trust.authorities() {
            for name in &authority.crls {
                if files.contains_key(name) {
                    continue;
                }
                let known = before.files.get(name);
                let read = match self.directory.as_deref() {
                    Some(directory) => read(&directory.join(name), known, trust),
                    None => Some(Entry { stamp: None, list: Err(Refusal::CrlMissing) }),
                };
                let mut entry = match (read, known) {
                    (Some(entry), _) => entry,
                    (None, Some(known)) => known.clone(),
                    (None, None) => continue,
                };
                if let Err(fault) = entry.list {
                    faults.push((name.clone(), fault));
                    if let Some(Entry { list: Ok(good), .. }) = known {
                        entry.list = Ok(Arc::clone(good));
                    }
                }
                drop(files.insert(name.clone(), entry));
            }
        }
        let same = files.len() == before.files.len()
            && files.iter().all(|(name, entry)| before.files.get(name).is_some_and(|old| old.is(entry)));
        let generation = if same { before.generation } else { before.generation.saturating_add(1) };
        let fresh = Arc::new(Lists { generation, files });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        faults
    }
}

impl Entry {
    /// Whether both hold the same list, or none for the same reason.
    fn is(&self, other: &Self) -> bool {
        match (&self.list, &other.list) {
            (Ok(one), Ok(two)) => Arc::ptr_eq(one, two),
            (Err(one), Err(two)) => one == two,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }
    }
}

/// The file, or nothing if it is the one that is known.
fn read(path: &Path, known: Option<&Entry>, trust: &Trust) -> Option<Entry> {
    let stamp = fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
    if known.is_some_and(|known| known.stamp == stamp && (stamp.is_some() || known.list.is_err())) {
        return None;
    }
    let list = match files::read_public(path, MAX) {
        Ok(bytes) => List::parse(bytes).and_then(|list| check(list, known, trust)),
        Err(_) => Err(Refusal::CrlMissing),
    };
    Some(Entry { stamp, list: list.map(Arc::new) })
}

/// Refuses a list that does not come from the authority that it names, and one that is older than the known one.
fn check(list: List, known: Option<&Entry>, trust: &Trust) -> Result<List, Refusal> {
    let mut named = trust.authorities().iter().filter(|a| a.subject == list.issuer).peekable();
    if named.peek().is_some() && !named.any(|authority| list.is_signed_by(&authority.spki)) {
        return Err(Refusal::CrlBadSignature);
    }
    if known.and_then(|known| known.list.as_ref().ok()).is_some_and(|good| list.is_older_than(good)) {
        return Err(Refusal::CrlStale);
    }
    Ok(list)
}

impl Lists {
    /// Grows with every change.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Until when the lists of `authority` say that the certificate of this step is good.
    pub(super) fn check(
        &self,
        authority: &Authority,
        step: &Step,
        rules: &Rules,
        now_ms: u64,
    ) -> Result<u64, Refusal> {
        let mut fault = Refusal::CrlMissing;
        for name in &authority.crls {
            match self.files.get(name).map(|entry| &entry.list) {
                Some(Ok(list)) if list.issuer != step.issuer => fault = worse(fault, Refusal::CrlWrongIssuer),
                Some(Ok(list)) if !list.covers(step) => fault = Refusal::CrlOtherScope,
                Some(Ok(list)) => return list.judge(step, rules, now_ms),
                Some(Err(reason)) => fault = *reason,
                None => {}
            }
        }
        Err(fault)
    }
}

/// A list of another authority says less than any other fault.
fn worse(known: Refusal, found: Refusal) -> Refusal {
    if known == Refusal::CrlMissing { found } else { known }
}
