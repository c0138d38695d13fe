//! Problems of a configuration, each with its place.

use std::fmt;
use std::path::Path;

use crate::config::layers::{Origin, Value};

/// Characters of a value in a message; longer values are cut. Two values and a rule then fit in
/// the width of a terminal.
const LONGEST_VALUE: usize = 40;

/// A key or value that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The place of the value.
    pub origin: Origin,
    /// Path of the key or field, such as `data.sources[1].weight`.
    pub key: String,
    /// The value as written, if it helps to repeat it.
    pub value: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
}

impl Problem {
    /// A value that breaks the rule of its key.
    pub(crate) fn new(origin: &Origin, key: &str, value: &Value, rule: impl Into<String>) -> Self {
        Self::quoting(origin, key, value.shown(), rule)
    }

    /// Like [`Problem::new`], with the value as text.
    pub(crate) fn quoting(
        origin: &Origin,
        key: &str,
        value: String,
        rule: impl Into<String>,
    ) -> Self {
        Self { value: Some(shorten(value)), ..Self::without_value(origin, key, rule) }
    }

    /// A problem of a key with any value.
    pub(crate) fn without_value(origin: &Origin, key: &str, rule: impl Into<String>) -> Self {
        Self { origin: origin.clone(), key: key.to_owned(), value: None, rule: rule.into() }
    }

    fn statement(&self) -> String {
        match &self.value {
            Some(value) => format!("{} = {value}", self.key),
            None => self.key.clone(),
        }
    }

    fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// All problems of a configuration, in the order in which a user would correct them.
///
/// - Never empty.
/// - Ordered: the file from top to bottom, then variables, then the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems in order; `None` if there are none.
    pub(crate) fn sorted(mut problems: Vec<Problem>) -> Option<Self> {
        // The same mistake can be found twice, as in two equal `--set`.
        problems.sort();
        problems.dedup();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Every problem, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The file of all problems, if there is one.
    fn only_file(&self) -> Option<&Path> {
        let file = self.0.first()?.file()?;
        self.0.iter().all(|problem| problem.file() == Some(file)).then_some(file)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.only_file();
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        let whole =
            file.map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
        write!(formatter, "{} {plural} in {whole}", self.0.len())?;
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|problem| (place(problem, file.is_some()), problem.statement(), &problem.rule))
            .collect();
        // Aligned by characters: a value can be any text.
        let places = rows.iter().map(|(place, ..)| place.chars().count()).max().unwrap_or(0);
        let statements =
            rows.iter().map(|(_, statement, _)| statement.chars().count()).max().unwrap_or(0);
        for (place, statement, rule) in rows {
            write!(formatter, "\n  {place:places$}  {statement:statements$}  {rule}")?;
        }
        Ok(())
    }
}

fn place(problem: &Problem, is_file_known: bool) -> String {
    match &problem.origin {
        // The first line of the message names the file already.
        Origin::File { line, .. } if is_file_known => format!("line {line}"),
        origin => origin.to_string(),
    }
}

fn shorten(value: String) -> String {
    if value.chars().count() <= LONGEST_VALUE {
        return value;
    }
    value.chars().take(LONGEST_VALUE - 1).chain(['…']).collect()
}
