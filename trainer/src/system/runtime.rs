//! The async runtime of the network commands.

use crate::system::error::{Context, Result};

/// Runs a future to completion with timers and network.
///
/// The future runs on the calling thread; connections and timers run on a worker thread. Commands
/// train for hours, and hash gigabytes, inside their future: on a runtime of one thread every
/// connection would stand still meanwhile, and stores close connections that stand still.
///
/// # Errors
/// Errors of the future, or of the system if the runtime cannot start.
pub(crate) fn on_runtime<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("cannot start the network runtime")?.block_on(future)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn connections_progress_while_a_command_computes() {
        let progress = on_runtime(async {
            let ticks = Arc::new(AtomicU32::new(0));
            let connection = Arc::clone(&ticks);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    connection.fetch_add(1, Ordering::SeqCst);
                }
            });
            // Blocks this thread without yielding, as a training step does.
            std::thread::sleep(Duration::from_millis(300));
            Ok(ticks.load(Ordering::SeqCst))
        });
        assert!(progress.unwrap() > 0);
    }
}
