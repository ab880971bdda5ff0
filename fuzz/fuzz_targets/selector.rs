//! Label and field selectors, and JSON paths.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orch_fuzz::selector(data));
