#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retrieval::fuzz::page_token(data));
