//! Many tasks at once: how many calls get through, and how long the slowest of a hundred takes.
//!
//! Crowds of one pattern take turns, one short batch each per round, and two are compared round by
//! round: what disturbs the machine for longer than a round disturbs both.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::{median, nanoseconds};

/// The durations of the calls of one task, in nanoseconds.
pub(crate) type Task = Pin<Box<dyn Future<Output = Vec<f64>> + Send>>;

/// Makes a task on the state of one batch.
pub(crate) type Tasks = Box<dyn FnMut() -> Task>;

/// How many tasks make how many calls each in a batch, and how many batches there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) tasks: usize,
    pub(crate) calls: usize,
    pub(crate) rounds: usize,
}

/// One way to let many tasks call.
pub(crate) struct Crowd {
    /// `<crate>/<pattern>/<case>`.
    pub(crate) name: &'static str,
    size: Size,
    make: Box<dyn Fn() -> Tasks>,
}

impl Crowd {
    /// `make` makes the state that the tasks of a batch share.
    pub(crate) fn new(name: &'static str, size: Size, make: impl Fn() -> Tasks + 'static) -> Self {
        Self {
            name,
            size,
            make: Box::new(make),
        }
    }

    fn group(&self) -> &str {
        self.name.split('/').nth(1).unwrap_or_default()
    }

    fn batch(&self, runtime: &Runtime) -> Result<Batch, String> {
        runtime.block_on(async {
            let mut task = (self.make)();
            let tasks: Vec<Task> = (0..self.size.tasks).map(|_| task()).collect();
            let start = Instant::now();
            let running: JoinSet<_> = tasks.into_iter().collect();
            let mut waits = running.join_all().await.concat();
            let took = nanoseconds(start, Instant::now());
            let all = self.size.tasks * self.size.calls;
            if waits.len() != all {
                let ok = waits.len();
                return Err(format!("{}: {ok} of {all} calls succeeded", self.name));
            }
            waits.sort_by(f64::total_cmp);
            let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
            Ok(Batch {
                calls_per_ms: 1e6 * all as f64 / took,
                median_us: at(50) / 1e3,
                p99_us: at(99) / 1e3,
            })
        })
    }
}

/// What one batch was like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) calls_per_ms: f64,
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
}

/// All batches of a crowd.
#[derive(Debug)]
pub(crate) struct Batches {
    pub(crate) name: &'static str,
    all: Vec<Batch>,
}

impl Batches {
    #[cfg(test)]
    pub(crate) fn of(name: &'static str, all: Vec<Batch>) -> Self {
        Self { name, all }
    }

    /// The median over the batches.
    pub(crate) fn median(&self, figure: impl Fn(&Batch) -> f64) -> f64 {
        median(self.all.iter().map(figure).collect())
    }

    /// The median of the ratios to another crowd's batches of the same rounds.
    pub(crate) fn over(&self, other: &Self, figure: impl Fn(&Batch) -> f64) -> f64 {
        let pairs = self.all.iter().zip(&other.all);
        median(pairs.map(|(a, b)| figure(a) / figure(b)).collect())
    }
}

/// Measures every crowd, on two threads.
pub(crate) fn measure(crowds: &[Crowd]) -> Result<Vec<Batches>, String> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| format!("no Tokio runtime: {e}"))?;
    let mut found = Vec::new();
    for group in crowds.chunk_by(|a, b| a.group() == b.group()) {
        let mut all: Vec<Vec<Batch>> = vec![Vec::new(); group.len()];
        let rounds = group
            .iter()
            .map(|crowd| crowd.size.rounds)
            .max()
            .unwrap_or(0);
        // The first one warms up.
        for round in 0..=rounds {
            for turn in 0..group.len() {
                // There and back, so that none always runs after the same other one.
                let at = if round % 2 == 0 {
                    turn
                } else {
                    group.len() - 1 - turn
                };
                let batch = group[at].batch(&runtime)?;
                if round > 0 {
                    all[at].push(batch);
                }
            }
        }
        let named = group.iter().zip(all);
        found.extend(named.map(|(crowd, all)| Batches {
            name: crowd.name,
            all,
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(calls_per_ms: f64) -> Batch {
        Batch {
            calls_per_ms,
            median_us: 1.0,
            p99_us: 2.0,
        }
    }

    #[test]
    fn crowds_are_compared_round_by_round() {
        // The machine was four times as slow in the second round.
        let ours = Batches::of("a", vec![batch(200.0), batch(50.0), batch(210.0)]);
        let theirs = Batches::of("b", vec![batch(100.0), batch(25.0), batch(100.0)]);
        assert!((ours.over(&theirs, |b| b.calls_per_ms) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn every_call_of_every_task_counts() {
        let tasks = || -> Tasks { Box::new(|| Box::pin(async { vec![5_000.0; 10] })) };
        let size = |calls| Size {
            tasks: 3,
            calls,
            rounds: 2,
        };
        let failing = measure(&[Crowd::new("a/b/c", size(11), tasks)]);
        let complaint = failing.expect_err("one of 11 is missing");
        assert_eq!(complaint, "a/b/c: 30 of 33 calls succeeded");
        let crowds = [Crowd::new("a/b/c", size(10), tasks)];
        let found = measure(&crowds).expect("a runtime");
        assert_eq!(found[0].all.len(), 2);
        assert!((found[0].median(|b| b.p99_us) - 5.0).abs() < 1e-9);
    }
}
