//! Bytes for which [`gatebook_fuzz::registration_body`] does not hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatebook_fuzz::registration_body(bytes));
