//! Bytes that parse as a verdict are its only encoding, and every parsed verdict can be checked
//! without a panic.
#![no_main]

use covey_comms::gauntlet::conduct::PeerTable;
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::gauntlet::{Gauntlet, GauntletConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(verdict) = Verdict::parse(bytes) {
        assert_eq!(verdict.to_bytes(), bytes);
        // The result does not matter here, only that the check returns.
        let [large, small] = [20, 2].map(|most| Gauntlet::new(GauntletConfig::default(), most));
        let _ = verdict.check(&large, &PeerTable::default());
        let _ = verdict.check(&small, &verdict.outcome.peer_table);
    }
});
