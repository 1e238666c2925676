//! The inputs that the fuzz targets found worth keeping, given to the same functions again; it takes no fuzz toolchain.
#![expect(clippy::unwrap_used, reason = "a panic is what a fuzz target finds")]

use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// The corpus of a target; small enough to be in the repository.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!((50..=200).contains(&files.len()), "{} inputs", files.len());
    let inputs: Vec<(PathBuf, Vec<u8>)> = files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    let size: usize = inputs.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(size <= 200 * 1024, "{size} bytes");
    inputs
}

/// Feeds the corpus to a target, and says which input it was that did not hold.
fn all_hold(target: &str, holds: fn(&[u8])) {
    let failed: Vec<PathBuf> =
        corpus(target).into_iter().filter(|(_, bytes)| std::panic::catch_unwind(|| holds(bytes)).is_err()).map(|(path, _)| path).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn every_registration_body_that_was_kept_holds() {
    all_hold("registration_body", targets::registration_body);
}

#[test]
fn every_pair_of_redirect_uris_that_was_kept_holds() {
    all_hold("redirects", targets::redirects);
}
