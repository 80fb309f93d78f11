//! Mail, at the moment at which the relay has written it: the directory is watched, never searched, so that what lies there
//! from before costs nothing.

use std::{
    collections::HashMap,
    fs::File,
    io::{ErrorKind, Read},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::sync::oneshot::{self, Receiver, Sender};

/// Bytes of a message in which its recipient is looked for: its headers.
const HEAD: u64 = 4096;

#[derive(Debug, Default)]
struct Waiting {
    of: HashMap<u64, Sender<()>>,
    fault: Option<String>,
}

/// Who waits for which mail.
#[derive(Debug)]
pub(crate) struct Arrivals {
    waiting: Arc<Mutex<Waiting>>,
    inotify: Arc<OwnedFd>,
    watch: i32,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arrivals {
    /// Watches a directory into which a relay moves each message once it is whole, for those to `name-N@...`.
    pub(crate) fn watch(directory: &Path, name: &str) -> Result<Self, String> {
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", directory.display());
        let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC).map_err(|e| failed(&e))?);
        let flags = WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&inotify, directory, flags).map_err(|e| failed(&e))?;
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (told, new, marker) = (Arc::clone(&waiting), directory.to_owned(), format!("{name}-"));
        let watched = Arc::clone(&inotify);
        let look = move || {
            let why = look(&watched, &told, &new, &marker).err();
            let mut waiting = lock(&told);
            let why = why.unwrap_or_else(|| "it is not watched any longer".into());
            waiting.fault = Some(format!("{}: {why}", new.display()));
            waiting.of.clear();
        };
        std::thread::Builder::new().spawn(look).map_err(|e| failed(&e))?;
        Ok(Self { waiting, inotify, watch })
    }

    /// Ends when the `n`th mail is there, or with an error when the directory cannot be watched any longer.
    pub(crate) fn expect(&self, n: u64) -> Result<Receiver<()>, String> {
        let mut waiting = lock(&self.waiting);
        if let Some(why) = &waiting.fault {
            return Err(why.clone());
        }
        let (arrived, mail) = oneshot::channel();
        waiting.of.insert(n, arrived);
        Ok(mail)
    }

    /// Why the directory cannot be watched any longer.
    pub(crate) fn fault(&self) -> String {
        lock(&self.waiting).fault.clone().unwrap_or_else(|| "one mail is waited for twice".into())
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        // It wakes the thread, which ends. Where the directory is gone the thread has ended already.
        let _woken: Result<(), Errno> = inotify::remove_watch(&self.inotify, self.watch);
    }
}

/// Tells of each new mail, until the directory is not watched any longer.
fn look(inotify: &OwnedFd, waiting: &Mutex<Waiting>, directory: &Path, marker: &str) -> Result<(), String> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(inotify, &mut buffer);
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.to_string()),
        };
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            return Err("more mail has come at once than could be followed".into());
        }
        if event.events().contains(ReadFlags::IGNORED) {
            return Ok(());
        }
        let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) else { continue };
        let text = head(&directory.join(name))?;
        if let Some(arrived) = number(&text, marker).and_then(|n| lock(waiting).of.remove(&n)) {
            // Who has lost patience does not listen any more.
            let _heard: Result<(), ()> = arrived.send(());
        }
    }
}

fn head(file: &Path) -> Result<String, String> {
    let mut head = Vec::new();
    match File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head)) {
        Ok(_) => Ok(String::from_utf8_lossy(&head).into_owned()),
        // Somebody reads the mailbox, and has taken it.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(e.to_string()),
    }
}

/// The number behind the marker.
fn number(text: &str, marker: &str) -> Option<u64> {
    let (_, behind) = text.split_once(marker)?;
    behind.split_once('@')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn the_recipient_is_found_and_nobody_elses() {
        assert_eq!(number("To: <bench-7-12@example.it>\r\n", "bench-7-"), Some(12));
        assert_eq!(number("To: <bench-71-12@example.it>\r\n", "bench-7-"), None);
        assert_eq!(number("To: <bench-7-x@example.it>\r\n", "bench-7-"), None);
    }

    #[test]
    fn a_mail_is_told_when_it_is_moved_in_and_the_ones_from_before_are_not_read() {
        let directory = std::env::temp_dir().join(format!("arrivals-{}", std::process::id()));
        let (new, old) = (directory.join("new"), directory.join("old"));
        fs::create_dir_all(&new).unwrap();
        let mail = |n: u32| format!("To: <a-{n}@example.it>\r\n");
        fs::write(new.join("before"), mail(2)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let arrivals = Arrivals::watch(&new, "a").unwrap();
            let (first, mut second) = (arrivals.expect(1).unwrap(), arrivals.expect(2).unwrap());
            fs::write(&old, mail(1)).unwrap();
            fs::rename(&old, new.join("1")).unwrap();
            tokio::time::timeout(Duration::from_secs(60), first).await.unwrap().unwrap();
            assert!(second.try_recv().is_err(), "it lay there before");
        });
        fs::remove_dir_all(&directory).unwrap();
        Arrivals::watch(&new, "a").unwrap_err();
    }
}
