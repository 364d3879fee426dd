//! What a pool of threads of its own promises. The pool's clock is never paused and nothing here
//! sleeps: tests wait for what they have caused, by channels or by yielding until it is there.
#![cfg(feature = "isolated")]

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_bulkhead::isolated::{
    Blocking, BlockingConfig, BlockingFuture, BlockingLayer, Isolated, IsolatedConfig,
    IsolatedFuture, IsolatedLayer,
};
use seawall_bulkhead::{BulkheadState, FailureKind, Outcome, PoolHandle};
use seawall_core::{Command, Error, InstanceHandle, Reason, Registry, Rejectable, Rejection, Sent};
use seawall_testkit::contract::{BoxError, Mock, MockError, Stage, mock};
use static_assertions::assert_impl_all;
use tokio::sync::oneshot;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_service::Service;

fn pool(permits: u32, waiting: u32) -> IsolatedLayer {
    let config = IsolatedConfig::builder()
        .threads(2)
        .max_concurrent(permits)
        .max_waiting(waiting)
        .build()
        .expect("valid settings");
    IsolatedLayer::new("pool", config).expect("a runtime")
}

fn threads(threads: u32, waiting: u32) -> BlockingLayer {
    let config = BlockingConfig::builder()
        .threads(threads)
        .max_waiting(waiting)
        .build()
        .expect("valid settings");
    BlockingLayer::new("threads", config).expect("a runtime")
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn until(met: impl Fn() -> bool) {
    while !met() {
        tokio::task::yield_now().await;
    }
}

fn rejection<T>(response: Result<T, impl Rejectable>) -> Rejection {
    let error = response.err().expect("an error");
    *error.rejection().expect("an error of the pool")
}

type Fails = Error<Infallible>;

#[tokio::test]
async fn a_call_that_blocks_its_thread_does_not_hold_up_the_caller() {
    let (release, blocked) = mpsc::channel::<u32>();
    let blocked = Arc::new(Mutex::new(blocked));
    let svc = pool(1, 0).layer(service_fn(move |_: u32| {
        let blocked = Arc::clone(&blocked);
        async move { Ok::<_, Fails>(blocked.lock().unwrap().recv().unwrap()) }
    }));
    // On the one thread of this runtime, the second half would never run.
    let (response, ()) = tokio::join!(svc.oneshot(1), async {
        tokio::task::yield_now().await;
        release.send(7).unwrap();
    });
    assert_eq!(response.unwrap(), 7);
}

#[tokio::test]
async fn the_clone_that_was_made_ready_on_the_pool_is_the_one_called() {
    let (inner, mock) = mock();
    let layer = pool(2, 0);
    let mut svc = layer.layer(inner);
    assert_eq!(svc.ready().await.unwrap().call(3).await.unwrap(), 3);
    assert_eq!(mock.violations(), Vec::<String>::new());
    assert_eq!(mock.readiness_polls(), 1);
    // The clone and its future are gone when the response is there, and so is the permit.
    assert_eq!(
        (mock.instances(), mock.futures(), mock.reserved()),
        (1, 0, 0)
    );
    assert_eq!(layer.handle().in_flight(), 0);

    mock.script([Err(MockError::Failed(4))]);
    let failed = svc.ready().await.unwrap().call(4).await.unwrap_err();
    assert!(failed.downcast_ref::<MockError>().is_some());
    mock.set_failed();
    let failed = svc.ready().await.unwrap().call(5).await.unwrap_err();
    assert!(failed.downcast_ref::<MockError>().is_some());
    assert_eq!(mock.requests(), [3, 4]);
    let counts = layer.handle().counts();
    assert_eq!((counts.success, counts.failure), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn permits_and_queue_have_exact_sizes_and_waiting_is_bounded() {
    let layer = pool(1, 1);
    let mut svc = layer.layer(service_fn(|_: u32| pending::<Result<u32, Fails>>()));
    let handle = layer.handle();
    let mut running = svc.call(0);
    assert!(poll(&mut running).is_pending());
    let mut waits = svc.call(1);
    assert!(poll(&mut waits).is_pending());
    assert_eq!((handle.in_flight(), handle.queue_depth()), (1, 1));
    assert_eq!(handle.state(), "queueing");
    let full = rejection(svc.call(2).await);
    assert_eq!(
        (full.reason(), full.sent()),
        (Reason::BulkheadFull, Sent::No)
    );
    let late = rejection(waits.await);
    assert_eq!(
        (late.reason(), late.sent()),
        (Reason::QueueTimeout, Sent::No)
    );
    let counts = handle.counts();
    assert_eq!((counts.rejected_full, counts.rejected_timeout), (1, 1));
    assert_eq!((counts.waited, handle.queue_depth()), (1, 0));
}

#[tokio::test]
async fn the_first_in_is_the_first_out_and_the_limit_is_never_exceeded() {
    let layer = pool(1, 20);
    let (running, peak) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let (log, most) = (Arc::clone(&order), Arc::clone(&peak));
    let mut svc = layer.layer(service_fn(move |n: u32| {
        let (running, most, log) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&log));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            log.lock().unwrap().push(n);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Fails>(n)
        }
    }));
    let calls: Vec<_> = (0..20).map(|n| tokio::spawn(svc.call(n))).collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), n);
    }
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!(peak.load(Ordering::SeqCst), 1);
}

/// Reports when it is dropped.
struct ReportDrop(Option<oneshot::Sender<()>>);

impl Drop for ReportDrop {
    fn drop(&mut self) {
        let _ = self.0.take().map(|report| report.send(()));
    }
}

#[tokio::test]
async fn dropping_the_future_drops_the_work_and_releases_the_permit() {
    let layer = pool(1, 1);
    let handle = layer.handle();
    let mut svc = layer.layer(service_fn(|(begun, report): (_, ReportDrop)| async move {
        let _report = report;
        let begun: Option<oneshot::Sender<()>> = begun;
        match begun {
            Some(begun) => {
                let _ = begun.send(());
                pending::<Result<u32, Fails>>().await
            }
            None => Ok(1),
        }
    }));
    let (begin, begun) = oneshot::channel();
    let (report, reported) = oneshot::channel();
    let mut running = svc.call((Some(begin), ReportDrop(Some(report))));
    assert!(poll(&mut running).is_pending());
    begun.await.unwrap();
    // One queued, never served, and one never polled: neither begins.
    let (left, _gone) = oneshot::channel();
    let mut waits = svc.call((None, ReportDrop(Some(left))));
    assert!(poll(&mut waits).is_pending());
    drop(waits);
    drop(svc.call((None, ReportDrop(None))));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (1, 0));
    drop(running);
    reported.await.unwrap();
    // The permit is released after the work is gone: a waiter gets it.
    assert_eq!(svc.call((None, ReportDrop(None))).await.unwrap(), 1);
    let counts = handle.counts();
    assert_eq!((counts.abandoned, counts.success), (3, 1));
    assert_eq!(handle.in_flight(), 0);
}

#[tokio::test]
async fn a_future_that_is_never_polled_runs_nothing() {
    let layer = pool(1, 0);
    let (inner, mock) = mock();
    let mut svc = layer.layer(inner);
    let unpolled = svc.call(1);
    assert_eq!(layer.handle().in_flight(), 1);
    drop(unpolled);
    assert_eq!(layer.handle().in_flight(), 0);
    assert_eq!(svc.call(2).await.unwrap(), 2);
    assert_eq!(mock.requests(), [2]);
}

#[tokio::test]
async fn work_that_cannot_be_stopped_keeps_its_permit_until_it_ends() {
    let layer = pool(1, 1);
    let handle = layer.handle();
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let mut svc = layer.layer(service_fn(move |_: u32| {
        let (blocked, begin) = (Arc::clone(&blocked), begin.clone());
        async move {
            begin.send(()).unwrap();
            blocked.lock().unwrap().recv().unwrap();
            Ok::<_, Fails>(1)
        }
    }));
    let mut running = svc.call(0);
    assert!(poll(&mut running).is_pending());
    begun.recv().await.unwrap();
    drop(running);
    assert_eq!((handle.in_flight(), handle.counts().abandoned), (1, 1));
    let mut next = svc.call(1);
    assert!(poll(&mut next).is_pending());
    assert_eq!(rejection(svc.call(2).await).reason(), Reason::BulkheadFull);
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(next.await.unwrap(), 1);
    assert_eq!(handle.in_flight(), 0);
}

#[tokio::test]
async fn a_panic_reaches_its_caller_alone() {
    for (stage, sent) in [
        (Stage::PollReady, Sent::No),
        (Stage::Call, Sent::Maybe),
        (Stage::Poll, Sent::Maybe),
    ] {
        let (inner, mock) = mock();
        let layer = pool(1, 0);
        let mut svc = layer.layer(inner);
        mock.panic_at(stage);
        let panicked = rejection(svc.call(1).await);
        assert_eq!(panicked.reason(), Reason::Panicked, "{stage:?}");
        assert_eq!(panicked.sent(), sent, "{stage:?}");
        assert_eq!(layer.handle().in_flight(), 0, "{stage:?}");
        assert_eq!(svc.call(2).await.unwrap(), 2, "{stage:?}");
        let counts = layer.handle().counts();
        assert_eq!((counts.panicked, counts.success), (1, 1), "{stage:?}");
        assert_eq!(counts.failure, 0, "{stage:?}");
    }
}

#[tokio::test]
async fn threads_have_the_pools_name_and_end_with_the_last_service_inside_of_async_code() {
    let config = IsolatedConfig::builder().threads(2).build().unwrap();
    // A zero byte would be a panic in the name of a thread.
    let layer = IsolatedLayer::new("orders\0one", config).unwrap();
    let handle = layer.handle();
    let svc = layer.layer(service_fn(|_: u32| {
        ready(Ok::<_, Fails>(
            std::thread::current().name().map(str::to_owned),
        ))
    }));
    drop(layer);
    until(|| handle.threads() == 2).await;
    let mut last = svc.clone().call(1);
    drop(svc);
    // The call keeps the threads, and lets go of them when it has completed.
    let name = (&mut last).await.unwrap();
    assert_eq!(name.as_deref(), Some(r"orders\u{0}one"));
    until(|| handle.threads() == 0).await;
    drop(last);
}

#[tokio::test]
async fn a_pool_ends_while_its_work_blocks_and_while_it_hangs() {
    let layer = pool(2, 0);
    let handle = layer.handle();
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let mut svc = layer.layer(service_fn(move |blocks: bool| {
        let (blocked, begin) = (Arc::clone(&blocked), begin.clone());
        async move {
            begin.send(()).unwrap();
            if blocks {
                blocked.lock().unwrap().recv().unwrap();
            }
            pending::<Result<u32, Fails>>().await
        }
    }));
    let (mut one, mut two) = (svc.call(true), svc.call(false));
    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    drop((layer, svc, one, two));
    // Nothing waited for the one that blocks; it is dropped when it awaits.
    assert!(handle.in_flight() >= 1);
    release.send(()).unwrap();
    until(|| handle.threads() == 0 && handle.in_flight() == 0).await;
    assert_eq!(handle.counts().abandoned, 2);
}

#[tokio::test]
async fn a_registry_reads_the_pool() {
    let layer = pool(1, 0);
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    registry.register(threads(3, 0).handle()).unwrap();
    let _running = layer.layer(mock().0).call(1_u32);
    let all = registry.snapshot();
    let words: Vec<_> = all.iter().map(|s| (s.pattern, s.state)).collect();
    assert_eq!(words, [("blocking", "ok"), ("isolated", "full")]);
    assert_eq!(all[0].settings[0], ("threads", "3".to_owned()));
    let gauge = all[1]
        .samples
        .iter()
        .find(|s| s.metric == "seawall_bulkhead_in_flight" && s.labels == [("layer", "isolated")]);
    assert_eq!(
        format!("{:?}", gauge.expect("a sample").value),
        "Gauge(1.0)"
    );
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    let field = |built: Result<IsolatedConfig, seawall_core::InvalidConfig>| {
        built.unwrap_err().field().to_owned()
    };
    let builder = IsolatedConfig::builder;
    assert_eq!(field(builder().threads(0).build()), "threads");
    assert_eq!(field(builder().threads(1_025).build()), "threads");
    assert_eq!(field(builder().max_concurrent(0).build()), "max_concurrent");
    let never = builder().max_waiting(1).max_wait(Duration::ZERO).build();
    assert_eq!(field(never), "max_wait");
    assert!(BlockingConfig::builder().threads(0).build().is_err());
    assert_eq!(builder().build().unwrap(), IsolatedConfig::default());
    let blocking = BlockingConfig::builder().build().unwrap();
    assert_eq!(blocking, BlockingConfig::default());
}

mod blocking {
    use super::*;

    #[tokio::test]
    async fn closures_run_on_threads_of_their_own_and_keep_their_error() {
        let layer = threads(1, 0);
        let name = || std::thread::current().name().map(str::to_owned);
        let mut svc = layer.layer(move |good: bool| if good { Ok(name()) } else { Err("bad") });
        assert_eq!(svc.call(true).await.unwrap().as_deref(), Some("threads"));
        assert_eq!(svc.call(false).await, Err(Error::Inner("bad")));
        let counts = layer.handle().counts();
        assert_eq!((counts.success, counts.failure), (1, 1));
        assert_eq!(layer.handle().in_flight(), 0);
        let handle = layer.handle();
        drop((layer, svc));
        until(|| handle.threads() == 0).await;
    }

    type Gate = (mpsc::Sender<()>, tokio::sync::mpsc::UnboundedReceiver<u32>);

    /// Closures that report that they began and block until they are released.
    fn gated(
        layer: &BlockingLayer,
    ) -> (
        Blocking<impl Fn(u32) -> Result<u32, Infallible> + Send + Sync + use<>>,
        Gate,
    ) {
        let (begin, begun) = tokio::sync::mpsc::unbounded_channel();
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let svc = layer.layer(move |n: u32| {
            begin.send(n).expect("there is a receiver");
            let blocked = blocked.lock().expect("no panic");
            blocked.recv().expect("there is a sender");
            Ok(n)
        });
        (svc, (release, begun))
    }

    #[tokio::test]
    async fn work_that_has_not_begun_never_begins_and_work_that_has_keeps_its_permit() {
        let layer = threads(1, 1);
        let handle = layer.handle();
        let (mut svc, (release, mut begun)) = gated(&layer);
        drop(svc.call(0)); // never polled
        let mut running = svc.call(1);
        assert!(poll(&mut running).is_pending());
        assert_eq!(begun.recv().await, Some(1));
        let mut waits = svc.call(2);
        assert!(poll(&mut waits).is_pending());
        drop((waits, running));
        assert_eq!((handle.in_flight(), handle.queue_depth()), (1, 0));
        let mut next = svc.call(3);
        assert!(poll(&mut next).is_pending());
        assert_eq!(rejection(svc.call(4).await).reason(), Reason::BulkheadFull);
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert_eq!(next.await, Ok(3));
        assert_eq!(begun.recv().await, Some(3));
        assert!(begun.try_recv().is_err());
        assert_eq!((handle.in_flight(), handle.counts().abandoned), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_thread_is_bounded() {
        let layer = threads(1, 1);
        let (mut svc, (release, _begun)) = gated(&layer);
        let mut running = svc.call(1);
        assert!(poll(&mut running).is_pending());
        assert_eq!(rejection(svc.call(2).await).reason(), Reason::QueueTimeout);
        release.send(()).unwrap();
        assert_eq!(running.await, Ok(1));
    }

    #[tokio::test]
    async fn a_panic_reaches_its_caller_alone() {
        let layer = threads(1, 0);
        let mut svc = layer.layer(|n: u32| {
            assert!(n > 0, "no zero");
            Ok::<_, Infallible>(n)
        });
        let panicked = rejection(svc.call(0).await);
        assert_eq!(
            (panicked.reason(), panicked.sent()),
            (Reason::Panicked, Sent::Maybe)
        );
        assert_eq!(layer.handle().in_flight(), 0);
        assert_eq!(svc.call(1).await, Ok(1));
        assert_eq!(layer.handle().counts().panicked, 1);
    }
}

#[cfg(feature = "tracing")]
mod spans {
    use super::*;
    use std::cell::Cell;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};
    use tracing_core::span::Current;

    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });

    /// Knows one span, and on which threads it was entered.
    #[derive(Clone, Default)]
    struct One {
        span: Arc<Mutex<Option<&'static Metadata<'static>>>>,
        threads: Arc<Mutex<Vec<String>>>,
    }

    impl Subscriber for One {
        fn enabled(&self, meta: &Metadata<'_>) -> bool {
            meta.name() == "caller"
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            *self.span.lock().expect("no panic") = Some(span.metadata());
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {
            DEPTH.with(|depth| depth.set(depth.get() + 1));
            let name = std::thread::current().name().map(str::to_owned);
            self.threads.lock().expect("no panic").extend(name);
        }
        fn exit(&self, _: &Id) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
        }
        fn current_span(&self) -> Current {
            match *self.span.lock().expect("no panic") {
                Some(meta) if DEPTH.with(Cell::get) > 0 => Current::new(Id::from_u64(1), meta),
                _ => Current::none(),
            }
        }
    }

    #[tokio::test]
    async fn work_runs_in_the_span_of_its_caller() {
        let subscriber = One::default();
        let entered = Arc::clone(&subscriber.threads);
        let _guard = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("caller");
        let mut isolated = pool(1, 0).layer(mock().0);
        let mut blocking = threads(1, 0).layer(|n: u32| Ok::<_, Infallible>(n));
        let calls = span.in_scope(|| (isolated.call(1), blocking.call(2)));
        drop(span);
        assert_eq!((calls.0.await.unwrap(), calls.1.await.unwrap()), (1, 2));
        let entered = entered.lock().unwrap();
        for thread in ["pool", "threads"] {
            assert!(entered.iter().any(|name| name == thread), "{thread}");
        }
    }
}

type Plain = Isolated<Mock>;
type Closure = fn(u32) -> Result<u32, Infallible>;
assert_impl_all!(Plain: Send, Sync, Unpin, Clone);
assert_impl_all!(IsolatedFuture<Mock, u32>: Send, Unpin);
assert_impl_all!(BlockingFuture<Closure, u32, u32, Infallible>: Send, Unpin);
assert_impl_all!(IsolatedLayer: Send, Sync, Clone);
assert_impl_all!(PoolHandle<IsolatedConfig>: Send, Sync, Clone, InstanceHandle);
assert_impl_all!(<Plain as Service<u32>>::Error: Into<BoxError>);

#[tokio::test(start_paused = true)]
async fn a_pool_is_configured_live_but_for_its_threads() {
    let layer = pool(1, 0);
    let handle = layer.handle();
    let mut svc = layer.layer(service_fn(|_: u32| pending::<Result<u32, Fails>>()));
    let mut calls = vec![svc.call(0)];
    assert_eq!(rejection(svc.call(1).await).reason(), Reason::BulkheadFull);
    let config = IsolatedConfig::builder()
        .threads(2)
        .max_concurrent(2)
        .max_waiting(1)
        .max_wait(Duration::from_secs(1));
    handle.configure(config.build().unwrap()).unwrap();
    assert_eq!(handle.config(), config.build().unwrap());
    calls.extend([svc.call(1), svc.call(2)]);
    assert!(calls.iter_mut().all(|call| poll(call).is_pending()));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (2, 1));
    let late = rejection(calls.pop().unwrap().await);
    assert_eq!(late.reason(), Reason::QueueTimeout);
    let rejected = handle
        .configure(config.threads(3).build().unwrap())
        .unwrap_err();
    assert_eq!((rejected.field(), rejected.value()), ("threads", "3"));
    assert!(rejected.accepted().contains("cannot change"), "{rejected}");
    assert_eq!(
        handle.config(),
        config.build().unwrap(),
        "nothing has changed"
    );
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.limit, snapshot.state), (2, BulkheadState::Full));

    let blocking = threads(2, 0).handle();
    let more = BlockingConfig::builder()
        .threads(2)
        .max_waiting(7)
        .build()
        .unwrap();
    blocking.configure(more).unwrap();
    assert_eq!(blocking.config(), more);
    let other = BlockingConfig::builder().threads(3).build().unwrap();
    assert_eq!(blocking.configure(other).unwrap_err().field(), "threads");
}

#[tokio::test]
async fn commands_block_and_bypass_a_pool_until_a_reset() {
    let layer = pool(1, 0);
    let handle = layer.handle();
    let mut svc = layer.layer(service_fn(|n: u32| async move {
        match n {
            0 => pending::<Result<u32, Fails>>().await,
            n => Ok(n),
        }
    }));
    let held = svc.call(0);
    handle.control(Command::Bypass).unwrap();
    assert_eq!(svc.call(1).await.unwrap(), 1);
    assert_eq!(handle.counts().shadowed, 1);
    handle.control(Command::Block).unwrap();
    assert_eq!(rejection(svc.call(1).await).reason(), Reason::Paused);
    assert_eq!(handle.state(), "paused");
    drop(held);
    handle.reset();
    assert_eq!(svc.call(1).await.unwrap(), 1);
    assert_eq!(handle.state(), "ok");
}

#[tokio::test]
async fn results_of_a_pool_count_as_the_classifier_judges_them() {
    let judge = |result: Result<&u32, &Fails>| match result {
        Ok(0) => Outcome::Failure(FailureKind::Server),
        _ => Outcome::Success,
    };
    let layer = pool(1, 0).classify(judge);
    let mut svc = layer.layer(service_fn(|n: u32| ready(Ok::<_, Fails>(n))));
    for n in [0, 0, 1] {
        assert_eq!(svc.call(n).await.unwrap(), n);
    }
    let counts = layer.handle().counts();
    assert_eq!((counts.failure, counts.success), (2, 1));
}
