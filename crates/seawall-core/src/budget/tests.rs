use super::config::units;
use super::*;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn ratios_that_truncate_elsewhere_are_exact() {
    for tenths in 0..=10_u32 {
        let ratio = f64::from(tenths) / 10.0;
        let budget = Budget::new(BudgetConfig::new(ratio, 0.0, 1_000).unwrap());
        while budget.withdraw() {}
        for _ in 0..1_000 {
            budget.deposit();
        }
        let taken = (0..).take_while(|_| budget.withdraw()).count();
        assert_eq!(taken, 100 * tenths as usize, "ratio {ratio}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_floor_pays_by_time_without_losing_fractions() {
    let budget = Budget::new(BudgetConfig::new(0.0, 0.3, 2).unwrap());
    while budget.withdraw() {}
    let mut taken = 0;
    for _ in 0..10_000 {
        tokio::time::advance(Duration::from_millis(7)).await;
        taken += u32::from(budget.withdraw());
    }
    // 70 s at 0.3 per second, less the token being earned.
    assert!((20..=21).contains(&taken), "{taken}");
    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    assert_eq!((0..).take_while(|_| budget.withdraw()).count(), 2);
}

#[test]
fn threads_never_overdraw() {
    let budget = Budget::new(BudgetConfig::new(0.1, 0.0, 10).unwrap());
    let (deposits, threads) = (20_000_u64, 4_u64);
    let taken: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = 0_u64;
                    for _ in 0..deposits {
                        budget.deposit();
                        taken += u64::from(budget.withdraw());
                    }
                    taken
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    assert!(taken <= 10 + threads * deposits / 10, "{taken}");
    assert!(taken >= threads * deposits / 10 - 10, "{taken}");
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    let field = |r, f, c| BudgetConfig::new(r, f, c).map_err(|e| e.field().to_owned());
    assert_eq!(field(1.1, 0.0, 1).unwrap_err(), "ratio");
    assert_eq!(field(f64::NAN, 0.0, 1).unwrap_err(), "ratio");
    assert_eq!(field(0.1, -1.0, 1).unwrap_err(), "floor_per_second");
    assert_eq!(field(0.1, f64::NAN, 1).unwrap_err(), "floor_per_second");
    assert_eq!(field(0.1, 0.0, 0).unwrap_err(), "capacity");
}

proptest! {
    #[test]
    fn what_is_taken_never_passes_what_was_earned(
        ratio in 0.0_f64..=1.0,
        capacity in 1_u32..50,
        steps in proptest::collection::vec(any::<bool>(), 1..400),
    ) {
        let budget = Budget::new(BudgetConfig::new(ratio, 0.0, capacity).unwrap());
        let (mut successes, mut taken) = (0_u32, 0_u32);
        for success in steps {
            if success { budget.deposit(); successes += 1 }
            else if budget.withdraw() { taken += 1 }
            prop_assert!(
                f64::from(taken)
                    <= f64::from(capacity) + ratio * f64::from(successes) + 1e-6
            );
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// What happens to a budget, after so many nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deposit(u64),
    Withdraw(u64),
    Refund(u64),
}

fn steps(most_ns: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..=most_ns).prop_map(Step::Deposit),
        4 => (0..=most_ns).prop_map(Step::Withdraw),
        1 => (0..=most_ns).prop_map(Step::Refund),
    ];
    proptest::collection::vec(step, 1..300)
}

/// Ratios of a few digits, the ends among them, and any others.
fn ratios() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0_u32..=10).prop_map(|tenths| f64::from(tenths) / 10.0),
        (0_u32..=1_000_000).prop_map(|n| f64::from(n) / 1e6),
        0.0_f64..=1.0,
    ]
}

proptest! {
    /// The model pays the floor at each step, in units of 10^-21 tokens, which no step divides.
    #[test]
    fn a_bucket_is_the_exact_rational_one(
        ratio in ratios(),
        floor in prop_oneof![Just(0.0), 0.0_f64..5.0, Just(1e6)],
        price in prop_oneof![Just(1.0), 0.001_f64..3.0],
        cap in 1_u64..20,
        steps in steps(SECOND_NS),
    ) {
        let (per_success, per_second, price) = (units(ratio), units(floor), units(price));
        let bucket = Bucket::new(per_success, per_second, cap * TOKEN);
        let fine = u128::from(SECOND_NS);
        let full = u128::from(cap * TOKEN) * fine;
        let (mut now, mut tokens) = (0_u64, full);
        for step in steps {
            let (Step::Deposit(ns) | Step::Withdraw(ns) | Step::Refund(ns)) = step;
            now += ns;
            let earned = u128::from(ns) * u128::from(per_second);
            tokens = (tokens + earned).min(full);
            match step {
                Step::Deposit(_) => {
                    bucket.deposit();
                    tokens = (tokens + u128::from(per_success) * fine).min(full);
                }
                Step::Withdraw(_) => {
                    let expected = tokens >= u128::from(price) * fine;
                    prop_assert_eq!(bucket.withdraw(price, || now), expected);
                    if expected { tokens -= u128::from(price) * fine }
                }
                Step::Refund(_) => {
                    bucket.add(price);
                    tokens = (tokens + u128::from(price) * fine).min(full);
                }
            }
        }
        prop_assert_eq!(u128::from(bucket.balance(|| now)), tokens / fine);
    }

    /// The model keeps every success and every withdrawal with its slice.
    #[test]
    fn a_window_is_the_one_that_keeps_everything(
        ratio in ratios(),
        reserve in 0_u64..4,
        steps in steps(30),
    ) {
        const SLICE: u64 = 10;
        let per_success = units(ratio);
        let reserve = u128::from(reserve * TOKEN);
        let window = Window::new(per_success, reserve, SLICE);
        let (mut successes, mut spent) = (Vec::new(), Vec::<u64>::new());
        let mut now = 0;
        for step in steps {
            let (Step::Deposit(ns) | Step::Withdraw(ns) | Step::Refund(ns)) = step;
            now += ns;
            let slice = now / SLICE;
            let is_in = |then: &&u64| slice - **then < SLICES as u64;
            let earned = successes.iter().filter(is_in).count() as u128 * u128::from(per_success);
            let owed = spent.iter().filter(is_in).count() as u128 * u128::from(TOKEN);
            prop_assert_eq!(window.balance(|| now), (reserve + earned).saturating_sub(owed));
            match step {
                Step::Deposit(_) => {
                    window.deposit(|| now);
                    successes.push(slice);
                }
                Step::Withdraw(_) => {
                    let expected = reserve + earned >= owed + u128::from(TOKEN);
                    prop_assert_eq!(window.withdraw(TOKEN, || now), expected);
                    if expected { spent.push(slice) }
                }
                Step::Refund(_) => {
                    window.refund(TOKEN, || now);
                    if let Some(oldest) = spent.iter().position(|then| is_in(&then)) {
                        spent.remove(oldest);
                    }
                }
            }
        }
    }

    #[test]
    fn extra_attempts_never_pass_ratio_times_calls_plus_floor_times_time_plus_burst(
        ratio in ratios(),
        floor_per_slice in 0_u64..3,
        steps in steps(SECOND_NS),
    ) {
        // Ten slices of a second; the bucket's burst is what the window has in reserve.
        let (per_success, per_second) = (units(ratio), floor_per_slice * TOKEN);
        let burst = (per_second * 10).max(TOKEN);
        let bucket = Bucket::new(per_success, per_second, burst);
        let window = Window::new(per_success, u128::from(per_second) * 10, SECOND_NS);
        let (mut now, mut calls) = (0_u64, 0_u64);
        let mut taken = [0_u64; 2];
        for step in steps {
            match step {
                Step::Deposit(ns) | Step::Refund(ns) => {
                    now += ns;
                    calls += 1;
                    bucket.deposit();
                    window.deposit(|| now);
                }
                Step::Withdraw(ns) => {
                    now += ns;
                    taken[0] += u64::from(bucket.withdraw(TOKEN, || now));
                    taken[1] += u64::from(window.withdraw(TOKEN, || now));
                }
            }
            let by_time = u128::from(now) * u128::from(per_second) / u128::from(SECOND_NS);
            let earned = u128::from(calls) * u128::from(per_success) + by_time;
            prop_assert!(u128::from(taken[0] * TOKEN) <= earned + u128::from(burst));
            let in_reserve = u128::from(per_second) * 10;
            prop_assert!(u128::from(taken[1] * TOKEN) <= earned + in_reserve);
        }
    }
}

#[test]
fn ratios_of_twelve_digits_lose_nothing() {
    let config = BudgetConfig::new(0.123_456_789_012, 0.000_000_000_001, 1_000_000).unwrap();
    assert_eq!(config.units_per_success(), 123_456_789_012);
    assert_eq!(config.units_per_second(), 1);
    // The nearest number that a float has may be a little below.
    for millionths in (0..=1_000_000_u32).step_by(7) {
        let ratio = f64::from(millionths) / 1e6;
        assert_eq!(
            units(ratio),
            u64::from(millionths) * (TOKEN / 1_000_000),
            "{ratio}"
        );
    }
    for ratio in [0.0, 0.1, 0.3, 0.6, 0.7, 0.9, 1.0] {
        let config = BudgetConfig::new(ratio, 0.0, 1).unwrap();
        assert_eq!(
            config.units_per_success(),
            (ratio * 10.0).round() as u64 * TOKEN / 10
        );
    }
}

#[test]
fn a_budget_of_nothing_grants_nothing() {
    let window = BudgetConfig::windowed(0.0, 0.0, Duration::from_secs(10)).unwrap();
    let budget = Budget::new(window);
    budget.deposit();
    assert!(!budget.withdraw());
    let dear = BudgetConfig::new(1.0, 0.0, 3).unwrap();
    let dear = dear.with_price(CostClass::Timeout, 3.5).unwrap();
    let budget = Budget::new(dear);
    assert!(
        !budget.withdraw_for(CostClass::Timeout),
        "more than can be saved"
    );
    assert!(budget.withdraw_for(CostClass::Throttled));
}

#[tokio::test(start_paused = true)]
async fn a_window_forgets_what_was_earned_and_what_was_spent() {
    let config = BudgetConfig::windowed(0.5, 0.1, Duration::from_secs(10)).unwrap();
    let budget = Budget::new(config);
    let drain = || (0..).take_while(|_| budget.withdraw()).count();
    assert_eq!(drain(), 1, "the floor of a window");
    for _ in 0..8 {
        budget.deposit();
    }
    assert_eq!(budget.balance(), 4.0);
    assert!(budget.withdraw());
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(drain(), 3);
    tokio::time::advance(Duration::from_secs(1)).await;
    // What was earned and part of what was spent have gone; three of the last second have not.
    assert_eq!((drain(), budget.balance()), (0, 0.0));
    budget.refund();
    assert_eq!(budget.balance(), 0.0, "two are owed for one in reserve");
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(drain(), 1);
    let counted = (budget.granted(), budget.rejected(), budget.refunded());
    assert_eq!(counted, (6, 4, 1));
    assert_eq!(config.window(), Some(Duration::from_secs(10)));
    assert_eq!(config.capacity(), 1);
}

#[test]
fn a_clock_that_was_read_before_a_success_of_a_later_slice_is_late() {
    let window = Window::new(TOKEN, 0, 10);
    window.deposit(|| 0);
    assert!(window.withdraw(TOKEN, || 5));
    // The success of slice 0 has made room for one of slice 10; what was spent there is over too.
    window.deposit(|| 100);
    assert!(window.withdraw(TOKEN, || 99));
    assert!(!window.withdraw(TOKEN, || 100));
    // A success that comes too late for its slice is forgotten, not counted in another one.
    window.deposit(|| 9);
    assert_eq!(window.balance(|| 100), 0);
}

#[test]
fn each_charge_has_its_price_and_is_refunded_at_it() {
    let budget = Budget::new(BudgetConfig::aws());
    assert!(budget.withdraw());
    assert_eq!(budget.balance(), 486.0);
    assert!(budget.withdraw_for(CostClass::Throttled));
    assert_eq!(budget.balance(), 481.0);
    assert!(budget.clone().withdraw_for(CostClass::Timeout));
    assert_eq!(budget.balance(), 467.0);
    budget.refund_for(CostClass::Throttled);
    assert_eq!(budget.balance(), 472.0);
    budget.refund();
    budget.deposit();
    assert_eq!(budget.balance(), 487.0);
    for tokens in [0.0, -1.0, f64::NAN, 1e7] {
        let rejected = BudgetConfig::aws().with_price(CostClass::Timeout, tokens);
        assert_eq!(rejected.unwrap_err().field(), "price");
    }
}

#[test]
fn outcomes_are_charged_as_what_they_are() {
    use crate::{FailureKind, Outcome, Scope};
    let throttled = Outcome::Throttled {
        retry_after: None,
        scope: Scope::Upstream,
    };
    assert_eq!(CostClass::of(&throttled), CostClass::Throttled);
    let timeout = Outcome::Failure(FailureKind::Timeout);
    assert_eq!(CostClass::of(&timeout), CostClass::Timeout);
    assert_eq!(CostClass::of(&Outcome::Unknown), CostClass::Timeout);
    let server = Outcome::Failure(FailureKind::Server);
    assert_eq!(CostClass::of(&server), CostClass::Transient);
}

/// What four threads take together that each deposit and withdraw so often, in turn.
fn contend(times: u64, deposit: impl Fn() + Sync, withdraw: impl Fn() -> bool + Sync) -> u64 {
    let worker = || {
        let one = |_| {
            deposit();
            u64::from(withdraw())
        };
        (0..times).map(one).sum::<u64>()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    })
}

#[test]
fn a_contended_bucket_loses_and_invents_nothing() {
    // Never full once it is drained, and the clock moves by 40 us with every withdrawal.
    let (per_success, per_second, cap) = (units(0.1), units(10.0), 20_000 * TOKEN);
    let bucket = Bucket::new(per_success, per_second, cap);
    let clock = AtomicU64::new(0);
    while bucket.withdraw(TOKEN, || 0) {}
    let times = 10_000;
    let now = || clock.fetch_add(40_000, Ordering::Relaxed) + 40_000;
    let taken = contend(times, || bucket.deposit(), || bucket.withdraw(TOKEN, now));
    let end = clock.load(Ordering::Relaxed);
    let by_time = u128::from(end) * u128::from(per_second) / u128::from(SECOND_NS);
    let earned = 4 * times * per_success + by_time as u64;
    assert_eq!(taken * TOKEN + bucket.balance(|| end), earned);
    assert!(taken > 4_000, "{taken}");
}

#[test]
fn a_contended_window_loses_and_invents_nothing() {
    let (per_success, reserve) = (units(0.1), u128::from(50 * TOKEN));
    let window = Window::new(per_success, reserve, SECOND_NS);
    let times = 10_000;
    let now = || 7 * SECOND_NS;
    let taken = contend(
        times,
        || window.deposit(now),
        || window.withdraw(TOKEN, now),
    );
    let left = window.balance(now);
    let earned = u128::from(4 * times * per_success) + reserve;
    assert_eq!(u128::from(taken * TOKEN) + left, earned);
    assert!(taken >= 4_000, "{taken}");
}

#[test]
fn a_contended_window_that_moves_never_overdraws() {
    let (per_success, reserve) = (units(0.1), u128::from(2 * TOKEN));
    let window = Window::new(per_success, reserve, 1_000);
    let clock = AtomicU64::new(0);
    let times = 10_000;
    let now = || clock.fetch_add(13, Ordering::Relaxed);
    let taken = contend(
        times,
        || window.deposit(now),
        || window.withdraw(TOKEN, now),
    );
    let windows = u128::from(clock.load(Ordering::Relaxed) / 10_000 + 1);
    let most = u128::from(4 * times * per_success) + reserve * windows;
    assert!(u128::from(taken * TOKEN) <= most, "{taken}");
    assert!(taken > 0);
}

#[test]
fn settings_of_a_token_throttle_are_checked_and_those_without_effect_rejected() {
    let throttle = BudgetConfig::token_throttle;
    let field = |c: Result<BudgetConfig, crate::InvalidConfig>| c.unwrap_err().field().to_owned();
    for tokens in [0, 1_001, u32::MAX] {
        assert_eq!(field(throttle(tokens, 0.1)), "max_tokens");
    }
    for ratio in [0.0, 0.000_9, 1.1, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(field(throttle(10, ratio)), "token_ratio");
    }
    let valid = throttle(10, 0.546_6).unwrap();
    assert_eq!(valid.ratio().get(), 0.546, "thousandths, as gRPC counts");
    assert_eq!((valid.capacity(), valid.window()), (10, None));
    assert_eq!(valid.price(CostClass::Timeout), 0.0);
    assert_eq!(field(valid.with_price(CostClass::Timeout, 2.0)), "price");
    assert_eq!(
        field(valid.with_refund_on_success(true)),
        "refund_on_success"
    );
    assert!(valid.with_refund_on_success(false).is_ok());
}

proptest! {
    /// The model counts in thousandths of a token, as gRPC does.
    #[test]
    fn a_token_throttle_is_that_of_grpc(
        max in 1_u32..=1_000,
        thousandths in 1_u32..=1_000,
        steps in proptest::collection::vec((any::<bool>(), 1_u32..50), 1..100),
    ) {
        let ratio = f64::from(thousandths) / 1e3;
        let budget = Budget::new(BudgetConfig::token_throttle(max, ratio).unwrap());
        let most = max * 1_000;
        let mut tokens = most;
        for (success, times) in steps {
            for _ in 0..times {
                if success {
                    budget.deposit();
                    tokens = (tokens + thousandths).min(most);
                } else {
                    budget.record_failure();
                    tokens = tokens.saturating_sub(1_000);
                }
            }
            let open = tokens * 2 > most;
            prop_assert_eq!(budget.withdraw(), open);
            prop_assert_eq!(budget.is_exhausted(), !open);
            budget.refund();
            prop_assert!((budget.balance() - f64::from(tokens) / 1e3).abs() < 1e-9);
        }
        prop_assert_eq!(budget.refunded(), 0);
    }
}
