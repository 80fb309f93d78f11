//! What several fuzz targets need.

use std::{fs, path::Path};

/// Copies a directory of the source, with all that is in it.
pub fn copy(of_source: &str, to: &Path) {
    copy_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of_source), to);
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_all(&path, &there) } else { assert!(fs::copy(&path, &there).is_ok()) }
    }
}
