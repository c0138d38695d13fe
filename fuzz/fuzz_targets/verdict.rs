//! Any bytes are refused as a verdict, or are the one encoding of it; whatever it says can be judged again.
#![no_main]

use covey_comms::gauntlet::conduct::PeerTable;
use covey_comms::gauntlet::{Gauntlet, GauntletConfig};
use covey_comms::gauntlet::verdict::Verdict;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(verdict) = Verdict::parse(bytes) {
        assert_eq!(verdict.to_bytes(), bytes);
        let _ = verdict.check(&Gauntlet::new(GauntletConfig::default(), 20), &PeerTable::default());
        let _ = verdict.check(&Gauntlet::new(GauntletConfig::default(), 2), &verdict.outcome.peer_table);
    }
});
