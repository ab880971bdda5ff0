//! Bodies of requests, in every media type.
#![no_main]

libfuzzer_sys::fuzz_target!(init: orch_fuzz::expect_parsers_to_panic(), |data: &[u8]| orch_fuzz::body(data));
