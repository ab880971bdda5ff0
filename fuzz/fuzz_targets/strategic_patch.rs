//! Strategic merge patches.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orch_fuzz::strategic_patch(data));
