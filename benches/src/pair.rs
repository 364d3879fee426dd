//! Two threads on one state.
//!
//! Two threads may run the yardstick slower than one does, where their cores are threads of one
//! physical core; so batches of two are held against the best that two did. What two threads of
//! independent work reach on this machine is the row of the bare leaf.
//!
//! The second thread lives as long as the measuring, as a worker thread of a server does: state
//! that is striped by thread sees the same two threads throughout.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::harness::{
    Bench, Sample, check, chosen, median, nanoseconds, quiet, warm_up, yardstick,
};
use crate::subjects::Worker;

/// Batches that are to count per subject.
const WANTED: usize = 25;
/// With fewer than this a subject has no figure.
const FEWEST: usize = 5;
/// How much shorter than of one thread, since there are two to be disturbed.
const SHORTER: u64 = 2;
/// When no further round begins.
const TIMEOUT: Duration = Duration::from_secs(45);
/// Batches without work, to find out how fast the yardstick can be.
const TRIALS: usize = 100;
/// How much slower the yardstick may be for two that do run at the same time. Two that take turns
/// on one core need twice as long.
const SLOWER: f64 = 1.7;
/// How long to wait until the two have a core each.
const TRIALS_TIMEOUT: Duration = Duration::from_secs(5);

struct Job {
    worker: Worker,
    calls: u64,
    meeting: Arc<Meeting>,
}

struct Done {
    worker: Worker,
    stint: Stint,
}

/// One thread's part of a batch.
struct Stint {
    start: Instant,
    end: Instant,
    ok: u64,
    yardstick: f64,
}

/// Where two threads wait for each other, without sleeping.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    /// Both threads pass for the `nth` time together.
    fn pass(&self, nth: usize) {
        self.0.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0_u32;
        while self.0.load(Ordering::Acquire) < 2 * nth {
            spins += 1;
            // The other may need this core.
            if spins.is_multiple_of(10_000) {
                std::thread::yield_now();
            }
            spin_loop();
        }
    }
}

fn stint(worker: &mut Worker, calls: u64, meeting: Option<&Meeting>) -> Stint {
    let meet = |nth| {
        if let Some(meeting) = meeting {
            meeting.pass(nth);
        }
    };
    // From meeting to meeting, so that it also shows when the two take turns on one core.
    let paced = |nth| {
        meet(nth);
        let start = Instant::now();
        yardstick();
        meet(nth + 1);
        nanoseconds(start, Instant::now())
    };
    worker(warm_up(calls));
    let before = paced(1);
    let start = Instant::now();
    let ok = worker(calls);
    let end = Instant::now();
    Stint {
        start,
        end,
        ok,
        yardstick: before.max(paced(3)),
    }
}

/// What the yardstick took, at best, with one thread and with two.
#[derive(Clone, Copy)]
struct Best {
    alone: f64,
    together: f64,
}

impl Best {
    fn update(&mut self, alone: f64, together: f64) {
        self.alone = self.alone.min(alone);
        self.together = self.together.min(together);
    }
}

/// The second thread.
struct Partner {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

const GONE: &str = "the second thread is gone";

impl Partner {
    /// Runs one batch on this thread and on the other; `first` and `second` share their state.
    fn both(
        &self,
        first: &mut Worker,
        second: &mut Option<Worker>,
        calls: u64,
    ) -> Result<[Stint; 2], String> {
        let meeting = Arc::new(Meeting::default());
        let job = Job {
            worker: second.take().ok_or(GONE)?,
            calls,
            meeting: Arc::clone(&meeting),
        };
        self.jobs.send(job).map_err(|e| e.to_string())?;
        let here = stint(first, calls, Some(&meeting));
        let there = self.done.recv().map_err(|e| e.to_string())?;
        *second = Some(there.worker);
        Ok([here, there.stint])
    }

    fn best(&self) -> Result<Best, String> {
        let mut best = Best {
            alone: f64::MAX,
            together: f64::MAX,
        };
        let mut first: Worker = Box::new(|calls| calls);
        let mut second: Option<Worker> = Some(Box::new(|calls| calls));
        let end = Instant::now() + TRIALS_TIMEOUT;
        let mut trials = 0;
        while trials < TRIALS || (best.together > SLOWER * best.alone && Instant::now() < end) {
            trials += 1;
            let alone = stint(&mut first, 1, None).yardstick;
            let [here, there] = self.both(&mut first, &mut second, 1)?;
            best.update(alone, here.yardstick.max(there.yardstick));
        }
        Ok(best)
    }
}

/// One measured batch of one thread and of two.
#[derive(Clone, Copy)]
struct Pair {
    /// Throughput of two over that of one.
    ratio: f64,
    /// Calls per microsecond of the two.
    together: f64,
    /// What the yardstick took for one, and for two.
    yardsticks: Best,
}

struct Contest<'a, 'b> {
    bench: &'a mut Bench<'b>,
    second: Option<Worker>,
    pairs: Vec<Pair>,
}

impl Contest<'_, '_> {
    /// Takes one batch of one thread, one of two, and one of one.
    fn sample(&mut self, partner: &Partner, best: &mut Best) -> Result<(), String> {
        let calls = (self.bench.calls / SHORTER).max(1);
        let subject = self.bench.subject;
        let first = self.bench.worker.as_mut().ok_or(GONE)?;
        let before = stint(first, calls, None);
        let [here, there] = partner.both(first, &mut self.second, calls)?;
        let after = stint(first, calls, None);

        let took = |stint: &Stint| nanoseconds(stint.start, stint.end);
        let one = f64::midpoint(took(&before), took(&after));
        let two = nanoseconds(here.start.min(there.start), here.end.max(there.end));
        let yardsticks = Best {
            alone: before.yardstick.max(after.yardstick),
            together: here.yardstick.max(there.yardstick),
        };
        best.update(yardsticks.alone, yardsticks.together);
        self.pairs.push(Pair {
            ratio: 2.0 * one / two,
            together: 2e3 * calls as f64 / two,
            yardsticks,
        });
        let mut stints = [before, here, there, after].into_iter();
        stints.try_for_each(|stint| check(subject, stint.ok, calls))
    }

    /// The batches with how far the yardstick was from its best.
    fn samples(&self, best: &Best) -> Vec<Sample<Pair>> {
        let sample = |&value: &Pair| Sample {
            value,
            yardstick: f64::max(
                value.yardsticks.alone / best.alone,
                value.yardsticks.together / best.together,
            ),
        };
        self.pairs.iter().map(sample).collect()
    }
}

/// Measures every bench that can be shared, and writes what it finds into its row.
pub(crate) fn take_times(benches: &mut [Bench<'_>], runtime: &Handle) -> Result<(), String> {
    let mut contests = Vec::new();
    for bench in benches {
        if bench.subject.wears_out() || !bench.subject.shared {
            continue;
        }
        if let Some(second) = bench.instance.worker() {
            contests.push(Contest {
                bench,
                second: Some(second),
                pairs: Vec::new(),
            });
        }
    }

    if contests.is_empty() {
        return Ok(());
    }
    let (jobs, todo) = channel::<Job>();
    let (report, done) = channel();
    let runtime = runtime.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _entered = runtime.enter();
            allocation_counter::opt_out(|| {
                for mut job in todo {
                    let stint = stint(&mut job.worker, job.calls, Some(&job.meeting));
                    let worker = job.worker;
                    if report.send(Done { worker, stint }).is_err() {
                        break;
                    }
                }
            });
        });
        // Dropped at the end, which ends the thread.
        let partner = Partner { jobs, done };
        rounds(&mut contests, &partner)
    })
}

fn rounds(contests: &mut [Contest<'_, '_>], partner: &Partner) -> Result<(), String> {
    let end = Instant::now() + TIMEOUT;
    let mut best = partner.best()?;
    loop {
        let mut missing = false;
        for contest in &mut *contests {
            if quiet(&contest.samples(&best), 1.0) < WANTED {
                missing = true;
                contest.sample(partner, &mut best)?;
            }
        }
        if !missing || Instant::now() > end {
            break;
        }
    }
    for contest in contests {
        let samples = contest.samples(&best);
        let calm = quiet(&samples, 1.0);
        // Batches of threads that took turns on one core would show the opposite.
        if calm < FEWEST {
            contest.bench.no_pair();
            continue;
        }
        let mut pairs = chosen(&samples, 1.0);
        pairs.truncate(calm);
        let ratio = median(pairs.iter().map(|pair| pair.ratio).collect());
        let together = median(pairs.iter().map(|pair| pair.together).collect());
        contest.bench.set_pair(ratio, together);
    }
    Ok(())
}
