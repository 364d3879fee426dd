//! Processes that stand still at random moments, as on a machine that is paused or far too busy.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::trace::{EVERY, Trace};

/// Stops a process, waits, and lets it go on: in a shell, which goes on itself while this process stands
/// still.
const STOP: &str = r#"kill -STOP "$1" && sleep "$2"; kill -CONT "$1""#;

/// Stops processes until it is dropped.
#[derive(Debug)]
pub(crate) struct Stops {
    sender: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Stops {
    /// Stops this process and the one that sends, in turn.
    pub(crate) fn begin(seed: u64, trace: Arc<Trace>) -> Self {
        let sender = Arc::new(AtomicU32::new(0));
        let of = Arc::clone(&sender);
        let mut draw = fastrand::Rng::with_seed(!seed);
        let task = tokio::spawn(async move {
            for turn in 0_u64.. {
                sleep(Duration::from_millis(draw.u64(100..1_000))).await;
                let pid = match turn % 2 {
                    0 => of.load(Relaxed),
                    _ => std::process::id(),
                };
                let seconds = f64::from(draw.u32(0..3_000)) / 1e3;
                if pid != 0 {
                    trace.note(
                        EVERY,
                        format_args!("process {pid} stands still for {seconds} s"),
                    );
                    let mut shell = Command::new("sh");
                    let shell = shell.args(["-c", STOP, "sh"]);
                    let shell = shell.arg(pid.to_string()).arg(seconds.to_string());
                    // One that has ended does not stand still.
                    let _ = shell.stderr(std::process::Stdio::null()).status().await;
                }
            }
        });
        Self { sender, task }
    }

    /// Which process sends; none where it is about to end.
    pub(crate) fn sender_is(&self, pid: Option<u32>) {
        self.sender.store(pid.unwrap_or_default(), Relaxed);
    }
}

impl Drop for Stops {
    fn drop(&mut self) {
        self.task.abort();
    }
}
