//! The store of an installation on a disk whose power can be cut: FUSE, a loop device, and ext4 on it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};
use sigillo_bench::installation::run;
use sigillo_proofs::disk::{Cut, Disk, Mood};

use crate::needs;

const ROOT: u64 = 1;
const FILE: u64 = 2;
/// The one file of the mount.
const NAME: &str = "disk";
/// So often it is looked whether a file system is gone, so far apart: a minute.
const GONE: (u32, Duration) = (6000, Duration::from_millis(10));
/// How finely a slow flush waits, in milliseconds.
const STEP_MS: u64 = 20;
/// How long the kernel may remember attributes that never change.
const LONG: Duration = Duration::from_secs(3600);

/// The disk, as a file that the kernel asks for.
struct Served {
    disk: Arc<Mutex<Disk>>,
    /// How long a flush takes besides, in milliseconds.
    slow_ms: Arc<AtomicU64>,
}

impl Served {
    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> Result<T, Errno> {
        act(&mut self.disk.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|_| Errno::EIO)
    }

    fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        let file = number == FILE;
        let size = self.with(|disk| Ok(disk.size()))?;
        Ok(FileAttr {
            ino: INodeNo(number),
            size: if file { size } else { 0 },
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if file { FileType::RegularFile } else { FileType::Directory },
            perm: if file { 0o600 } else { 0o755 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if u64::from(parent) != ROOT || name != NAME {
            return reply.error(Errno::ENOENT);
        }
        match self.attributes(FILE) {
            Ok(attributes) => reply.entry(&LONG, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(u64::from(number)) {
            Ok(attributes) => reply.attr(&LONG, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Past the cache of this mount: what the loop device has written is written.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.with(|disk| {
            let left = usize::try_from(disk.size().saturating_sub(offset)).unwrap_or(usize::MAX);
            disk.read(offset, usize::try_from(size).unwrap_or(0).min(left))
        });
        match read {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.with(|disk| disk.write(offset, data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut waited = 0;
        // Over at once when it is no longer slow.
        while waited < self.slow_ms.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(STEP_MS));
            waited = waited.saturating_add(STEP_MS);
        }
        match self.with(Disk::flush) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EOPNOTSUPP);
    }
}

/// The disk with its mounts. Dropping it takes them away.
pub(crate) struct Rig {
    disk: Arc<Mutex<Disk>>,
    slow_ms: Arc<AtomicU64>,
    session: Option<BackgroundSession>,
    fuse: PathBuf,
    mounted: PathBuf,
    device: Option<String>,
}

fn command(program: &str, arguments: &[&str]) -> Result<String, String> {
    run(Command::new(program).args(arguments))
        .map_err(|why| format!("{program} {}: {why}", arguments.join(" ")))
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// Waits until the kernel has ended the file system on this device.
///
/// Unmounting takes one mount away. While a mount namespace that was copied meanwhile has another, by any process of
/// this machine, the file system lives on, and writes to the disk after the power has come back.
fn is_gone(device: &str) -> Result<(), String> {
    let Some(name) = Path::new(device).file_name() else {
        return Err(format!("{device} is no device"));
    };
    let alive = Path::new("/sys/fs/ext4").join(name);
    for _ in 0..GONE.0 {
        if !alive.exists() {
            return Ok(());
        }
        std::thread::sleep(GONE.1);
    }
    Err(format!(
        "the file system of {device} lives on in a mount namespace of another process: end it, and run again"
    ))
}

impl Rig {
    /// A new ext4 of so many MiB, mounted over the directory `at`, with what was in it.
    ///
    /// # Errors
    /// A sentence: not root, or no FUSE here.
    pub(crate) fn new(scratch: &Path, at: &Path, mib: u32) -> Result<Self, String> {
        needs::root("a disk whose power can be cut needs mounts")?;
        needs::device("/dev/fuse", "fuse")?;
        needs::device("/dev/loop-control", "loop")?;
        let file = |name: &str| scratch.join(name);
        fs::create_dir_all(file("fuse")).map_err(|e| e.to_string())?;
        let image = File::options().read(true).write(true).create(true).truncate(true).open(file("durable"));
        let disk =
            image.and_then(|image| Disk::new(image, mib)).map_err(|e| format!("the disk's file: {e}"))?;
        let (disk, slow_ms) = (Arc::new(Mutex::new(disk)), Arc::new(AtomicU64::new(0)));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("sigillo-proofs".into())];
        let served = Served { disk: Arc::clone(&disk), slow_ms: Arc::clone(&slow_ms) };
        let session = fuser::spawn_mount(served, file("fuse"), &config)
            .map_err(|e| format!("FUSE: {e}; {}", needs::how("fuse")))?;
        let mut rig = Self {
            disk,
            slow_ms,
            session: Some(session),
            fuse: file("fuse"),
            mounted: at.to_owned(),
            device: None,
        };
        let device = rig.attach()?;
        let lazy = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        command("mkfs.ext4", &["-q", "-F", "-E", lazy, &device])?;
        let before = scratch.join("before");
        fs::rename(at, &before).map_err(|e| format!("{}: {e}", at.display()))?;
        fs::create_dir(at).map_err(|e| format!("{}: {e}", at.display()))?;
        rig.mount(&[])?;
        command("cp", &["-a", &format!("{}/.", text(&before)?), text(at)?])?;
        command("sync", &["-f", text(at)?])?;
        Ok(rig)
    }

    fn attach(&mut self) -> Result<String, String> {
        let device = command("losetup", &["-f", "--show", text(&self.fuse.join(NAME))?])
            .map_err(|why| format!("{why}; for a loop device {}", needs::how("loop")))?;
        self.device = Some(device.clone());
        Ok(device)
    }

    fn on_disk<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        act(&mut self.disk.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How the disk behaves from now on.
    pub(crate) fn behave(&self, mood: Mood) {
        self.on_disk(|disk| disk.behave(mood));
    }

    /// Flushes that made something durable, so far.
    pub(crate) fn flushes(&self) -> u64 {
        self.on_disk(|disk| disk.flushes())
    }

    /// Each flush takes so much longer from now on.
    pub(crate) fn slow(&self, ms: u64) {
        self.slow_ms.store(ms, Ordering::SeqCst);
    }

    /// Mounts what is on the disk.
    ///
    /// # Errors
    /// What `mount` says.
    pub(crate) fn mount(&self, options: &[&str]) -> Result<(), String> {
        let device = self.device.clone().ok_or("no device")?;
        command("mount", &[options, &["-t", "ext4", &device, text(&self.mounted)?]].concat()).map(drop)
    }

    /// Takes the mount away.
    ///
    /// # Errors
    /// What `umount` says.
    pub(crate) fn unmount(&self) -> Result<(), String> {
        command("umount", &[text(&self.mounted)?]).map(drop)
    }

    /// The power comes back: what a cut left is looked at as a machine does when it starts, and mounted.
    ///
    /// # Errors
    /// The file system cannot be mended without a human, or not mounted.
    pub(crate) fn power_on(&mut self, seed: u64, kept_of_256: u16) -> Result<Cut, String> {
        // What the kernel still holds of before is gone with it: writes fail as long as the power is off.
        self.unmount()?;
        if let Some(device) = self.device.take() {
            is_gone(&device)?;
            command("losetup", &["-d", &device])?;
        }
        let cut = self.on_disk(|disk| disk.cut(seed, kept_of_256)).map_err(|e| e.to_string())?;
        let device = self.attach()?;
        let looked = Command::new("e2fsck").args(["-p", &device]).output().map_err(|e| e.to_string())?;
        // 1: mended; 2: and to be started again, which it is.
        if looked.status.code().is_none_or(|code| code > 2) {
            return Err(format!("e2fsck -p: {}", String::from_utf8_lossy(&looked.stdout).trim()));
        }
        self.mount(&[])?;
        Ok(cut)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.behave(Mood::Good);
        self.slow(0);
        // What cannot be taken away stays for a human to see; nothing else can be done here.
        let _unmounted = self.unmount();
        if let Some(device) = self.device.take() {
            let _gone = is_gone(&device);
            let _detached = command("losetup", &["-d", &device]);
        }
        if let Some(session) = self.session.take() {
            let _ended = session.umount_and_join();
        }
    }
}
