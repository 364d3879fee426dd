//! What overrides what.

use super::*;
use crate::catalog::Catalog;

#[test]
fn a_service_overrides_the_defaults_key_by_key_and_they_the_base() {
    let config = ok(r#"
[resilience]
deadline = "40s"
[resilience.retry]
attempts = 4
first_wait = "2s"
[resilience.feed]
kind = "market-data"
deadline = "20s"
[resilience.feed.retry]
attempts = 2
"#);
    let base = ServiceKind::MarketData.settings().expect("valid");
    let settings = config.service("feed").expect("there").settings();
    assert_eq!(settings.deadline.timeout(), 20 * SECOND);
    assert_eq!(settings.retry.attempts(), 2);
    assert_eq!(settings.retry.backoff().base(), 2 * SECOND);
    assert_eq!(settings.retry.backoff().cap(), base.retry.backoff().cap());
    assert_eq!(settings.breaker, base.breaker);
    let (value, origin) = effective(&config, "feed", "retry.attempts");
    assert_eq!((value.as_str(), line(&origin)), ("2", 11));
    assert!(matches!(origin, Origin::Service(_)));
    let (value, origin) = effective(&config, "feed", "retry.first_wait");
    assert_eq!((value.as_str(), line(&origin)), ("2s", 6));
    assert!(matches!(origin, Origin::Defaults(_)));
    assert_eq!(
        effective(&config, "feed", "retry.longest_wait").1,
        Origin::Base
    );
}

#[test]
fn a_provider_is_the_base_at_the_share_that_is_set() {
    let config = ok(r#"
[resilience]
utilization = 0.5
[resilience.orders]
provider = "alpaca"
tier = "plus"
[resilience.news]
kind = "news"
[resilience.other]
"#);
    let orders = config.service("orders").expect("there");
    assert_eq!(
        (orders.provider(), orders.tier()),
        (Some("alpaca"), Some("plus"))
    );
    assert_eq!(orders.kind(), ServiceKind::Broker);
    let half = crate::provider("alpaca")
        .expect("known")
        .tier("plus")
        .expect("known");
    let half = half
        .utilization(crate::Ratio::HALF)
        .settings()
        .expect("valid");
    assert_eq!(*orders.settings(), half);
    assert_eq!(
        config.service("other").expect("there").kind(),
        ServiceKind::ApiClient
    );
    assert_eq!(
        config
            .services()
            .map(ServiceConfig::name)
            .collect::<Vec<_>>(),
        ["news", "orders", "other"]
    );
    let unknown = config.service("order").expect_err("misspelled");
    assert_eq!(unknown.accepted(), ["orders"]);
}

#[test]
fn defaults_that_a_service_makes_useless_or_completes_are_no_mistakes() {
    let config = ok(r#"
[resilience.bulkhead]
max_wait = "5s"
[resilience.breaker]
calls = 10
[resilience.rate_limit]
rate = "10/s"
[resilience.a.bulkhead]
max_waiting = 0
[resilience.a.breaker]
min_calls = 4
[resilience.a.rate_limit]
limit = "100/min"
[resilience.b.breaker]
period = "30s"
"#);
    let a = config.service("a").expect("there").settings();
    assert_eq!(a.bulkhead.max_waiting(), 0);
    assert_eq!(
        a.breaker
            .failure_rate()
            .map(|rule| (rule.over, rule.min_calls)),
        Some((10, 4))
    );
    // 80 % of 100 per minute, and the rest as a burst.
    assert_eq!(a.rate_limit.limits()[0].period(), 75 * SECOND);
    assert_eq!(a.rate_limit.limits()[0].capacity(), 20);
    let b = config.service("b").expect("there").settings();
    assert_eq!(
        b.breaker.failure_rate_over().map(|rule| rule.over),
        Some(30 * SECOND)
    );
    assert_eq!(b.breaker.failure_rate(), None);
    assert_eq!(effective(&config, "a", "rate_limit.rate").0, "100/75s");
    let (burst, origin) = effective(&config, "b", "rate_limit.burst");
    assert_eq!((burst.as_str(), line(&origin)), ("1", 7));
}

#[test]
fn limits_change_what_they_name_alone() {
    let config = ok(r#"
[resilience.free]
provider = "alpha-vantage"
[resilience.paid]
provider = "alpha-vantage"
rate_limit = { rate = "75/min", quotas = ["1000/day", "600/h"] }
[resilience.llm]
provider = "openai"
rate_limit.input_tokens = "30000/min"
[resilience.llm.rate_limit]
"#
    .trim_end_matches("[resilience.llm.rate_limit]\n"));
    let shape = |name| -> Vec<_> {
        let limits = config
            .service(name)
            .expect("there")
            .settings()
            .rate_limit
            .limits()
            .to_vec();
        limits
            .iter()
            .map(|limit| (limit.count(), limit.period(), limit.unit()))
            .collect()
    };
    use crate::Unit::{Cost, InputTokens};
    assert_eq!(
        shape("paid"),
        [
            (75, 60 * SECOND, Cost),
            (1000, 86_400 * SECOND, Cost),
            (600, 3_600 * SECOND, Cost),
        ]
    );
    assert_ne!(shape("free"), shape("paid"));
    assert!(
        shape("llm").contains(&(30_000, 60 * SECOND, InputTokens)),
        "{:?}",
        shape("llm")
    );
    let base = crate::openai()
        .expect("known")
        .default_tier()
        .expect("known")
        .settings();
    let base = base.expect("valid").rate_limit.limits().to_vec();
    let kept = |limit: &&crate::Limit| limit.unit() != InputTokens;
    let others: Vec<_> = base
        .iter()
        .filter(kept)
        .map(|l| (l.count(), l.period(), l.unit()))
        .collect();
    assert!(others.iter().all(|limit| shape("llm").contains(limit)));
}

#[test]
fn a_catalogue_of_ones_own_can_be_given() {
    let catalog = Catalog::embedded().expect("valid").clone();
    let text = "[resilience.a]\nprovider = \"alpaca\"\n";
    let config = Config::loader()
        .text("f.toml", text)
        .catalog(catalog)
        .load();
    assert!(config.is_ok());
}
