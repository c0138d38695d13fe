//! The page with the help of every command, generated from the flags themselves.

use clap::{Command, CommandFactory};

use super::cli::Cli;

const HEAD: &str = "\
# Commands

<!-- Generated: `COVEY_UPDATE_DOCS=1 cargo test -p covey --test config` updates it. -->

The text of `covey --help` and of `covey COMMAND --help`.
";

/// Columns of the help texts: those of a wide terminal, and of this project's pages.
const WIDTH: usize = 100;

/// The help of every command as one Markdown page.
pub fn help_markdown() -> String {
    let mut page = HEAD.to_owned();
    // Builds the commands with their inherited flags, such as those of the log.
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    add_help(&root, &mut page);
    page
}

fn add_help(command: &Command, page: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    *page += &format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        add_help(sub, page);
    }
}
