//! Callers of one key share a call.

use super::*;
use seawall_cache::{
    CloneError, Coalesce, CoalesceConfig, CoalesceHandle, CoalesceLayer, NoErrorCopies,
};
use seawall_core::{Degradation, InstanceHandle};
use std::sync::atomic::AtomicU64;
use std::task::Wake;

type Shared<C = NoErrorCopies> =
    Coalesce<Upstream, MyPolicy, &'static str, Price, Failed, MyHooks, C>;
type Handle = CoalesceHandle<&'static str, Price, Failed>;

fn coalesce_with<C: Clone>(config: CoalesceConfig, errors: C) -> (Shared<C>, Upstream, Handle) {
    let layer = CoalesceLayer::new("prices", config)
        .classify(ByPrice)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .key(key as Key)
        .mark(MarkInValue)
        .copy_error(errors);
    let (upstream, handle) = (Upstream::default(), layer.handle());
    upstream.hold();
    (layer.layer(upstream.clone()), upstream, handle)
}

fn coalesce() -> (Shared, Upstream, Handle) {
    coalesce_with(CoalesceConfig::default(), NoErrorCopies)
}

type Caller = tokio::task::JoinHandle<Reply>;

async fn callers<C>(service: &Shared<C>, count: usize) -> Vec<Caller>
where
    C: Clone + Send + Sync + 'static + seawall_cache::CopyError<Failed>,
{
    let spawn = |_| tokio::spawn(service.clone().oneshot("SPY"));
    let callers = (0..count).map(spawn).collect();
    settle().await;
    callers
}

/// Counts wakes.
#[derive(Default)]
struct Wakes(AtomicU64);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn ten_thousand_callers_are_one_call_and_two_polls_each() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let (service, upstream, handle) = coalesce();
    let wakes = Arc::new(Wakes::default());
    let waker = Arc::clone(&wakes).into();
    let mut cx = Context::from_waker(&waker);
    let mut callers: Vec<_> = (0..10_000)
        .map(|_| Box::pin(service.clone().call("SPY")))
        .collect();
    for caller in &mut callers {
        assert!(caller.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!((upstream.calls(), handle.snapshot().waiting), (1, 9_999));
    upstream.answer(0, Ok(Degraded::fresh(7)));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "the one that leads");
    for caller in &mut callers {
        assert_eq!(
            caller.as_mut().poll(&mut cx),
            Poll::Ready(Ok(Degraded::fresh(7)))
        );
    }
    assert_eq!(wakes.0.load(Ordering::SeqCst), 10_000, "each is woken once");
    assert_eq!((upstream.calls(), handle.counts().joined), (1, 9_999));
}

#[tokio::test(start_paused = true)]
async fn the_next_waiter_takes_over_from_a_caller_that_is_gone() {
    let (service, upstream, handle) = coalesce();
    let mut callers = callers(&service, 4).await;
    for gone in 1..=3 {
        callers.remove(0).abort();
        settle().await;
        assert_eq!(
            (upstream.calls(), handle.snapshot().waiting),
            (gone + 1, 3 - gone)
        );
    }
    callers.remove(0).abort();
    settle().await;
    assert_eq!(
        (handle.snapshot().under_way, handle.counts().handed_over),
        (0, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_gone_is_forgotten_and_changes_nothing() {
    let (service, upstream, handle) = coalesce();
    let callers = callers(&service, 4).await;
    callers[1].abort();
    callers[3].abort();
    settle().await;
    assert_eq!(handle.snapshot().waiting, 1);
    callers[0].abort();
    settle().await;
    upstream.answer(1, Ok(Degraded::fresh(2)));
    settle().await;
    assert_eq!(upstream.calls(), 2);
    for (index, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.is_ok(), index == 2);
    }
}

#[tokio::test(start_paused = true)]
async fn each_waiter_keeps_its_own_deadline() {
    let (service, upstream, _) = coalesce();
    let waits = |wait| tokio::time::timeout(wait, service.clone().oneshot("SPY"));
    let patient = tokio::spawn(service.clone().oneshot("SPY"));
    settle().await;
    let (short, long) = tokio::join!(waits(MS), async {
        let long = tokio::spawn(waits(SECOND));
        advance(2 * MS).await;
        upstream.answer(0, Ok(Degraded::fresh(1)));
        long.await.unwrap()
    });
    assert!(short.is_err());
    assert_eq!(long.unwrap(), Ok(Degraded::fresh(1)));
    assert_eq!(patient.await.unwrap(), Ok(Degraded::fresh(1)));
}

#[tokio::test(start_paused = true)]
async fn where_a_call_fails_the_next_waiter_tries_again() {
    let (service, upstream, _) = coalesce();
    let callers = callers(&service, 3).await;
    upstream.answer(0, Err(Failed::Down));
    settle().await;
    assert_eq!(upstream.calls(), 2);
    upstream.answer(0, Ok(Degraded::fresh(900)));
    settle().await;
    assert_eq!(
        upstream.calls(),
        3,
        "a throttle in hiding is no answer either"
    );
    upstream.answer(0, Ok(Degraded::fresh(1)));
    let mut results = Vec::new();
    for caller in callers {
        results.push(caller.await.unwrap().map(Degraded::into_value));
    }
    assert_eq!(results, [Err(Failed::Down), Ok(900), Ok(1)]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_shared_by_choice() {
    let config = || {
        CoalesceConfig::builder()
            .share_failures(true)
            .build()
            .unwrap()
    };
    for reply in [
        Err(Failed::Down),
        rejected(Reason::CircuitOpen),
        Ok(Degraded::fresh(900)),
    ] {
        let (service, upstream, _) = coalesce_with(config(), CloneError);
        let callers = callers(&service, 3).await;
        upstream.answer(0, reply);
        for caller in callers {
            assert_eq!(caller.await.unwrap(), reply);
        }
        assert_eq!(upstream.calls(), 1);
    }
    // The deadline of one caller is not that of another; an error without a copy is tried again.
    for reply in [rejected(Reason::DeadlineExceeded), Err(Failed::Down)] {
        let (service, upstream, _) = coalesce_with(config(), NoErrorCopies);
        let _callers = callers(&service, 3).await;
        upstream.answer(0, reply);
        settle().await;
        assert_eq!(upstream.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_degraded_answer_is_shared_with_its_mark() {
    let (service, upstream, _) = coalesce();
    let callers = callers(&service, 3).await;
    let backup = Ok(Degraded::marked(
        7,
        Degradation::new("overloaded", "backup"),
    ));
    upstream.answer(0, backup);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), backup);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_does_not_poison() {
    let (service, upstream, _) = coalesce();
    let mut call: Pin<Box<dyn Future<Output = Reply> + Send>> =
        Box::pin(service.clone().oneshot("SPY"));
    let panics = tokio::spawn(async move {
        let poll = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx)));
        assert!(poll.await.is_pending());
        tokio::task::yield_now().await;
        panic!("as one of the caller's own");
    });
    tokio::task::yield_now().await;
    let waiter = tokio::spawn(service.clone().oneshot("SPY"));
    settle().await;
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(upstream.calls(), 2);
    upstream.answer(1, Ok(Degraded::fresh(2)));
    assert_eq!(waiter.await.unwrap(), Ok(Degraded::fresh(2)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_made_by_one_waiter_and_counts_all_the_same() {
    let config = CoalesceConfig::builder().max_wait(SECOND).build().unwrap();
    let (service, upstream, handle) = coalesce_with(config, NoErrorCopies);
    let callers = callers(&service, 4).await;
    advance(SECOND).await;
    settle().await;
    assert_eq!((upstream.calls(), handle.counts().lapsed), (2, 1));
    // The first call answers after all.
    upstream.answer(0, Ok(Degraded::fresh(1)));
    settle().await;
    assert_eq!(handle.snapshot().waiting, 0);
    upstream.answer(0, Ok(Degraded::fresh(2)));
    let mut values = Vec::new();
    for caller in callers {
        values.push(caller.await.unwrap().unwrap().into_value());
    }
    assert_eq!(values, [1, 2, 1, 1]);
    assert_eq!(handle.snapshot().under_way, 0);
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_for_more_than_twice_the_longest_wait() {
    let config = CoalesceConfig::builder().max_wait(30 * SECOND);
    let layer = CoalesceLayer::new("prices", config.build().unwrap())
        .classify(ByPrice)
        .assume_idempotent()
        .key(key as Key);
    let handle = layer.handle();
    let service = layer.layer(tower::service_fn(fails_after_ten_seconds));
    assert_eq!(convoy(service).await, 70 * SECOND, "and a call of its own");
    let counts = handle.counts();
    assert_eq!((counts.handed_over + counts.lapsed, counts.led), (49, 50));
    assert!(counts.lapsed > 40, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_shared_is_not() {
    let (service, upstream, handle) = coalesce();
    let orders: Vec<_> = (0..2)
        .map(|_| tokio::spawn(service.clone().oneshot("order 1")))
        .collect();
    settle().await;
    assert_eq!((upstream.calls(), handle.counts().passed), (2, 2));
    handle.bypass();
    let _callers = callers(&service, 2).await;
    assert_eq!((upstream.calls(), handle.state()), (4, "bypassed"));
    handle.reset();
    drop(orders);

    let layer = CoalesceLayer::new("prices", CoalesceConfig::default()).key(key as Key);
    let handle = layer.handle();
    let service = layer.layer(upstream.clone());
    let _callers = [(); 2].map(|()| tokio::spawn(service.clone().oneshot("SPY")));
    settle().await;
    assert_eq!((upstream.calls(), handle.counts().not_described), (6, 2));
}

#[tokio::test]
async fn it_works_in_real_time_on_several_threads() {
    let layer = CoalesceLayer::new("prices", CoalesceConfig::default())
        .assume_idempotent()
        .key(key as Key);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = layer.layer(tower::service_fn(move |_: &'static str| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(20 * MS).await;
            Ok::<_, Failed>(Degraded::fresh(1_u64))
        }
    }));
    let callers: Vec<_> = (0..50)
        .map(|_| tokio::spawn(service.clone().oneshot("SPY")))
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(Degraded::fresh(1)));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}
