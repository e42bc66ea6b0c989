//! The target `board_slot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::run("board_slot", bytes));
