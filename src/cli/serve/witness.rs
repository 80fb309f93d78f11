//! `[witness]` of `serve.toml`: where the newest checkpoint is kept too.

use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::fs::Access;
use serde::Deserialize;

use super::Failure;
use crate::{
    clock::Clock,
    sandbox::{self, Profile},
    witness::{self, FileWitness, UrlAddress, UrlFiles, UrlWitness},
};

/// Where the newest checkpoint is kept too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitness {
    file: Option<PathBuf>,
    url: Option<String>,
    server_ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// The witnesses that the configuration names.
#[derive(Debug, Default)]
pub(in crate::cli) struct Witness {
    file: Option<PathBuf>,
    url: Option<(UrlAddress, UrlFiles)>,
}

/// Whether the file lies in the store, however the two are spelled and whatever links lead to them. Neither needs to
/// exist.
fn is_in(file: &Path, store: &Path) -> bool {
    let parent = real(file.parent().unwrap_or(file));
    file.file_name().map_or_else(|| parent.clone(), |name| parent.join(name)).starts_with(real(store))
}

/// The path without links and `..`, as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::Normal(name))) => real(parent).join(name),
        (Some(parent), Some(Component::ParentDir)) => {
            let parent = real(parent);
            parent.parent().map_or_else(|| parent.clone(), Path::to_owned)
        }
        (Some(_), Some(Component::CurDir | Component::Prefix(_) | Component::RootDir) | None)
        | (None, Some(_) | None) => path.to_owned(),
    }
}

impl Witness {
    /// Checks what the file says; `at` makes a path absolute.
    pub(super) fn read(
        raw: RawWitness,
        at: &impl Fn(PathBuf) -> PathBuf,
        store: &Path,
    ) -> Result<Self, String> {
        let RawWitness { file, url, server_ca, certificate, key } = raw;
        let file = file.map(at);
        if file.as_ref().is_some_and(|file| is_in(file, store)) {
            return Err(
                "witness.file: it is in the store, and whoever puts the store back puts it back too".into()
            );
        }
        let url = match (url, server_ca) {
            (Some(url), Some(server_ca)) => {
                let identity = match (certificate, key) {
                    (Some(certificate), Some(key)) => Some((at(certificate), at(key))),
                    (None, None) => None,
                    (Some(_), None) | (None, Some(_)) => {
                        return Err("witness: certificate and key belong together".into());
                    }
                };
                let address = url.parse().map_err(|e| format!("witness.url: {e}"))?;
                Some((address, UrlFiles { server_ca: at(server_ca), identity }))
            }
            (Some(_), None) => return Err("witness.url needs witness.server_ca".into()),
            (None, None) if certificate.is_none() && key.is_none() => None,
            (None, _) => return Err("witness: server_ca, certificate and key are for a url".into()),
        };
        if file.is_none() && url.is_none() {
            return Err("witness: a file, a url, or both".into());
        }
        Ok(Self { file, url })
    }

    /// The witnesses, with the files for TLS read.
    pub(in crate::cli) fn open(
        &self,
        clock: &Arc<dyn Clock>,
    ) -> Result<Vec<Arc<dyn witness::Witness>>, Failure> {
        let mut all: Vec<Arc<dyn witness::Witness>> = Vec::new();
        if let Some(file) = &self.file {
            all.push(Arc::new(FileWitness::new(file.clone())));
        }
        if let Some((address, files)) = &self.url {
            let witness = UrlWitness::new(address, files, Arc::clone(clock));
            all.push(Arc::new(witness.map_err(|e| Failure::config(format!("witness: {e}")))?));
        }
        Ok(all)
    }

    /// What a start would find wrong with the file's place, without writing there.
    pub(super) fn look(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let directory = file.parent()?;
        let wrong = |path: &Path, why: &dyn std::fmt::Display| {
            Some(format!("witness.file: {}: {why}", path.display()))
        };
        match directory.metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return wrong(directory, &"it is no directory"),
            Err(e) => return wrong(directory, &e),
        }
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        if let Err(e) = rustix::fs::access(directory, all) {
            return wrong(directory, &e);
        }
        match file.symlink_metadata() {
            Ok(found) if !found.is_file() => wrong(file, &"it is no plain file"),
            Ok(_) => match rustix::fs::access(file, Access::READ_OK) {
                Ok(()) => None,
                Err(e) => wrong(file, &e),
            },
            // A witness that is given its first checkpoint.
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => wrong(file, &e),
        }
    }

    /// What they need: the file is replaced in its directory, and its TLS files are read before anything is given up.
    pub(super) fn profile(&self) -> Profile {
        let address = self.url.as_ref().map(|(address, _)| address);
        Profile {
            write: self.file.iter().flat_map(|file| sandbox::directories(file)).collect(),
            connect: address.iter().map(|address| address.port()).collect(),
            resolve: address.is_some_and(|address| address.is_named()),
            ..Profile::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_in_the_store_is_known_by_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("data/store/inner")).unwrap();
        std::fs::create_dir(at("witness")).unwrap();
        std::os::unix::fs::symlink(at("data"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("data/store/inner"), at("witness/in")).unwrap();
        for (file, store, inside) in [
            ("data/store/file", "data/store", true),
            ("witness/../data/store/file", "data/store", true),
            ("link/store/file", "data/store", true),
            ("data/store/file", "link/store", true),
            ("witness/in/file", "data/store", true),
            ("link/new/file", "data/new", true),
            ("data/gone/../new/file", "link/new", true),
            ("data/store", "data/store", true),
            ("witness/file", "data/store", false),
            ("data/store/../file", "data/store", false),
            ("data/stores/file", "data/store", false),
        ] {
            assert_eq!(is_in(&at(file), &at(store)), inside, "{file} in {store}");
        }
    }
}
