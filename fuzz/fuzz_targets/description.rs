//! Any bytes are refused as the description of a run, or are the one encoding of it.
#![no_main]

use covey_comms::run::Description;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(description) = Description::parse(bytes) {
        assert_eq!(description.to_bytes(), bytes);
        description.check().expect("what was parsed was checked");
    }
});
