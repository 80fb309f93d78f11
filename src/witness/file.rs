//! A witness that is a file, best on another disk or machine than the store: a write that is cut short leaves the file as
//! it was. Who owns that disk may put anything in place of the file or beside it: no symbolic link is followed, no pipe
//! waited for.
//!
//! A file system may hang for ever. Each call has a thread of its own, which nobody waits for at the end of the process.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio::sync::oneshot;

use super::{Answer, Fault, TEXT_MAX, Witness};
use crate::files::{self, FileReason};

/// The file and its directory; both must be the process's own.
#[derive(Debug)]
pub struct FileWitness {
    path: PathBuf,
    /// Number of the next text.
    next: AtomicU64,
    /// Number of the text that is in the file. Held while one is written.
    kept: Arc<Mutex<u64>>,
}

impl FileWitness {
    /// A witness at this path, which need not be there yet; its directory must.
    pub fn new(path: PathBuf) -> Self {
        Self { path, next: AtomicU64::new(1), kept: Arc::default() }
    }
}

impl Witness for FileWitness {
    fn name(&self) -> &'static str {
        "file"
    }

    fn read(&self) -> Answer<'_, Option<String>> {
        let path = self.path.clone();
        on_a_thread(move || read(&path))
    }

    fn keep(&self, text: String) -> Answer<'_, ()> {
        let (path, kept) = (self.path.clone(), Arc::clone(&self.kept));
        let number = self.next.fetch_add(1, SeqCst);
        on_a_thread(move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody waits for this one any more, and a newer one was faster.
            if *kept > number {
                return Err(Fault("a newer checkpoint was kept meanwhile".into()));
            }
            write(&path, &text).map_err(|e| Fault(format!("{}: {e}", path.display())))?;
            *kept = number;
            Ok(())
        })
    }
}

fn read(path: &Path) -> Result<Option<String>, Fault> {
    let limit = u64::try_from(TEXT_MAX).unwrap_or(u64::MAX);
    match files::read_no_link(path, limit) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Fault(format!("{}: it is not text", path.display()))),
        },
        // A directory that is not there is a disk that is not mounted, not a new witness.
        Err(e) => match &e.reason {
            FileReason::Io(error) if error.kind() == ErrorKind::NotFound && directory(path).is_dir() => {
                Ok(None)
            }
            FileReason::Io(_)
            | FileReason::Link
            | FileReason::Mode(_)
            | FileReason::NotAFile
            | FileReason::TooLong(_) => Err(Fault(e.to_string())),
        },
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // Left by a write that was cut short, or put there by somebody: it is removed, never opened.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory(path))?.sync_all()
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Answer<'static, T> {
    let (reply, answer) = oneshot::channel();
    let started = std::thread::Builder::new().name("witness-file".into()).spawn(move || {
        // Who asked may have gone.
        drop(reply.send(work()));
    });
    Box::pin(async move {
        started.map_err(|error| Fault(format!("no thread: {error}")))?;
        answer.await.unwrap_or_else(|_| Err(Fault("the thread has ended without an answer".into())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_text_is_kept_whole_and_in_place_of_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let witness = FileWitness::new(dir.path().join("checkpoint"));
        assert_eq!(witness.read().await, Ok(None));
        for text in ["first", "second and longer", "third"] {
            witness.keep(text.into()).await.unwrap();
            assert_eq!(witness.read().await, Ok(Some(text.to_owned())));
        }
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["checkpoint"], "nothing is left beside it");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_a_new_witness() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| FileWitness::new(dir.path().join(name));
        fs::write(dir.path().join("long"), [b'x'; TEXT_MAX + 1]).unwrap();
        fs::write(dir.path().join("binary"), [0xff]).unwrap();
        fs::create_dir(dir.path().join("directory")).unwrap();
        for name in ["long", "binary", "directory", "not mounted/checkpoint"] {
            let fault = at(name).read().await.unwrap_err();
            assert!(fault.0.contains(name), "{fault}");
        }
        let fault = at("not mounted/checkpoint").keep("text".into()).await.unwrap_err();
        assert!(fault.0.contains("not mounted"), "{fault}");
    }

    #[tokio::test]
    async fn a_write_that_hung_does_not_undo_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let witness = FileWitness::new(dir.path().join("checkpoint"));
        let hung = Arc::clone(&witness.kept);
        let hung = hung.lock().unwrap();
        let (older, newer) = (witness.keep("older".into()), witness.keep("newer".into()));
        drop(hung);
        // Both threads are on their way, in any order.
        let (older, newer) = tokio::join!(older, newer);
        newer.unwrap();
        assert_eq!(witness.read().await, Ok(Some("newer".to_owned())), "{older:?}");
    }

    #[tokio::test]
    async fn a_late_write_finds_the_newer_text_and_leaves_it() {
        let dir = tempfile::tempdir().unwrap();
        let witness = FileWitness::new(dir.path().join("checkpoint"));
        *witness.kept.lock().unwrap() = 2;
        let late = witness.keep("older".into()).await.unwrap_err();
        assert!(late.0.contains("newer"), "{late}");
        assert_eq!(witness.read().await, Ok(None));
    }

    #[tokio::test]
    async fn what_somebody_plants_on_its_disk_is_neither_followed_nor_waited_for() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = elsewhere.path().join("store");
        fs::write(&target, "the store").unwrap();
        for (is_pipe, reason) in [(false, "a symbolic link"), (true, "not a regular file")] {
            let plant = |at: &Path| {
                if is_pipe {
                    rustix::fs::mkfifoat(rustix::fs::CWD, at, rustix::fs::Mode::RWXU).unwrap();
                } else {
                    std::os::unix::fs::symlink(&target, at).unwrap();
                }
            };
            let path = dir.path().join("checkpoint");
            let witness = FileWitness::new(path.clone());
            plant(&path);
            let fault = witness.read().await.unwrap_err();
            assert!(fault.0.contains(reason), "{fault}");
            plant(&dir.path().join("checkpoint.new"));
            witness.keep("text".into()).await.unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "the store");
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "replaced, not written through");
            assert_eq!(witness.read().await, Ok(Some("text".to_owned())));
            fs::remove_file(&path).unwrap();
        }
        // What cannot be removed is refused.
        fs::create_dir(dir.path().join("checkpoint.new")).unwrap();
        let fault = FileWitness::new(dir.path().join("checkpoint")).keep("text".into()).await.unwrap_err();
        assert!(fault.0.contains("checkpoint"), "{fault}");
    }
}
