//! The progress of a run, on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::contender::{Name, OrderResult};

const WIDTH: usize = 24;

/// What was reported so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    reported: AtomicUsize,
    in_doubt: AtomicUsize,
    kills: AtomicUsize,
}

impl Counts {
    pub(crate) fn add(&self, result: OrderResult) {
        self.reported.fetch_add(1, Ordering::Relaxed);
        let in_doubt = usize::from(result == OrderResult::InDoubt);
        self.in_doubt.fetch_add(in_doubt, Ordering::Relaxed);
    }

    pub(crate) fn kill(&self) {
        self.kills.fetch_add(1, Ordering::Relaxed);
    }

    fn line(&self, name: Name, orders: u32) -> String {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let (reported, in_doubt) = (load(&self.reported), load(&self.in_doubt));
        let kills = load(&self.kills);
        let name = name.as_str();
        let bar = bar(reported, orders as usize);
        format!(
            "{name:<17}{bar} {reported:>6} of {orders}  in doubt {in_doubt:>4}  kills {kills:>3}"
        )
    }
}

/// Shows how one contender's run goes on; ends with [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Progress {
    name: Name,
    orders: u32,
    counts: Arc<Counts>,
    terminal: bool,
    task: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(name: Name, orders: u32, counts: &Arc<Counts>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let every = Duration::from_millis(if terminal { 100 } else { 5_000 });
        let shown = Arc::clone(counts);
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            // The first one is immediate.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let line = shown.line(name, orders);
                let text = if terminal {
                    // The line is cleared to its end, since the last one may have been longer.
                    format!("\r{line}\x1b[K")
                } else {
                    format!("{line}\n")
                };
                write_stderr(&text);
            }
        });
        Self {
            name,
            orders,
            counts: Arc::clone(counts),
            terminal,
            task,
        }
    }

    pub(crate) fn finish(self) {
        self.task.abort();
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let line = self.counts.line(self.name, self.orders);
        write_stderr(&format!("{clear}{line}\n"));
    }
}

fn write_stderr(text: &str) {
    let mut out = std::io::stderr().lock();
    // If stderr is closed, the run goes on without it.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn bar(done: usize, all: usize) -> String {
    let full = (done * WIDTH / all.max(1)).min(WIDTH);
    let (full, left) = ("#".repeat(full), "-".repeat(WIDTH - full));
    format!("[{full}{left}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_at_the_start_as_at_the_end() {
        assert_eq!(bar(0, 10), format!("[{}]", "-".repeat(WIDTH)));
        assert_eq!(bar(10, 10), format!("[{}]", "#".repeat(WIDTH)));
        assert_eq!(bar(20, 10).len(), WIDTH + 2);
    }
}
