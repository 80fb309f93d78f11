//! Configuration of one token, a TOML file: `hsm-config/*.toml.example` documents every key.
//!
//! A file with an unknown key, a value out of range or a PIN that others can read is refused with file, line and
//! reason. The file holds no secret, only where the secrets are.

mod pin;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{MacKey, PoolLimits};
use crate::{
    sandbox::{self, Extra, Profile},
    secret::SecretBytes,
};

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    file: PathBuf,
    line: Option<usize>,
    reason: String,
}

impl Error {
    fn new(file: &Path, line: Option<usize>, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

/// Which half of the split a token serves. It decides which keys must be on the token, and which must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Makes first parts; never the deliver key.
    Authority,
    /// Makes second parts; never the print key.
    Courier,
}

impl Role {
    /// The MAC keys of this role's token. Every other [`MacKey`] is refused with [`super::Error::WrongKey`].
    pub const fn mac_keys(self) -> &'static [MacKey] {
        match self {
            Self::Authority => &[MacKey::Print, MacKey::Verify, MacKey::Index],
            Self::Courier => &[MacKey::Deliver, MacKey::Verify, MacKey::Judge],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "authority",
            Self::Courier => "courier",
        })
    }
}

/// `CKA_KEY_TYPE` of the MAC keys, and with it the mechanism that generates them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacKeyType {
    /// `CKK_GENERIC_SECRET`, made by `CKM_GENERIC_SECRET_KEY_GEN`: what most tokens want.
    #[default]
    GenericSecret,
    /// `CKK_SHA256_HMAC`, made by `CKM_SHA256_KEY_GEN`: tokens that bind a key to its MAC.
    Sha256Hmac,
}

/// Whether MAC keys are used through session copies (`C_CopyObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionCopies {
    /// A copy of each where the token makes one; the token object where it does not.
    #[default]
    Auto,
    /// The token objects only.
    Off,
}

/// Which token. Whatever is given must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName {
    /// `CK_TOKEN_INFO.label`.
    pub label: Option<String>,
    /// `CK_TOKEN_INFO.serialNumber`.
    pub serial: Option<String>,
    /// Slot id, for modules whose token information cannot be read. Some modules renumber slots at every start.
    pub slot: Option<u64>,
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if let Some(label) = &self.label {
            write!(f, "label {label:?}")?;
            gap = ", ";
        }
        if let Some(serial) = &self.serial {
            write!(f, "{gap}serial {serial:?}")?;
            gap = ", ";
        }
        if let Some(slot) = self.slot {
            write!(f, "{gap}slot {slot}")?;
        }
        Ok(())
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    file: PathBuf,
    /// Which half this token serves.
    pub role: Role,
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token.
    pub token: TokenName,
    /// Key type of the MAC keys that `hsm init` makes and that start-up expects.
    pub mac_key_type: MacKeyType,
    /// Whether the workers use session copies of the MAC keys.
    pub session_copies: SessionCopies,
    /// Version of the key set, 1 to 99; part of each key's `CKA_ID`.
    pub key_version: u8,
    /// Worker threads, each with a session of its own: 1 to 256.
    pub workers: usize,
    /// Queue, deadline and probe of the pool in front of them.
    pub limits: PoolLimits,
    pin: pin::Source,
    so_pin: Option<pin::Source>,
    environment: BTreeMap<String, Variable>,
    sandbox: Extra,
}

impl Config {
    /// Reads and checks `file`. PIN files are looked at when they are used, by [`Config::pin`].
    pub fn load(file: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::new(file, None, format!("cannot be read: {error}")))?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, Error> {
        let line_of = |offset: usize| {
            let before = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
            before.saturating_add(1)
        };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            Error::new(file, error.span().map(|span| line_of(span.start)), error.message())
        })?;
        let at =
            |span: std::ops::Range<usize>, reason: &str| Error::new(file, Some(line_of(span.start)), reason);
        let base = file.parent().unwrap_or_else(|| Path::new(""));

        let token_span = raw.token.span();
        let token = raw.token.into_inner();
        if token.label.is_none() && token.serial.is_none() && token.slot.is_none() {
            return Err(at(token_span, "[token] needs a label, a serial or a slot"));
        }
        if token.label.as_ref().is_some_and(|label| label.is_empty() || label.len() > 32) {
            return Err(at(token_span, "token label must have 1 to 32 bytes"));
        }
        if raw.module.get_ref().as_os_str().is_empty() {
            return Err(at(raw.module.span(), "module must be the path of a PKCS#11 module"));
        }
        let pin = pin::Source::new(raw.pin, base).map_err(|(span, reason)| at(span, reason))?;
        let so_pin = raw
            .so_pin
            .map(|source| pin::Source::new(source, base).map_err(|(span, reason)| at(span, reason)))
            .transpose()?;
        let number = |value: Spanned<u64>, least: u64, most: u64, reason: &str| {
            let span = value.span();
            let value = value.into_inner();
            if (least..=most).contains(&value) { Ok(value) } else { Err(at(span, reason)) }
        };
        let key_version = number(raw.keys.version, 1, 99, "keys.version must be 1 to 99")?;
        let workers = number(raw.pool.workers, 1, 256, "pool.workers must be 1 to 256")?;
        let queue = number(raw.pool.queue, 1, 1_000_000, "pool.queue must be 1 to 1000000")?;
        let deadline = number(raw.pool.deadline_ms, 10, 60_000, "pool.deadline_ms must be 10 to 60000")?;
        let probe = number(raw.pool.probe_ms, 100, 60_000, "pool.probe_ms must be 100 to 60000")?;
        let give_up = number(raw.pool.give_up_ms, 1000, 600_000, "pool.give_up_ms must be 1000 to 600000")?;
        let too_big = |_| Error::new(file, None, "number does not fit this machine");
        let mut environment = BTreeMap::new();
        for (name, value) in raw.environment {
            let span = name.span();
            let name = name.into_inner();
            let first = name.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
            if !first || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
                return Err(at(span, "a variable's name has upper-case letters, digits and underscores"));
            }
            if name.starts_with("LD_") {
                return Err(at(span, "LD_ variables change what code is loaded and are refused"));
            }
            environment.insert(
                name,
                match value {
                    Variable::Path(path) => Variable::Path(base.join(path)),
                    Variable::Text { text } => Variable::Text { text },
                },
            );
        }
        Ok(Self {
            file: file.to_owned(),
            role: raw.role,
            module: base.join(raw.module.into_inner()),
            token: TokenName { label: token.label, serial: token.serial, slot: token.slot },
            mac_key_type: raw.keys.key_type,
            session_copies: raw.keys.session_copies,
            key_version: u8::try_from(key_version).map_err(too_big)?,
            workers: usize::try_from(workers).map_err(too_big)?,
            limits: PoolLimits {
                queue: usize::try_from(queue).map_err(too_big)?,
                deadline: Duration::from_millis(deadline),
                probe_every: Duration::from_millis(probe),
                give_up: Duration::from_millis(give_up),
            },
            pin,
            so_pin,
            environment,
            sandbox: raw.sandbox,
        })
    }

    /// The file this came from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the user PIN. Refused unless the file belongs to root or to this process's user, has mode 0400 or
    /// 0600 and holds a PIN of 1 to 255 bytes; one trailing line end is dropped.
    pub fn pin(&self) -> Result<SecretBytes, Error> {
        self.pin.read().map_err(|(file, reason)| Error::new(&file, None, reason))
    }

    /// Reads the security officer's PIN, if one is configured; needed only to initialise a token.
    pub fn so_pin(&self) -> Result<Option<SecretBytes>, Error> {
        let source = self.so_pin.as_ref();
        source
            .map(|so_pin| so_pin.read().map_err(|(file, reason)| Error::new(&file, None, reason)))
            .transpose()
    }

    /// What the token's module needs of the system: itself, its configuration, the PIN's file, SoftHSM's token
    /// directory, and what `[sandbox]` adds.
    pub fn profile(&self) -> Profile {
        let base = self.file.parent().unwrap_or_else(|| Path::new(""));
        let beside = |paths: &[PathBuf]| paths.iter().map(|path| base.join(path)).collect::<Vec<_>>();
        let mut read =
            sandbox::paths::beside([self.module.as_path()].into_iter().chain(self.pin.path().as_deref()));
        read.extend(self.environment.values().filter_map(Variable::path).map(Path::to_owned));
        read.extend(beside(&self.sandbox.read));
        let mut write = beside(&self.sandbox.write);
        let softhsm = self.environment.get("SOFTHSM2_CONF").and_then(Variable::path);
        write.extend(softhsm.and_then(softhsm_tokens));
        Profile {
            read,
            write,
            connect: self.sandbox.connect.clone(),
            resolve: self.sandbox.resolve,
            calls: self.sandbox.calls.clone(),
            ..Profile::default()
        }
    }

    /// Variables of `[environment]` that this process does not have, with their values, paths absolute. The module
    /// reads them when it is loaded, and a process cannot safely set its own: see `cli::reexec`.
    pub fn missing_environment(&self) -> Result<Vec<(String, String)>, Error> {
        let mut missing = Vec::new();
        for (name, value) in &self.environment {
            let value = match value {
                Variable::Text { text } => text.clone(),
                Variable::Path(path) => std::path::absolute(path)
                    .map_err(|error| Error::new(&self.file, None, format!("{name}: {error}")))?
                    .into_os_string()
                    .into_string()
                    .map_err(|_| {
                        Error::new(&self.file, None, format!("{name}: the path is not valid UTF-8"))
                    })?,
            };
            if variable(name).as_deref() != Some(value.as_str()) {
                missing.push((name.clone(), value));
            }
        }
        Ok(missing)
    }
}

/// `directories.tokendir` of SoftHSM's configuration, if that can be read. SoftHSM takes the last one.
fn softhsm_tokens(file: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    let mut named = lines.filter(|(key, _)| key.trim() == "directories.tokendir");
    named.next_back().map(|(_, directory)| PathBuf::from(directory.trim()))
}

#[expect(clippy::disallowed_methods, reason = "PKCS#11 modules and systemd speak through the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    role: Role,
    module: Spanned<PathBuf>,
    token: Spanned<RawToken>,
    pin: Spanned<pin::Raw>,
    so_pin: Option<Spanned<pin::Raw>>,
    #[serde(default)]
    keys: RawKeys,
    #[serde(default)]
    pool: RawPool,
    #[serde(default)]
    environment: BTreeMap<Spanned<String>, Variable>,
    #[serde(default)]
    sandbox: Extra,
}

/// The value of a variable that a module reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a variable is a path, or { text = \"...\" } for what is none")]
enum Variable {
    /// A path, relative to the configuration file.
    Path(PathBuf),
    /// Anything else, taken as it is, such as the address of a p11-kit server.
    Text { text: String },
}

impl Variable {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Text { .. } => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    label: Option<String>,
    serial: Option<String>,
    slot: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawKeys {
    #[serde(rename = "type")]
    key_type: MacKeyType,
    session_copies: SessionCopies,
    version: Spanned<u64>,
}

impl Default for RawKeys {
    fn default() -> Self {
        Self {
            key_type: MacKeyType::default(),
            session_copies: SessionCopies::default(),
            version: Spanned::new(0..0, 1),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPool {
    workers: Spanned<u64>,
    queue: Spanned<u64>,
    deadline_ms: Spanned<u64>,
    probe_ms: Spanned<u64>,
    give_up_ms: Spanned<u64>,
}

impl Default for RawPool {
    fn default() -> Self {
        let value = |number| Spanned::new(0..0, number);
        Self {
            workers: value(2),
            queue: value(1024),
            deadline_ms: value(2000),
            probe_ms: value(1000),
            give_up_ms: value(15_000),
        }
    }
}

#[cfg(test)]
mod tests;
