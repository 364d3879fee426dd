//! Variables of the environment.

use super::*;

#[test]
fn variables_are_put_over_the_file() {
    let text = "[resilience.my-feed]\nretry.attempts = 2\n[resilience.retry]\nattempts = 5\n";
    let config = with(
        text,
        &[
            ("SEAWALL__MY_FEED__RETRY__ATTEMPTS", "4"),
            ("seawall__deadline", "1m 30s"),
            ("SEAWALL__Bulkhead__Max_Concurrent", "7"),
            ("SEAWALL__MY_FEED__RATE_LIMIT__RATE", "9/s"),
            ("SEAWALL__MY_FEED__KIND", "market-data"),
            ("PATH", "/bin"),
        ],
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let feed = config.service("my-feed").expect("there");
    assert_eq!(feed.kind(), ServiceKind::MarketData);
    assert_eq!(feed.settings().retry.attempts(), 4);
    assert_eq!(feed.settings().deadline.timeout(), 90 * SECOND);
    assert_eq!(feed.settings().bulkhead.max_concurrent(), 7);
    let (_, origin) = effective(&config, "my-feed", "retry.attempts");
    assert_eq!(origin.to_string(), "SEAWALL__MY_FEED__RETRY__ATTEMPTS");
    let (_, origin) = effective(&config, "my-feed", "deadline");
    assert_eq!(origin.to_string(), "defaults, seawall__deadline");
}

#[test]
fn variables_that_lead_nowhere_are_mistakes() {
    let error = with(
        "[resilience.feed]\n",
        &[
            ("SEAWALL__FED__RETRY__ATTEMPTS", "4"),
            ("SEAWALL__FEED__RETRI__ATTEMPTS", "4"),
            ("SEAWALL__FEED__RETRY__ATEMPTS", "4"),
            ("SEAWALL__FEED__RETRY__ATTEMPTS", "many"),
            ("SEAWALL__FEED__RETRY__ATTEMPTS__MAX", "1"),
            ("SEAWALL__", "1"),
            ("SEAWALL__FEED__DEADLINE", "40s"),
            ("SEAWALL__feed__deadline", "40s"),
        ],
    );
    let error = error.expect_err("all but one are wrong");
    let found: Vec<_> = error.mistakes().iter().map(ToString::to_string).collect();
    for part in [
        "SEAWALL__FED__RETRY__ATTEMPTS: leads nowhere: the service `fed` is unknown: did you mean `feed`?",
        "SEAWALL__FEED__RETRI__ATTEMPTS: leads nowhere: `retri` is unknown: did you mean `retry`?",
        "SEAWALL__FEED__RETRY__ATEMPTS: leads nowhere: `atempts` is unknown: did you mean `attempts`?",
        "SEAWALL__FEED__RETRY__ATTEMPTS: `feed.retry.attempts` is \"many\", accepted is a whole number",
        "SEAWALL__FEED__RETRY__ATTEMPTS__MAX: leads nowhere, accepted is SEAWALL__SERVICE__LAYER__SETTING",
        "SEAWALL__: leads nowhere: `` is unknown, accepted is ",
        "SEAWALL__feed__deadline: sets the same as SEAWALL__FEED__DEADLINE",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(part)),
            "{part}\n{found:#?}"
        );
    }
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn flat_names_are_defaults_and_what_has_no_part_is_a_mistake() {
    let text = "[resilience.a]\nbreaker.open_for = \"9s\"\n[resilience.b]\n";
    let config = with(
        text,
        &[
            ("CIRCUIT_BREAKER_THRESHOLD", "7"),
            ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "300"),
            ("RESILIENCE_RETRY_JITTER", "off"),
            ("RESILIENCE_RATE_LIMIT_PER_MINUTE", "60"),
            ("BULKHEAD_ENABLED", "0"),
            ("RESILIENCE_OVERALL_TIMEOUT", "1m 40s"),
            ("SEAWALL__B__BREAKER__CONSECUTIVE_FAILURES", "8"),
            ("OVERALL_TIMEOUT", "somebody else's"),
        ],
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let (a, b) = (
        config.service("a").expect("there"),
        config.service("b").expect("there"),
    );
    assert_eq!(a.settings().breaker.consecutive_failures(), Some(7));
    assert_eq!(b.settings().breaker.consecutive_failures(), Some(8));
    assert_eq!(a.settings().breaker.open_for(), 9 * SECOND);
    assert_eq!(b.settings().breaker.open_for(), 300 * SECOND);
    assert_eq!(a.settings().deadline.timeout(), 100 * SECOND);
    assert_eq!(a.settings().retry.backoff().jitter(), crate::Jitter::None);
    assert_eq!(effective(&config, "a", "rate_limit.rate").0, "60/min");
    assert_eq!(effective(&config, "a", "bulkhead.enabled").0, "false");
    let error = with(
        text,
        &[
            ("GRACEFUL_DEGRADATION_ENABLED", "true"),
            ("HEALTH_CHECK_INTERVAL", "maybe"),
            ("RESILIENCE_DEGRADATION_ENABLED", "true"),
            ("CIRCUIT_BREAKER_TRESHOLD", "5"),
            ("CIRCUIT_BREAKER_ENABLED", "maybe"),
        ],
    );
    let error = error.expect_err("all of them are wrong").to_string();
    for part in [
        "GRACEFUL_DEGRADATION_ENABLED: is set, accepted is nothing: there is no part for degradation yet",
        "HEALTH_CHECK_INTERVAL",
        "RESILIENCE_DEGRADATION_ENABLED: is set",
        "CIRCUIT_BREAKER_TRESHOLD: leads nowhere: `circuit_breaker_treshold` is unknown: did you mean `circuit_breaker_threshold`",
        "CIRCUIT_BREAKER_ENABLED: is \"maybe\", accepted is true or false",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
}

#[test]
fn shadow_mode_is_a_variable_too() {
    let variables = [
        ("SEAWALL__A__BREAKER__SHADOW", "true"),
        ("SEAWALL__RATE_LIMIT__SHADOW", "true"),
    ];
    let config = with("[resilience.a]\n", &variables).expect("right");
    let settings = config.service("a").expect("there").settings();
    let shadows = (settings.breaker.shadow(), settings.rate_limit.shadow());
    assert_eq!(shadows, (true, true));
    assert_eq!(effective(&config, "a", "breaker.shadow").0, "true");
}

#[test]
fn two_names_of_one_setting_must_agree() {
    let text = "[resilience.a]\n";
    let rates = |one, other| {
        let variables = [
            ("RATE_LIMIT_PER_MINUTE", one),
            ("RESILIENCE_RATE_LIMIT_PER_MINUTE", other),
        ];
        with(text, &variables)
    };
    assert!(rates("60", "60").is_ok());
    assert_eq!(
        rates("60", "90").expect_err("they differ").to_string(),
        "RESILIENCE_RATE_LIMIT_PER_MINUTE: sets the same as RATE_LIMIT_PER_MINUTE, and to something \
         else, accepted is one of the two"
    );
    let thresholds = [
        ("CIRCUIT_BREAKER_THRESHOLD", "5"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "6"),
    ];
    assert_eq!(
        with(text, &thresholds)
            .expect_err("they differ")
            .mistakes()
            .len(),
        1
    );
}

#[test]
fn numbers_of_seconds_are_numbers() {
    for (value, is_right) in [
        ("1.5", true),
        ("0.25", true),
        ("nan", false),
        ("inf", false),
        ("-1.5", false),
    ] {
        let config = with(
            "[resilience.a]\n",
            &[("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", value)],
        );
        match config {
            Ok(_) => assert!(is_right, "{value}"),
            Err(error) => assert!(
                !is_right
                    && error
                        .to_string()
                        .contains(&format!("is {value:?}, accepted is a number of seconds")),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_variable_of_one_service_makes_no_other_one_wrong() {
    let text = "[resilience]\nfail_safe_defaults = true\n[resilience.a]\nretry.attempts = 7\n[resilience.b]\n";
    let fallen = |name: &str| -> Vec<String> {
        let config = with(text, &[(name, "3")]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.mistakes().len(), 1, "{name}");
        let fallen = config.services().filter(|service| service.is_fail_safe());
        fallen.map(|service| service.name().to_owned()).collect()
    };
    assert_eq!(fallen("SEAWALL__OTHER__RETRY__ATTEMPTS"), [""; 0]);
    assert_eq!(fallen("SEAWALL__OTHER__RETRY__ATTEMPTS__X"), [""; 0]);
    assert_eq!(fallen("SEAWALL__B__RETRY__ATEMPTS"), ["b"]);
    assert_eq!(fallen("SEAWALL__B__RETRI__ATTEMPTS"), ["b"]);
    assert_eq!(fallen("SEAWALL__RETRY__ATEMPTS"), ["a", "b"]);
    assert_eq!(fallen("DEGRADATION_ENABLED"), ["a", "b"]);
}
