//! What must hold for any bytes whatever. The fuzz targets look for bytes for which it does not; a test of the workspace
//! (`tests/corpus.rs`) feeds it every input that they found worth keeping.

mod body;
mod redirects;

pub use body::registration_body;
pub use redirects::redirects;

/// A sentence that says no may be shown to anybody: ASCII, and not the last word of a longer one.
fn is_a_sentence_for_anybody(text: &str) {
    assert!(!text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "not for anybody: {text:?}");
}
