//! An upstream with a known best limit, in virtual time: it serves so many calls at once, queues
//! others, and rejects when the queue is full. Capacity and latency change by the phase.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// What the upstream is like for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) length: u64,
    /// Calls that it works on at once.
    pub(crate) capacity: usize,
    /// How long one takes, in nanoseconds, without the queue.
    pub(crate) latency: u64,
}

/// Capacity 40; then twice the latency; then a quarter of the capacity; then as before.
pub(crate) const SCENARIO: [Phase; 4] = [
    Phase {
        name: "start",
        length: 30 * SECOND,
        capacity: 40,
        latency: 20 * MS,
    },
    Phase {
        name: "latency x2",
        length: 30 * SECOND,
        capacity: 40,
        latency: 40 * MS,
    },
    Phase {
        name: "capacity 10",
        length: 30 * SECOND,
        capacity: 10,
        latency: 20 * MS,
    },
    Phase {
        name: "recovery",
        length: 30 * SECOND,
        capacity: 40,
        latency: 20 * MS,
    },
];

/// Calls that wait in the upstream before it rejects.
pub(crate) const QUEUE: usize = 50;
/// How long a rejection takes.
const REJECTION: u64 = 5 * MS;
/// By how much the latency of a call varies: the standard deviation, as a share of it.
const NOISE: f64 = 0.2;

/// How calls arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// More callers than fit, each of which calls again once it has a response.
    Closed,
    /// Half as many calls again as the upstream can serve, at random times; rejected here when
    /// the limit is reached.
    Open,
}

/// What is under test.
pub(crate) trait Limit {
    fn limit(&self) -> u32;
    /// A call ended; all times in nanoseconds.
    fn finished(&mut self, now: u64, latency: u64, in_flight: u32, dropped: bool);
}

/// A fixed limit.
pub(crate) struct Fixed(pub(crate) u32);

impl Limit for Fixed {
    fn limit(&self) -> u32 {
        self.0
    }

    fn finished(&mut self, _now: u64, _latency: u64, _in_flight: u32, _dropped: bool) {}
}

/// The results of a limit in one phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fared {
    /// Responses per second.
    pub(crate) throughput: f64,
    /// Of all served calls, in nanoseconds.
    pub(crate) p99: u64,
    /// Calls that the upstream rejected.
    pub(crate) drops: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) phases: Vec<Fared>,
    /// The limit over time: the second, and the limit from then on.
    pub(crate) trace: Vec<(f64, u32)>,
}

/// Numbers at random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Near enough to a normal distribution of mean 0 and deviation 1.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.roll()).sum::<f64>() - 6.0
    }

    fn wait(&mut self, mean: f64) -> u64 {
        (-mean * (1.0 - self.roll()).ln()) as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Phase(usize),
    Arrival,
    /// A call that began then is done.
    Served(u64),
    Rejected(u64),
}

struct World<'a> {
    phases: &'a [Phase],
    dice: Dice,
    events: BinaryHeap<Reverse<(u64, u64, What)>>,
    order: u64,
    phase: usize,
    in_flight: u32,
    served: usize,
    queue: VecDeque<u64>,
    latencies: Vec<u64>,
    drops: u64,
}

/// Plays the phases to a limit.
pub(crate) fn run(phases: &[Phase], load: Load, seed: u64, limit: &mut dyn Limit) -> Run {
    let mut world = World {
        phases,
        dice: Dice(seed),
        events: BinaryHeap::new(),
        order: 0,
        phase: 0,
        in_flight: 0,
        served: 0,
        queue: VecDeque::new(),
        latencies: Vec::new(),
        drops: 0,
    };
    let mut starts = 0;
    for (index, phase) in phases.iter().enumerate() {
        world.at(starts, What::Phase(index));
        starts += phase.length;
    }
    world.at(starts, What::Phase(phases.len()));
    if load == Load::Open {
        world.at(0, What::Arrival);
    }
    let mut run = Run::default();
    while let Some(Reverse((now, _, what))) = world.events.pop() {
        if let What::Phase(index) = what {
            if index > 0 {
                run.phases.push(world.fared(index - 1));
            }
            if index == phases.len() {
                break;
            }
            world.phase = index;
            world.work(now);
        }
        world.happen(now, what, limit);
        let now_limit = limit.limit();
        while load == Load::Closed && world.in_flight < now_limit {
            world.send(now);
        }
        if run
            .trace
            .last()
            .is_none_or(|(_, known)| *known != now_limit)
        {
            run.trace.push((now as f64 / SECOND as f64, now_limit));
        }
    }
    run
}

impl World<'_> {
    fn at(&mut self, time: u64, what: What) {
        self.order += 1;
        self.events.push(Reverse((time, self.order, what)));
    }

    fn happen(&mut self, now: u64, what: What, limit: &mut dyn Limit) {
        let (began, dropped) = match what {
            What::Phase(_) => return,
            What::Arrival => {
                let phase = self.phases[self.phase];
                let mean = phase.latency as f64 / phase.capacity as f64 / 1.5;
                let next = now + self.dice.wait(mean);
                self.at(next, What::Arrival);
                if self.in_flight < limit.limit() {
                    self.send(now);
                }
                return;
            }
            What::Served(began) => {
                self.served -= 1;
                self.latencies.push(now - began);
                self.work(now);
                (began, false)
            }
            What::Rejected(began) => {
                self.drops += 1;
                (began, true)
            }
        };
        limit.finished(now, now - began, self.in_flight, dropped);
        self.in_flight -= 1;
    }

    fn send(&mut self, now: u64) {
        self.in_flight += 1;
        if self.queue.len() >= QUEUE {
            self.at(now + REJECTION, What::Rejected(now));
        } else {
            self.queue.push_back(now);
            self.work(now);
        }
    }

    fn work(&mut self, now: u64) {
        let phase = self.phases[self.phase];
        while self.served < phase.capacity {
            let Some(began) = self.queue.pop_front() else {
                return;
            };
            self.served += 1;
            let takes = phase.latency as f64 * (1.0 + NOISE * self.dice.bell()).max(0.2);
            self.at(now + takes as u64, What::Served(began));
        }
    }

    fn fared(&mut self, phase: usize) -> Fared {
        let mut latencies = std::mem::take(&mut self.latencies);
        latencies.sort_unstable();
        let seconds = self.phases[phase].length as f64 / SECOND as f64;
        let p99 = latencies.get(latencies.len() * 99 / 100);
        Fared {
            throughput: latencies.len() as f64 / seconds,
            p99: p99.copied().unwrap_or(0),
            drops: std::mem::take(&mut self.drops),
        }
    }
}

/// The best fixed limit of each phase: the lowest of the candidates with 99 % of the highest
/// throughput.
pub(crate) fn best_fixed(
    phases: &[Phase],
    load: Load,
    seed: u64,
    candidates: &[u32],
) -> Vec<(u32, Fared)> {
    phases
        .iter()
        .map(|phase| {
            let phase = Phase {
                length: 10 * SECOND,
                ..*phase
            };
            let fared: Vec<(u32, Fared)> = candidates
                .iter()
                .map(|limit| {
                    let run = run(&[phase], load, seed, &mut Fixed(*limit));
                    (*limit, run.phases[0].clone())
                })
                .collect();
            let most = fared.iter().map(|(_, f)| f.throughput).fold(0.0, f64::max);
            let best = fared.into_iter().find(|(_, f)| f.throughput >= 0.99 * most);
            best.unwrap_or_default()
        })
        .collect()
}
