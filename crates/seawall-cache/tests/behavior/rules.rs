//! What rules say of a request and of a response.

use super::*;
use seawall_cache::{Ask, CacheRules, Demand, Keyed, Lifetime};

/// What a request wants is behind its symbol; what every response says of its lifetime is here.
#[derive(Clone, Copy, Default)]
struct Says(Lifetime);

impl CacheRules<&'static str, Price, Price> for Says {
    type Key = &'static str;
    type Asked = ();

    fn ask(&self, request: &&'static str) -> Ask<&'static str> {
        let (symbol, wants) = request.split_once(' ').unwrap_or((request, ""));
        let mut demand = Demand::DEFAULT;
        match wants {
            "now" => demand.max_age = Some(Duration::ZERO),
            "within 2 s" => demand.max_age = Some(2 * SECOND),
            "for 2 s" => demand.min_fresh = 2 * SECOND,
            "stale for 2 s" => demand.max_stale = 2 * SECOND,
            "cached" => demand.call = false,
            _ => {}
        }
        Ask::Keyed(Keyed::new(symbol).with_demand(demand))
    }

    fn lifetime(&self, (): &(), _: &Price) -> Lifetime {
        self.0
    }

    fn not_cached(&self, (): &()) -> Option<Price> {
        Some(Degraded::fresh(504))
    }
}

type Ruled = Cache<Upstream, MyPolicy, &'static str, Price, Hooks<Says, StoreClone, MarkInValue>>;

fn ruled(config: CacheConfigBuilder, lifetime: Lifetime) -> (Ruled, Upstream, MyHandle) {
    let layer = layer(config).rules(Says(lifetime));
    let (upstream, handle) = (Upstream::default(), layer.handle());
    (layer.layer(upstream.clone()), upstream, handle)
}

#[tokio::test(start_paused = true)]
async fn a_response_does_not_lift_the_age_bound_of_the_settings() {
    let mut an_hour = Lifetime::DEFAULT;
    an_hour.stale_while_revalidate = Some(3_600 * SECOND);
    an_hour.stale_on_failure = Some(3_600 * SECOND);
    let (cache, upstream, _) = ruled(one_second().stale_on_failure(60 * SECOND), an_hour);
    let ask = || cache.clone().oneshot("SPY");
    assert_eq!(ask().await, Ok(Degraded::fresh(1)));
    upstream.script([Err(Failed::Down), Err(Failed::Down)]);
    advance(59 * SECOND).await;
    assert_eq!(ask().await.map(Degraded::into_value), Ok(1));
    advance(SECOND).await;
    assert_eq!(ask().await, Err(Failed::Down));
    // What is fresh for longer than that stays fresh.
    an_hour.fresh = Some(3_600 * SECOND);
    let (cache, _, _) = ruled(one_second().stale_on_failure(60 * SECOND), an_hour);
    let ask = || cache.clone().oneshot("SPY");
    assert_eq!(ask().await, Ok(Degraded::fresh(1)));
    advance(3_599 * SECOND).await;
    assert_eq!(ask().await, Ok(Degraded::fresh(1)));
    advance(SECOND).await;
    assert_eq!(ask().await, Ok(Degraded::fresh(2)));
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_is_marked_also_where_its_request_takes_it() {
    let bound = one_second().stale_on_failure(60 * SECOND);
    let (cache, upstream, handle) = ruled(bound, Lifetime::DEFAULT);
    let ask = |wants: &'static str| cache.clone().oneshot(wants);
    assert_eq!(ask("SPY").await, Ok(Degraded::fresh(1)));
    assert_eq!(ask("SPY stale for 2 s").await, Ok(Degraded::fresh(1)));
    advance(2 * SECOND).await;
    let stale = ask("SPY stale for 2 s").await.unwrap();
    let degradation = stale.degradation().unwrap();
    assert_eq!(
        (degradation.reason, degradation.age),
        (seawall_cache::Degradation::STALE, Some(2 * SECOND))
    );
    assert_eq!((upstream.calls(), stale.into_value()), (1, 1));
    let calls = handle.counts().calls;
    assert_eq!((calls.miss, calls.hit, calls.stale), (1, 1, 1));
    advance(SECOND).await;
    assert_eq!(ask("SPY stale for 2 s").await, Ok(Degraded::fresh(2)));
}

#[tokio::test(start_paused = true)]
async fn a_request_for_what_stays_fresh_gets_the_failure() {
    let bound = one_second().stale_on_failure(60 * SECOND);
    let (cache, upstream, handle) = ruled(bound, Lifetime::DEFAULT);
    let ask = |wants: &'static str| cache.clone().oneshot(wants);
    assert_eq!(ask("SPY").await, Ok(Degraded::fresh(1)));
    for wait in [Duration::ZERO, 30 * SECOND] {
        advance(wait).await;
        upstream.script([Err(Failed::Down)]);
        assert_eq!(ask("SPY for 2 s").await, Err(Failed::Down));
    }
    // Also one that waits for the call of another one, which takes what is stale.
    upstream.hold();
    let waits = ["SPY", "SPY for 2 s"].map(|wants| tokio::spawn(ask(wants)));
    settle().await;
    upstream.answer(0, Err(Failed::Down));
    settle().await;
    upstream.answer(0, Err(Failed::Down));
    let [takes_stale, waits] = waits;
    let stale = takes_stale.await.unwrap();
    assert_eq!(stale.map(Degraded::into_value), Ok(1));
    assert_eq!(waits.await.unwrap(), Err(Failed::Down));
    assert_eq!(handle.counts().calls.stale, 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_takes_no_answer_that_does_not_suit_it() {
    let mut aged = Lifetime::DEFAULT;
    aged.age = 3 * SECOND;
    for (wants, lifetime) in [("SPY within 2 s", aged), ("SPY for 2 s", Lifetime::DEFAULT)] {
        let (cache, upstream, handle) = ruled(one_second(), lifetime);
        upstream.hold();
        let callers = ["SPY", wants, "SPY"].map(|one| tokio::spawn(cache.clone().oneshot(one)));
        settle().await;
        assert_eq!(handle.snapshot().waiting, 2);
        upstream.answer(0, Ok(Degraded::fresh(1)));
        settle().await;
        assert_eq!(upstream.calls(), 2, "{wants}");
        upstream.answer(0, Ok(Degraded::fresh(2)));
        for (caller, number) in callers.into_iter().zip([1, 2, 1]) {
            assert_eq!(caller.await.unwrap(), Ok(Degraded::fresh(number)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_no_age_does_not_wait() {
    let (cache, upstream, handle) = ruled(one_second(), Lifetime::DEFAULT);
    upstream.hold();
    let _callers = ["SPY", "SPY now"].map(|one| tokio::spawn(cache.clone().oneshot(one)));
    settle().await;
    assert_eq!((upstream.calls(), handle.snapshot().waiting), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_wants_no_call_gets_what_is_kept_and_stale_and_makes_none() {
    let config = || one_second().stale_while_revalidate(SECOND);
    let upstream = Upstream::default();
    let layer = layer(config()).rules(Says(Lifetime::DEFAULT));
    let in_background = layer.clone().refresh_in_background();
    let handle = layer.handle();
    let (by_caller, by_task) = (
        layer.layer(upstream.clone()),
        in_background.layer(upstream.clone()),
    );
    let cached = || async {
        let by_caller = by_caller.clone().oneshot("SPY cached").await.unwrap();
        let by_task = by_task.clone().oneshot("SPY cached").await.unwrap();
        settle().await;
        [by_caller, by_task].map(|price| (*price.value(), price.is_degraded()))
    };
    assert_eq!(cached().await, [(504, false); 2]);
    by_caller.clone().oneshot("SPY").await.unwrap();
    assert_eq!(cached().await, [(1, false); 2]);
    advance(1_500 * MS).await;
    assert_eq!(cached().await, [(1, true); 2]);
    advance(500 * MS).await;
    assert_eq!(cached().await, [(504, false); 2]);
    let counts = handle.counts();
    assert_eq!((upstream.calls(), counts.refreshes.begun), (1, 0));
    assert_eq!((counts.calls.refreshing, counts.stores.stored), (2, 1));
}
