//! What is wrong with a file.

use std::fs;

use super::*;

#[test]
fn all_mistakes_are_found_at_once_with_position_key_value_and_what_is_accepted() {
    let found = wrong(
        r#"
[resilience]
utilisation = 0.8
deadline = 20
[resilience.retry]
attempts = 0
jitter = "some"
[resilience.orders]
provider = "alpacca"
[resilience.feed]
kind = "market-date"
tier = "free"
[resilience.feed.bulkhead]
max_waiting = 0
max_wait = "5s"
max_concurrent = -1
[resilience.api]
utilization = 0.9
[resilience.api.rate_limit]
rate = "fast"
burst = 0
[resilience.api.breaker]
failure_rate = 1.5
open_factor = 2.0
[resilience.api.breakr]
x = 1
"#,
    );
    let expected = [
        "f.toml:3:1: `utilisation` is unknown: did you mean `utilization`?",
        "f.toml:4:12: `deadline` is 20, accepted is a length of time such as \"1m 30s\", \"500ms\" or \"24h\", or false",
        "f.toml:6:12: `retry.attempts` is 0, accepted is a whole number from 1",
        "f.toml:7:10: `retry.jitter` is \"some\", accepted is \"none\", \"full\" or \"equal\"",
        "f.toml:9:12: `orders.provider` is \"alpacca\": there is no provider `alpacca`, there is `alpaca`",
        "f.toml:11:8: `feed.kind` is \"market-date\", accepted is \"broker\", \"order-execution\"",
        "f.toml:15:12: `feed.bulkhead.max_wait` is 5s, accepted is none while `max_waiting` is 0",
        "f.toml:16:18: `feed.bulkhead.max_concurrent` is -1, accepted is a whole number up to 4294967295",
        "f.toml:18:15: `api.utilization` is 0.9, accepted is nothing without a `provider`",
        "f.toml:20:8: `api.rate_limit.rate` is \"fast\", accepted is a rate such as \"200/min\"",
        "f.toml:21:9: `api.rate_limit.burst` is 0, accepted is a whole number from 1",
        "f.toml:23:16: `api.breaker.failure_rate` is 1.5, accepted is a share from 0 to 1, or false",
        "f.toml:24:15: `api.breaker.open_factor` is set without `longest_open`",
        "f.toml:25:17: `api.breakr` is unknown: did you mean `breaker`?",
    ];
    for part in expected {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(part)),
            "{part}\n{found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn combinations_that_cannot_be_name_the_setting_that_makes_them() {
    let found = wrong("[resilience.a]\nkind = \"broker\"\ndeadline = \"5s\"\n");
    assert_eq!(
        found,
        [
            "f.toml:3:12: `a.deadline` does not fit: `attempt_timeout` is 10s, accepted is shorter than the deadline, 5s"
        ]
    );
    let found = wrong("[resilience.a]\nprovider = \"alpaca\"\nkind = \"broker\"\n");
    assert_eq!(
        found,
        ["f.toml:3:8: `a.kind` is \"broker\", accepted is either `provider` or `kind`"]
    );
    let found = wrong("[resilience.a]\ntier = \"free\"\n");
    assert_eq!(
        found,
        ["f.toml:2:8: `a.tier` is \"free\", accepted is nothing without a `provider`"]
    );
    let found = wrong("[resilience.a.bulkhead]\nenabled = false\nshadow = true\n");
    assert_eq!(
        found,
        ["f.toml:3:10: `a.bulkhead.shadow` is true, accepted is nothing where `enabled` is false"]
    );
    let found =
        wrong("[resilience.a]\nfail_safe_defaults = true\n[resilience]\nprovider = \"alpaca\"\n");
    assert_eq!(
        found,
        [
            "f.toml:2:22: `a.fail_safe_defaults` is here, accepted is in `[resilience]`",
            "f.toml:4:12: `provider` is here, accepted is in the table of a service",
        ]
    );
    let found = wrong("[resilience.a.retry]\nbackoff = \"none\"\nfirst_wait = \"1s\"\n");
    assert!(
        found[0]
            .contains("`a.retry.first_wait` is 1s, accepted is nothing where `backoff` is none"),
        "{found:?}"
    );
    // The classes of Kraken's routes would take all permits.
    let found = wrong("[resilience.a]\nprovider = \"kraken\"\nbulkhead.max_concurrent = 1\n");
    assert!(
        found[0]
            .starts_with("f.toml:3:27: `a.bulkhead.max_concurrent` is 1, accepted is more than"),
        "{found:?}"
    );
}

#[test]
fn what_follows_from_a_mistake_is_no_further_one() {
    for (table, text, part) in [
        (
            "breaker",
            "close_rate = 0.5\nclose_calls = 4\nsuccesses_to_close = 2",
            "close_rate` is set beside",
        ),
        (
            "breaker",
            "open_factor = -1.0\nlongest_open = \"5m\"",
            "open_factor` is -1.0",
        ),
        (
            "breaker",
            "failure_rate = 2.0\ncalls = 1",
            "failure_rate` is 2.0",
        ),
        (
            "breaker",
            "ramp_steps = 99\nramp_step = \"1s\"",
            "ramp_steps` does not fit: `ramp` is 99",
        ),
        (
            "breaker",
            "consecutive_failures = false\nopen_on_ban = false",
            "`rules` is empty",
        ),
        (
            "retry",
            "first_wait = 3\nlongest_wait = \"1ms\"",
            "first_wait` is 3",
        ),
        (
            "retry",
            "first_wait = \"2m\"",
            "first_wait` does not fit: `longest_wait` is 5s",
        ),
        (
            "rate_limit",
            "rate = \"0/s\"",
            "rate_limit.rate` is 0/s, accepted is a whole number from 1",
        ),
        (
            "rate_limit",
            "quotas = [\"9/day\", 5]",
            "quotas` is [\"9/day\", 5], accepted is a list of rates",
        ),
        (
            "rate_limit",
            "rate = \"5/9999h\"",
            "rate` is 5/35996400s, accepted is a period longer than zero",
        ),
    ] {
        let base = "[resilience.a]\nkind = \"order-execution\"\n";
        let found = wrong(&format!("{base}[resilience.a.{table}]\n{text}\n"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains(part), "{part}\n{found:#?}");
    }
    let share =
        "[resilience.a]\nprovider = \"alpaca\"\nutilization = 1\nrate_limit.limit = \"9/s\"\n";
    assert_eq!(wrong(share).len(), 1, "{:#?}", wrong(share));
    assert_eq!(
        wrong("[[resilience.a]]\nx = 1\n"),
        ["f.toml:1:14: `a` is a list, accepted is a table"]
    );
    assert_eq!(
        wrong("resilience = 3\n"),
        ["f.toml:1:14: `resilience` is of the type integer, accepted is a table"]
    );
}

#[test]
fn a_longest_wait_does_not_raise_what_is_set() {
    let text = |pause: &str, of_all: &str| {
        format!(
            "[resilience]\n{of_all}\n[resilience.a]\nkind = \"broker\"\nlongest_wait = \"1h\"\n\
             rate_limit.max_pause = \"{pause}\"\n"
        )
    };
    assert_eq!(
        wrong(&text("99s", "breaker.max_retry_after = \"33s\"")),
        [
            "f.toml:2:27: `breaker.max_retry_after` is 33s, accepted is at least `longest_wait`, 3600s",
            "f.toml:6:24: `a.rate_limit.max_pause` is 99s, accepted is at least `longest_wait`, 3600s",
        ]
    );
    let config = ok(&text("2h", ""));
    let service = config.service("a").expect("there");
    assert_eq!(service.settings().rate_limit.max_pause().as_secs(), 7_200);
}

#[test]
fn names_are_reserved_and_alike_only_once() {
    let found = wrong("[resilience.retry]\nprovider = \"alpaca\"\n");
    assert_eq!(
        found,
        ["f.toml:2:1: `retry.provider` is unknown: no service can be called `retry`"]
    );
    let found = wrong("[resilience.deadline]\nattempts = 2\n");
    assert!(
        found[0].starts_with("f.toml:1:1: `deadline` is a table, accepted is a length of time"),
        "{found:?}"
    );
    for (name, known) in [
        ("rate-limit", "rate_limit"),
        ("Retry", "retry"),
        ("DEADLINE", "deadline"),
    ] {
        let problem = format!("`{name}` is no name of a service: did you mean `{known}`?");
        let found = wrong(&format!("[resilience.{name}]\nkind = \"broker\"\n"));
        assert_eq!(found, [format!("f.toml:1:13: {problem}")]);
    }
    let found = wrong("[resilience.my-feed]\n[resilience.my_feed]\n");
    assert!(found[0].contains("two services of one name"), "{found:?}");
    let found = wrong("[resilience.a]\n[resilience.a]\n");
    assert!(found[0].starts_with("f.toml:2:"), "{found:?}");
    let found = wrong("[resilience.\"\"]\n[resilience.a__b]\n");
    assert_eq!(found.len(), 2, "{found:?}");
    let found = wrong("[resiliense.a]\n");
    assert_eq!(
        found,
        ["f.toml:1:2: `resiliense` is unknown: did you mean `resilience`?"]
    );
    assert_eq!(
        wrong("[server]\nport = 80\n"),
        ["f.toml:1:1: there is no table `resilience`"]
    );
    assert_eq!(
        ok("[server]\nport = 80\n[resilience]\n").services().len(),
        0
    );
}

#[test]
fn files_that_cannot_be_read_are_clear_errors() {
    let folder = std::env::temp_dir().join(format!("seawall-config-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("writable");
    let path = folder.join("seawall.toml");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writable");
        Config::loader().file(&path).load()
    };
    assert_eq!(
        load(b"[resilience.a]\n").expect("valid").services().len(),
        1
    );
    let error = load(b"[resilience.a]\nkind = \"\xff\"\n").expect_err("no UTF-8");
    assert!(
        error
            .to_string()
            .ends_with("seawall.toml:2:9: the byte 0xff is no UTF-8"),
        "{error}"
    );
    let error = load(b"[resilience.a]\nkind = \"bro").expect_err("half written");
    assert!(
        error.to_string().contains("seawall.toml:2:12: no TOML: "),
        "{error}"
    );
    let error = load(b"[resilience\n[resilience.a]\nx = = 1\n").expect_err("no TOML");
    assert!(error.mistakes().len() > 1, "{error}");
    fs::remove_dir_all(&folder).expect("there");
    let error = Config::load(&path).expect_err("gone");
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(
        error.to_string().contains("seawall.toml cannot be read: "),
        "{error}"
    );
}

#[test]
fn mistakes_leave_a_service_the_numbers_of_its_base_where_that_is_asked_for() {
    let text = r#"
[resilience]
fail_safe_defaults = true
[resilience.bad]
kind = "broker"
[resilience.bad.retry]
attempts = 0
[resilience.good]
retry.attempts = 7
"#;
    let config = ok(text);
    assert_eq!(config.mistakes().len(), 1);
    let bad = config.service("bad").expect("there");
    assert!(bad.is_fail_safe());
    assert_eq!(
        *bad.settings(),
        ServiceKind::Broker.settings().expect("valid")
    );
    let good = config.service("good").expect("there");
    assert!(!good.is_fail_safe());
    assert_eq!(good.settings().retry.attempts(), 7);
    assert!(bad.build().is_ok());
    // What holds for all is wrong for all.
    let config = ok(&text.replace("fail_safe_defaults", "deadlin = \"1s\"\nfail_safe_defaults"));
    assert!(config.services().all(ServiceConfig::is_fail_safe));
    // Another tier may allow many times as much.
    let tier = text.replace(
        "kind = \"broker\"",
        "provider = \"polygon\"\ntier = \"freex\"",
    );
    assert_eq!(load(&tier).expect_err("no base").mistakes().len(), 2);
    // Nothing is known of a provider that is not known.
    let error = load(&text.replace("kind = \"broker\"", "provider = \"brokr\""));
    assert_eq!(error.expect_err("no base").mistakes().len(), 2);
}

#[test]
fn a_service_with_mistakes_keeps_what_is_tighter() {
    let text = |base: &str, own: &str| {
        format!(
            "[resilience]\nfail_safe_defaults = true\n[resilience.a]\n{base}\nretry.atempts = 1\n{own}"
        )
    };
    let tighter = "deadline = \"10s\"\nattempt_timeout = \"2s\"\nretry.attempts = 2\n\
        bulkhead = { max_concurrent = 3, max_waiting = 1 }\nrate_limit = { rate = \"5/min\", burst = 1 }\n";
    let config = ok(&text("kind = \"market-data\"", tighter));
    let a = config.service("a").expect("there");
    assert!(a.is_fail_safe());
    let settings = a.settings();
    assert_eq!(settings.deadline.timeout(), 10 * SECOND);
    assert_eq!(settings.attempt_timeout.timeout(), 2 * SECOND);
    assert_eq!(settings.retry.attempts(), 2);
    assert_eq!(
        (
            settings.bulkhead.max_concurrent(),
            settings.bulkhead.max_waiting()
        ),
        (3, 1)
    );
    assert_eq!(settings.rate_limit.limits()[0].count(), 5);
    let (rate, origin) = effective(&config, "a", "rate_limit.rate");
    assert_eq!((rate.as_str(), line(&origin)), ("5/min", 10));
    assert!(a.build().is_ok());

    let wider = "deadline = \"20m\"\nretry.attempts = 20\nbulkhead.max_concurrent = 3000\n\
        bulkhead.enabled = false\nrate_limit.rate = \"5000/s\"\nbreaker.consecutive_failures = 900\n";
    let config = ok(&text("kind = \"market-data\"", wider));
    let a = config.service("a").expect("there");
    assert_eq!(
        *a.settings(),
        ServiceKind::MarketData.settings().expect("valid")
    );
    assert_eq!(effective(&config, "a", "bulkhead.enabled").0, "true");
    assert!(
        a.effective()
            .iter()
            .all(|setting| setting.origin == Origin::Base)
    );

    // Of what the provider allows, too; a deadline that would not fit its attempts stays out.
    let half = "utilization = 0.5\ndeadline = \"1ms\"\n";
    let config = ok(&text("provider = \"alpaca\"", half));
    let a = config.service("a").expect("there").settings().clone();
    let tier = crate::provider("alpaca").and_then(|known| Ok(known.default_tier()?));
    let tier = tier.expect("known").utilization(crate::Ratio::HALF);
    assert_eq!(a, tier.settings().expect("valid"));
    let more = ok(&text("provider = \"alpaca\"", "utilization = 0.95\n"));
    assert_eq!(effective(&more, "a", "utilization").0, "0.8");
}

#[test]
fn a_share_a_window_and_a_period_are_what_is_wrong() {
    let one = |text: &str| {
        let found = wrong(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    assert_eq!(
        one("[resilience.a]\nprovider = \"alpaca\"\nutilization = 1e-9\n"),
        "f.toml:3:15: `a.utilization` is 0.000000001, accepted is a share at which the limits can be \
         kept: `period` is 18446744073.709551615s, accepted is longer than zero and at most 366 days"
    );
    assert_eq!(
        one("[resilience.a]\nutilization = 1e-9\nrate_limit.limit = \"10/s\"\n"),
        "f.toml:2:15: `a.utilization` is 0.000000001, accepted is a share that leaves at least one per 366 days"
    );
    assert_eq!(
        one("[resilience.a]\nbreaker.calls = 0\n"),
        "f.toml:2:17: `a.breaker.calls` is 0, accepted is a whole number of calls from 1 to 10000000"
    );
    assert_eq!(
        one("[resilience.a]\nbreaker.failure_rate = 0.5\nbreaker.calls = 0\n"),
        "f.toml:3:17: `a.breaker.calls` is 0, accepted is a whole number of calls from 1 to 10000000"
    );
    assert_eq!(
        one("[resilience.a]\nbreaker.failure_rate = 0.5\nbreaker.period = \"0s\"\n"),
        "f.toml:3:18: `a.breaker.period` is 0ns, accepted is a time from 10 ms to 24 h"
    );
    assert_eq!(
        one("[resilience.a]\nrate_limit.rate = \"_1/s\"\n"),
        "f.toml:2:19: `a.rate_limit.rate` is \"_1/s\", accepted is a rate such as \"200/min\", \
         \"10/s\", \"5000/day\" or \"3/500ms\""
    );
}
