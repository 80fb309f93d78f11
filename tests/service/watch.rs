//! Who watches the ports: every commit and read of a store, every call of a token, and calls that fail when told.

use std::sync::{Arc, Mutex};

use sigillo::{
    domain::audit::Head,
    hsm::{self, MacKey, Marks, Place, Token},
    secret::{Secret, SecretBytes},
    store::{self, Engine, Found, Opened, Outcome, Reader, Snapshot, Space, Unit, Versioned},
};

/// What a store was asked.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    units: Vec<Unit>,
    reads: Vec<Space>,
    entered: usize,
    left: usize,
}

impl Ledger {
    /// Stands between the shell and the memory.
    pub(crate) fn watch(self: &Arc<Self>, (engine, reader): Opened) -> Opened {
        (Box::new(WatchedEngine(engine, Arc::clone(self))), Arc::new(WatchedReader(reader, Arc::clone(self))))
    }

    /// Forgets what was asked so far.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap() = Asked::default();
    }

    /// Units that an engine was given, in order, refused and failed ones too.
    pub(crate) fn units(&self) -> Vec<Unit> {
        self.0.lock().unwrap().units.clone()
    }

    /// Spaces of point reads, in order. Reads of a commit itself are not among them.
    pub(crate) fn reads(&self) -> Vec<Space> {
        self.0.lock().unwrap().reads.clone()
    }

    /// Whether a commit is going on.
    pub(crate) fn is_busy(&self) -> bool {
        let asked = self.0.lock().unwrap();
        asked.entered != asked.left
    }

    /// Commits that have begun.
    pub(crate) fn entered(&self) -> usize {
        self.0.lock().unwrap().entered
    }
}

struct WatchedEngine(Box<dyn Engine>, Arc<Ledger>);

impl Engine for WatchedEngine {
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, store::Error> {
        {
            let mut asked = self.1.0.lock().unwrap();
            asked.entered += 1;
            asked.units.extend_from_slice(units);
        }
        let answer = self.0.commit(units);
        self.1.0.lock().unwrap().left += 1;
        answer
    }

    fn head(&self) -> Head {
        self.0.head()
    }

    fn patrol(&mut self) -> Result<store::Step, store::Error> {
        self.0.patrol()
    }

    fn snapshot(&mut self) -> Snapshot {
        self.0.snapshot()
    }
}

struct WatchedReader(Arc<dyn Reader>, Arc<Ledger>);

impl Reader for WatchedReader {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, store::Error> {
        self.1.0.lock().unwrap().reads.push(space);
        self.0.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Found>, store::Error> {
        self.0.scan(space, prefix, from, limit)
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        below: &[u8],
        limit: usize,
    ) -> Result<Vec<Found>, store::Error> {
        self.0.scan_back(space, prefix, below, limit)
    }

    fn last(&self, space: Space) -> Result<Option<Found>, store::Error> {
        self.0.last(space)
    }
}

/// What a token was asked, and which call is to fail.
#[derive(Default)]
pub(crate) struct Hands(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    made: Vec<&'static str>,
    fail: Option<(usize, hsm::Error)>,
}

impl Hands {
    /// Stands between the pool and its tokens.
    pub(crate) fn watch(self: &Arc<Self>, tokens: Vec<Box<dyn Token>>) -> Vec<Box<dyn Token>> {
        let watched = |token| -> Box<dyn Token> { Box::new(WatchedToken(token, Arc::clone(self))) };
        tokens.into_iter().map(watched).collect()
    }

    /// Forgets the calls so far, and the fault.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap() = Calls::default();
    }

    /// The calls by key, `random` or `sign`, in order.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().made.clone()
    }

    /// The `nth` call from now fails once; 1 is the next one.
    pub(crate) fn fail(&self, nth: usize, error: hsm::Error) {
        let mut calls = self.0.lock().unwrap();
        calls.fail = Some((calls.made.len() + nth, error));
    }

    fn enter(&self, name: &'static str) -> Result<(), hsm::Error> {
        let mut calls = self.0.lock().unwrap();
        calls.made.push(name);
        let number = calls.made.len();
        match calls.fail.take() {
            Some((nth, error)) if nth == number => Err(error),
            other => {
                calls.fail = other;
                Ok(())
            }
        }
    }
}

struct WatchedToken(Box<dyn Token>, Arc<Hands>);

impl Token for WatchedToken {
    fn mac(&mut self, key: MacKey, message: &[u8]) -> Result<Secret<32>, hsm::Error> {
        self.1.enter(key.label())?;
        self.0.mac(key, message)
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), hsm::Error> {
        self.1.enter("random")?;
        self.0.random(out)
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<[u8; 64], hsm::Error> {
        self.1.enter("sign")?;
        self.0.sign(digest)
    }

    fn open_contact(&mut self, sealed: &[u8]) -> Result<SecretBytes, hsm::Error> {
        self.0.open_contact(sealed)
    }

    fn probe(&mut self) -> Result<(), hsm::Error> {
        self.0.probe()
    }

    fn read_marks(&mut self) -> Result<Marks, hsm::Error> {
        self.0.read_marks()
    }

    fn write_mark(&mut self, place: Place, mark: &[u8]) -> Result<(), hsm::Error> {
        self.0.write_mark(place, mark)
    }
}
