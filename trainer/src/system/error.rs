//! Errors on their way to the user, with a hint and an exit code.
//!
//! Functions of this crate return [`Result`]. `?` converts an error into a [`Failure`] only if its
//! type implements [`Hint`], so a new error type compiles only with an advice for the user, or
//! the statement that there is none. The implementations for foreign types are in `hints`.

use std::error::Error;
use std::fmt::{self, Debug, Display};

/// A result with a [`Failure`], unless another error type is given.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// An error type that can advise the user.
pub trait Hint: Error + Send + Sync + 'static {
    /// Advice for the user, as one imperative; `None` if there is none.
    fn hint(&self) -> Option<String>;

    /// Returns true if the command line or the configuration causes the error: exit code 2.
    fn is_usage(&self) -> bool {
        false
    }
}

/// An error as the user sees it: its causes, a hint, and the exit code.
pub struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
    is_usage: bool,
}

impl Failure {
    /// An error without a type: the text is all there is to know.
    pub fn new(message: impl Into<String>) -> Self {
        Self { error: anyhow::Error::msg(message.into()), hint: None, is_usage: false }
    }

    /// Advice for the user, as one imperative; `None` if there is none.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns true if the command line or the configuration causes the error.
    pub fn is_usage(&self) -> bool {
        self.is_usage
    }

    /// The error and its causes, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        self.error.chain()
    }

    /// The error of type `E` in the chain, if there is one.
    pub fn downcast_ref<E: Error + Send + Sync + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The innermost cause.
    pub fn root_cause(&self) -> &(dyn Error + 'static) {
        self.error.root_cause()
    }

    /// Adds the attempted action in front of the causes. Hint and exit code stay.
    #[must_use]
    pub fn context(self, text: impl Display + Send + Sync + 'static) -> Self {
        Self { error: self.error.context(text), ..self }
    }
}

impl<E: Hint> From<E> for Failure {
    fn from(error: E) -> Self {
        let (hint, is_usage) = (error.hint(), error.is_usage());
        Self { error: error.into(), hint, is_usage }
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        failure.error.into()
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.error, formatter)
    }
}

impl Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.error, formatter)
    }
}

/// Adds the attempted action to an error; the hint of the error stays.
pub trait Context<T> {
    /// Adds `text` in front of the causes.
    ///
    /// # Errors
    /// The error, if there is one.
    fn context(self, text: impl Display + Send + Sync + 'static) -> Result<T>;

    /// The same with a text that is made only in case of an error.
    ///
    /// # Errors
    /// The error, if there is one.
    fn with_context<D: Display + Send + Sync + 'static>(
        self,
        text: impl FnOnce() -> D,
    ) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for std::result::Result<T, E> {
    fn context(self, text: impl Display + Send + Sync + 'static) -> Result<T> {
        self.map_err(|error| error.into().context(text))
    }

    fn with_context<D: Display + Send + Sync + 'static>(
        self,
        text: impl FnOnce() -> D,
    ) -> Result<T> {
        self.map_err(|error| error.into().context(text()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, text: impl Display + Send + Sync + 'static) -> Result<T> {
        self.ok_or_else(|| Failure::new(text.to_string()))
    }

    fn with_context<D: Display + Send + Sync + 'static>(
        self,
        text: impl FnOnce() -> D,
    ) -> Result<T> {
        self.ok_or_else(|| Failure::new(text().to_string()))
    }
}

/// A contradiction or an omission on the command line, found after it was parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    message: String,
    hint: Option<String>,
}

impl UsageError {
    /// An error with this message and no hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Hint for UsageError {
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    fn is_usage(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Result<()> {
        Err(UsageError::new("no data").with_hint("pass `--data`"))?
    }

    #[test]
    fn hint_and_exit_code_survive_every_context() {
        let failure = usage().context("cannot train").unwrap_err().context("stopped");
        assert_eq!(failure.hint(), Some("pass `--data`"));
        assert!(failure.is_usage());
        assert_eq!(failure.chain().count(), 3);
        assert_eq!(failure.to_string(), "stopped");
    }

    #[test]
    fn an_error_without_advice_is_no_usage_error() {
        let failure = Failure::from(std::io::Error::other("broken"));
        assert_eq!((failure.hint(), failure.is_usage()), (None, false));
    }
}
