use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn linear_and_fibonacci_grow_as_named() {
    let steps = |b: Backoff| -> Vec<u64> {
        let b = b.with_jitter(Jitter::None);
        (0..7).map(|n| b.delay(n, 0.9).as_secs()).collect()
    };
    let cap = 10 * SECOND;
    assert_eq!(
        steps(Backoff::linear(SECOND, cap).unwrap()),
        [1, 2, 3, 4, 5, 6, 7]
    );
    assert_eq!(
        steps(Backoff::fibonacci(SECOND, cap).unwrap()),
        [1, 1, 2, 3, 5, 8, 10]
    );
    assert_eq!(Backoff::NONE.delay(7, 0.5), Duration::ZERO);
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    let field = |r: Result<Backoff, InvalidConfig>| r.unwrap_err().field().to_owned();
    assert_eq!(field(Backoff::constant(Duration::ZERO)), "base");
    assert_eq!(field(Backoff::linear(SECOND, SECOND / 2)), "cap");
    for factor in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
        let b = Backoff::exponential(SECOND, SECOND).unwrap();
        assert_eq!(field(b.with_factor(factor)), "factor");
    }
}

proptest! {
    #[test]
    fn delays_stay_below_the_cap_and_keep_their_chance(
        base_ns in 1_u64..=u64::MAX,
        factor in 1.0_f64..1e300,
        retry in any::<u32>(),
        unit in 0.0_f64..1.0,
    ) {
        let base = Duration::from_nanos(base_ns);
        let cap = base.saturating_mul(1_000);
        let b = Backoff::exponential(base, cap).unwrap().with_factor(factor).unwrap();
        let full = b.delay(retry, unit);
        prop_assert!(full <= b.ceiling(retry) && b.ceiling(retry) <= cap);
        let equal = b.clone().with_jitter(Jitter::Equal).delay(retry, unit);
        prop_assert!(equal >= b.ceiling(retry) / 2 && equal <= cap);
        // On the cap, too, two draws give two delays.
        if b.ceiling(retry) > Duration::from_micros(1) {
            prop_assert!(b.delay(retry, 0.25) < b.delay(retry, 0.75));
        }
    }
}

/// The delays of a walk of `n` steps, drawn from a generator with that seed.
fn walk(backoff: &Backoff, n: usize, seed: u64) -> Vec<Duration> {
    let mut draws = fastrand::Rng::with_seed(seed);
    let mut delays = backoff.start();
    (0..n)
        .map_while(|_| delays.next(backoff, draws.f64()))
        .collect()
}

#[test]
fn a_walk_gives_the_delays_of_the_strategy_one_by_one() {
    for backoff in [
        Backoff::constant(SECOND).unwrap(),
        Backoff::linear(SECOND, 5 * SECOND).unwrap(),
        Backoff::exponential(SECOND, 60 * SECOND).unwrap(),
        Backoff::fibonacci(SECOND, 60 * SECOND).unwrap(),
    ] {
        for jitter in [Jitter::None, Jitter::Full, Jitter::Equal] {
            let backoff = backoff.clone().with_jitter(jitter);
            let mut delays = backoff.start();
            for n in 0..10 {
                let next = delays.next(&backoff, 0.3).unwrap();
                assert_eq!(next, backoff.delay(n, 0.3), "{backoff:?} at {n}");
            }
        }
    }
}

#[test]
fn decorrelated_delays_are_drawn_from_the_base_to_thrice_the_delay_before() {
    let backoff = Backoff::decorrelated(SECOND, 20 * SECOND).unwrap();
    let halves = |unit| {
        let mut delays = backoff.start();
        let next = || Some(delays.next(&backoff, unit)?.as_secs_f64());
        std::iter::from_fn(next).take(6).collect::<Vec<_>>()
    };
    assert_eq!(halves(0.0), [1.0; 6]);
    assert_eq!(halves(0.5)[..4], [2.0, 3.5, 5.75, 9.125]);
    // Below the cap: from 1 s to 20 s once thrice the delay before is past it.
    assert_eq!(halves(0.5)[4..], [10.5, 10.5]);
    let stateless: Vec<_> = (0..4).map(|n| backoff.ceiling(n).as_secs()).collect();
    assert_eq!(stateless, [3, 9, 20, 20]);
    for seed in 0..200 {
        let mut before = SECOND;
        for delay in walk(&backoff, 20, seed) {
            assert!(delay >= SECOND && delay < (3 * before).min(20 * SECOND));
            before = delay;
        }
    }
}

#[test]
fn delays_never_pile_up_on_the_cap() {
    let cap = 10 * SECOND;
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let backoff = Backoff::exponential(SECOND, cap)
            .unwrap()
            .with_jitter(jitter);
        let late: Vec<_> = (0..2_000)
            .filter_map(|seed| walk(&backoff, 12, seed).pop())
            .collect();
        assert_eq!(late.len(), 2_000);
        let at_cap = late.iter().filter(|delay| **delay == cap).count();
        assert_eq!(at_cap, 0, "{jitter:?}");
        // Nor anywhere else: the upper tenth has no more than its share.
        let upper = late.iter().filter(|delay| **delay > cap * 9 / 10).count();
        let share = if jitter == Jitter::Equal { 400 } else { 200 };
        assert!(upper < share * 3 / 2, "{jitter:?}: {upper}");
    }
}

#[test]
fn the_same_seed_gives_the_same_delays_and_another_seed_others() {
    let backoff = Backoff::decorrelated(SECOND, 60 * SECOND).unwrap();
    assert_eq!(walk(&backoff, 8, 7), walk(&backoff, 8, 7));
    assert_ne!(walk(&backoff, 8, 7), walk(&backoff, 8, 8));
}

#[test]
fn a_custom_strategy_ends_with_its_iterator_and_each_walk_has_its_own() {
    let twice = Backoff::custom(|| [3, 90].map(Duration::from_secs));
    let capped = twice.clone().with_cap(60 * SECOND).unwrap();
    assert_eq!(walk(&twice, 9, 1), [3 * SECOND, 90 * SECOND]);
    assert_eq!(walk(&twice, 9, 1), [3 * SECOND, 90 * SECOND]);
    assert_eq!(walk(&capped, 9, 1), [3 * SECOND, 60 * SECOND]);
    assert_eq!(capped.delay(1, 0.0), 60 * SECOND);
    assert_eq!(capped.delay(2, 0.0), Duration::ZERO, "it has ended");
    let half = capped.with_jitter(Jitter::Full);
    assert_eq!(half.delay(1, 0.5), 30 * SECOND);
    assert_eq!(twice, twice.clone());
    assert_ne!(twice, Backoff::custom(|| [3, 90].map(Duration::from_secs)));
    assert!(format!("{twice:?}").contains("Custom"));
}

#[test]
fn two_strategies_share_a_walk_its_count_and_its_delay_before() {
    let transient = Backoff::exponential(SECOND, 600 * SECOND).unwrap();
    let transient = transient.with_jitter(Jitter::None);
    let throttled = Backoff::decorrelated(5 * SECOND, 600 * SECOND).unwrap();
    let (a, b) = (|| [SECOND, 2 * SECOND], || [7 * SECOND, 8 * SECOND]);
    let (a, b) = (Backoff::custom(a), Backoff::custom(b));
    let mut walk = transient.start();
    let mut next = |backoff: &Backoff| walk.next(backoff, 0.5).unwrap_or_default().as_secs();
    assert_eq!([next(&transient), next(&transient)], [1, 2]);
    // From its base to thrice that: the delay before was shorter than its base.
    assert_eq!(next(&throttled), 10);
    assert_eq!(next(&transient), 8, "the fourth delay");
    assert_eq!([next(&a), next(&b), next(&a), next(&b)], [1, 7, 2, 8]);
    assert_eq!([next(&a), next(&b), next(&transient)], [0, 0, 256]);
}

#[test]
fn the_random_part_of_a_delay_is_reported_with_it() {
    let plain = Backoff::exponential(4 * SECOND, 60 * SECOND).unwrap();
    let custom = Backoff::custom(|| std::iter::repeat(4 * SECOND));
    let seconds = |backoff: Backoff, jitter| {
        let backoff = backoff.with_jitter(jitter);
        let (delay, chance) = backoff.start().next_with_chance(&backoff, 0.5).unwrap();
        (delay.as_secs(), chance.as_secs())
    };
    assert_eq!(seconds(plain.clone(), Jitter::None), (4, 0));
    assert_eq!(seconds(plain.clone(), Jitter::Full), (2, 2));
    assert_eq!(seconds(plain.clone(), Jitter::Equal), (3, 1));
    assert_eq!(seconds(plain, Jitter::Decorrelated), (8, 4));
    assert_eq!(seconds(custom.clone(), Jitter::None), (4, 0));
    assert_eq!(seconds(custom.clone(), Jitter::Full), (2, 2));
    assert_eq!(seconds(custom, Jitter::Decorrelated), (2, 2));
}

proptest! {
    #[test]
    fn no_attempt_number_and_no_size_overflows(
        base in 1_u64..=u64::MAX,
        more in any::<u64>(),
        retry in any::<u32>(),
        unit in any::<f64>(),
    ) {
        let base = Duration::new(base, 0);
        let cap = base.saturating_add(Duration::new(more, 999_999_999));
        for backoff in [
            Backoff::constant(base).unwrap(),
            Backoff::linear(base, cap).unwrap(),
            Backoff::exponential(base, cap).unwrap().with_factor(f64::MAX).unwrap(),
            Backoff::fibonacci(base, cap).unwrap(),
            Backoff::custom(move || std::iter::repeat_n(cap, 3)),
        ] {
            for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
                let backoff = backoff.clone().with_jitter(jitter);
                prop_assert!(backoff.delay(retry, unit) <= backoff.cap());
                prop_assert!(backoff.delay(u32::MAX, unit) <= backoff.cap());
                let mut walk = backoff.start();
                for _ in 0..3 {
                    prop_assert!(walk.next(&backoff, unit).unwrap() <= backoff.cap());
                }
            }
        }
    }
}

#[test]
fn a_factor_without_effect_is_rejected() {
    let second = Duration::from_secs(1);
    let cap = 30 * second;
    let rejected = [
        Backoff::constant(second).unwrap(),
        Backoff::linear(second, cap).unwrap(),
        Backoff::fibonacci(second, cap).unwrap(),
        Backoff::decorrelated(second, cap).unwrap(),
        Backoff::custom(|| [Duration::from_secs(1)]),
        Backoff::NONE,
        Backoff::exponential(second, cap)
            .unwrap()
            .with_jitter(Jitter::Decorrelated),
    ];
    for backoff in rejected {
        let error = backoff.with_factor(3.0).unwrap_err();
        assert_eq!((error.field(), error.value()), ("factor", "3"));
    }
    let grows = Backoff::exponential(second, cap).unwrap();
    assert_eq!(grows.with_factor(3.0).unwrap().ceiling(2), 9 * second);
}

#[test]
fn a_walk_that_is_restarted_gives_its_first_delays_again() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::exponential(second, 30 * second)
        .unwrap()
        .with_jitter(Jitter::None);
    let mut walk = backoff.start();
    let next = |walk: &mut Delays| walk.next(&backoff, 0.0).unwrap().as_secs();
    assert_eq!([next(&mut walk), next(&mut walk)], [1, 2]);
    walk.restart();
    assert_eq!([next(&mut walk), next(&mut walk)], [1, 2]);
    assert_eq!(walk.given(), 2);
}

#[test]
fn a_backoff_is_shown_in_words() {
    let shown = |backoff: Result<Backoff, InvalidConfig>| backoff.unwrap().to_string();
    let cap = 60 * SECOND;
    assert_eq!(
        shown(Backoff::exponential(SECOND, cap)),
        "exponential from 1s by 2, at most 60s, full jitter"
    );
    assert_eq!(
        shown(Backoff::linear(SECOND, cap).map(|b| b.with_jitter(Jitter::Equal))),
        "linear from 1s, at most 60s, equal jitter"
    );
    assert_eq!(
        shown(Backoff::decorrelated(SECOND, cap)),
        "from 1s, at most 60s, decorrelated jitter"
    );
    assert_eq!(shown(Backoff::constant(SECOND)), "constant 1s");
    assert_eq!(Backoff::NONE.to_string(), "none");
    assert_eq!(Backoff::custom(|| [SECOND]).to_string(), "custom");
}
