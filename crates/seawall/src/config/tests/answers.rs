//! Tables of layers that the program adds: cache, coalesce, fallback.

use seawall_cache::{CacheLayer, CoalesceLayer};
use seawall_core::{InstanceHandle, InvalidConfig, Policy};
use seawall_fallback::{FallbackLayer, Step};

use super::*;

type Cache = CacheLayer<Policy, String, u64>;
type Coalesce = CoalesceLayer<Policy, String, u64, ()>;
type ValueStep = Step<(), http::Response<bytes::Bytes>>;
type Fallback = FallbackLayer<Policy, (), &'static str>;

fn cache(answers: &mut AnswerLayers) -> Result<Cache, InvalidConfig> {
    answers.cache()
}

fn coalesce(answers: &mut AnswerLayers) -> Coalesce {
    answers.coalesce().expect("valid")
}

fn fallback(answers: &mut AnswerLayers) -> Fallback {
    let hold = Step::value("hold", "HOLD");
    answers.fallback([hold]).expect("valid")
}

fn value(answers: &mut AnswerLayers) -> Result<ValueStep, InvalidConfig> {
    answers.fallback_value()
}

/// The layers of a service, of which those are taken that it has a table of.
pub(super) fn taking_what_is_there(service: &ServiceConfig) -> AnswerLayers {
    let mut answers = service.answers();
    if service.cache().is_some() {
        cache_of(&mut answers);
    }
    if service.coalesce().is_some() {
        coalesce(&mut answers);
    }
    if service.fallback().is_some() {
        fallback(&mut answers);
    }
    // There is none unless there is a body.
    let _ = value(&mut answers);
    answers
}

fn answers(text: &str) -> AnswerLayers {
    let config = ok(text);
    config.service("a").expect("there").answers()
}

const ALL: &str = r#"
[resilience.a]
kind = "market-data"
[resilience.a.cache]
ttl = "2s"
stale_while_revalidate = "3s"
stale_on_failure = "1h"
negative_ttl = "4s"
max_entries = 5
max_weight = 6000000000
max_wait = "7s"
max_refreshes = 8
[resilience.a.coalesce]
max_wait = "9s"
share_failures = true
[resilience.a.fallback]
step_timeout = "10s"
max_running = 11
"#;

#[test]
fn layers_have_the_settings_of_their_tables_and_the_name_of_the_service() {
    let mut answers = answers(ALL);
    let cache = cache(&mut answers).expect("there").handle();
    assert_eq!(cache.name().as_str(), "a");
    let config = cache.config();
    assert_eq!(config.ttl(), 2 * SECOND);
    assert_eq!(config.stale_while_revalidate(), Some(3 * SECOND));
    assert_eq!(config.stale_on_failure(), Some(3600 * SECOND));
    assert_eq!(config.negative_ttl(), Some(4 * SECOND));
    assert_eq!(
        (config.max_entries(), config.max_weight()),
        (5, Some(6_000_000_000))
    );
    assert_eq!((config.max_wait(), config.max_refreshes()), (7 * SECOND, 8));
    let coalesce = coalesce(&mut answers).handle();
    assert_eq!(coalesce.name().as_str(), "a");
    assert_eq!(coalesce.config().max_wait(), 9 * SECOND);
    assert!(coalesce.config().share_failures());
    let fallback = fallback(&mut answers).handle();
    assert_eq!(fallback.name().as_str(), "a");
    assert_eq!(fallback.config().step_timeout(), 10 * SECOND);
    assert_eq!(fallback.config().max_running(), 11);
    for handle in [&cache as &dyn InstanceHandle, &coalesce, &fallback] {
        assert_eq!(handle.state(), "ok");
    }
    assert_eq!(answers.build().expect("all are taken").name().as_str(), "a");

    let config = ok(ALL);
    let service = config.service("a").expect("there");
    assert_eq!(service.cache(), Some(&cache.config()));
    assert_eq!(service.coalesce(), Some(&coalesce.config()));
    assert_eq!(service.fallback(), Some(&fallback.config()));
}

#[test]
fn a_layer_that_is_not_enabled_lets_every_call_pass() {
    let mut answers = answers(
        "[resilience.a]\ncache = { ttl = \"1s\", enabled = false }\ncoalesce.enabled = false\nfallback.enabled = false\n",
    );
    let cache = cache(&mut answers).expect("there").handle();
    let (coalesce, fallback) = (
        coalesce(&mut answers).handle(),
        fallback(&mut answers).handle(),
    );
    for handle in [&cache as &dyn InstanceHandle, &coalesce, &fallback] {
        assert_eq!(handle.state(), "bypassed", "{}", handle.pattern());
    }
}

#[test]
fn what_a_service_has_no_table_of_has_its_defaults_and_a_cache_needs_one() {
    let mut answers = answers("[resilience.a]\n");
    let coalesce = coalesce(&mut answers).handle();
    assert_eq!(coalesce.config(), Default::default());
    let fallback = fallback(&mut answers).handle();
    assert_eq!(fallback.config(), Default::default());
    let error = cache(&mut answers).expect_err("there is no time to live");
    assert_eq!(
        error.to_string(),
        "`a.cache.ttl` is not set, accepted is a length of time such as \"1m 30s\", \"500ms\" or \"24h\"",
    );
    assert!(answers.build().is_ok());
}

#[test]
fn a_table_that_is_not_taken_is_an_error_on_each_way_to_a_stack() {
    const CACHE: &str = "`a.cache` is set at f.toml:3:1, accepted is nothing without that layer: ";
    let config = ok("[resilience.a]\nprovider = \"alpaca\"\ncache.ttl = \"1s\"\n");
    let service = config.service("a").expect("there");
    let from_answers =
        format!("{CACHE}take it from `ServiceConfig::answers` and build the stack there");
    assert_eq!(
        service.build().expect_err("no cache").to_string(),
        from_answers
    );
    let mut answers = service.answers();
    assert_eq!(
        answers.build().expect_err("no cache").to_string(),
        from_answers
    );
    coalesce(&mut answers);
    assert!(answers.build().is_err(), "it is another one");
    #[cfg(feature = "client")]
    {
        let error = service.client().map(drop).expect_err("no cache");
        assert_eq!(error.to_string(), from_answers);
        let error = answers.client().map(drop).expect_err("no cache");
        assert_eq!(error.to_string(), from_answers);
    }
    #[cfg(feature = "orders")]
    {
        let journal = crate::orders::journal::MemoryJournal::default();
        let error = service.order_stack(journal).map(drop).expect_err("never");
        assert_eq!(
            error.to_string(),
            format!("{CACHE}a stack of orders has no such layer")
        );
    }
    #[cfg(feature = "ai")]
    #[cfg(feature = "client")]
    {
        let error = service.model_client().map(drop).expect_err("never");
        assert_eq!(
            error.to_string(),
            format!("{CACHE}a stack of models has no such layer")
        );
    }
    // Also one that has nothing in it.
    for table in ["fallback", "coalesce"] {
        let config = ok(&format!("[resilience.a.{table}]\n"));
        let error = config.service("a").expect("there").build();
        let error = error.expect_err("it is not taken").to_string();
        let start = format!("`a.{table}` is set at f.toml:1:15");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn a_value_that_is_not_taken_is_an_error_and_needs_a_body() {
    let text = "[resilience.a]\nfallback = { body = \"{}\", status = 503 }\n";
    let mut answers = answers(text);
    fallback(&mut answers);
    assert_eq!(
        answers.build().expect_err("no value").to_string(),
        "`a.fallback.body` is set at f.toml:2:21, accepted is nothing without that step: take it by `fallback_value`",
    );
    assert_eq!(
        value(&mut answers).expect("there").name().as_str(),
        "configured"
    );
    assert!(answers.build().is_ok());
    let config = ok(text);
    let shown = |key| effective(&config, "a", key).0;
    assert_eq!(shown("fallback.body"), "\"{}\"");
    assert_eq!(shown("fallback.status"), "503");
    assert_eq!(shown("fallback.content_type"), "none");

    let mut answers = self::answers("[resilience.a]\nfallback.max_running = 3\n");
    assert_eq!(
        value(&mut answers).map(drop).expect_err("none").to_string(),
        "`a.fallback.body` is not set, accepted is a text in quotes",
    );
    let variable = [("SEAWALL__A__FALLBACK__BODY", r#"{"decision":"HOLD"}"#)];
    let config = with(text, &variable).unwrap_or_else(|error| panic!("{error}"));
    let shown = effective(&config, "a", "fallback.body").0;
    assert_eq!(shown, r#""{\"decision\":\"HOLD\"}""#);
}

#[cfg(feature = "reload")]
#[test]
fn a_table_that_is_not_taken_is_an_error_of_a_kept_stack() {
    let text = "[resilience.a]\nprovider = \"openai\"\nfallback.max_running = 2\n";
    let config = Config::loader().text("f.toml", text).load_reloadable();
    let config = config.expect("valid");
    let start = "`a.fallback` is set at f.toml:3:1, accepted is nothing without that layer";
    let error = config.stack("a").expect_err("no fallback").to_string();
    assert!(error.starts_with(start), "{error}");
    let mut answers = config.answers("a").expect("there");
    let error = answers.build().expect_err("no fallback").to_string();
    assert!(error.starts_with(start), "{error}");
    #[cfg(feature = "client")]
    {
        let error = config.client("a").map(drop).expect_err("no fallback");
        assert!(error.to_string().starts_with(start), "{error}");
    }
    #[cfg(all(feature = "ai", feature = "client"))]
    {
        let error = config.model_client("a").map(drop).expect_err("never");
        let error = error.to_string();
        assert!(
            error.ends_with("a stack of models has no such layer"),
            "{error}"
        );
    }
    fallback(&mut answers);
    assert!(answers.build().is_ok());
    assert!(
        config.stack("a").is_err(),
        "another one may not have the layer"
    );
}

#[test]
fn each_mistake_is_found_with_place_key_value_and_what_is_accepted() {
    const TIME: &str = "a length of time such as \"1m 30s\", \"500ms\" or \"24h\"";
    for (text, mistake) in [
        (
            "cache.max_entries = 4",
            format!("2:1: `a.cache.ttl` is not set, accepted is {TIME}"),
        ),
        (
            "cache = {}",
            format!("2:1: `a.cache.ttl` is not set, accepted is {TIME}"),
        ),
        (
            "cache.ttl = 5",
            format!("2:13: `a.cache.ttl` is 5, accepted is {TIME}"),
        ),
        (
            "cache.ttl = \"0s\"",
            "2:13: `a.cache.ttl` is 0s, accepted is longer than zero".into(),
        ),
        (
            "cache = { ttl = \"5s\", max_entires = 5 }",
            "2:23: `a.cache.max_entires` is unknown: did you mean `max_entries`".into(),
        ),
        (
            "cache = \"5s\"",
            "2:9: `a.cache` is \"5s\", accepted is a table".into(),
        ),
        (
            "cache = { ttl = \"5s\", stale_on_failure = \"4s\" }",
            "2:42: `a.cache.stale_on_failure` is 4s, accepted is at least `ttl`, 5s".into(),
        ),
        (
            "cache = { ttl = \"5s\", negative_ttl = \"0s\" }",
            "2:38: `a.cache.negative_ttl` is 0s, accepted is longer than zero".into(),
        ),
        (
            "cache = { ttl = \"5s\", stale_while_revalidate = true }",
            format!("2:48: `a.cache.stale_while_revalidate` is true, accepted is {TIME}, or false"),
        ),
        (
            "cache = { ttl = \"5s\", max_entries = 0 }",
            "2:37: `a.cache.max_entries` is 0, accepted is at least 1".into(),
        ),
        (
            "cache = { ttl = \"5s\", max_weight = -1 }",
            "2:36: `a.cache.max_weight` is -1, accepted is a whole number, or false".into(),
        ),
        (
            "cache = { ttl = \"5s\", max_weight = 0 }",
            "2:36: `a.cache.max_weight` is 0, accepted is at least 1".into(),
        ),
        (
            "cache = { ttl = \"5s\", coalesce = false, max_wait = \"1s\" }",
            "2:52: `a.cache.max_wait` is 1s, accepted is none where callers neither share calls nor refresh"
                .into(),
        ),
        (
            "cache = { ttl = \"5s\", max_refreshes = 3 }",
            "2:39: `a.cache.max_refreshes` is 3, accepted is none without `stale_while_revalidate`"
                .into(),
        ),
        // Only what is wrong, and not what follows from it.
        (
            "cache = { ttl = \"5s\", max_refreshes = 3, coalesce = false, max_wait = \"1s\", stale_while_revalidate = 1 }",
            format!("2:102: `a.cache.stale_while_revalidate` is 1, accepted is {TIME}, or false"),
        ),
        (
            "coalesce.max_wait = \"0s\"",
            "2:21: `a.coalesce.max_wait` is 0s, accepted is longer than zero".into(),
        ),
        (
            "coalesce.share_failures = 1",
            "2:27: `a.coalesce.share_failures` is 1, accepted is true or false".into(),
        ),
        (
            "coalesce.ttl = \"1s\"",
            "2:10: `a.coalesce.ttl` is unknown, accepted is".into(),
        ),
        (
            "fallback.step_timeout = \"0s\"",
            "2:25: `a.fallback.step_timeout` is 0s, accepted is longer than zero".into(),
        ),
        (
            "fallback.status = 503",
            "2:19: `a.fallback.status` is 503, accepted is nothing without a `body`".into(),
        ),
        (
            "fallback.content_type = \"text/plain\"",
            "2:25: `a.fallback.content_type` is \"text/plain\", accepted is nothing without a `body`"
                .into(),
        ),
        (
            "fallback = { body = \"{}\", status = 204 }",
            "2:36: `a.fallback.status` is 204, accepted is a status whose response has a body".into(),
        ),
        (
            "fallback = { body = \"{}\", status = 304 }",
            "2:36: `a.fallback.status` is 304, accepted is a status whose response has a body".into(),
        ),
        (
            "cache = { ttl = \"5s\", max_weight = 3 }",
            "2:36: `a.cache.max_weight` is 3, accepted is at least 4".into(),
        ),
        (
            "fallback = { body = \"{}\", status = 99 }",
            "2:36: `a.fallback.status` is 99, accepted is a status from 200 to 599".into(),
        ),
        (
            "fallback = { body = \"{}\", content_type = \"a\\nb\" }",
            "2:42: `a.fallback.content_type` is \"a\\nb\", accepted is the value of a header".into(),
        ),
        (
            "fallback = { body = 5, status = 503 }",
            "2:21: `a.fallback.body` is 5, accepted is a text in quotes".into(),
        ),
        (
            "fallback.max_running = 0",
            "2:24: `a.fallback.max_running` is 0, accepted is".into(),
        ),
    ] {
        let found = wrong(&format!("[resilience.a]\n{text}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(
            found[0].starts_with(&format!("f.toml:{mistake}")),
            "{text}: {found:#?}\n{mistake}"
        );
    }
}

#[test]
fn what_is_wrong_beside_a_time_to_live_that_is_not_set_is_found_as_well() {
    let found =
        wrong("[resilience.a.cache]\nmax_entries = 0\nstale_on_failure = \"9s\"\nmax_wait = 3\n");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("f.toml:1:15: `a.cache.ttl` is not set"));
    assert!(found[1].starts_with("f.toml:2:15: `a.cache.max_entries` is 0"));
    assert!(found[2].starts_with("f.toml:4:12: `a.cache.max_wait` is 3"));
}

#[test]
fn they_stand_in_the_table_of_a_service_alone() {
    let found = wrong(
        "[resilience]\ncache.ttl = \"1s\"\ncoalesce = {}\n[resilience.fallback]\nmax_running = 2\n",
    );
    let accepted = "is here, accepted is in the table of a service";
    assert_eq!(
        found,
        [
            format!("f.toml:2:13: `cache.ttl` {accepted}"),
            format!("f.toml:3:1: `coalesce` {accepted}"),
            format!("f.toml:5:15: `fallback.max_running` {accepted}"),
        ]
    );
    let found = wrong("[resilience.fallback]\nprovider = \"alpaca\"\n");
    let none = "is unknown: no service can be called `fallback`";
    assert_eq!(found, [format!("f.toml:2:1: `fallback.provider` {none}")]);
}

#[test]
fn variables_set_them() {
    let text = "[resilience.a]\ncache = { ttl = \"1s\", stale_on_failure = \"1h\" }\n";
    let config = with(
        text,
        &[
            ("SEAWALL__A__CACHE__TTL", "3s"),
            ("SEAWALL__A__CACHE__STALE_ON_FAILURE", "false"),
            ("SEAWALL__A__FALLBACK__MAX_RUNNING", "4"),
        ],
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let service = config.service("a").expect("there");
    let cache = service.cache().expect("there");
    assert_eq!(cache.ttl(), 3 * SECOND);
    assert_eq!(cache.stale_on_failure(), None);
    let fallback = service.fallback().expect("a variable makes the table");
    assert_eq!(fallback.max_running(), 4);
    let mut answers = service.answers();
    cache_of(&mut answers);
    let error = answers.build().expect_err("no fallback").to_string();
    let start = "`a.fallback` is set at SEAWALL__A__FALLBACK__MAX_RUNNING, accepted is";
    assert!(error.starts_with(start), "{error}");

    let error = with(text, &[("SEAWALL__CACHE__TTL", "3s")]).expect_err("of all");
    assert_eq!(
        error.to_string(),
        "SEAWALL__CACHE__TTL: `cache.ttl` is here, accepted is in the table of a service",
    );
    let error = with(
        "[resilience.a]\n",
        &[("SEAWALL__A__CACHE__MAX_ENTRIES", "3")],
    );
    let error = error.expect_err("no time to live").to_string();
    let start = "SEAWALL__A__CACHE__MAX_ENTRIES: `a.cache.ttl` is not set";
    assert!(error.starts_with(start), "{error}");
}

fn cache_of(answers: &mut AnswerLayers) {
    cache(answers).expect("there is a table");
}

#[test]
fn what_is_in_force_is_shown_where_there_is_the_table() {
    let config = ok("[resilience.a]\ncache = { ttl = \"1s\", enabled = false }\n[resilience.b]\n");
    let shown = |key: &str| {
        let (value, origin) = effective(&config, "a", key);
        (value, origin.to_string())
    };
    assert_eq!(shown("cache.ttl"), ("1s".into(), "f.toml:2:17".into()));
    assert_eq!(
        shown("cache.enabled"),
        ("false".into(), "f.toml:2:33".into())
    );
    assert_eq!(
        shown("cache.max_entries"),
        ("10000".into(), "default".into())
    );
    assert_eq!(shown("cache.max_weight"), ("none".into(), "default".into()));
    for (service, table) in [("a", "fallback."), ("a", "coalesce."), ("b", "cache.")] {
        let all = config.service(service).expect("there").effective();
        let found = all.iter().find(|setting| setting.key.starts_with(table));
        assert_eq!(found, None);
    }
}

#[test]
fn with_a_mistake_nothing_is_kept_and_the_others_have_their_defaults_or_less() {
    let fail_safe = |tables: &str| {
        let text = format!("[resilience]\nfail_safe_defaults = true\n[resilience.a]\n{tables}\n");
        let config = ok(&text);
        assert!(!config.mistakes().is_empty());
        let service = config.service("a").expect("there").clone();
        assert!(service.is_fail_safe());
        service
    };
    let service = fail_safe(
        "retry.atempts = 2\ncache = { ttl = \"1h\", max_entries = 7 }\n\
         coalesce = { max_wait = \"2s\", share_failures = true }\n\
         fallback = { step_timeout = \"1h\", max_running = 3 }",
    );
    let mut answers = service.answers();
    assert!(
        answers.build().is_err(),
        "the tables are to be taken all the same"
    );
    let cache = cache(&mut answers).expect("the program starts").handle();
    assert_eq!(cache.state(), "bypassed");
    let coalesce = coalesce(&mut answers).handle();
    assert_eq!(
        (coalesce.state(), coalesce.config().max_wait()),
        ("ok", 2 * SECOND)
    );
    assert!(!coalesce.config().share_failures());
    let fallback = fallback(&mut answers).handle();
    assert_eq!(fallback.state(), "ok");
    assert_eq!(fallback.config().step_timeout(), 2 * SECOND, "its default");
    assert_eq!(fallback.config().max_running(), 3, "fewer than that");
    assert!(answers.build().is_ok());

    // Also with the mistake in them, whatever it is.
    for table in [
        "cache = {}",
        "cache.ttl = 5",
        "cache.foo = 1",
        "cache = { ttl = \"1s\", max_entries = 0 }",
    ] {
        let mut answers = fail_safe(table).answers();
        let cache = self::cache(&mut answers)
            .expect("the program starts")
            .handle();
        assert_eq!(cache.state(), "bypassed", "{table}");
        assert!(answers.build().is_ok());
    }
    for table in [
        "max_running = 0",
        "max_runing = 4",
        "step_timeout = 1",
        "enabled = 1",
    ] {
        let service = fail_safe(&format!("fallback.{table}"));
        assert_eq!(service.fallback(), Some(&Default::default()), "{table}");
        assert!(service.build().is_err());
    }
    let service =
        fail_safe("retry.atempts = 2\nfallback.enabled = false\ncoalesce.enabled = false");
    let mut answers = service.answers();
    assert_eq!(self::fallback(&mut answers).handle().state(), "bypassed");
    assert_eq!(self::coalesce(&mut answers).handle().state(), "bypassed");
}
