//! The embedded store's files, damaged.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orch_fuzz::log(data));
