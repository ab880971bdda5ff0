//! Quantities: parsed, printed, compared, added.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orch_fuzz::quantity(data));
