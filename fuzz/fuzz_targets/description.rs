//! Bytes that parse as the description of a run are its only encoding and pass its checks.
#![no_main]

use covey_comms::run::Description;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(description) = Description::parse(bytes) {
        assert_eq!(description.to_bytes(), bytes);
        description.check().expect("a parsed description passes its checks");
    }
});
