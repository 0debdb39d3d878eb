#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telephony_gw::fuzz::exotel_answer(data));
