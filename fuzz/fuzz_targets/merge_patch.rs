//! JSON merge patches.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orch_fuzz::merge_patch(data));
