//! Random grants, corrections and reports against a list of all departures.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use seawall_core::{PartitionKey, QuotaSignal, ServerLimit, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, Reservation,
};

use super::*;

const MINUTE: u64 = 60_000;

/// Times in milliseconds since the start.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Take(u32),
    /// Of the nth reservation that is held: so much was used.
    Settle(usize, u64),
    Drop(usize),
    Commit(usize),
    /// So much is left of the provider's window: of a minute, or of ten.
    Report(u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_u64..20_000).prop_map(Step::Pass),
        1 => (0_u64..700_000).prop_map(Step::Pass),
        8 => (1_u32..12).prop_map(Step::Take),
        5 => (0_usize..6, 0_u64..14).prop_map(|(nth, used)| Step::Settle(nth, used)),
        1 => (0_usize..6).prop_map(Step::Drop),
        1 => (0_usize..6).prop_map(Step::Commit),
        3 => (0_u64..60, any::<bool>()).prop_map(|(left, long)| Step::Report(left, long)),
    ];
    prop::collection::vec(step, 1..120)
}

struct Departure {
    at: u64,
    used: i64,
}

struct Report {
    at: u64,
    left: i64,
    until: u64,
}

/// Everything that has departed, and everything that was reported.
#[derive(Default)]
struct Model {
    departures: Vec<Departure>,
    reports: Vec<Report>,
    /// Whether more was used than the limit has: then departures may be counted for longer.
    is_over: bool,
}

impl Model {
    fn used(&self, counts: impl Fn(u64) -> bool) -> i64 {
        let counted = self.departures.iter().filter(|one| counts(one.at));
        counted.map(|one| one.used).sum()
    }

    fn left(&self, report: &Report) -> i64 {
        (report.left - self.used(|at| at > report.at)).max(0)
    }

    /// What the provider reported last of each of its windows that ends in more than a second: before
    /// that, a report of a later window shows that it is over.
    fn newest(&self, now: u64) -> i64 {
        let of_window = |until| {
            let mut reports = self.reports.iter().rev();
            reports.find(|report| report.until == until)
        };
        let ends = self.reports.iter().map(|report| report.until);
        let holding = ends
            .filter(|until| *until > now + 1_000)
            .filter_map(of_window);
        holding
            .map(|report| self.left(report))
            .min()
            .unwrap_or(i64::MAX)
    }

    fn all(&self, now: u64) -> i64 {
        let holding = self.reports.iter().filter(|report| report.until > now);
        holding
            .map(|report| self.left(report))
            .min()
            .unwrap_or(i64::MAX)
    }
}

/// A limit, its count, and whether a departure of then counts now.
type Kind = (Limit, i64, fn(u64, u64) -> bool);

fn kinds() -> [Kind; 4] {
    let minute = Duration::from_millis(MINUTE);
    [
        (Limit::strict(50, minute).into(), 50, |at, now| {
            at + MINUTE > now
        }),
        (Limit::window(50, minute).into(), 50, |at, now| {
            at / MINUTE == now / MINUTE
        }),
        (Limit::daily(50, DailyReset::utc()).into(), 50, |at, now| {
            at / (1_440 * MINUTE) == now / (1_440 * MINUTE)
        }),
        (Limit::strict(2_000, minute).into(), 2_000, |at, now| {
            // It may count for a slice more.
            at + MINUTE > now
        }),
    ]
}

/// When the provider's window ends.
const fn end(now: u64, length: u64) -> u64 {
    now / length * length + length
}

struct Run {
    handle: RateLimitHandle,
    held: Vec<(usize, Reservation)>,
    model: Model,
    now: u64,
}

impl Run {
    fn new(limit: &Limit) -> Self {
        let config = RateLimitConfig::builder().limit(limit.clone());
        let handle = RateLimitLayer::new("l", config.build().expect("valid")).handle();
        // A full day of the wall clock.
        handle.set_wall_clock(UNIX_EPOCH + Duration::from_secs(40_000 * 86_400));
        Self {
            handle,
            held: Vec::new(),
            model: Model::default(),
            now: 0,
        }
    }

    async fn pass(&mut self, by: u64) {
        advance(ms(by)).await;
        self.now += by;
    }

    fn take_out(&mut self, nth: usize) -> Option<(usize, Reservation)> {
        let len = self.held.len();
        (len > 0).then(|| self.held.remove(nth % len))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Pass(_) => {}
            Step::Take(cost) => {
                let meta = RequestMeta::new(Replay::Safe).with_cost(*cost);
                if let Ok(reserved) = self.handle.try_reserve(&meta) {
                    self.held.push((self.model.departures.len(), reserved));
                    self.model.departures.push(Departure {
                        at: self.now,
                        used: i64::from(*cost),
                    });
                }
            }
            Step::Settle(nth, used) => {
                if let Some((index, reserved)) = self.take_out(*nth) {
                    reserved.correct_usage(&[(Unit::Cost, *used)]);
                    self.model.departures[index].used = *used as i64;
                }
            }
            Step::Drop(nth) => {
                if let Some((index, reserved)) = self.take_out(*nth) {
                    drop(reserved);
                    self.model.departures[index].used = 0;
                }
            }
            Step::Commit(nth) => drop(self.take_out(*nth).map(|(_, reserved)| reserved.commit())),
            Step::Report(left, long) => {
                let length = if *long { 10 * MINUTE } else { MINUTE };
                let until = end(self.now, length);
                let limit = ServerLimit::new(Unit::Cost).with_remaining(*left);
                let limit = limit.with_resets_in(ms(until - self.now));
                self.handle.apply_signal(QuotaSignal::Limit(limit));
                self.model.reports.push(Report {
                    at: self.now,
                    left: *left as i64,
                    until,
                });
            }
        }
    }
}

fn paused<T>(run: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder
        .enable_time()
        .start_paused(true)
        .build()
        .expect("valid");
    runtime.block_on(run)
}

/// A bucket of 20 that fills within a minute: of a layer, beside another limit, of a key, and of the
/// account of a key.
fn reserve_from_bucket(place: usize) -> Box<dyn Fn(u32) -> Option<Reservation>> {
    let minute = Duration::from_millis(MINUTE);
    let config = |limits: &[Limit]| {
        let limits = limits.iter().cloned();
        let builder = limits.fold(RateLimitConfig::builder(), RateLimitConfigBuilder::limit);
        builder.build().expect("valid")
    };
    let bucket = Limit::from(Limit::bucket(20, minute).burst(20));
    let wide = Limit::from(Limit::strict(1_000_000, minute));
    let meta = |cost| RequestMeta::new(Replay::Safe).with_cost(cost);
    let keyed = |limit: Limit| KeyedRateLimitConfig::new(config(&[limit])).expect("valid");
    let layer = match place {
        0 => RateLimitLayer::new("l", config(&[bucket])),
        1 => RateLimitLayer::new("l", config(&[bucket, wide])),
        2 => {
            let keys = KeyedRateLimitLayer::new("k", keyed(bucket)).handle();
            return Box::new(move |cost| {
                let reserved = keys
                    .try_reserve(&meta(cost).with_key(PartitionKey::of(&1)))
                    .ok();
                keys.evict_idle();
                reserved
            });
        }
        _ => {
            let account = RateLimitLayer::new("l", config(&[bucket])).handle();
            let keys = KeyedRateLimitLayer::within_account("k", keyed(wide), &account).handle();
            return Box::new(move |cost| {
                keys.try_reserve(&meta(cost).with_key(PartitionKey::of(&1)))
                    .ok()
            });
        }
    };
    let handle = layer.handle();
    Box::new(move |cost| handle.try_reserve(&meta(cost)).ok())
}

proptest! {
    /// What is left is what the list of all departures says, never more than the provider reported
    /// last, and never less than all of its reports.
    #[test]
    fn what_is_left_is_what_the_list_of_all_departures_says(kind in 0_usize..4, steps in steps()) {
        paused(async {
            let (limit, count, counts) = &kinds()[kind];
            let mut run = Run::new(limit);
            for (n, step) in steps.iter().enumerate() {
                // One thing at a time: what is reported at a reading includes all before.
                run.pass(if let Step::Pass(by) = step { *by } else { 1 }).await;
                run.step(step);
                let (now, model) = (run.now, &mut run.model);
                let own = count - model.used(|at| counts(at, now));
                model.is_over |= own < 0;
                let left = run.handle.tokens() as i64;
                let most = own.min(model.newest(now));
                prop_assert!(left <= most, "{limit}, step {n}: {left} is more than {most}");
                let is_exact = kind < 3 && !(kind == 0 && model.is_over);
                if is_exact {
                    let least = own.min(model.all(now));
                    prop_assert!(left >= least, "{limit}, step {n}: {left} is less than {least}");
                }
            }
            Ok(())
        })?;
    }

    /// Whatever was corrected, nothing is left over when everything has ceased to count.
    #[test]
    fn after_a_rest_a_limit_is_full_again(kind in 0_usize..4, steps in steps()) {
        paused(async {
            let (limit, count, _) = &kinds()[kind];
            let mut run = Run::new(limit);
            for step in &steps {
                run.pass(if let Step::Pass(by) = step { *by } else { 1 }).await;
                run.step(step);
            }
            run.pass(1_441 * MINUTE).await;
            prop_assert_eq!(run.handle.tokens() as i64, *count);
            // What is settled only now counts no more.
            for (_, reserved) in run.held {
                reserved.correct_usage(&[(Unit::Cost, 20)]);
            }
            prop_assert_eq!(run.handle.tokens() as i64, *count);
            Ok(())
        })?;
    }

    /// Any stretch of time sees at most the burst and what has flowed in, of what was used, however
    /// late the rest is given back.
    #[test]
    fn what_a_bucket_gives_back_late_never_exceeds_it(place in 0_usize..4, steps in steps()) {
        paused(async {
            let reserve = reserve_from_bucket(place);
            let (mut now, mut used) = (0, Vec::<(u64, u64)>::new());
            let mut held: Vec<(usize, Reservation)> = Vec::new();
            for step in &steps {
                let by = if let Step::Pass(by) = step { *by } else { 1 };
                advance(ms(by)).await;
                now += by;
                let nth = match step {
                    Step::Take(cost) => {
                        if let Some(reserved) = reserve(*cost) {
                            held.push((used.len(), reserved));
                            used.push((now, u64::from(*cost)));
                        }
                        continue;
                    }
                    Step::Settle(nth, _) | Step::Drop(nth) | Step::Commit(nth) => *nth,
                    Step::Pass(_) | Step::Report(..) => continue,
                };
                if held.is_empty() {
                    continue;
                }
                let (index, reserved) = held.remove(nth % held.len());
                let amount = &mut used[index].1;
                match step {
                    Step::Settle(_, less) => {
                        *amount = (*amount).min(*less);
                        reserved.correct_usage(&[(Unit::Cost, *amount)]);
                    }
                    Step::Drop(_) => {
                        *amount = 0;
                        drop(reserved);
                    }
                    _ => reserved.commit(),
                }
            }
            for (first, (begin, _)) in used.iter().enumerate() {
                let mut sum = 0;
                for (at, amount) in &used[first..] {
                    sum += amount;
                    let most = 20 + 20 * (at - begin) / MINUTE;
                    prop_assert!(sum <= most, "{place}: {sum} of {most} from {begin} to {at}");
                }
            }
            Ok(())
        })?;
    }
}
