//! Like `delta`, after a valid header: the fuzzer does not have to find eight bytes of a digest.
#![no_main]

use std::sync::{Arc, LazyLock};

use covey_optim::codec::Codec;
use covey_optim::sparseloco::{Compressor, Profile, Schema};
use libfuzzer_sys::fuzz_target;

/// Magic number, version, profile, digest of the schema, number of tensors.
const HEADER_BYTES: usize = 18;

static CODEC: LazyLock<(Codec, Vec<u8>)> = LazyLock::new(|| {
    let shapes = [("bias", &[300][..]), ("embed", &[16, 64])];
    let schema = Arc::new(Schema::new(Profile::Covey, 64, shapes).expect("the shapes are valid"));
    let zeros = Compressor::new(Arc::clone(&schema), 0.95).compress(&[&[0.0; 300], &[0.0; 1024]]);
    let codec = Codec::new(schema);
    let bytes = codec.encode(&zeros.expect("zeros are finite")).expect("one schema");
    (codec, bytes[..HEADER_BYTES].to_vec())
});

fuzz_target!(|body: &[u8]| {
    let (codec, header) = &*CODEC;
    let bytes = [header.as_slice(), body].concat();
    if let Ok(delta) = codec.decode(&bytes) {
        assert_eq!(codec.encode(&delta).expect("one schema"), bytes);
    }
});
