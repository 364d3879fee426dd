//! How old an answer is when it comes.

use super::*;
use seawall_cache::{Ask, CacheRules, Keyed, Lifetime};

/// Says this of every answer.
#[derive(Clone, Copy)]
struct Says(Lifetime);

impl CacheRules<&'static str, Price, Price> for Says {
    type Key = &'static str;
    type Asked = ();

    fn ask(&self, symbol: &&'static str) -> Ask<&'static str> {
        Ask::Keyed(Keyed::new(symbol))
    }

    fn lifetime(&self, (): &(), _: &Price) -> Lifetime {
        self.0
    }
}

fn aged(age: Duration) -> Lifetime {
    let mut lifetime = Lifetime::DEFAULT;
    lifetime.age = age;
    lifetime
}

type Aged = CacheLayer<MyPolicy, &'static str, Price, Hooks<Says, StoreClone, MarkInValue>>;

fn layer_of(lifetime: Lifetime, config: CacheConfigBuilder) -> Aged {
    CacheLayer::new("prices", config.build().unwrap())
        .classify(ByPrice)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .rules(Says(lifetime))
        .mark(MarkInValue)
}

fn stale(reason: &'static str, number: u64, age: Duration) -> Reply {
    let degradation = seawall_core::Degradation::new(reason, "prices").with_age(age);
    Ok(Degraded::marked(number, degradation))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_old_is_fresh_for_what_is_left() {
    let lasting = |fresh: Option<u32>| {
        let mut lifetime = aged(4 * SECOND);
        lifetime.fresh = fresh.map(|seconds| seconds * SECOND);
        lifetime
    };
    // By what it says, and by the settings.
    for (lifetime, ttl) in [(lasting(Some(6)), 60), (lasting(None), 6)] {
        let layer = layer_of(lifetime, CacheConfig::builder(ttl * SECOND));
        let cache = layer.layer(Upstream::default());
        let ask = || cache.clone().oneshot("SPY");
        assert_eq!(ask().await, Ok(Degraded::fresh(1)));
        advance(2 * SECOND - MS).await;
        assert_eq!(ask().await, Ok(Degraded::fresh(1)));
        advance(MS).await;
        assert_eq!(ask().await, Ok(Degraded::fresh(2)));
    }
    // And not at all where nothing is left.
    let layer = layer_of(lasting(Some(4)), one_second());
    let cache = layer.layer(Upstream::default());
    for number in [1, 2] {
        let answer = cache.clone().oneshot("SPY").await;
        assert_eq!(answer, Ok(Degraded::fresh(number)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_stale_has_been_stale_for_that_long() {
    for (age, next) in [
        (3, stale("stale", 1, 3 * SECOND)),
        (4, Ok(Degraded::fresh(2))),
    ] {
        let config = one_second().stale_while_revalidate(3 * SECOND);
        let layer = layer_of(aged(age * SECOND), config).refresh_in_background();
        let cache = layer.layer(Upstream::default());
        let ask = || cache.clone().oneshot("SPY");
        assert_eq!(ask().await, Ok(Degraded::fresh(1)));
        assert_eq!(ask().await, next, "{age}");
    }
    // Also by what it says itself.
    for (age, next) in [(2, stale("server", 1, 2 * SECOND)), (3, Err(Failed::Down))] {
        let mut lifetime = aged(age * SECOND);
        lifetime.stale_on_failure = Some(2 * SECOND);
        let layer = layer_of(lifetime, one_second());
        let upstream = Upstream::default();
        let cache = layer.layer(upstream.clone());
        let ask = || cache.clone().oneshot("SPY");
        assert_eq!(ask().await, Ok(Degraded::fresh(1)));
        upstream.script([Err(Failed::Down)]);
        assert_eq!(ask().await, next, "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_cache_has_sent_is_older_by_the_time_of_its_call() {
    let of = |sent: Option<u32>, age: u32| {
        let mut lifetime = aged(age * SECOND);
        lifetime.age_when_sent = sent.map(|seconds| seconds * SECOND);
        lifetime
    };
    for (lifetime, age) in [
        (of(None, 0), 0),
        (of(Some(0), 0), 2),
        (of(Some(5), 0), 7),
        (of(Some(5), 6), 7),
        (of(Some(5), 8), 8),
    ] {
        let config = one_second().stale_on_failure(60 * SECOND);
        let layer = layer_of(lifetime, config);
        let upstream = Upstream::default();
        let cache = layer.layer(upstream.clone());
        upstream.hold();
        let first = tokio::spawn(cache.clone().oneshot("SPY"));
        settle().await;
        advance(2 * SECOND).await;
        upstream.answer(0, Ok(Degraded::fresh(1)));
        assert_eq!(first.await.unwrap(), Ok(Degraded::fresh(1)));
        // Until the longest of them is stale.
        advance(SECOND).await;
        let second = tokio::spawn(cache.oneshot("SPY"));
        settle().await;
        upstream.answer(0, Err(Failed::Down));
        let expected = stale("server", 1, (age + 1) * SECOND);
        assert_eq!(second.await.unwrap(), expected, "{lifetime:?}");
    }
    // However long it says.
    for huge in [Duration::MAX, Duration::from_secs(u64::MAX)] {
        let mut lifetime = aged(huge);
        lifetime.age_when_sent = Some(huge);
        lifetime.fresh = Some(huge);
        let layer = layer_of(lifetime, one_second());
        let cache = layer.layer(Upstream::default());
        assert_eq!(cache.oneshot("SPY").await, Ok(Degraded::fresh(1)));
    }
}
