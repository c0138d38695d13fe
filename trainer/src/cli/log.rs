//! Flags of the log, for every command.

use clap::Args;

use crate::system::logging::LogFormat;

/// Flags of the log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Log level of stderr, from error to trace, or a filter such as covey_comms=debug
    /// [default: off].
    // `run.log` in the output directory has at least level info, with any value of this.
    // Global: it can be written before or after the command. The value of the variable is hidden,
    // or the help would differ from machine to machine.
    #[arg(
        id = "log",
        long = "log",
        value_name = "LEVEL",
        env = "COVEY_LOG",
        hide_env_values = true,
        global = true
    )]
    pub filter: Option<String>,
    /// Format of the log, text or json.
    #[arg(
        id = "log-format",
        long = "log-format",
        value_name = "FORMAT",
        default_value = "text",
        // A parser and not `ValueEnum`: descriptions of the values would lengthen every help page.
        value_parser = log_format,
        global = true
    )]
    pub format: LogFormat,
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    }
}
