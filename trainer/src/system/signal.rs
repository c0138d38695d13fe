//! Ctrl-C and SIGTERM: the first stops cleanly, the second at once.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code after a second Ctrl-C: 128 plus the number of SIGINT, as shells report it.
const STOPPED: i32 = 130;

/// Catches Ctrl-C, SIGTERM and SIGHUP, and returns the flag that the first of them raises.
///
/// The first signal prints a line, and the command finishes its current work and ends. The second
/// ends the process at once with exit code 130. Checkpoints survive this: they get their final name
/// only when they are complete.
///
/// # Errors
/// If signals are caught already, or the system refuses.
pub fn catch() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || match answer(&raised) {
        Answer::FinishStep => announce(),
        Answer::StopNow => stop_now(),
    })?;
    Ok(flag)
}

/// Returns true once Ctrl-C has been pressed.
pub(crate) fn is_raised(interrupt: &AtomicBool) -> bool {
    interrupt.load(Ordering::SeqCst)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    FinishStep,
    StopNow,
}

fn answer(raised: &AtomicBool) -> Answer {
    if raised.swap(true, Ordering::SeqCst) { Answer::StopNow } else { Answer::FinishStep }
}

fn announce() {
    let mut stderr = io::stderr().lock();
    // On a terminal, the current line contains `^C` and perhaps a progress bar.
    let start = if stderr.is_terminal() { "\n" } else { "" };
    // A closed stderr must not prevent a clean stop.
    let _ = writeln!(stderr, "{start}stopping cleanly; press Ctrl-C again to stop at once");
}

#[expect(clippy::exit, reason = "the second Ctrl-C asks for exactly this")]
fn stop_now() {
    std::process::exit(STOPPED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_stops_cleanly_and_later_ones_at_once() {
        let raised = AtomicBool::new(false);
        assert_eq!(answer(&raised), Answer::FinishStep);
        assert!(raised.load(Ordering::SeqCst));
        assert_eq!([answer(&raised), answer(&raised)], [Answer::StopNow; 2]);
    }
}
