#![no_main]

mod decoders;

libfuzzer_sys::fuzz_target!(init: decoders::forgive(), |input: &[u8]| {
    millrace_fuzz::audio(input);
});
