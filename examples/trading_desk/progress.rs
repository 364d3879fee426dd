//! The progress of a run, on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use seawall_sim::incident::{Fault, Incidents};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::recorder::Recorder;

const WIDTH: usize = 24;

/// Shows how one side's run goes on; ends with [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Progress {
    side: &'static str,
    recorder: Arc<Recorder>,
    terminal: bool,
    task: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(
        side: &'static str,
        zero: Instant,
        incidents: &Incidents,
        recorder: &Arc<Recorder>,
    ) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let (incidents, shown) = (incidents.clone(), Arc::clone(recorder));
        let length = incidents.length();
        let every = if terminal {
            Duration::from_millis(100)
        } else {
            (length / 5).max(Duration::from_secs(1))
        };
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            loop {
                ticks.tick().await;
                let at = (Instant::now() - zero).min(length);
                let now = active_faults(&incidents, at);
                let counts = counts(&shown);
                if terminal {
                    let bar = bar(at, length);
                    // The line is cleared to its end, since the last one may have been longer.
                    write_stderr(&format!("\r{side:<8}{bar} {counts}  {now}\x1b[K"));
                } else {
                    let (at, length) = (at.as_secs_f64(), length.as_secs_f64());
                    write_stderr(&format!(
                        "{side:<8}{at:5.1} s of {length:.0} s  {counts}  {now}\n"
                    ));
                }
            }
        });
        Self {
            side,
            recorder: Arc::clone(recorder),
            terminal,
            task,
        }
    }

    pub(crate) fn finish(self) {
        self.task.abort();
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let (side, counts) = (self.side, counts(&self.recorder));
        write_stderr(&format!("{clear}{side:<8}done  {counts}\n"));
    }
}

fn write_stderr(text: &str) {
    let mut out = std::io::stderr().lock();
    // If stderr is closed, the run goes on without it.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn counts(recorder: &Recorder) -> String {
    let counts = recorder.so_far();
    let (ok, degraded) = (counts.ok, counts.degraded);
    let (failed, rejected) = (counts.failed, counts.rejected);
    format!("ok {ok:>4}  degraded {degraded:>3}  failed {failed:>3}  rejected {rejected:>3}")
}

fn bar(at: Duration, length: Duration) -> String {
    let share = at.as_secs_f64() / length.as_secs_f64().max(f64::MIN_POSITIVE);
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    let (done, left) = ("#".repeat(full), "-".repeat(WIDTH - full));
    format!("[{done}{left}] {:3.0}%", share * 100.0)
}

/// The faults that are scripted for now; latency is left out.
fn active_faults(incidents: &Incidents, at: Duration) -> String {
    let active = incidents.iter().filter(|incident| {
        (incident.from..incident.to).contains(&at) && !matches!(incident.fault, Fault::Latency(_))
    });
    let names = active.map(|incident| {
        let provider = incident.provider.map_or("all", |provider| provider.name());
        format!("{provider} {}", incident.fault.name())
    });
    let names: Vec<_> = names.collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_at_the_start_as_at_the_end() {
        let second = Duration::from_secs(1);
        assert_eq!(
            bar(Duration::ZERO, second),
            format!("[{}]   0%", "-".repeat(WIDTH))
        );
        assert_eq!(bar(second, second), format!("[{}] 100%", "#".repeat(WIDTH)));
        assert_eq!(bar(second * 2, second).find(']'), Some(WIDTH + 1));
    }
}
