//! Layers that options have replaced: a layer that is off stays off, and a reload says what it does not
//! reach.

use std::borrow::Cow;

use seawall::bulkhead::BulkheadState;
use seawall::ratelimit::RateLimitState;
use seawall::{
    AdaptiveConfig, InstanceHandle, KeyedRateLimitConfig, LearnedConfig, RateLimitConfig, Registry,
};
use tower::{Layer, ServiceExt, service_fn};

use super::*;

const OFF: &str = "[resilience.a]\nattempt_timeout = false\nretry.enabled = false\n\
                   breaker = { enabled = false, consecutive_failures = 1 }\n\
                   bulkhead = { enabled = false, max_concurrent = 1, max_waiting = 0 }\n\
                   rate_limit = { enabled = false, rate = \"1/h\", burst = 1 }\n";

fn by_path(request: &Request<Body>) -> Cow<'_, str> {
    Cow::Borrowed(request.uri().path())
}

/// How many of ten calls at once pass, whose answers are failures.
macro_rules! passed {
    ($stack:expr) => {{
        let client = service_fn(|_: Request<Body>| async {
            tokio::time::sleep(40 * SECOND).await;
            answer(500)
        });
        let service = $stack.layer(client);
        let calls = (0..10).map(|_| tokio::spawn(service.clone().oneshot(get())));
        let mut passed = 0;
        for call in calls.collect::<Vec<_>>() {
            passed += u32::from(call.await.expect("no panic").is_ok());
        }
        passed += u32::from(service.oneshot(get()).await.is_ok());
        passed
    }};
}

fn one() -> AdaptiveConfig {
    let config = AdaptiveConfig::builder().min(1).initial(1).max(1);
    config.build().expect("valid")
}

fn learned() -> LearnedConfig {
    let config = LearnedConfig::builder()
        .min(SECOND)
        .initial(SECOND)
        .max(2 * SECOND);
    config.build().expect("valid")
}

fn rarely() -> KeyedRateLimitConfig {
    let each = RateLimitConfig::builder().rate(1, 3600 * SECOND).burst(1);
    KeyedRateLimitConfig::new(each.build().expect("valid")).expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_off_is_off_in_its_replacement() {
    let folder = Folder::new();
    let config = folder.load(&OFF.replace("]\n", "]\ndeadline = \"100s\"\n"));
    let stack = || stack(&config, "a");
    assert_eq!(passed!(stack()), 11, "without an option");
    assert_eq!(passed!(stack().breaker_per_key(by_path)), 11);
    assert_eq!(passed!(stack().adaptive_concurrency(one())), 11);
    assert_eq!(passed!(stack().rate_limit_per_key(rarely())), 11);
    let learned = stack().learned_attempt_timeout(learned()).expect("it fits");
    assert_eq!(learned.handles().attempt_timeout.timeout(), None);
    assert_eq!(passed!(learned), 11);
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_on_is_on_in_its_replacement() {
    let folder = Folder::new();
    let config = folder.load(
        "[resilience.a]\nattempt_timeout = false\nretry.enabled = false\n\
                              deadline = \"100s\"\nbreaker.consecutive_failures = 1\n\
                              bulkhead = { max_concurrent = 100, max_waiting = 0 }\n",
    );
    let stack = || stack(&config, "a");
    assert_eq!(passed!(stack().breaker_per_key(by_path)), 10);
    assert_eq!(passed!(stack().adaptive_concurrency(one())), 1);
    // Its failure has opened the circuit, which both share.
    stack().handles().breaker.reset();
    assert_eq!(passed!(stack().rate_limit_per_key(rarely())), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_says_what_does_not_reach_a_replacement() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\n");
    let base = stack(&config, "a");
    let reload = |text: &str| {
        folder.write(text);
        let reloaded = config.reload().expect("it is right");
        assert_eq!(reloaded.changed, ["a"], "the other stacks are changed");
        let missed = reloaded.not_reached.iter();
        missed
            .map(|it| (it.key.clone(), it.problem.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(reload("[resilience.a]\nbreaker.enabled = false\n"), []);
    reload("[resilience.a]\nretry.attempts = 2\n");

    let per_key = base.clone().breaker_per_key(by_path);
    assert_eq!(
        reload("[resilience.a]\nretry.attempts = 3\n"),
        [],
        "it has that"
    );
    assert_eq!(per_key.handles().settings().retry.attempts(), 3);
    let missed = reload("[resilience.a]\nbreaker.enabled = false\nbulkhead.max_concurrent = 3\n");
    let text = "is false, which does not reach stacks with `breaker_per_key`: configure them by their \
                handles";
    assert_eq!(missed, [("a.breaker.enabled".to_owned(), text.to_owned())]);

    let _adaptive = base.clone().adaptive_concurrency(one());
    let _keyed = base.clone().rate_limit_per_key(rarely());
    let _learned = base.learned_attempt_timeout(learned()).expect("it fits");
    let keys = reload(
        "[resilience.a]\nattempt_timeout = \"3s\"\nbreaker.open_for = \"9s\"\n\
         bulkhead.max_concurrent = 4\nrate_limit.rate = \"3/s\"\n",
    );
    let mut keys: Vec<_> = keys.into_iter().map(|(key, _)| key).collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "a.attempt_timeout",
            "a.breaker.enabled",
            "a.bulkhead.max_concurrent",
            "a.rate_limit.rate"
        ]
    );
}

#[tokio::test]
async fn what_is_off_says_so() {
    let folder = Folder::new();
    let config = folder.load("[resilience.a]\n");
    let handles = handles(&config, "a");
    let states = || {
        let now = handles.snapshot();
        let keyed = now.rate_limit_per_key.expect("it has classes").state;
        (now.bulkhead.state, now.rate_limit.state, keyed)
    };
    let on = (BulkheadState::Ok, RateLimitState::Ok, RateLimitState::Ok);
    assert_eq!(states(), on);
    folder.change(&config, OFF);
    let off = RateLimitState::Bypassed;
    assert_eq!(states(), (BulkheadState::Bypassed, off, off));
    assert_eq!(
        (off.as_str(), handles.bulkhead.state()),
        ("bypassed", "bypassed")
    );
    folder.change(&config, "[resilience.a]\n");
    assert_eq!(states(), on);
    let registry = Registry::new("desk");
    handles.register(&registry).expect("the first one");
    folder.change(&config, OFF);
    let off = registry
        .all()
        .into_iter()
        .filter(|layer| layer.state() == "bypassed");
    assert_eq!(off.count(), 5, "three limits, retry and attempt timeout");
}

#[tokio::test]
async fn a_reset_leaves_what_was_configured() {
    let folder = Folder::new();
    let config = folder.load(&permits(6));
    let handles = handles(&config, "a");
    let mut settings = handles.settings();
    settings.bulkhead = seawall::BulkheadConfig::builder()
        .max_concurrent(2)
        .build()
        .expect("valid");
    handles.configure(&settings).expect("it fits");
    handles.reset();
    assert_eq!(limit_of(&config), 2);
    folder.change(&config, &permits(7));
    assert_eq!(limit_of(&config), 7);
}
