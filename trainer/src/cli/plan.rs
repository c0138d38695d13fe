//! Arguments of `covey plan`.

use clap::Args;

use super::cli::ConfigArgs;

/// Flags of `covey plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  covey plan --preset tiny --device cpu:4\n  \
                  covey plan --preset covenant-72b --device cuda:0-7 --device-memory 192GB --rate 400T --between 450G \
                  --peers 20 --up 110M --down 500M")]
pub struct PlanArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Tokens of the vocabulary, where neither preset nor file says.
    #[arg(long, value_name = "TOKENS")]
    pub vocab_size: Option<usize>,
    /// Memory of each device, in bytes: 80GB, 192GB. Asked of this machine without it.
    #[arg(long, value_name = "BYTES", value_parser = super::cli::byte_size)]
    pub device_memory: Option<u64>,
    /// Useful operations per second of one device: 400T. Measured without it, where the devices are on this machine.
    #[arg(long, value_name = "FLOPS", value_parser = amount)]
    pub rate: Option<f64>,
    /// Bytes per second between two devices, each way: 450G.
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub between: Option<f64>,
    /// Peers that train together.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub peers: u64,
    /// Bits per second that a peer sends.
    #[arg(long, value_name = "BITS", default_value = "110M", value_parser = amount)]
    pub up: f64,
    /// Bits per second that a peer fetches.
    #[arg(long, value_name = "BITS", default_value = "500M", value_parser = amount)]
    pub down: f64,
}

/// A positive number, perhaps with k, M, G, T or P behind it: `110M`, `4e14`.
fn amount(text: &str) -> Result<f64, String> {
    let prefixes = [('k', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12), ('P', 1e15)];
    let matching =
        prefixes.iter().find_map(|(prefix, factor)| Some((text.strip_suffix(*prefix)?, *factor)));
    let (number, factor) = matching.unwrap_or((text, 1.0));
    let amount = number.parse::<f64>().ok().map(|number| number * factor);
    amount
        .filter(|amount| *amount > 0.0 && amount.is_finite())
        .ok_or_else(|| "write it as 110M, 400T or 4e14".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_may_have_a_prefix() {
        let cases = [("110M", 110e6), ("4e14", 4e14), ("400T", 4e14), ("1.5k", 1500.0), ("7", 7.0)];
        cases.iter().for_each(|(text, expected)| assert_eq!(amount(text), Ok(*expected), "{text}"));
        for text in ["", "G", "-3", "0", "nan", "inf", "3X", "1e400", "3MB"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }
}
