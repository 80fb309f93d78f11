//! What the bureau does before it opens anything: the manifest is signed by both tokens, and the files are the ones that it
//! names.

use std::{collections::BTreeSet, fs, path::Path};

use aws_lc_rs::{
    digest::{Context, SHA256},
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};

use super::{Error, manifest::Manifest};
use crate::files;

/// The manifest's file.
pub const MANIFEST: &str = "manifest.txt";
/// The signature of the authority's audit key, DER.
pub const SIGNATURE: &str = "manifest.sig";
/// The signature of the courier's audit key, DER.
pub const COURIERS_SIGNATURE: &str = "manifest.courier.sig";

/// Longest file: the cards of one export, with room.
const FILE_MAX: u64 = 16 << 20;

/// The manifest of a directory, if it holds under these keys (`SubjectPublicKeyInfo`, DER) and for every file that is there.
///
/// # Errors
/// [`Error`] that names what does not hold.
pub fn check(directory: &Path, authority: &[u8], courier: Option<&[u8]>) -> Result<Manifest, Error> {
    let refused =
        |name: &str, why: &str| Err(Error::Refused(format!("{}: {why}", directory.join(name).display())));
    let text = files::read_public(&directory.join(MANIFEST), FILE_MAX)?;
    for (name, key) in [(SIGNATURE, Some(authority)), (COURIERS_SIGNATURE, courier)] {
        let Some(key) = key else { continue };
        let signature = files::read_public(&directory.join(name), 1 << 10)?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
        if key.verify(&text, &signature).is_err() {
            return refused(name, "the signature over manifest.txt is not of this key");
        }
    }
    let text = String::from_utf8(text).unwrap_or_default();
    let manifest: Manifest = match text.parse::<Manifest>() {
        Ok(manifest) => manifest,
        Err(why) => return refused(MANIFEST, &why.to_string()),
    };
    let mut named: BTreeSet<&str> = [MANIFEST, SIGNATURE, COURIERS_SIGNATURE].into();
    for file in &manifest.files {
        named.insert(&file.name);
        let bytes = files::read_public(&directory.join(&file.name), FILE_MAX)?;
        let mut hash = Context::new(&SHA256);
        hash.update(&bytes);
        if hash.finish().as_ref() != file.digest {
            return refused(&file.name, "changed: it has not the digest that the manifest names");
        }
    }
    for entry in fs::read_dir(directory).map_err(Error::io(directory))? {
        let name = entry.map_err(Error::io(directory))?.file_name();
        let Some(known) = name.to_str().filter(|name| named.contains(name)) else {
            return refused(&name.to_string_lossy(), "the manifest does not name this file");
        };
        named.remove(known);
    }
    let counted = manifest.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.cards));
    if counted == manifest.cards { Ok(manifest) } else { refused(MANIFEST, "its numbers do not add up") }
}
