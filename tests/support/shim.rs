//! A PKCS#11 module between the program and a token (`tests/shim/faults.c`, which says how it is told): it counts every
//! call and fails those that it is told to, while the program runs.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

const SOURCE: &str = include_str!("../shim/faults.c");
const SIZE: usize = 4096;
const FIRST_FAULT: u64 = 8;
const FIRST_COUNT: u64 = 64;

/// Variables that the module reads.
pub(crate) const MODULE: &str = "SIGILLO_SHIM_MODULE";
pub(crate) const CONTROL: &str = "SIGILLO_SHIM_CONTROL";

/// The module, built when it is first asked for.
pub(crate) fn module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (module, new) =
            (directory.join("faults.so"), directory.join(format!("faults-{}.so", std::process::id())));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/faults.c");
        let built = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-value", "-O2", "-fPIC"])
            .args(["-shared", "-fvisibility=hidden", "-o"])
            .args([&new, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .expect("a C compiler is installed: make deps");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        // Tests of another process may have it open.
        fs::rename(&new, &module).unwrap();
        module
    };
    BUILT.get_or_init(build).clone()
}

/// What happens to a call that is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It answers this `CKR_` value, and nothing is done.
    Answer(u64),
    /// It is done, and answers this value.
    Done(u64),
    /// It is done so many microseconds later.
    Delay(u64),
    /// It is done when the fault is taken back.
    Hang,
    /// It is done, with half of what it has to say.
    Cut,
    /// All sessions are closed before it is done.
    Forget,
    /// No slot has a token any more; what needs one answers this value.
    Lose(u64),
}

/// Which calls are struck, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// Nothing for every function.
    pub(crate) function: Option<&'static str>,
    /// The first occurrence, from 1.
    pub(crate) first: u64,
    /// How many occurrences; nothing for all from there.
    pub(crate) times: Option<u64>,
    pub(crate) action: Action,
    /// After the first strike the calls about the same object, and no others.
    pub(crate) sticky: bool,
}

impl Fault {
    /// The next call, and so many in all; nothing for all.
    pub(crate) fn of(function: &'static str, times: Option<u64>, action: Action) -> Self {
        Self { function: Some(function), first: 1, times, action, sticky: false }
    }
}

/// Every function by its place.
pub(crate) fn functions() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    let read = || {
        let lines = SOURCE.lines().filter_map(|line| line.trim_start().strip_prefix("F(C_"));
        let names: Vec<_> = lines.map(|rest| rest.split(',').next().unwrap()).collect();
        assert_eq!(names.len(), 68, "CK_FUNCTION_LIST of PKCS#11 v2.40");
        names
    };
    NAMES.get_or_init(read)
}

/// The control file of one token.
pub(crate) struct Shim(File);

impl Shim {
    /// A new file: no fault, nothing counted.
    pub(crate) fn create(path: &Path) -> Self {
        fs::write(path, [0; SIZE]).unwrap();
        Self::open(path)
    }

    /// One that is there.
    pub(crate) fn open(path: &Path) -> Self {
        Self(File::options().read(true).write(true).open(path).unwrap())
    }

    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn put(&self, at: u64, word: u64) {
        self.0.write_all_at(&word.to_ne_bytes(), at * 8).unwrap();
    }

    /// Puts a fault into force, in one of four places.
    pub(crate) fn set(&self, place: u64, fault: Fault) {
        static LAST: AtomicU64 = AtomicU64::new(1);
        assert!(place < 4);
        let at = FIRST_FAULT + 8 * place;
        self.put(at, 0);
        let function = fault.function.map_or(255, |name| {
            let name = name.strip_prefix("C_").unwrap();
            u64::try_from(functions().iter().position(|known| *known == name).expect(name)).unwrap()
        });
        let (action, argument) = match fault.action {
            Action::Answer(value) => (1, value),
            Action::Done(value) => (2, value),
            Action::Delay(us) => (3, us),
            Action::Hang => (4, 0),
            Action::Cut => (5, 0),
            Action::Forget => (6, 0),
            Action::Lose(value) => (7, value),
        };
        let words = [function, fault.first, fault.times.unwrap_or(0), action, argument, 0];
        for (n, word) in (at + 1..).zip(words.into_iter().chain([u64::from(fault.sticky)])) {
            self.put(n, word);
        }
        self.put(at, LAST.fetch_add(1, SeqCst));
    }

    /// No fault is in force any more.
    pub(crate) fn clear(&self) {
        for place in 0..4 {
            self.put(FIRST_FAULT + 8 * place, 0);
        }
    }

    /// How often the fault of a place has struck.
    pub(crate) fn struck(&self, place: u64) -> u64 {
        self.word(FIRST_FAULT + 8 * place + 6)
    }

    /// Calls of each function since the file was made.
    pub(crate) fn calls(&self) -> Vec<(&'static str, u64)> {
        let names = functions().iter().zip(FIRST_COUNT..);
        names.map(|(name, at)| (*name, self.word(at))).filter(|(_, calls)| *calls > 0).collect()
    }
}
