//! `serve.toml`: where the authority listens and finds its parts.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Failure,
    witness::{RawWitness, Witness},
};
use crate::{
    cli::toml_file::{self, BadFile},
    domain::in_force::Signing,
    files,
    http::{Limits, internal::InternalConfig},
    policy::{Directory, Policy},
    sandbox::{self, Profile},
    store::sled,
    tls::TlsFiles,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    log: String,
    listen: SocketAddr,
    #[serde(default)]
    direct: Option<RawDirect>,
    policies: PathBuf,
    hsm: PathBuf,
    contact_key: PathBuf,
    #[serde(default)]
    test_templates: bool,
    #[serde(default)]
    unsigned_policies: bool,
    store: RawStore,
    tls: TlsFiles,
    #[serde(default)]
    operators: RawOperators,
    internal: InternalConfig,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    process: sandbox::Settings,
    #[serde(default)]
    witness: Option<RawWitness>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    directory: PathBuf,
    #[serde(default = "cache_mib")]
    cache_mib: u64,
    #[serde(default = "reserve_mib")]
    reserve_mib: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirect {
    listen: SocketAddr,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperators {
    crls: Option<PathBuf>,
}

const fn cache_mib() -> u64 {
    sled::Config::CACHE_MIB
}

const fn reserve_mib() -> u64 {
    sled::Config::RESERVE_MIB
}

/// The configuration, paths made absolute from the file's directory.
#[derive(Debug)]
pub(in crate::cli) struct Config {
    pub(in crate::cli) log: String,
    pub(in crate::cli) listen: SocketAddr,
    /// Where operators connect with their own cards.
    pub(super) direct: Option<SocketAddr>,
    policies: PathBuf,
    pub(in crate::cli) hsm: PathBuf,
    pub(in crate::cli) tls: TlsFiles,
    pub(in crate::cli) internal: InternalConfig,
    pub(in crate::cli) limits: Limits,
    pub(super) process: sandbox::Settings,
    pub(super) crls: Option<PathBuf>,
    /// Whether officers have to sign policy sets.
    pub(in crate::cli) signing: Signing,
    contact_key: PathBuf,
    test_templates: bool,
    store: RawStore,
    pub(in crate::cli) witness: Witness,
}

impl Config {
    /// Reads and checks the file.
    pub(in crate::cli) fn load(file: &Path) -> Result<Self, BadFile> {
        let Raw {
            log,
            listen,
            direct,
            policies,
            hsm,
            contact_key,
            test_templates,
            unsigned_policies,
            store,
            tls,
            operators,
            internal,
            limits,
            process,
            witness,
        } = toml_file::read(file)?;
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if log.is_empty() || log.len() > 40 || !log.bytes().all(good) {
            return Err(BadFile::new(file, "log: the name of the audit log is 1 to 40 of a-z, 0-9 and -"));
        }
        if !internal.listen.ip().is_loopback() && !internal.allow_remote {
            let what = "internal.listen: others could reach it; it has no authentication (allow_remote = true lets them)";
            return Err(BadFile::new(file, what));
        }
        limits.check().map_err(|e| BadFile::new(file, e.to_string()))?;
        let at = |path: PathBuf| toml_file::beside(file, path);
        let store = RawStore { directory: at(store.directory), ..store };
        let witness = match witness {
            None => Witness::default(),
            Some(raw) => Witness::read(raw, &at, &store.directory).map_err(|e| BadFile::new(file, e))?,
        };
        Ok(Self {
            log,
            listen,
            direct: direct.map(|direct| direct.listen),
            policies: at(policies),
            hsm: at(hsm),
            tls: TlsFiles {
                certificate: at(tls.certificate),
                key: at(tls.key),
                client_ca: at(tls.client_ca),
                crls: tls.crls.into_iter().map(at).collect(),
            },
            internal,
            limits,
            process,
            crls: operators.crls.map(at),
            signing: if unsigned_policies { Signing::Waived } else { Signing::Required },
            contact_key: at(contact_key),
            test_templates,
            store,
            witness,
        })
    }

    /// The store as `serve` opens it: one that is missing is refused, never made.
    pub(in crate::cli) fn store(&self) -> sled::Config {
        sled::Config {
            cache_mib: self.store.cache_mib,
            reserve_mib: self.store.reserve_mib,
            ..sled::Config::new(&self.store.directory)
        }
    }

    /// What `serve` needs of the system beside its token. The store is there already: its parent is only synced.
    pub(super) fn profile(&self) -> Profile {
        let tls = [&self.tls.certificate, &self.tls.key, &self.tls.client_ca];
        let mut read = sandbox::paths::beside(tls.into_iter().chain(&self.tls.crls).map(PathBuf::as_path));
        read.push(self.policies.clone());
        read.extend(self.crls.clone());
        Profile {
            read,
            list: sandbox::directories(&self.store.directory),
            write: vec![self.store.directory.clone()],
            bind: [self.listen.port(), self.internal.listen.port()]
                .into_iter()
                .chain(self.direct.map(|direct| direct.port()))
                .collect(),
            ..Profile::default()
        }
        .and(self.witness.profile())
    }

    /// The policy set. Templates for tests are refused unless `test_templates` says otherwise.
    pub(in crate::cli) fn policy(&self) -> Result<Policy, Failure> {
        if self.test_templates {
            tracing::warn!("test_templates = true: this is not an installation for citizens' cards");
        }
        if self.signing == Signing::Waived {
            tracing::warn!("unsigned_policies = true: whoever can write the policy directory decides");
        }
        self.directory().load().map_err(Failure::config)
    }

    /// The directory of the policy set.
    pub(in crate::cli) fn policies(&self) -> &Path {
        &self.policies
    }

    /// A set in another directory, by the same rules.
    pub(in crate::cli) fn set_in(&self, directory: &Path) -> Directory {
        Directory::new(directory.to_owned(), self.test_templates)
    }

    /// Where the policy set is read from again.
    pub(in crate::cli) fn directory(&self) -> Directory {
        Directory::new(self.policies.clone(), self.test_templates)
    }

    pub(in crate::cli) fn contact_key(&self) -> Result<Vec<u8>, Failure> {
        files::read_public(&self.contact_key, 1 << 16)
            .map_err(|e| Failure::config(format!("contact_key: {e}")))
    }
}
