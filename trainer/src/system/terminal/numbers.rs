//! Numbers in a short form for users.

use std::time::Duration;

/// Three digits and a letter: `987`, `12.3k`, `1.20M`.
pub(crate) fn short(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// A size in decimal units: `987 B`, `12.3 MB`.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, 1000.0, &[" B", " kB", " MB", " GB", " TB"])
}

fn scaled(number: f64, base: f64, units: &[&str]) -> String {
    let (mut value, mut exponent) = (number, 0);
    // 999.6 is shown as 1.00k: a value that rounds to the base belongs to the next unit.
    while value >= base - 0.5 && exponent + 1 < units.len() {
        value /= base;
        exponent += 1;
    }
    let decimals = match value {
        _ if exponent == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{}", units[exponent])
}

/// A share in whole percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The two largest units: `45s`, `2m 05s`, `3h 07m`, `2d 04h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (minutes, hours, days) {
        (0, ..) => format!("{seconds}s"),
        (_, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (_, _, 0) => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// A count with thousands separators, `72,747,327,488`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let starts_group = |index: usize| index > 0 && (digits.len() - index).is_multiple_of(3);
    digits
        .chars()
        .enumerate()
        .flat_map(|(index, digit)| starts_group(index).then_some(',').into_iter().chain([digit]))
        .collect()
}

/// A time of any size: `12.3 ms`, `4.56 s`, `3m 05s`.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        _ if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 60.0 => format!("{seconds:.2} s"),
        // The limit of 30,000 years prevents a panic for infinite times.
        _ => duration(Duration::from_secs_f64(seconds.min(1e12))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_at_most() {
        let cases = [
            (0.0, "0"),
            (987.4, "987"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (999_600.0, "1.00M"),
            (1.2e6, "1.20M"),
        ];
        cases.iter().for_each(|(number, expected)| assert_eq!(short(*number), *expected));
        assert_eq!(bytes(12_345_678.0), "12.3 MB");
        assert_eq!(short(f64::NAN), "NaN");
        assert_eq!(short(5e18), "5000000T");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let cases =
            [(0, "0s"), (45, "45s"), (125, "2m 05s"), (11_220, "3h 07m"), (187_200, "2d 04h")];
        cases.iter().for_each(|(seconds, expected)| {
            assert_eq!(duration(Duration::from_secs(*seconds)), *expected)
        });
    }

    #[test]
    fn thousands_have_separators() {
        assert_eq!(
            ["7", "999", "1,000", "72,747,327,488"],
            [7, 999, 1000, 72_747_327_488].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn spans_have_a_suitable_unit() {
        assert_eq!([0.0123, 4.56, 185.0].map(span), ["12.3 ms", "4.56 s", "3m 05s"]);
    }
}
