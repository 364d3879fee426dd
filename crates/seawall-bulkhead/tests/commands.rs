//! Every kind of bulkhead has the same commands, and each of them has its inverse. The clock of a pool
//! cannot be paused, so all of them run in real time here; nothing depends on how fast.
#![cfg(feature = "isolated")]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer, IsolatedConfig, IsolatedLayer};
use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare, PartitionedBulkheadLayer};
use seawall_bulkhead::{
    BulkheadConfig, BulkheadCounts, BulkheadLayer, BulkheadState, DrainFuture, Reason, Rejectable,
    Rejection,
};
use seawall_core::{Command, Error, InstanceHandle};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

type Fails = Error<io::Error>;
type Gated = BoxCloneSyncService<(), (), Fails>;
type Call = Pin<Box<dyn Future<Output = Result<(), Fails>> + Send>>;

const HOUR: Duration = Duration::from_secs(3_600);

/// What a test reads of a handle.
struct Seen {
    state: BulkheadState,
    in_flight: u32,
    queue_depth: usize,
    shadow: bool,
    counts: BulkheadCounts,
}

/// The commands of a handle, whichever it is.
trait Commands: InstanceHandle {
    fn pause(&self);
    fn drain(&self);
    fn resume(&self);
    fn drained(&self) -> DrainFuture;
    fn set_shadow(&self, on: bool);
    fn reset(&self);
    fn seen(&self) -> Seen;
    fn configured_shadow(&self) -> bool;
    /// Applies the settings in force again.
    fn configure_again(&self);
}

macro_rules! impl_commands {
    ($($Handle:ty),+ $(,)?) => {$(
        impl Commands for $Handle {
            fn pause(&self) { Self::pause(self); }
            fn drain(&self) { Self::drain(self); }
            fn resume(&self) { Self::resume(self); }
            fn drained(&self) -> DrainFuture { Self::drained(self) }
            fn set_shadow(&self, on: bool) { Self::set_shadow(self, on); }
            fn reset(&self) { Self::reset(self); }
            fn seen(&self) -> Seen {
                let s = self.snapshot();
                Seen {
                    state: s.state,
                    in_flight: s.in_flight,
                    queue_depth: s.queue_depth,
                    shadow: s.shadow,
                    counts: s.counts,
                }
            }
            fn configured_shadow(&self) -> bool { self.config().shadow() }
            fn configure_again(&self) { self.configure(self.config()).expect("valid"); }
        }
    )+};
}

impl_commands!(
    seawall_bulkhead::BulkheadHandle,
    seawall_bulkhead::partitions::PartitionHandle,
    seawall_bulkhead::PoolHandle<ConnectionLimitConfig>,
    seawall_bulkhead::PoolHandle<IsolatedConfig>,
    seawall_bulkhead::PoolHandle<BlockingConfig>,
);

/// One permit, and one call more may wait. A call runs until the gate has something for it.
struct Subject {
    service: Gated,
    gate: Arc<Semaphore>,
    handle: Box<dyn Commands>,
}

fn boxed<S>(service: S) -> Gated
where
    S: Service<(), Response = (), Error = Fails> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

async fn pass(gate: Arc<Semaphore>) -> Result<(), Fails> {
    gate.acquire().await.expect("it stays open").forget();
    Ok(())
}

fn gated(
    gate: &Arc<Semaphore>,
) -> impl Service<(), Response = (), Error = Fails, Future = Call> + Clone + Send + Sync + use<> {
    let gate = Arc::clone(gate);
    service_fn(move |()| -> Call { Box::pin(pass(Arc::clone(&gate))) })
}

fn plain(max_wait: Duration) -> Subject {
    let config = BulkheadConfig::builder().max_concurrent(1).max_waiting(1);
    let layer = BulkheadLayer::new("plain", config.max_wait(max_wait).build().expect("valid"));
    let gate = Arc::new(Semaphore::new(0));
    Subject {
        service: boxed(layer.layer(gated(&gate))),
        gate,
        handle: Box::new(layer.handle()),
    }
}

fn partitions(max_wait: Duration) -> Subject {
    let config = PartitionConfig::builder()
        .max_concurrent(1)
        .default_share(PartitionShare::new().max_waiting(1))
        .max_wait(max_wait);
    let layer = PartitionedBulkheadLayer::new("partitions", config.build().expect("valid"));
    let gate = Arc::new(Semaphore::new(0));
    Subject {
        service: boxed(layer.layer(gated(&gate))),
        gate,
        handle: Box::new(layer.handle()),
    }
}

/// A connection is open until the gate has something for it.
fn connections(max_wait: Duration) -> Subject {
    let config = ConnectionLimitConfig::builder()
        .max_connections(1)
        .max_waiting(1)
        .max_wait(max_wait);
    let layer = ConnectionLimitLayer::new("connections", config.build().expect("valid"));
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let connect = layer.layer(service_fn(|()| async { Ok::<_, Fails>(()) }));
    Subject {
        service: boxed(connect.and_then(move |connection| {
            let opened = Arc::clone(&opened);
            async move {
                let used = pass(opened).await;
                drop(connection);
                used
            }
        })),
        gate,
        handle: Box::new(layer.handle()),
    }
}

fn isolated(max_wait: Duration) -> Subject {
    let config = IsolatedConfig::builder().max_concurrent(1).max_waiting(1);
    let layer = IsolatedLayer::new(
        "isolated",
        config.max_wait(max_wait).build().expect("valid"),
    );
    let (layer, gate) = (layer.expect("threads"), Arc::new(Semaphore::new(0)));
    Subject {
        service: boxed(layer.layer(gated(&gate))),
        gate,
        handle: Box::new(layer.handle()),
    }
}

fn blocking(max_wait: Duration) -> Subject {
    let config = BlockingConfig::builder().threads(1).max_waiting(1);
    let layer = BlockingLayer::new(
        "blocking",
        config.max_wait(max_wait).build().expect("valid"),
    );
    let (layer, gate) = (layer.expect("threads"), Arc::new(Semaphore::new(0)));
    let held = Arc::clone(&gate);
    Subject {
        service: boxed(layer.layer(move |()| {
            Handle::current().block_on(async {
                held.acquire().await.expect("it stays open").forget();
                Ok::<_, io::Error>(())
            })
        })),
        gate,
        handle: Box::new(layer.handle()),
    }
}

const KINDS: [fn(Duration) -> Subject; 5] = [plain, partitions, connections, isolated, blocking];

impl Subject {
    /// A call that was polled once.
    fn open(&self) -> Call {
        let mut call: Call = Box::pin(self.service.clone().oneshot(()));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(cx).is_pending(), "{}", self.name());
        call
    }

    async fn rejected(&self) -> Reason {
        let error = self
            .service
            .clone()
            .oneshot(())
            .await
            .expect_err("a rejection");
        error.rejection().expect("an error of the layer").reason()
    }

    fn name(&self) -> &'static str {
        self.handle.name().as_str()
    }

    fn assert(&self, state: BulkheadState, in_flight: u32, queue_depth: usize) {
        let seen = self.handle.seen();
        let numbers = (seen.state, seen.in_flight, seen.queue_depth);
        assert_eq!(numbers, (state, in_flight, queue_depth), "{}", self.name());
    }

    /// The calls end, and their permits come back: those of a thread a little later.
    async fn end(&self, calls: impl IntoIterator<Item = Call>) {
        let calls: Vec<_> = calls.into_iter().collect();
        self.gate.add_permits(calls.len());
        for call in calls {
            call.await.expect("it is served");
        }
        let ended = self.handle.drained();
        timeout(HOUR, ended).await.expect("it becomes idle");
    }
}

fn is_pending(drained: &mut DrainFuture) -> bool {
    let cx = &mut Context::from_waker(Waker::noop());
    Pin::new(drained).poll(cx) == Poll::Pending
}

#[tokio::test]
async fn a_pause_holds_until_it_is_resumed() {
    for kind in KINDS {
        let it = kind(HOUR);
        let (held, queued) = (it.open(), it.open());
        it.handle.pause();
        it.assert(BulkheadState::Paused, 1, 1);
        assert_eq!(it.rejected().await, Reason::Paused);
        it.gate.add_permits(1);
        held.await.unwrap();
        while it.handle.seen().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        it.assert(BulkheadState::Paused, 0, 1);
        it.handle.resume();
        it.end([queued]).await;
        it.assert(BulkheadState::Ok, 0, 0);
        let counts = it.handle.seen().counts;
        assert_eq!((counts.success, counts.rejected_paused), (2, 1));
    }
}

#[tokio::test]
async fn a_drain_serves_those_queued_and_holds_until_it_is_resumed() {
    for kind in KINDS {
        let it = kind(HOUR);
        let calls = [it.open(), it.open()];
        it.handle.drain();
        it.assert(BulkheadState::Draining, 1, 1);
        assert_eq!(it.rejected().await, Reason::Draining);
        let mut drained = it.handle.drained();
        assert!(is_pending(&mut drained));
        drop(it.handle.drained());
        it.end(calls).await;
        drained.await;
        it.assert(BulkheadState::Draining, 0, 0);
        assert_eq!(it.rejected().await, Reason::Draining);
        it.handle.resume();
        it.end([it.open()]).await;
        let counts = it.handle.seen().counts;
        assert_eq!((counts.success, counts.rejected_draining), (3, 2));
    }
}

#[tokio::test]
async fn a_waiter_that_is_not_polled_does_not_hold_up_a_drain() {
    for kind in KINDS {
        let it = kind(Duration::from_millis(20));
        let (held, queued) = (it.open(), it.open());
        it.handle.drain();
        let mut drained = it.handle.drained();
        assert!(is_pending(&mut drained));
        it.gate.add_permits(1);
        held.await.unwrap();
        timeout(HOUR, drained).await.expect("its wait ends");
        it.assert(BulkheadState::Draining, 0, 0);
        // The drain has ended, so it gets no permit.
        let error = queued.await.unwrap_err();
        let reason = error.rejection().map(Rejection::reason);
        assert_eq!(reason, Some(Reason::QueueTimeout), "{}", it.name());
        it.assert(BulkheadState::Draining, 0, 0);
    }
}

#[tokio::test]
async fn a_drain_that_is_waited_for_ends_on_any_thread_and_is_forgotten_when_it_is_dropped() {
    for kind in KINDS {
        let it = kind(HOUR);
        let held = it.open();
        let [first, second] = [(); 2].map(|()| tokio::spawn(it.handle.drained()));
        let mut dropped = it.handle.drained();
        assert!(is_pending(&mut dropped));
        drop(dropped);
        it.end([held]).await;
        first.await.unwrap();
        second.await.unwrap();
        it.handle.drained().await;
    }
}

#[tokio::test]
async fn shadow_mode_lets_every_call_pass_and_counts_those_that_it_would_reject() {
    for kind in KINDS {
        let it = kind(HOUR);
        let mut calls = vec![it.open(), it.open()];
        it.assert(BulkheadState::Queueing, 1, 1);
        // Queued calls go at once.
        it.handle.set_shadow(true);
        assert!(it.handle.seen().shadow && it.handle.configured_shadow());
        let second = tokio::spawn(calls.pop().unwrap());
        calls.push(Box::pin(async { second.await.unwrap() }));
        while it.handle.seen().in_flight < 2 {
            tokio::task::yield_now().await;
        }
        // Two are at work where one may be: one would wait, which leaves no room for another.
        calls.push(it.open());
        it.assert(BulkheadState::Full, 3, 0);
        let counts = it.handle.seen().counts;
        assert_eq!((counts.waited, counts.shadowed), (1, 1), "{}", it.name());
        it.handle.set_shadow(false);
        assert!(!it.handle.seen().shadow && !it.handle.configured_shadow());
        let queued = it.open();
        it.assert(BulkheadState::Queueing, 3, 1);
        assert_eq!(it.rejected().await, Reason::BulkheadFull);
        calls.push(queued);
        it.end(calls).await;
    }
}

#[tokio::test]
async fn a_pause_and_a_drain_hold_in_shadow_mode_and_their_end_does_not_end_it() {
    for kind in KINDS {
        let it = kind(HOUR);
        it.handle.set_shadow(true);
        it.handle.pause();
        assert_eq!(it.rejected().await, Reason::Paused);
        it.handle.resume();
        it.handle.drain();
        assert_eq!(it.rejected().await, Reason::Draining);
        it.handle.resume();
        it.end([it.open(), it.open(), it.open()]).await;
        assert!(it.handle.seen().shadow, "{}", it.name());
        // A configuration with the settings in force changes nothing.
        it.handle.configure_again();
        assert!(it.handle.seen().shadow, "{}", it.name());
        it.handle.set_shadow(false);
        assert!(!it.handle.seen().shadow, "{}", it.name());
    }
}

#[tokio::test]
async fn the_last_of_two_commands_counts_and_a_reset_ends_all() {
    for kind in KINDS {
        let it = kind(HOUR);
        it.handle.control(Command::Bypass).unwrap();
        let calls = [it.open(), it.open(), it.open()];
        it.assert(BulkheadState::Bypassed, 3, 0);
        it.handle.control(Command::Block).unwrap();
        assert_eq!(it.rejected().await, Reason::Paused);
        it.handle.drain();
        it.handle.control(Command::Bypass).unwrap();
        it.end(calls).await;
        assert!(it.handle.seen().shadow && !it.handle.configured_shadow());
        it.handle.resume();
        assert!(!it.handle.seen().shadow, "{}", it.name());
        it.handle.set_shadow(true);
        it.handle.drain();
        it.handle.reset();
        assert!(!it.handle.seen().shadow, "{}", it.name());
        let calls = [it.open(), it.open()];
        it.assert(BulkheadState::Queueing, 1, 1);
        assert_eq!(it.rejected().await, Reason::BulkheadFull);
        it.end(calls).await;
    }
}

#[tokio::test]
async fn a_layer_may_begin_in_shadow_mode_and_a_reset_goes_back_to_that() {
    let partitions = PartitionConfig::builder()
        .shadow(true)
        .build()
        .expect("valid");
    let connections = ConnectionLimitConfig::builder().shadow(true).build();
    let isolated = IsolatedConfig::builder()
        .shadow(true)
        .build()
        .expect("valid");
    let blocking = BlockingConfig::builder()
        .shadow(true)
        .build()
        .expect("valid");
    let bulkhead = BulkheadConfig::builder()
        .shadow(true)
        .build()
        .expect("valid");
    let handles: [Box<dyn Commands>; 5] = [
        Box::new(BulkheadLayer::new("shadow", bulkhead).handle()),
        Box::new(PartitionedBulkheadLayer::new("shadow", partitions).handle()),
        Box::new(ConnectionLimitLayer::new("shadow", connections.unwrap()).handle()),
        Box::new(IsolatedLayer::new("shadow", isolated).unwrap().handle()),
        Box::new(BlockingLayer::new("shadow", blocking).unwrap().handle()),
    ];
    for handle in handles {
        assert!(handle.seen().shadow);
        let settings = handle.settings();
        assert!(settings.contains(&("shadow", "true".to_owned())));
        handle.set_shadow(false);
        assert!(!handle.seen().shadow);
        handle.reset();
        assert!(handle.seen().shadow);
    }
}
