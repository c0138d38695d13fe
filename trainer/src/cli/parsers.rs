//! Parsers of flag values.

use covey_comms::primitives::{Digest, PeerId};

/// A count of at least 1.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "must be a whole number, at least 1".to_owned())
}

/// Bytes from `5GB`, `500MB`, `64KB` or a plain number, in powers of 1000.
pub(super) fn byte_size(text: &str) -> Result<u64, String> {
    // Powers of 1000, as the Hub writes sizes. `B` last: it is the end of all the others.
    let units = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KB", 1_000),
        ("B", 1),
    ];
    let matching = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (count, unit) = matching.unwrap_or((text, 1));
    // Whole numbers only: 1.5GB would suggest a precision that the limits do not have.
    let bytes = count.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "write it as 5GB, 500MB, 64KB or a number of bytes".to_owned())
}

/// A positive number, with an optional suffix k, M, G, T or P: `110M`, `4e14`.
pub(super) fn amount(text: &str) -> Result<f64, String> {
    let prefixes = [('k', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12), ('P', 1e15)];
    let matching =
        prefixes.iter().find_map(|(prefix, factor)| Some((text.strip_suffix(*prefix)?, *factor)));
    let (number, factor) = matching.unwrap_or((text, 1.0));
    let amount = number.parse::<f64>().ok().map(|number| number * factor);
    amount
        .filter(|amount| *amount > 0.0 && amount.is_finite())
        .ok_or_else(|| "write it as 110M, 400T or 4e14".to_owned())
}

/// A peer ID in hexadecimal.
pub(super) fn peer_id(text: &str) -> Result<PeerId, String> {
    text.parse().map_err(|_| "must be 64 hexadecimal digits, as `covey id` prints them".to_owned())
}

/// A digest in hexadecimal.
pub(super) fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| {
        "must be 64 hexadecimal digits, as `covey ledger verify` prints them".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1000() {
        assert_eq!(byte_size("5GB"), Ok(5_000_000_000));
        assert_eq!(byte_size("64 KB"), Ok(64_000));
        assert_eq!(byte_size("1234"), Ok(1234));
        assert!(
            ["", "GB", "0", "-1", "1.5GB", "99999999999GB"]
                .iter()
                .all(|text| byte_size(text).is_err())
        );
    }

    #[test]
    fn amounts_can_have_a_suffix() {
        let cases = [("110M", 110e6), ("4e14", 4e14), ("400T", 4e14), ("1.5k", 1500.0), ("7", 7.0)];
        cases.iter().for_each(|(text, expected)| assert_eq!(amount(text), Ok(*expected), "{text}"));
        for text in ["", "G", "-3", "0", "nan", "inf", "3X", "1e400", "3MB"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }
}
