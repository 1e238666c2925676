//! Texts for which [`gatebook_fuzz::redirects`] does not hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatebook_fuzz::redirects(bytes));
