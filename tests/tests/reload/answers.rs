//! Layers that answer without the upstream, with settings that are changed while they run.

use http_body_util::BodyExt;
use seawall::cache::{CacheHandle, CacheLayer, CoalesceLayer, Hooks, StoredOutcome};
use seawall::client::RequestBody;
use seawall::config::{AnswerLayers, SettingChanges};
use seawall::fallback::{FallbackLayer, Step};
use seawall::http_client::cache::{HttpCache, HttpCacheKey, HttpStored, StoreBody};
use seawall::http_client::{DEGRADED, HttpMark};
use seawall::{InstanceHandle, Policy};
use seawall_sim::provider::MarketData;
use tower::{Layer, ServiceExt, service_fn};

use super::*;

type Quotes = CacheLayer<
    Policy,
    HttpCacheKey,
    StoredOutcome<HttpStored>,
    Hooks<HttpCache, StoreBody, HttpMark>,
>;
type Handle = CacheHandle<HttpCacheKey, StoredOutcome<HttpStored>>;
type Fallback = FallbackLayer<Policy, (), &'static str>;

fn quotes(answers: &mut AnswerLayers) -> Quotes {
    let cache = answers.cache().expect("there is a table");
    cache
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark)
}

fn fallback(answers: &mut AnswerLayers) -> Fallback {
    let hold = Step::value("hold", "HOLD");
    answers.fallback([hold]).expect("valid")
}

/// The stack of the service `a` with a cache, of a file that has no other such table.
fn cached(config: &ReloadableConfig) -> Handle {
    let mut answers = config.answers("a").expect("there");
    let cache = quotes(&mut answers);
    let stack = answers.build().expect("all is taken");
    stack.cache(cache).expect("of one name").handles().cache
}

#[test]
fn the_layers_that_were_taken_are_changed_with_the_file() {
    let folder = Folder::new();
    let config = folder.load(
        "[resilience.a]\ncache.ttl = \"1s\"\ncoalesce.max_wait = \"2s\"\nfallback.max_running = 3\n",
    );
    let mut answers = config.answers("a").expect("there");
    let (cache, other) = (quotes(&mut answers).handle(), quotes(&mut answers).handle());
    let coalesce: CoalesceLayer<Policy, u32, u32, ()> = answers.coalesce().expect("valid");
    let coalesce = coalesce.handle();
    let fallback = fallback(&mut answers).handle();
    let configured = || {
        let (cache, coalesce) = (cache.config(), coalesce.config());
        let running = fallback.config().max_running();
        (cache.ttl(), coalesce.max_wait(), running)
    };
    assert_eq!(configured(), (SECOND, 2 * SECOND, 3));

    let text = "[resilience.a]\ncache.ttl = \"4s\"\ncoalesce.max_wait = \"5s\"\nfallback.max_running = 6\n";
    assert_eq!(folder.change(&config, text), ["a"]);
    assert_eq!(configured(), (4 * SECOND, 5 * SECOND, 6));
    assert_eq!(other.config().ttl(), 4 * SECOND, "each that was taken");
    assert_eq!(
        quotes(&mut config.answers("a").expect("there"))
            .handle()
            .config()
            .ttl(),
        4 * SECOND,
        "one that is taken later"
    );

    let text = "[resilience.a]\ncache = { ttl = \"4s\", enabled = false }\ncoalesce.enabled = false\nfallback.enabled = false\n";
    folder.change(&config, text);
    let states = || [cache.state(), coalesce.state(), fallback.state()];
    assert_eq!(states(), ["bypassed"; 3]);
    assert_eq!(configured(), (4 * SECOND, 30 * SECOND, 64), "the defaults");
    let late = quotes(&mut config.answers("a").expect("there")).handle();
    assert_eq!(late.state(), "bypassed");

    let text = "[resilience.a]\ncache.ttl = \"4s\"\ncoalesce = {}\nfallback = {}\n";
    folder.change(&config, text);
    assert_eq!(states(), ["ok"; 3]);
    assert_eq!(late.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_bound_of_weight_that_a_reload_brings_holds_for_what_is_kept() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\ncache.ttl = \"1h\"\n");
    let mut answers = config.answers("a").expect("there");
    let cache: CacheLayer<_, u64, u64> = answers.cache().expect("there is a table");
    let cache = cache
        .assume_idempotent()
        .key(|number: &u64| Some(*number))
        .store(seawall::cache::StoreClone::new().weigh(|_: &u64| 1_000));
    let handle = cache.handle();
    let service = service_fn(|number: u64| async move { Ok::<_, seawall::Rejection>(number) });
    let service = cache.layer(service);
    for number in 0..100 {
        let answer = service.clone().oneshot(number).await;
        assert_eq!(answer.expect("good"), number);
    }
    assert_eq!(handle.snapshot().entries, 100);
    let bounded = "[resilience.a]\ncache = { ttl = \"1h\", max_weight = 50_000 }\n";
    assert_eq!(folder.change(&config, bounded), ["a"]);
    let snapshot = handle.snapshot();
    assert!(snapshot.entries <= 50 && snapshot.weight <= 50_000);
    assert_eq!(snapshot.weight, 1_000 * snapshot.entries as u64);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_that_of_the_file_at_the_moment_of_the_failure() {
    let folder = Folder::new();
    let text = |value: &str| {
        format!(
            "[resilience.a]\nretry.enabled = false\n[resilience.a.fallback]\nmax_running = 4\n{value}\n"
        )
    };
    let config = folder.load(&text("body = \"one\"\ncontent_type = \"text/plain\""));
    let mut answers = config.answers("a").expect("there");
    let value = answers.fallback_value().expect("there");
    let fallback = answers.fallback([value]).expect("valid").mark(HttpMark);
    let stack = answers.build().expect("all is taken");
    let stack = stack.fallback(fallback).expect("of one name");
    let service = stack.layer(service_fn(|_| std::future::ready(answer(503))));
    let ask = async || {
        let response = service.clone().oneshot(get()).await.expect("answered");
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type").cloned();
        let content_type = content_type.map(|it| it.to_str().expect("text").to_owned());
        let body = response.into_body().collect().await.expect("complete");
        let body = String::from_utf8(body.to_bytes().to_vec()).expect("text");
        (status, content_type, body)
    };
    let plain = Some("text/plain".to_owned());
    assert_eq!(ask().await, (200, plain, "one".to_owned()));
    folder.change(&config, &text("body = \"two\"\nstatus = 203"));
    assert_eq!(ask().await, (203, None, "two".to_owned()));
    folder.change(&config, &text(""));
    assert_eq!(ask().await, (503, None, String::new()), "there is none");
    folder.change(&config, &text("body = \"three\""));
    assert_eq!(ask().await, (200, None, "three".to_owned()));
}

#[test]
fn a_first_body_is_rejected_where_no_step_answers_with_it() {
    let folder = Folder::new();
    let text = |body: &str| format!("[resilience.a]\nfallback.max_running = 4\n{body}\n");
    let config = folder.load(&text(""));
    let layer = fallback(&mut config.answers("a").expect("there"));
    let error = folder.wrong(&config, &text("fallback.body = \"{}\""));
    assert_eq!(
        lines(&error, &folder),
        [
            "seawall.toml:3:17: `a.fallback.body` is \"{}\", accepted is none while its stack runs: another one needs a new stack, so `forget` that of `a` and reload"
        ]
    );
    assert_eq!(layer.handle().config().max_running(), 4);
}

/// After a start in spite of a mistake the right file is applied to what was taken then.
#[test]
fn the_right_file_ends_what_fail_safe_defaults_have_done() {
    let folder = Folder::new();
    let text = |attempts: &str| {
        format!(
            "[resilience]\nfail_safe_defaults = true\n[resilience.a]\nkind = \"news\"\nretry.{attempts} = 2\n\
             cache.ttl = \"3s\"\ncoalesce.share_failures = true\nfallback = {{ body = \"{{}}\", max_running = 100 }}\n"
        )
    };
    let config = folder.load(&text("atempts"));
    let mut answers = config.answers("a").expect("there");
    let cache = quotes(&mut answers).handle();
    let coalesce: CoalesceLayer<Policy, u32, u32, ()> = answers.coalesce().expect("valid");
    let value = answers.fallback_value().expect("it answers nothing");
    let fallback: FallbackLayer<Policy, (), Response<Body>> =
        answers.fallback([value]).expect("valid");
    answers.build().expect("all is taken");
    let now = || {
        let (shared, running) = (
            coalesce.handle().config().share_failures(),
            fallback.handle().config().max_running(),
        );
        (cache.state(), shared, running)
    };
    assert_eq!(now(), ("bypassed", false, 64));
    assert_eq!(folder.change(&config, &text("attempts")), ["a"]);
    assert_eq!(now(), ("ok", true, 100));
    assert_eq!(cache.config().ttl(), 3 * SECOND);
}

#[test]
fn what_an_operator_has_commanded_stays_until_the_file_changes_that() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\ncache.ttl = \"1s\"\n");
    let cache = cached(&config);
    cache.bypass();
    folder.change(&config, "[resilience.a]\ncache.ttl = \"2s\"\n");
    assert_eq!(
        (cache.state(), cache.config().ttl()),
        ("bypassed", 2 * SECOND)
    );
    cache
        .configure(seawall::cache::CacheConfig::new(9 * SECOND).expect("valid"))
        .expect("accepted");
    let text = "[resilience.a]\ncache.ttl = \"2s\"\nretry.attempts = 2\n";
    folder.change(&config, text);
    assert_eq!(
        (cache.state(), cache.config().ttl()),
        ("bypassed", 9 * SECOND)
    );
}

#[test]
fn a_table_that_comes_or_goes_is_rejected_and_nothing_else_is_changed() {
    const PLAIN: &str = "[resilience.a]\nretry.attempts = 3\n";
    let needs =
        "while its stack runs: another one needs a new stack, so `forget` that of `a` and reload";
    let folder = Folder::new();
    let config = folder.load(PLAIN);
    let stack = config.stack("a").expect("there is no table");
    for table in [
        "cache.ttl = \"1s\"",
        "coalesce = {}",
        "fallback.max_running = 2",
    ] {
        folder.write(format!("[resilience.a]\nretry.attempts = 2\n{table}\n"));
        let error = config.reload().expect_err("there is no such layer");
        assert_eq!(error.reason(), "new_stack");
        let name = table.split(['.', ' ']).next().expect("one");
        let message = format!("`a.{name}` is there, accepted is not there {needs}");
        let mistake = error.mistakes()[0].to_string();
        assert!(
            mistake.contains(":3:1: ") && mistake.ends_with(&message),
            "{mistake}"
        );
        assert_eq!(stack.handles().settings().retry.attempts(), 3);
        let change = match name {
            "coalesce" => SettingChanges::new().set("a", "coalesce.max_wait", "1s"),
            "cache" => SettingChanges::new().set("a", "cache.ttl", "1s"),
            _ => SettingChanges::new().set("a", "fallback.max_running", 2),
        };
        folder.write(PLAIN);
        for tried in [config.try_changes(&change), config.change(&change)] {
            assert_eq!(tried.expect_err("no layer").reason(), "new_stack");
        }
    }
    // As the message says.
    folder.write("[resilience.a]\nretry.attempts = 2\ncache.ttl = \"1s\"\n");
    assert!(config.forget("a"));
    config.reload().expect("there is no stack");
    assert!(config.stack("a").is_err(), "the cache is not taken");
    let cache = cached(&config);
    assert_eq!(cache.config().ttl(), SECOND);

    folder.write("[resilience.a]\nretry.attempts = 4\n");
    let error = config.reload().expect_err("the cache has no settings then");
    let message = format!("`a.cache` is not there, accepted is there {needs}");
    assert!(error.to_string().ends_with(&message), "{error}");
    assert_eq!(cache.config().ttl(), SECOND);
    let attempts = config
        .current()
        .service("a")
        .expect("there")
        .settings()
        .retry
        .attempts();
    assert_eq!(attempts, 2);
}

#[test]
fn where_another_service_cannot_change_no_cache_is_changed() {
    let folder = Folder::new();
    let text = |ttl: u32, provider: &str| {
        format!(
            "[resilience.a]\ncache.ttl = \"{ttl}s\"\n[resilience.b]\nprovider = \"{provider}\"\n"
        )
    };
    let config = folder.load(&text(1, "alpaca"));
    let cache = cached(&config);
    let _ = stack(&config, "b");
    folder.write(text(2, "kraken"));
    config.reload().expect_err("another provider");
    assert_eq!(cache.config().ttl(), SECOND);
}

#[test]
fn settings_that_were_changed_are_shown_beside_the_file() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\ncache.ttl = \"1s\"\n");
    let cache = cached(&config);
    let change = SettingChanges::new()
        .set("a", "cache.ttl", "3s")
        .set("a", "cache.enabled", false);
    config.change(&change).expect("accepted");
    assert_eq!(
        (cache.config().ttl(), cache.state()),
        (3 * SECOND, "bypassed")
    );
    let changed = config.changed_settings().expect("read");
    let changed: Vec<_> = changed
        .iter()
        .map(|it| {
            (
                it.key.as_str(),
                it.configured.as_str(),
                it.in_force.as_str(),
            )
        })
        .collect();
    assert_eq!(
        changed,
        [
            ("cache.enabled", "true", "false"),
            ("cache.ttl", "1s", "3s")
        ]
    );
}

#[test]
fn a_layer_that_nobody_uses_is_not_kept() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\ncache.ttl = \"1s\"\n");
    let mut answers = config.answers("a").expect("there");
    let (used, unused) = (quotes(&mut answers), quotes(&mut answers));
    let [find_used, find_unused] = [&used, &unused].map(|layer| layer.handle().weak());
    drop(unused);
    assert!(find_unused().is_none());
    folder.change(&config, "[resilience.a]\ncache.ttl = \"2s\"\n");
    let found = find_used().expect("somebody has it");
    assert_eq!(found.config().ttl(), 2 * SECOND);
    drop((used, found));
    assert!(
        find_used().is_none(),
        "neither the answers nor the configuration"
    );
    drop(answers);
}

/// What the program has of elsewhere.
fn known<B: From<Bytes> + 'static>() -> Step<Request<RequestBody>, Response<B>> {
    Step::value_with("known", |_| {
        Some(Response::new(Bytes::from("known").into()))
    })
}

/// Over a real socket: what the file says is what the callers see.
#[tokio::test]
async fn a_client_answers_by_cache_and_fallback_of_the_file() {
    let vendor = MarketData::alpha_vantage().unlimited().start().await;
    let vendor = vendor.expect("it starts");
    let folder = Folder::new();
    let text = |tables: &str| {
        format!("[resilience.quotes]\nkind = \"market-data\"\nretry.enabled = false\n{tables}\n")
    };
    let config = folder.load(&text(
        "cache = { ttl = \"1h\", stale_on_failure = \"2h\" }\nfallback.enabled = false",
    ));
    let mut answers = config.answers("quotes").expect("there");
    let cache = quotes(&mut answers);
    let fallback = answers.fallback([known()]).expect("valid").mark(HttpMark);
    let client = answers
        .client()
        .expect("all is taken")
        .try_map_stack(|stack| stack.cache(cache)?.fallback(fallback))
        .expect("of one name")
        .base_url(vendor.base_url())
        .build()
        .expect("valid");
    let handles = client.stack().handles();
    let ask = async |symbol: &str| {
        let path = format!("/query?function=GLOBAL_QUOTE&symbol={symbol}");
        let response = client.get(&path).send().await.map_err(drop)?;
        let mark = response.headers().get(DEGRADED);
        let mark = mark.map(|mark| mark.to_str().expect("text").to_owned());
        let text = response.text().await.map_err(drop)?;
        Ok::<_, ()>((mark, text))
    };
    let (mark, quote) = ask("IBM").await.expect("answered");
    assert_eq!(mark, None);
    assert_eq!(ask("IBM").await, Ok((None, quote.clone())));
    assert_eq!(vendor.stats().received, 1, "the second is of the cache");

    folder.change(
        &config,
        &text("cache = { ttl = \"1h\", enabled = false }\nfallback = { enabled = false }"),
    );
    ask("IBM").await.expect("answered");
    assert_eq!(vendor.stats().received, 2, "it is off");

    vendor.shutdown().await;
    assert_eq!(ask("SPY").await, Err(()));
    folder.change(
        &config,
        &text("cache = { ttl = \"1h\", stale_on_failure = \"2h\" }\nfallback = {}"),
    );
    assert_eq!(
        ask("IBM").await,
        Ok((None, quote)),
        "it is kept for an hour"
    );
    let (mark, text) = ask("SPY").await.expect("answered");
    assert!(mark.expect("marked").ends_with("source=known"));
    assert_eq!(text, "known");
    assert_eq!(handles.fallback.counts().answered, 1);
}
