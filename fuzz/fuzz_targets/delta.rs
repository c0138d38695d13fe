//! Bytes that decode to a delta are its only encoding.
#![no_main]

use std::sync::{Arc, LazyLock};

use covey_optim::codec::Codec;
use covey_optim::sparseloco::{Profile, Schema};
use libfuzzer_sys::fuzz_target;

/// Matrices, vectors with a shorter last chunk, and a chunk that is sent completely.
const SHAPES: [(&str, &[usize]); 4] =
    [("bias", &[4100]), ("embed", &[128, 64]), ("odd", &[50, 36]), ("one", &[1])];

static CODECS: LazyLock<[Codec; 2]> = LazyLock::new(|| {
    [Profile::Reference, Profile::Covey].map(|profile| {
        Codec::new(Arc::new(Schema::new(profile, 64, SHAPES).expect("the shapes are valid")))
    })
});

fuzz_target!(|bytes: &[u8]| {
    for codec in CODECS.iter() {
        if let Ok(delta) = codec.decode(bytes) {
            assert_eq!(codec.encode(&delta).expect("one schema"), bytes);
        }
    }
});
