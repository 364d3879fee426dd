//! What holds for the health of the program.

use seawall_health::{CheckConfig, Part};

use super::*;

#[test]
fn nothing_set_is_the_defaults() {
    let config = ok("[resilience]\n");
    assert_eq!(*config.health(), HealthSettings::default());
    assert_eq!(config.health().check(), CheckConfig::default());
    assert!(config.health().is_enabled() && config.health().auto_recovery());
}

#[test]
fn a_table_and_variables_set_it() {
    let text = r#"
[resilience.health]
interval = "20s"
jitter = 0
timeout = "3s"
slow_after = "1s"
failures_to_unhealthy = 5
successes_to_recover = 1
max_error_rate = 0.5
score_threshold = 90
trading_weight = 0
[resilience.orders]
provider = "alpaca"
"#;
    let variables = [
        ("SEAWALL__HEALTH__INTERVAL", "45s"),
        ("AUTO_RECOVERY_ENABLED", "off"),
    ];
    let config = with(text, &variables).unwrap_or_else(|error| panic!("{error}"));
    let health = config.health();
    let expected = CheckConfig::builder()
        .interval(45 * SECOND)
        .jitter(0.0)
        .timeout(3 * SECOND)
        .slow_after(SECOND)
        .failures_to_unhealthy(5)
        .successes_to_recover(1)
        .max_error_rate(0.5)
        .build();
    assert_eq!(Ok(health.check()), expected);
    assert_eq!(health.score().threshold(), 90.0);
    assert_eq!(health.score().weight(Part::Trading), 0.0);
    assert!(!health.auto_recovery());
    assert!(config.service("orders").is_ok());

    let names = [
        ("RESILIENCE_HEALTH_CHECK_ENABLED", "no"),
        ("HEALTH_CHECK_INTERVAL", "30"),
        ("HEALTH_CHECK_TIMEOUT", "2.5"),
        ("HEALTH_SCORE_THRESHOLD", "75"),
    ];
    let config = with("[resilience]\n", &names).unwrap_or_else(|error| panic!("{error}"));
    let health = config.health();
    assert!(!health.is_enabled());
    assert_eq!(health.check().interval(), 30 * SECOND);
    assert_eq!(health.check().timeout(), 5 * SECOND / 2);
    assert_eq!(health.score().threshold(), 75.0);
}

#[test]
fn what_cannot_be_is_a_mistake_at_its_place() {
    let text = r#"
[resilience.health]
interval = "0s"
intervall = "1s"
jitter = 2
timeout = "1s"
slow_after = "2s"
score_threshold = 101
resilience_weight = 0
system_weight = 0
services_weight = 0
trading_weight = 0
[resilience.orders]
health.interval = "1s"
"#;
    let wrong = wrong(text);
    let expected = [
        (
            ":3:",
            "health.interval",
            "is 0ns, accepted is 1ms or longer",
        ),
        (":4:", "health.intervall", "did you mean `interval`"),
        (":5:", "health.jitter", "accepted is a share from 0 to 1"),
        (
            ":7:",
            "health.slow_after",
            "is 2s, accepted is the timeout, 1s, or shorter",
        ),
        (
            ":8:",
            "health.score_threshold",
            "is 101, accepted is a number from 0 to 100",
        ),
        (":12:", "health.trading_weight", "accepted is one above 0"),
        (
            ":14:",
            "orders.health.interval",
            "accepted is in `[resilience]`",
        ),
    ];
    for (place, key, problem) in expected {
        let is =
            |line: &&String| line.contains(place) && line.contains(key) && line.contains(problem);
        assert!(wrong.iter().any(|line| is(&line)), "{key}: {wrong:#?}");
    }
    assert_eq!(wrong.len(), expected.len(), "{wrong:#?}");
}

#[test]
fn weights_that_are_zero_together_are_left_out_together() {
    let weights = ["resilience", "system", "services", "trading"];
    let weights = weights.map(|part| format!("{part}_weight = 0\n")).concat();
    let text = format!("[resilience]\nfail_safe_defaults = true\n[resilience.health]\n{weights}");
    let config = ok(&text);
    assert_eq!(config.mistakes().len(), 1);
    let score = config.health().score();
    assert_eq!(
        Part::ALL.map(|part| score.weight(part)),
        [40.0, 30.0, 20.0, 10.0]
    );
}

#[test]
fn values_beyond_sense_are_mistakes() {
    for (text, problem) in [
        ("interval = \"1ns\"", "is 1ns, accepted is 1ms or longer"),
        (
            "failures_to_unhealthy = 4294967295",
            "is 4294967295, accepted is a whole number from 1 to 1000",
        ),
        (
            "successes_to_recover = 1001",
            "is 1001, accepted is a whole number from 1 to 1000",
        ),
    ] {
        let wrong = wrong(&format!("[resilience.health]\n{text}\n"));
        assert!(wrong.len() == 1 && wrong[0].contains(problem), "{wrong:?}");
    }
}

#[test]
fn a_mistake_here_makes_no_service_fail_safe() {
    let text = r#"
[resilience]
fail_safe_defaults = true
[resilience.health]
interval = "0s"
score_threshold = 90
[resilience.orders]
provider = "alpaca"
"#;
    let config = ok(text);
    assert_eq!(config.mistakes().len(), 1);
    assert!(!config.service("orders").expect("there").is_fail_safe());
    // The rest is kept.
    assert_eq!(config.health().check(), CheckConfig::default());
    assert_eq!(config.health().score().threshold(), 90.0);
}
