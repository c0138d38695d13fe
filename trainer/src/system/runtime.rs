//! The async runtime of the network commands.

use anyhow::Context;

/// Runs a future to completion on a runtime with timers and network, on this thread.
///
/// # Errors
/// Errors of the future, or of the system if the runtime cannot start.
pub(crate) fn on_runtime<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the network runtime")?.block_on(future)
}
