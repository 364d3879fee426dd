use std::time::Duration;

use seawall_core::Scope;

use super::{BreakerConfig, BreakerConfigBuilder, HalfOpenPolicy};
use crate::rule::{Rule, RuleContext};

const S: Duration = Duration::from_secs(1);
const BAD_SHARES: [f64; 7] = [
    0.0,
    -0.0,
    -1.0,
    1.1,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

fn b() -> BreakerConfigBuilder {
    BreakerConfig::builder()
}

fn five() -> BreakerConfigBuilder {
    b().consecutive_failures(5)
}

/// Checks the field, the value and what is accepted.
#[track_caller]
fn rejects(builder: BreakerConfigBuilder, field: &str, value: &str, accepted: &str) {
    let rejected = builder.build().expect_err("impossible settings");
    assert_eq!((rejected.field(), rejected.value()), (field, value));
    assert!(rejected.accepted().contains(accepted), "{rejected}");
}

#[test]
fn rules_that_cannot_be_are_rejected_by_name() {
    rejects(b(), "rules", "empty", "at least one rule");
    rejects(
        b().consecutive_failures(0),
        "consecutive_failures",
        "0",
        "from 1",
    );
    for share in BAD_SHARES {
        let value = share.to_string();
        rejects(
            b().failure_rate(share, 10),
            "failure_rate",
            &value,
            "above 0, at most 1",
        );
        rejects(
            b().failure_rate_over(share, S),
            "failure_rate_over",
            &value,
            "above 0",
        );
        rejects(
            b().slow_after(S).slow_rate(share, 10),
            "slow_rate",
            &value,
            "above 0",
        );
        rejects(
            b().slow_after(S).slow_rate_over(share, S),
            "slow_rate_over",
            &value,
            "above 0",
        );
        rejects(five().close_rate(share, 3), "close_rate", &value, "above 0");
    }
    for calls in [0, 10_000_001, u32::MAX] {
        let value = calls.to_string();
        rejects(
            b().failure_rate(0.5, calls),
            "failure_rate",
            &value,
            "10000000",
        );
        rejects(
            b().slow_after(S).slow_rate(0.5, calls),
            "slow_rate",
            &value,
            "10000000",
        );
    }
    for (time, value) in [
        (Duration::ZERO, "0ns"),
        (Duration::from_millis(9), "9ms"),
        (24 * 3600 * S + S, "86401s"),
    ] {
        rejects(
            b().failure_rate_over(0.5, time),
            "failure_rate_over",
            value,
            "10 ms to 24 h",
        );
        let slow = b().slow_after(S).slow_rate_over(0.5, time);
        rejects(slow, "slow_rate_over", value, "10 ms to 24 h");
    }
    let endless = b()
        .failure_rate_over(0.5, Duration::MAX)
        .build()
        .unwrap_err();
    assert_eq!(endless.field(), "failure_rate_over");
    let two = b()
        .slow_after(S)
        .slow_rate_over(0.5, S)
        .failure_rate_over(0.5, 2 * S);
    rejects(two, "slow_rate_over", "1s", "failure_rate_over, 2s");
}

#[test]
fn settings_without_the_rule_that_they_belong_to_are_rejected() {
    rejects(
        b().slow_rate(0.5, 10),
        "slow_rate",
        "set without slow_after",
        "slow_after",
    );
    rejects(
        b().slow_rate_over(0.5, S),
        "slow_rate_over",
        "set without slow_after",
        "slow_after",
    );
    rejects(five().slow_after(S), "slow_after", "1s", "slow_rate");
    let zero = b().slow_after(Duration::ZERO).slow_rate(0.5, 10);
    rejects(zero, "slow_after", "0s", "longer than zero");
    rejects(five().min_calls(3), "min_calls", "3", "with a rate");
    rejects(
        b().failure_rate(0.5, 10).min_calls(0),
        "min_calls",
        "0",
        "from 1",
    );
    rejects(
        b().failure_rate(0.5, 10).min_calls(11),
        "min_calls",
        "11",
        "failure_rate, 10",
    );
    rejects(
        b().failure_rate(0.5, 10).min_calls(u32::MAX),
        "min_calls",
        "4294967295",
        "10",
    );
    rejects(
        b().failure_rate_over(0.5, S).min_calls(0),
        "min_calls",
        "0",
        "from 1",
    );
    rejects(
        five().seed(1),
        "seed",
        "set without open_jitter",
        "open_jitter",
    );
    rejects(
        five().open_decay(S),
        "open_decay",
        "set without open_growth",
        "open_growth",
    );
}

#[test]
fn open_times_that_cannot_be_are_rejected_by_name() {
    rejects(
        five().open_for(Duration::ZERO),
        "open_for",
        "0s",
        "longer than zero",
    );
    for factor in [0.9, 0.0, f64::NAN, f64::INFINITY, -2.0] {
        let growth = five().open_growth(factor, Duration::MAX);
        rejects(growth, "open_growth", &factor.to_string(), "finite factor");
    }
    let low = five().open_for(2 * S).open_growth(2.0, S);
    rejects(low, "open_growth", "1s", "no less than open_for, 2s");
    let decay = five().open_growth(2.0, 99 * S).open_decay(Duration::ZERO);
    rejects(decay, "open_decay", "0s", "longer than zero");
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        rejects(
            five().open_jitter(share),
            "open_jitter",
            &share.to_string(),
            "0 to 1",
        );
    }
    rejects(
        b().open_on_ban(Duration::ZERO),
        "open_on_ban",
        "0s",
        "longer than zero",
    );
    let none = b().open_on_throttle([], S);
    rejects(none, "open_on_throttle", "no scope", "at least one");
    let zero = b().open_on_throttle([Scope::Account], Duration::ZERO);
    rejects(zero, "open_on_throttle", "0s", "longer than zero");
}

#[test]
fn half_open_settings_that_cannot_be_are_rejected_by_name() {
    rejects(five().probes(0), "probes", "0", "from 1");
    rejects(
        five().successes_to_close(0),
        "successes_to_close",
        "0",
        "from 1",
    );
    rejects(five().close_rate(0.5, 0), "close_rate", "0", "from 1");
    let both = five().close_rate(0.5, 4).successes_to_close(2);
    rejects(
        both,
        "close_rate",
        "set beside successes_to_close of 2",
        "either",
    );
    rejects(
        five().probe_timeout(Duration::ZERO),
        "probe_timeout",
        "0s",
        "longer than zero",
    );
    let endless = five().probe_timeout(Duration::MAX).build().unwrap_err();
    assert_eq!(
        (endless.field(), endless.accepted()),
        ("probe_timeout", "longer than zero, at most 24 h")
    );
    for steps in [0, 17, u32::MAX] {
        rejects(five().ramp(steps, S), "ramp", &steps.to_string(), "1 to 16");
    }
    rejects(
        five().ramp(3, Duration::ZERO),
        "ramp",
        "0s",
        "longer than zero",
    );
    assert!(five().ramp(3, Duration::MAX).build().is_err());
    let wait = HalfOpenPolicy::Wait {
        max_wait: Duration::ZERO,
    };
    rejects(
        five().half_open_policy(wait),
        "half_open_policy",
        "0s",
        "longer than zero",
    );
}

#[test]
fn the_extremes_that_mean_something_work() {
    let endless = five().open_for(Duration::MAX).build().unwrap();
    assert_eq!(endless.probe_timeout(), 60 * S);
    let most = five()
        .probes(u32::MAX)
        .close_rate(1.0, u32::MAX)
        .open_growth(f64::MAX, Duration::MAX)
        .open_jitter(1.0);
    assert_eq!(most.build().unwrap().successes_to_close(), u32::MAX);
    assert!(five().consecutive_failures(u32::MAX).build().is_ok());
    assert_eq!(
        five()
            .close_rate(0.7, 10)
            .build()
            .unwrap()
            .successes_to_close(),
        7
    );
    assert!(b().open_on_ban(Duration::MAX).build().is_ok());
}

#[test]
fn the_default_is_what_its_docs_say() {
    let config = BreakerConfig::default();
    assert_eq!(config.consecutive_failures(), Some(5));
    let rate = config.failure_rate().unwrap();
    assert_eq!((rate.share, rate.over, rate.min_calls), (0.5, 100, 20));
    assert_eq!(
        (config.open_for(), config.probe_timeout()),
        (60 * S, 60 * S)
    );
    assert_eq!((config.probes(), config.successes_to_close()), (1, 2));
    assert_eq!(config.open_on_ban(), Some(24 * 3600 * S));
    assert_eq!(config.open_on_throttle(Scope::Upstream), None);
}

#[derive(Debug)]
struct Never;

impl Rule for Never {
    fn name(&self) -> &'static str {
        "never"
    }
    fn trips(&self, _: &RuleContext, _: tokio::time::Instant) -> bool {
        false
    }
}

#[test]
fn custom_rules_are_equal_only_when_they_are_the_same() {
    let one = b().rule(Never).build().unwrap();
    assert_eq!(one, one.clone());
    assert_ne!(one, b().rule(Never).build().unwrap());
    assert!(one.measures());
}

#[test]
fn an_age_is_an_hour_unless_set_and_only_where_calls_are_counted() {
    const HOUR: Duration = Duration::from_secs(3_600);
    assert_eq!(five().build().unwrap().max_age(), Some(HOUR));
    assert_eq!(BreakerConfig::default().max_age(), Some(HOUR));
    assert_eq!(
        five().max_age(60 * S).build().unwrap().max_age(),
        Some(60 * S)
    );
    assert_eq!(five().without_max_age().build().unwrap().max_age(), None);
    for age in [Duration::ZERO, S / 2, 8 * 24 * HOUR, Duration::MAX] {
        let value = format!("{age:?}");
        rejects(five().max_age(age), "max_age", &value, "from 1 s to 7 days");
    }
    let over = || b().failure_rate_over(0.5, 60 * S);
    assert_eq!(over().build().unwrap().max_age(), None);
    assert_eq!(over().without_max_age().build().unwrap().max_age(), None);
    let without = "set without consecutive_failures, failure_rate, slow_rate or rule";
    rejects(
        over().max_age(60 * S),
        "max_age",
        without,
        "only together with",
    );
    for counting in [
        b().failure_rate(0.5, 10),
        b().slow_after(S).slow_rate(0.5, 10),
        b().rule(Never),
    ] {
        assert_eq!(counting.max_age(S).build().unwrap().max_age(), Some(S));
    }
}

#[test]
fn the_longest_retry_after_is_a_quarter_of_an_hour_unless_set() {
    assert_eq!(five().build().unwrap().max_retry_after(), Some(900 * S));
    let set = five().max_retry_after(S).build().unwrap();
    assert_eq!(set.max_retry_after(), Some(S));
    let off = five().without_retry_after().build().unwrap();
    assert_eq!(off.max_retry_after(), None);
    for longest in [Duration::ZERO, 86_401 * S, Duration::MAX] {
        let field = "max_retry_after";
        let rejected = five()
            .max_retry_after(longest)
            .build()
            .expect_err("invalid");
        assert_eq!(rejected.field(), field);
    }
}

#[test]
fn every_setting_is_shown() {
    let shown = super::settings(&five().build().unwrap());
    let value = |name| {
        shown
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    };
    assert_eq!(value("max_age"), Some("3600s"));
    assert_eq!(value("max_retry_after"), Some("900s"));
    assert_eq!(value("panic_policy"), Some("Failure"));
    let off = five()
        .without_max_age()
        .without_retry_after()
        .build()
        .unwrap();
    let shown = super::settings(&off);
    assert!(
        shown
            .iter()
            .all(|(n, _)| *n != "max_age" && *n != "max_retry_after")
    );
}

#[test]
fn settings_are_the_start_of_others_and_what_follows_from_them_does_so_again() {
    let rich = BreakerConfig::builder()
        .failure_rate(0.5, 100)
        .slow_after(S)
        .slow_rate_over(0.5, 30 * S)
        .min_calls(7)
        .max_age(60 * S)
        .open_growth(2.0, 300 * S)
        .open_decay(9 * S)
        .close_rate(0.5, 4)
        .probe_timeout(3 * S)
        .open_on_ban(S)
        .build()
        .unwrap();
    for config in [
        BreakerConfig::default(),
        rich,
        five().without_max_age().build().unwrap(),
        BreakerConfig::builder().open_on_ban(S).build().unwrap(),
    ] {
        let again = BreakerConfigBuilder::from(config.clone()).build();
        assert_eq!(again.unwrap(), config);
    }
    let default = BreakerConfigBuilder::from(BreakerConfig::default());
    let changed = default
        .failure_rate(0.5, 10)
        .open_for(5 * S)
        .build()
        .unwrap();
    assert_eq!(changed.failure_rate().unwrap().min_calls, 2);
    assert_eq!(changed.probe_timeout(), 5 * S);
    assert_eq!(changed.successes_to_close(), 2);
}
