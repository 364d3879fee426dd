//! Measuring on a machine that is not quiet.
//!
//! All subjects take turns, one short batch each per round, so that a slow second of the machine
//! does not fall on one of them. Each batch stands between two runs of a fixed piece of work, the
//! *yardstick*; when that took longer than it can, something else was running, and the batch does
//! not count. A subject is done when enough of its batches count.
//!
//! Allocations are counted in a pass of their own. While times are taken the counting allocator
//! only looks at a switch, about a nanosecond per allocation, which every subject pays alike.

use std::hint::black_box;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::pair;
use crate::subjects::{Instance, Subject, Worker};

/// How much longer than its best the yardstick may take around a batch that counts.
const TOLERANCE: f64 = 1.12;
/// How long a batch takes, about.
const BATCH: Duration = Duration::from_micros(400);
/// Batches that are to count per subject.
const WANTED: usize = 61;
/// With fewer than this the quietest batches of all are taken instead.
const ENOUGH: usize = 15;
/// When no further round begins, on a machine that does not come to rest.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Calls made to warm up, and calls made to count allocations.
const FEW: u64 = 2_000;

/// What was found out about a subject.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) subject: &'static str,
    pub(crate) ns_median: f64,
    pub(crate) ns_min: f64,
    pub(crate) allocs: f64,
    pub(crate) bytes: f64,
    pub(crate) service_bytes: usize,
    pub(crate) future_bytes: usize,
    /// Throughput of two threads over that of one; none for what cannot be shared, and when the
    /// machine was too busy.
    pub(crate) two_threads: Option<f64>,
    /// Calls per microsecond of the two threads together.
    #[serde(skip)]
    pub(crate) together: Option<f64>,
    /// Too few batches found the machine quiet.
    #[serde(skip)]
    pub(crate) disturbed: bool,
}

/// One measured batch.
#[derive(Clone, Copy)]
pub(crate) struct Sample<T> {
    pub(crate) value: T,
    /// What the yardstick took around it, in the unit of the best that it did.
    pub(crate) yardstick: f64,
}

/// A fixed piece of work for the integer units, in nanoseconds.
#[inline(never)]
pub(crate) fn yardstick() -> f64 {
    let start = Instant::now();
    let mut words = [3_u64, 5, 7, 11];
    for i in 0..8_000_u64 {
        for word in &mut words {
            *word = (*word ^ i).wrapping_add(word.rotate_right(11));
        }
        black_box(&mut words);
    }
    nanoseconds(start, Instant::now())
}

pub(crate) fn nanoseconds(start: Instant, end: Instant) -> f64 {
    (end - start).as_nanos() as f64
}

/// How many batches were taken while the machine was quiet.
pub(crate) fn quiet<T>(samples: &[Sample<T>], best: f64) -> usize {
    let counts = |s: &&Sample<T>| s.yardstick <= TOLERANCE * best;
    samples.iter().filter(counts).count()
}

/// The batches that count; if they are too few, the quietest ones.
pub(crate) fn chosen<T: Copy>(samples: &[Sample<T>], best: f64) -> Vec<T> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.yardstick.total_cmp(&b.yardstick));
    sorted.truncate(quiet(samples, best).max(ENOUGH));
    sorted.into_iter().map(|s| s.value).collect()
}

/// The middle of `values`, and NaN of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 1) => values[middle],
        (middle, _) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Measures every subject.
pub(crate) fn measure(subjects: &[Subject], runtime: &Handle) -> Result<Vec<Row>, String> {
    let mut benches = Vec::with_capacity(subjects.len());
    for subject in subjects {
        benches.push(Bench::new(subject)?);
    }
    let mut measured = Ok(());
    allocation_counter::opt_out(|| {
        measured = take_times(&mut benches).and_then(|()| pair::take_times(&mut benches, runtime));
    });
    measured?;
    Ok(benches.into_iter().map(Bench::into_row).collect())
}

/// Runs a few calls to warm up, then `calls` of them, and measures nothing.
pub(crate) fn run_one(subject: &Subject, calls: u64) -> Result<(), String> {
    let mut instance = subject.instance();
    let mut worker = instance.worker().ok_or("no worker")?;
    let warm = warm_up(calls);
    check(subject, worker(warm), warm)?;
    check(subject, counted(&mut worker, calls), calls)
}

/// What `scripts/callgrind.py` counts by the name of this function: set-up and warm-up are outside.
#[inline(never)]
fn counted(worker: &mut Worker, calls: u64) -> u64 {
    black_box(worker(calls))
}

/// A subject while it is measured.
pub(crate) struct Bench<'a> {
    pub(crate) subject: &'a Subject,
    // Clones find the shared state through the service that the layer made, which is in here.
    pub(crate) instance: Instance,
    pub(crate) worker: Option<Worker>,
    /// Calls per batch.
    pub(crate) calls: u64,
    row: Row,
    samples: Vec<Sample<f64>>,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a Subject) -> Result<Self, String> {
        let mut instance = subject.instance();
        let mut worker = instance.worker().ok_or("a first worker is always there")?;
        let calls = FEW.min(subject.batch_limit);
        let mut succeeded = [0; 2];
        succeeded[0] = worker(calls);
        let counted = allocation_counter::measure(|| succeeded[1] = worker(calls));
        for ok in succeeded {
            check(subject, ok, calls)?;
        }
        let row = Row {
            subject: subject.name,
            ns_median: f64::NAN,
            ns_min: f64::NAN,
            allocs: per_call(counted.count_total, calls),
            bytes: per_call(counted.bytes_total, calls),
            service_bytes: instance.service_bytes,
            future_bytes: instance.future_bytes,
            two_threads: None,
            together: None,
            disturbed: false,
        };
        let calls = calls_per_batch(&mut worker, subject.batch_limit);
        Ok(Self {
            subject,
            instance,
            worker: Some(worker),
            calls,
            row,
            samples: Vec::with_capacity(2 * WANTED),
        })
    }

    /// Takes one batch; `best` is the best the yardstick did so far.
    fn sample(&mut self, best: &mut f64) -> Result<(), String> {
        if self.subject.wears_out() {
            self.instance = self.subject.instance();
            self.worker = self.instance.worker();
        }
        let Some(worker) = &mut self.worker else {
            return Ok(());
        };
        if !self.subject.wears_out() {
            worker(warm_up(self.calls));
        }
        let before = yardstick();
        let start = Instant::now();
        let ok = worker(self.calls);
        let end = Instant::now();
        let after = yardstick();
        check(self.subject, ok, self.calls)?;
        *best = best.min(before).min(after);
        self.samples.push(Sample {
            value: nanoseconds(start, end) / self.calls as f64,
            yardstick: before.max(after),
        });
        Ok(())
    }

    pub(crate) fn set_pair(&mut self, ratio: f64, together: f64) {
        self.row.two_threads = Some(rounded(ratio));
        self.row.together = Some(together);
    }

    /// The machine was too busy for two threads.
    pub(crate) fn no_pair(&mut self) {
        self.row.disturbed = true;
    }

    fn into_row(self) -> Row {
        self.row
    }
}

fn take_times(benches: &mut [Bench<'_>]) -> Result<(), String> {
    let mut best = f64::MAX;
    let end = Instant::now() + TIMEOUT;
    let mut first = 0;
    loop {
        let mut missing = false;
        for turn in 0..benches.len() {
            // Each round starts elsewhere, so that no subject always follows the same one's caches.
            let at = (first + turn) % benches.len();
            let bench = &mut benches[at];
            if quiet(&bench.samples, best) < WANTED {
                missing = true;
                bench.sample(&mut best)?;
            }
        }
        first += 1;
        if !missing || Instant::now() > end {
            break;
        }
    }
    for bench in benches {
        let values = chosen(&bench.samples, best);
        bench.row.disturbed = quiet(&bench.samples, best) < ENOUGH;
        bench.row.ns_min = rounded(values.iter().copied().fold(f64::NAN, f64::min));
        bench.row.ns_median = rounded(median(values));
    }
    Ok(())
}

/// As many calls as fill a batch.
fn calls_per_batch(worker: &mut Worker, limit: u64) -> u64 {
    let mut calls = 64.min(limit);
    loop {
        let start = Instant::now();
        worker(calls);
        let took = Instant::now() - start;
        if calls == limit || took >= BATCH / 4 {
            let fill = BATCH.as_nanos() as f64 / took.as_nanos().max(1) as f64;
            return ((calls as f64 * fill) as u64).clamp(1, limit);
        }
        calls = (2 * calls).min(limit);
    }
}

/// Calls that bring a subject's code and data back into the caches before a batch.
pub(crate) fn warm_up(calls: u64) -> u64 {
    (calls / 10).clamp(1, FEW)
}

/// A figure of calls that ended otherwise than they must would be of something else.
pub(crate) fn check(subject: &Subject, ok: u64, calls: u64) -> Result<(), String> {
    let wanted = if subject.rejects { 0 } else { calls };
    if ok == wanted {
        return Ok(());
    }
    Err(format!(
        "{}: {ok} of {calls} calls succeeded, {wanted} should",
        subject.name
    ))
}

fn per_call(total: u64, calls: u64) -> f64 {
    rounded(total as f64 / calls as f64)
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64, yardstick: f64) -> Sample<f64> {
        Sample { value, yardstick }
    }

    #[test]
    fn the_median_is_the_middle_value_or_between_the_two() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn only_batches_with_a_fast_yardstick_count() {
        let mut samples = vec![sample(1.0, 100.0); ENOUGH];
        samples.push(sample(9.0, 150.0));
        assert_eq!(quiet(&samples, 100.0), ENOUGH);
        assert_eq!(chosen(&samples, 100.0), vec![1.0; ENOUGH]);
    }

    #[test]
    fn on_a_busy_machine_the_quietest_batches_count() {
        let samples: Vec<_> = (0..40)
            .map(|i| sample(f64::from(i), 200.0 + f64::from(i)))
            .collect();
        assert_eq!(quiet(&samples, 100.0), 0);
        assert_eq!(chosen(&samples, 100.0).len(), ENOUGH);
        assert!(
            chosen(&samples, 100.0)
                .iter()
                .all(|&value| value < ENOUGH as f64)
        );
    }
}
