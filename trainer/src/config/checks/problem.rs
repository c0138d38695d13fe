//! What is wrong with a configuration, each with its place.

use std::fmt;
use std::path::Path;

use crate::config::layers::{Origin, Value};

/// Longest value, in characters, that is repeated in full in a message.
const LONGEST_VALUE: usize = 40;

/// One thing that is wrong: where it was said, what was said, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where the value was said.
    pub origin: Origin,
    /// Dotted path of the key, `data.sources[1].weight`.
    pub key: String,
    /// The value as it was written, where repeating it helps.
    pub value: Option<String>,
    /// What the value must be.
    pub rule: String,
}

impl Problem {
    /// A value that breaks the rule of its key.
    pub(crate) fn new(origin: &Origin, key: &str, value: &Value, rule: impl Into<String>) -> Self {
        Self::quoting(origin, key, value.shown(), rule)
    }

    /// Like [`Problem::new`], for a value that is at hand as text.
    pub(crate) fn quoting(
        origin: &Origin,
        key: &str,
        value: String,
        rule: impl Into<String>,
    ) -> Self {
        Self { value: Some(shorten(value)), ..Self::without_value(origin, key, rule) }
    }

    /// Something that is wrong with a key whatever its value.
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

/// All that is wrong with a configuration, in the order in which one would mend it.
///
/// - Never empty.
/// - The file from top to bottom, then variables, then the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems in order, or nothing if there are none.
    pub(crate) fn sorted(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort();
        problems.dedup();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Every problem, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The file that all problems are in, if they are all in one.
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
        let place = |problem: &Problem| match (&problem.origin, file) {
            (Origin::File { line, .. }, Some(_)) => format!("line {line}"),
            (origin, _) => origin.to_string(),
        };
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|problem| (place(problem), problem.statement(), &problem.rule))
            .collect();
        let places = rows.iter().map(|(place, ..)| place.chars().count()).max().unwrap_or(0);
        let statements =
            rows.iter().map(|(_, statement, _)| statement.chars().count()).max().unwrap_or(0);
        for (place, statement, rule) in rows {
            write!(formatter, "\n  {place:places$}  {statement:statements$}  {rule}")?;
        }
        Ok(())
    }
}

fn shorten(value: String) -> String {
    if value.chars().count() <= LONGEST_VALUE {
        return value;
    }
    value.chars().take(LONGEST_VALUE - 1).chain(['…']).collect()
}
