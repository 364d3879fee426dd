//! A client at full load, against the counters of the providers themselves.

use std::time::Duration;

use seawall_sim::provider::Counting;

// The load of the example `strict_quota`.
#[path = "../../examples/strict_quota/load.rs"]
mod load;

use load::{Kind, MINUTE, Outcome, RULES, Rules, Run, run};

const HOUR: Duration = Duration::from_secs(3600);

fn rules(name: &str) -> &'static Rules {
    let mut all = RULES.iter();
    all.find(|rules| rules.name == name).expect("a rule")
}

/// An hour at full load; three days where a limit is counted by the day.
async fn at_full_load(rules: &Rules, kind: Kind) -> Outcome {
    let length = if rules.daily() { 72 * HOUR } else { HOUR };
    let outcome = run(Run {
        rules,
        kind,
        counters: kind.counters(),
        length,
        seed: 7,
        phase: Duration::ZERO,
        margin: Duration::ZERO,
    });
    let outcome = outcome.await.expect("the rules allow this kind");
    let case = format!("{}, {}: {outcome:?}", rules.name, kind.name());
    assert_eq!((outcome.rejected, &outcome.reason), (0, &None), "{case}");
    assert!(outcome.left > 20, "{case}");
    // There were queued calls at all times.
    assert!(
        outcome.offered >= outcome.granted + outcome.left + 20,
        "{case}"
    );
    outcome
}

async fn holds(name: &str, kind: Kind) {
    let outcome = at_full_load(rules(name), kind).await;
    assert_eq!(outcome.violated(), 0, "{name}: {outcome:?}");
    assert!(outcome.share() >= 0.95, "{name}: {outcome:?}");
    assert!(outcome.share() <= 1.0, "{name}: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_strict_limit_uses_what_is_allowed_and_violates_no_counter() {
    for rules in &RULES {
        holds(rules.name, Kind::Strict).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_at_80_percent_is_below_every_counter() {
    for rules in &RULES {
        holds(rules.name, Kind::Share).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_the_wall_clock_fits_a_counter_of_the_same_windows() {
    for rules in &RULES {
        holds(rules.name, Kind::Window).await;
    }
}

/// What fails when the limits are wrong: the same load and the same counters.
#[tokio::test(start_paused = true)]
async fn the_counters_see_a_burst_on_top_of_a_full_rate() {
    // One per second and one at once is one per second.
    for rules in RULES.iter().filter(|rules| rules.name != "1/s") {
        let outcome = run(Run {
            rules,
            kind: Kind::Greedy,
            counters: Kind::Greedy.counters(),
            length: 10 * MINUTE,
            seed: 7,
            phase: Duration::ZERO,
            margin: Duration::ZERO,
        });
        let outcome = outcome.await.expect("valid");
        assert!(outcome.violated() > 0, "{}: {outcome:?}", rules.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_counters_see_a_window_that_is_not_theirs() {
    for counters in [[Counting::Sliding], [Counting::Fixed]] {
        let outcome = run(Run {
            rules: rules("200/min"),
            kind: Kind::Window,
            counters: &counters,
            length: 10 * MINUTE,
            seed: 7,
            phase: MINUTE / 2,
            margin: Duration::ZERO,
        });
        let outcome = outcome.await.expect("valid");
        assert!(outcome.violated() > 0, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_strict_limit_holds_for_every_seed_and_with_callers_that_give_up() {
    for seed in 1..=20 {
        let outcome = run(Run {
            rules: rules("6,000 weight/min"),
            kind: Kind::Strict,
            counters: Kind::Strict.counters(),
            length: 5 * MINUTE,
            seed,
            phase: Duration::ZERO,
            margin: Duration::ZERO,
        });
        let outcome = outcome.await.expect("valid");
        assert_eq!(outcome.violated(), 0, "seed {seed}: {outcome:?}");
        assert!(outcome.share() >= 0.95, "seed {seed}: {outcome:?}");
    }
}
