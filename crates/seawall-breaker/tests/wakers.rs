//! Wakers are code of others: one that comes back to the circuit when it is woken or dropped does not
//! deadlock, wherever a task waits. (No safe code can come back when a waker is cloned.)

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use seawall_breaker::{
    BreakerConfig, BreakerLayer, BreakerRegistry, HalfOpenPolicy, KeyedBreakerLayer,
};
use seawall_testkit::contract::mock;
use tower::{Layer, Service};

const SECOND: Duration = Duration::from_secs(1);

/// Comes back when it is woken and when it is dropped.
struct ComesBack<F: Fn() + Send + Sync + 'static> {
    back: F,
    times: Arc<AtomicUsize>,
}

impl<F: Fn() + Send + Sync> Wake for ComesBack<F> {
    fn wake(self: Arc<Self>) {
        (self.back)();
        self.times.fetch_add(1, Ordering::SeqCst);
    }
}

impl<F: Fn() + Send + Sync> Drop for ComesBack<F> {
    fn drop(&mut self) {
        (self.back)();
        self.times.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that comes back, and how often it did.
fn waker(back: impl Fn() + Send + Sync + 'static) -> (Waker, Arc<AtomicUsize>) {
    let times: Arc<AtomicUsize> = Arc::default();
    let waker = ComesBack {
        back,
        times: Arc::clone(&times),
    };
    (Waker::from(Arc::new(waker)), times)
}

/// Runs on a thread of its own, so that a deadlock fails the test and does not hang it.
fn within_ten_seconds(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async { test() });
        let _ = done.send(());
    });
    ended
        .recv_timeout(10 * SECOND)
        .expect("neither a deadlock nor a panic");
}

fn config() -> BreakerConfig {
    let rules = BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(10 * SECOND)
        .half_open_policy(HalfOpenPolicy::Wait {
            max_wait: 60 * SECOND,
        });
    rules.build().expect("valid")
}

/// Parks `poll` with a waker that comes back, replaces it by another one, opens the circuit, and parks
/// once more to leave.
fn parks_and_leaves(
    layer: &BreakerLayer,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>,
    change: impl Fn(),
) {
    for leaves in [false, true] {
        let (first, times) = waker({
            let handle = layer.handle();
            move || {
                handle.snapshot();
                handle.set_shadow(false);
                drop(handle.try_admit());
            }
        });
        assert!(poll(&mut Context::from_waker(&first)).is_pending());
        drop(first);
        // The one that was parked is replaced, and dropped.
        assert!(poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let replaced = times.load(Ordering::SeqCst);
        assert!(replaced > 0);
        if leaves {
            change();
        }
    }
}

#[test]
fn a_task_that_waits_for_an_unready_service() {
    for gate in [false, true] {
        within_ten_seconds(move || {
            let layer = BreakerLayer::new("unready", config());
            let (inner, mock) = mock();
            mock.set_pending();
            if gate {
                let mut service = layer.gate().layer(inner);
                let poll = |cx: &mut Context<'_>| service.poll_ready(cx).map(drop);
                parks_and_leaves(&layer, poll, || layer.handle().force_open());
            } else {
                let mut service = layer.layer(inner);
                let poll = |cx: &mut Context<'_>| service.poll_ready(cx).map(drop);
                parks_and_leaves(&layer, poll, || layer.handle().force_open());
            }
        });
    }
}

#[test]
fn a_task_that_waits_for_a_probe() {
    within_ten_seconds(|| {
        let layer = BreakerLayer::new("probing", config());
        let (inner, _mock) = mock();
        let mut service = layer.layer(inner);
        layer.handle().force_open();
        layer.handle().automatic();
        let probe = layer.handle().try_admit().expect("the probe");
        let (woken, times) = waker({
            let handle = layer.handle();
            move || drop(handle.snapshot())
        });
        let mut cx = Context::from_waker(&woken);
        assert!(service.poll_ready(&mut cx).is_pending());
        let mut admission = pin!(async {
            let handle = layer.handle();
            handle.admit().await
        });
        assert!(admission.as_mut().poll(&mut cx).is_pending());
        drop(probe);
        assert!(times.load(Ordering::SeqCst) >= 2, "both are woken");
        assert!(service.poll_ready(&mut cx).is_ready());
    });
}

#[test]
fn a_call_of_a_key_that_waits_for_a_probe() {
    within_ten_seconds(|| {
        let layer = KeyedBreakerLayer::new("keyed", config(), |key: &u32| Cow::<u32>::Owned(*key));
        let keys: BreakerRegistry<u32> = layer.handle();
        let (inner, mock) = mock();
        mock.respond_immediately();
        let mut service = layer.layer(inner);
        keys.circuit(&1).force_open();
        keys.circuit(&1).automatic();
        let probe = keys.circuit(&1).try_admit().expect("the probe");
        let mut ready = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut ready).is_ready());
        let mut call = Box::pin(service.call(1));
        let (woken, times) = waker({
            let keys = keys.clone();
            move || {
                keys.snapshot();
                drop(keys.circuit(&1).try_admit());
            }
        });
        assert!(
            call.as_mut()
                .poll(&mut Context::from_waker(&woken))
                .is_pending()
        );
        drop(woken);
        drop(probe);
        assert!(times.load(Ordering::SeqCst) > 0);
        assert!(call.as_mut().poll(&mut ready).is_ready());
    });
}

#[test]
fn a_task_that_waits_for_a_change_of_state() {
    within_ten_seconds(|| {
        let layer = BreakerLayer::new("change", config());
        let mut change = layer.handle().state_change();
        let (woken, times) = waker({
            let handle = layer.handle();
            move || drop((handle.snapshot(), handle.explain()))
        });
        let mut change = pin!(&mut change);
        assert!(
            change
                .as_mut()
                .poll(&mut Context::from_waker(&woken))
                .is_pending()
        );
        drop(woken);
        layer.handle().force_open();
        assert!(times.load(Ordering::SeqCst) > 0);
        assert!(
            change
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
    });
}
