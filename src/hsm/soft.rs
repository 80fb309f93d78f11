//! A token without a token, for tests: fixed MAC keys, and faults on demand. Never in a release build.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use aws_lc_rs::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
    rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};

use super::{Error, MacKey, Marks, OpenError, Place, Role, Source, Token};
use crate::secret::{Secret, SecretBytes};

/// A token whose workers share keys and faults.
#[derive(Clone, Debug)]
pub struct SoftHsm {
    role: Role,
    keys: Arc<Keys>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Keys {
    audit: EcdsaKeyPair,
    contact: OnceLock<PrivateDecryptingKey>,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Faults {
    now: Mutex<Now>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    held: bool,
    /// Calls that are to hang, probes not counted.
    to_hold: u64,
    /// How often held calls were let go.
    released: u64,
    lost: bool,
    down: bool,
    marks_refused: bool,
    next: VecDeque<Error>,
    calls: u64,
    inside: usize,
    /// Workers that hold the token.
    held_by: usize,
    openings: u64,
    next_openings: VecDeque<OpenError>,
}

impl SoftHsm {
    /// A token of this role. The MAC keys are the same in every process; the audit key is new each time.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cryptographic library cannot make a key.
    pub fn new(role: Role) -> Result<Self, Error> {
        let audit = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| failed("EC key"))?;
        Ok(Self {
            role,
            keys: Arc::new(Keys {
                audit,
                contact: OnceLock::new(),
                marks: Mutex::new([Some(Vec::new()), Some(Vec::new())]),
            }),
            faults: Arc::default(),
        })
    }

    /// As many workers as asked for.
    pub fn tokens(&self, workers: usize) -> Vec<Box<dyn Token>> {
        let mut now = self.now();
        now.held_by = now.held_by.saturating_add(workers);
        drop(now);
        (0..workers).map(|_| -> Box<dyn Token> { Box::new(SoftToken { hsm: self.clone() }) }).collect()
    }

    /// What opens this token again: never while a worker holds it or while it is lost or down.
    pub fn source(&self, workers: usize) -> Box<dyn Source> {
        Box::new(SoftSource { hsm: self.clone(), workers })
    }

    /// The next openings fail with these errors, one each.
    pub fn fail_openings(&self, errors: impl IntoIterator<Item = OpenError>) {
        self.now().next_openings.extend(errors);
    }

    /// Openings that were tried by a source.
    pub fn openings(&self) -> u64 {
        self.now().openings
    }

    /// A lost token is where it was before; who held it still cannot use it.
    pub fn find_token(&self) {
        self.now().lost = false;
    }

    /// The audit key's public half: an uncompressed point of P-256, 65 bytes.
    pub fn audit_public_key(&self) -> &[u8] {
        self.keys.audit.public_key().as_ref()
    }

    /// The contact key's public half in PEM, as `contact.pub.pem`. Makes the key at the first call.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cryptographic library cannot make a key.
    pub fn contact_public_pem(&self) -> Result<String, Error> {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let der: PublicKeyX509Der<'_> =
            self.contact()?.public_key().as_der().map_err(|_| failed("RSA public key"))?;
        Ok(pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref())))
    }

    fn contact(&self) -> Result<&PrivateDecryptingKey, Error> {
        if let Some(key) = self.keys.contact.get() {
            return Ok(key);
        }
        let made = PrivateDecryptingKey::generate(KeySize::Rsa3072).map_err(|_| failed("RSA key"))?;
        Ok(self.keys.contact.get_or_init(|| made))
    }

    /// Every call and every probe fails, until `false`.
    pub fn set_down(&self, down: bool) {
        self.now().down = down;
    }

    /// Marks are not written and what was there stays, until `false`.
    pub fn refuse_marks(&self, refuse: bool) {
        self.now().marks_refused = refuse;
    }

    /// What is kept at both places.
    pub fn marks(&self) -> Marks {
        self.keys.marks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Overwrites a place, or takes it away, behind everybody's back.
    pub fn tamper_mark(&self, place: Place, mark: Option<Vec<u8>>) {
        let [a, b] = &mut *self.keys.marks.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Place::A => *a = mark,
            Place::B => *b = mark,
        }
    }

    /// The token vanishes and session copies go on working, as seen on SoftHSM: calls succeed, probes fail.
    pub fn lose_token(&self) {
        self.now().lost = true;
    }

    /// Calls and probes hang from now on, until [`SoftHsm::release`].
    pub fn hold(&self) {
        self.now().held = true;
    }

    /// One call hangs until [`SoftHsm::release`]; calls after it and probes do not.
    pub fn hold_one(&self) {
        self.now().to_hold = 1;
    }

    /// Lets held calls go.
    pub fn release(&self) {
        let mut now = self.now();
        now.held = false;
        now.released = now.released.saturating_add(1);
        drop(now);
        self.faults.moved.notify_all();
    }

    /// The next calls fail with these errors, one each; probes are not touched.
    pub fn fail_next(&self, errors: impl IntoIterator<Item = Error>) {
        self.now().next.extend(errors);
    }

    /// Calls that reached the token, probes not counted.
    pub fn calls(&self) -> u64 {
        self.now().calls
    }

    /// Calls and probes that hang now.
    pub fn inside(&self) -> usize {
        self.now().inside
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.faults.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> MutexGuard<'_, Now> {
        let mut now = self.now();
        now.inside = now.inside.saturating_add(1);
        let mut now =
            self.faults.moved.wait_while(now, |now| now.held).unwrap_or_else(PoisonError::into_inner);
        now.inside = now.inside.saturating_sub(1);
        now
    }

    fn enter(&self) -> Result<(), Error> {
        let mut now = self.wait();
        if let Some(others) = now.to_hold.checked_sub(1) {
            now.to_hold = others;
            let released = now.released;
            let wait = |now: &mut Now| now.released == released;
            now = self.faults.moved.wait_while(now, wait).unwrap_or_else(PoisonError::into_inner);
        }
        now.calls = now.calls.saturating_add(1);
        if now.down {
            return Err(Error::Unavailable("software token is down".into()));
        }
        now.next.pop_front().map_or(Ok(()), Err)
    }
}

/// One worker of a [`SoftHsm`].
#[derive(Debug)]
struct SoftToken {
    hsm: SoftHsm,
}

impl Drop for SoftToken {
    fn drop(&mut self) {
        let mut now = self.hsm.now();
        now.held_by = now.held_by.saturating_sub(1);
    }
}

/// Opens a [`SoftHsm`] again.
struct SoftSource {
    hsm: SoftHsm,
    workers: usize,
}

impl Source for SoftSource {
    fn open(&mut self) -> Result<Vec<Box<dyn Token>>, OpenError> {
        let mut now = self.hsm.wait();
        now.openings = now.openings.saturating_add(1);
        if now.held_by > 0 {
            return Err(OpenError::Fatal(failed("opened while workers hold it")));
        }
        if let Some(error) = now.next_openings.pop_front() {
            return Err(error);
        }
        if now.down || now.lost {
            return Err(OpenError::Again(Error::Unavailable("software token is not there".into())));
        }
        drop(now);
        Ok(self.hsm.tokens(self.workers))
    }
}

fn failed(what: &str) -> Error {
    Error::Bug(format!("software token: {what}"))
}

impl Token for SoftToken {
    fn mac(&mut self, key: MacKey, message: &[u8]) -> Result<Secret<32>, Error> {
        self.hsm.enter()?;
        if !self.hsm.role.mac_keys().contains(&key) {
            return Err(Error::WrongKey(format!(
                "key {:?} is not for the {} role",
                key.label(),
                self.hsm.role
            )));
        }
        let value =
            digest::digest(&digest::SHA256, format!("sigillo software key {}", key.label()).as_bytes());
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, value.as_ref()), message);
        mac.as_ref().try_into().map(Secret::new).map_err(|_| failed("MAC of another length"))
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.hsm.enter()?;
        SystemRandom::new().fill(out).map_err(|_| failed("random"))
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<[u8; 64], Error> {
        self.hsm.enter()?;
        let digest =
            digest::Digest::import_less_safe(digest, &digest::SHA256).map_err(|_| failed("digest"))?;
        let signature = self.hsm.keys.audit.sign_digest(&digest).map_err(|_| failed("signature"))?;
        signature.as_ref().try_into().map_err(|_| failed("signature of another length"))
    }

    fn open_contact(&mut self, sealed: &[u8]) -> Result<SecretBytes, Error> {
        self.hsm.enter()?;
        if self.hsm.role != Role::Courier {
            return Err(Error::WrongKey("key \"contact\" is not for the authority role".into()));
        }
        let key =
            OaepPrivateDecryptingKey::new(self.hsm.contact()?.clone()).map_err(|_| failed("RSA key"))?;
        let mut out = vec![0; key.min_output_size()];
        let length = key
            .decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut out, None)
            .map_err(|_| Error::WrongKey("contact does not open with key \"contact\"".into()))?
            .len();
        out.truncate(length);
        Ok(SecretBytes::new(out))
    }

    fn probe(&mut self) -> Result<(), Error> {
        let now = self.hsm.wait();
        if now.down || now.lost { Err(Error::Unavailable("software token is lost".into())) } else { Ok(()) }
    }

    fn read_marks(&mut self) -> Result<Marks, Error> {
        self.hsm.enter()?;
        Ok(self.hsm.marks())
    }

    fn write_mark(&mut self, place: Place, mark: &[u8]) -> Result<(), Error> {
        self.hsm.enter()?;
        if self.hsm.now().marks_refused {
            return Err(Error::Unavailable("software token takes no mark".into()));
        }
        self.hsm.tamper_mark(place, Some(mark.to_vec()));
        Ok(())
    }
}
