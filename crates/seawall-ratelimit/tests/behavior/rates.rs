//! What is given back after the rate of a bucket was changed.

use proptest::prelude::*;
use seawall_core::{PartitionKey, QuotaSignal, Scope, Unit};
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, Reservation};

use super::*;

const MINUTE: u64 = 60_000;
const BURST: u32 = 20;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many milliseconds.
    Pass(u64),
    Take(u32),
    /// Of the nth reservation that is held: so much was used.
    Settle(usize, u64),
    Drop(usize),
    /// So many per minute from now on.
    Rate(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..20_000).prop_map(Step::Pass),
        8 => (1_u32..12).prop_map(Step::Take),
        4 => (0_usize..6, 0_u64..12).prop_map(|(nth, used)| Step::Settle(nth, used)),
        3 => (0_usize..6).prop_map(Step::Drop),
        3 => prop::sample::select(vec![1, 7, 20, 100, 1_000]).prop_map(Step::Rate),
    ];
    prop::collection::vec(step, 1..120)
}

/// Takes from a bucket, and changes its rate.
type Place = (Box<dyn Fn(u32) -> Option<Reservation>>, Box<dyn Fn(u32)>);

fn bucket(rate: u32) -> Limit {
    let minute = Duration::from_millis(MINUTE);
    Limit::bucket(rate, minute).burst(BURST).into()
}

fn config(limits: &[Limit]) -> RateLimitConfig {
    let limits = limits.iter().cloned();
    let builder = limits.fold(RateLimitConfig::builder(), RateLimitConfigBuilder::limit);
    builder.build().expect("valid")
}

/// Of a layer, beside another limit, of a key, of the account of a key, and of a key with settings of
/// its own. Keys are evicted as soon as that is possible.
fn place(nth: usize) -> Place {
    let wide = Limit::from(Limit::strict(1_000_000, Duration::from_millis(MINUTE)));
    let keyed = |limit| KeyedRateLimitConfig::new(config(&[limit])).expect("valid");
    let meta = |cost| RequestMeta::new(Replay::Safe).with_cost(cost);
    let key = PartitionKey::of(&1);
    match nth {
        0 | 1 => {
            let limits = move |rate| match nth {
                0 => config(&[bucket(rate)]),
                _ => config(&[bucket(rate), wide.clone()]),
            };
            let handle = RateLimitLayer::new("l", limits(20)).handle();
            let other = handle.clone();
            (
                Box::new(move |cost| handle.try_reserve(&meta(cost)).ok()),
                Box::new(move |rate| other.configure(limits(rate)).expect("of the same shape")),
            )
        }
        2 | 3 => {
            let keys = KeyedRateLimitLayer::new("k", keyed(bucket(20))).handle();
            if nth == 3 {
                let own = config(&[bucket(20)]);
                keys.configure_key(key, own).expect("of the same shape");
            }
            let other = keys.clone();
            (
                Box::new(move |cost| {
                    let reserved = keys.try_reserve(&meta(cost).with_key(key)).ok();
                    keys.evict_idle();
                    reserved
                }),
                Box::new(move |rate| {
                    other.evict_idle();
                    let changed = match nth {
                        2 => other.configure(keyed(bucket(rate))),
                        _ => other.configure_key(key, config(&[bucket(rate)])),
                    };
                    changed.expect("of the same shape");
                }),
            )
        }
        _ => {
            let account = RateLimitLayer::new("l", config(&[bucket(20)])).handle();
            let keys = KeyedRateLimitLayer::within_account("k", keyed(wide), &account).handle();
            (
                Box::new(move |cost| keys.try_reserve(&meta(cost).with_key(key)).ok()),
                Box::new(move |rate| {
                    let changed = account.configure(config(&[bucket(rate)]));
                    changed.expect("of the same shape");
                }),
            )
        }
    }
}

/// All departures with what they have used, and the rates with when they began.
struct Model {
    now: u64,
    used: Vec<(u64, u64)>,
    rates: Vec<(u64, u64)>,
}

impl Model {
    /// What has flowed in, times the minute.
    fn flowed(&self, from: u64, to: u64) -> u64 {
        let ends = self.rates[1..].iter().map(|(at, _)| *at).chain([u64::MAX]);
        let parts = self.rates.iter().zip(ends);
        let flow = |((begin, rate), end): (&(u64, u64), u64)| {
            end.min(to).saturating_sub((*begin).max(from)) * rate
        };
        parts.map(flow).sum()
    }

    /// Whether any stretch of time has seen more than the burst and what has flowed in.
    fn check(&self) -> Result<(), TestCaseError> {
        for (first, (begin, _)) in self.used.iter().enumerate() {
            let mut sum = 0;
            for (at, amount) in &self.used[first..] {
                sum += amount;
                let most = u64::from(BURST) * MINUTE + self.flowed(*begin, *at);
                prop_assert!(sum * MINUTE <= most, "{sum} from {begin} to {at}: {most}");
            }
        }
        Ok(())
    }
}

fn paused<T>(run: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    runtime.expect("valid settings").block_on(run)
}

proptest! {
    #[test]
    fn late_refunds_never_exceed_a_bucket_whose_rate_changes(
        nth in 0_usize..5,
        steps in steps(),
    ) {
        paused(async {
            let (reserve, set_rate) = place(nth);
            let mut model = Model { now: 0, used: Vec::new(), rates: vec![(0, 20)] };
            let mut held: Vec<(usize, Reservation)> = Vec::new();
            for step in steps {
                let by = if let Step::Pass(by) = step { by } else { 1 };
                advance(ms(by)).await;
                model.now += by;
                match step {
                    Step::Pass(_) => {}
                    Step::Take(cost) => {
                        if let Some(reserved) = reserve(cost) {
                            held.push((model.used.len(), reserved));
                            model.used.push((model.now, cost.into()));
                        }
                    }
                    Step::Rate(rate) => {
                        set_rate(rate);
                        model.rates.push((model.now, rate.into()));
                    }
                    Step::Settle(nth, _) | Step::Drop(nth) if !held.is_empty() => {
                        let (index, reserved) = held.remove(nth % held.len());
                        let amount = &mut model.used[index].1;
                        *amount = match step {
                            Step::Settle(_, used) => used.min(*amount),
                            _ => 0,
                        };
                        reserved.correct_usage(&[(Unit::Cost, *amount)]);
                    }
                    Step::Settle(..) | Step::Drop(_) => {}
                }
            }
            model.check()
        })?;
    }
}

/// Half of what was taken has flowed in at the old rate, so half of it comes back.
#[tokio::test(start_paused = true)]
async fn what_comes_back_does_not_depend_on_a_rate_that_is_set_later() {
    for nth in 0..5 {
        for later in [1, 1_000] {
            let (reserve, set_rate) = place(nth);
            let left = || (1..=BURST).rev().find(|cost| reserve(*cost).is_some());
            let late = reserve(10).expect("full");
            reserve(10).expect("half").commit();
            advance(ms(MINUTE / 4)).await;
            set_rate(later);
            drop(late);
            // 5 have flowed in, and 5 come back.
            assert_eq!(left(), Some(10), "{nth}, {later}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_before_a_refill_does_not_come_back_after_it() {
    let handle = RateLimitLayer::new("l", config(&[bucket(20)])).handle();
    let meta = RequestMeta::new(Replay::Safe).with_cost(BURST);
    let late = handle.try_reserve(&meta).expect("full");
    advance(ms(1)).await;
    handle.refill();
    handle.try_reserve(&meta).expect("full again").commit();
    drop(late);
    assert!(handle.tokens() < 0.01, "{}", handle.tokens());
}

/// A correction that comes in a pause writes nothing of the pause into the bucket.
#[tokio::test(start_paused = true)]
async fn a_pause_that_is_resumed_leaves_nothing_in_a_bucket_that_was_corrected_meanwhile() {
    for nth in 0..2 {
        let wide = Limit::from(Limit::strict(1_000_000, Duration::from_millis(MINUTE)));
        let limits = [bucket(20), wide];
        let handle = RateLimitLayer::new("l", config(&limits[..=nth])).handle();
        let meta = RequestMeta::new(Replay::Safe).with_cost(1);
        let reserved = handle.try_reserve(&meta).expect("full");
        handle.pause_for(ms(10 * MINUTE));
        advance(ms(1)).await;
        reserved.correct_usage(&[(Unit::Cost, 3)]);
        handle.resume();
        assert!(handle.tokens() >= 17.0, "{nth}: {}", handle.tokens());
        // In shadow mode calls depart in a pause that an upstream has asked for.
        handle.apply_signal(QuotaSignal::Pause {
            lasts: Some(ms(10 * MINUTE)),
            scope: Scope::Upstream,
        });
        handle.set_shadow(true);
        handle.try_reserve(&meta).expect("shadow mode").commit();
        handle.reset();
        assert!(handle.tokens() >= 16.0, "{nth}: {}", handle.tokens());
    }
}
