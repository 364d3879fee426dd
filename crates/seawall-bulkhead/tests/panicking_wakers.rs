//! Wakers that panic: they lose no permit, no count and no waiter.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use seawall_bulkhead::{BulkheadConfig, BulkheadHandle, BulkheadLayer, BulkheadState};
use seawall_core::Error;
use tower::{Layer, Service, service_fn};

type Result<T> = std::result::Result<T, Error<&'static str>>;
type Call = Pin<Box<dyn Future<Output = Result<()>>>>;

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[derive(Default)]
struct Counts(AtomicU32);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn poll(call: &mut Call, waker: &Waker) -> Poll<Result<()>> {
    call.as_mut().poll(&mut Context::from_waker(waker))
}

/// A bulkhead, calls of which end once `end` says so, and how: 0 never, 1 well, 2 badly.
struct Subject {
    handle: BulkheadHandle,
    call: Box<dyn FnMut(u32) -> Call>,
    end: Arc<AtomicBool>,
}

fn subject(permits: u32) -> Subject {
    let config = BulkheadConfig::builder()
        .max_concurrent(permits)
        .max_waiting(20)
        .max_wait(Duration::from_secs(60));
    let layer = BulkheadLayer::new("b", config.build().expect("valid"));
    let handle = layer.handle();
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let mut service = layer.layer(service_fn(move |how: u32| {
        let ended = Arc::clone(&ended);
        async move {
            std::future::poll_fn(|_| match ended.load(Relaxed) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            match how {
                0 => pending().await,
                1 => ready(Ok(())).await,
                _ => ready(Err(Error::Inner("failed"))).await,
            }
        }
    }));
    let call = Box::new(move |how| -> Call {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        Box::pin(service.call(how))
    });
    Subject { handle, call, end }
}

#[tokio::test]
async fn a_call_that_has_ended_is_counted_though_the_waker_it_wakes_panics() {
    for how in 0..3 {
        let Subject {
            handle,
            mut call,
            end,
        } = subject(1);
        let mut running = call(how);
        assert!(poll(&mut running, Waker::noop()).is_pending());
        let mut waiting = call(0);
        let panics = Waker::from(Arc::new(Panics));
        assert!(poll(&mut waiting, &panics).is_pending());
        end.store(true, Relaxed);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            if how > 0 {
                let _ = poll(&mut running, Waker::noop());
            }
            drop(running);
        }));
        ended.expect_err("the waker's panic goes on");
        let counts = handle.counts();
        let each = [counts.abandoned, counts.success, counts.failure];
        let mut expected = [0; 3];
        expected[how as usize] = 1;
        assert_eq!(each, expected);
        assert_eq!(handle.in_flight(), 0, "the permit is free");
    }
}

#[tokio::test]
async fn of_many_wakers_some_of_which_panic_all_are_woken() {
    let Subject {
        handle, mut call, ..
    } = subject(1);
    let mut running = call(0);
    assert!(poll(&mut running, Waker::noop()).is_pending());
    let woken = Arc::new(Counts::default());
    let (counts, panics) = (
        Waker::from(Arc::clone(&woken)),
        Waker::from(Arc::new(Panics)),
    );
    let mut waiting: Vec<_> = (0..9).map(|_| call(0)).collect();
    for (index, call) in waiting.iter_mut().enumerate() {
        let waker = if index % 2 == 1 { &panics } else { &counts };
        assert!(poll(call, waker).is_pending());
    }
    let raise = || handle.set_limit(10);
    catch_unwind(AssertUnwindSafe(raise)).expect_err("the first panic goes on");
    assert_eq!(woken.0.load(Relaxed), 5);
}

#[test]
fn a_reading_counts_no_waiter_whose_wait_is_over_though_its_runtime_is_gone() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let config = BulkheadConfig::builder()
        .max_concurrent(1)
        .max_waiting(1)
        .max_wait(Duration::from_millis(50));
    let layer = BulkheadLayer::new("b", config.build().expect("valid"));
    let handle = layer.handle();
    let forever = service_fn(|()| pending::<Result<()>>());
    let mut service = layer.layer(forever);
    let first = runtime();
    let calls = first.block_on(async {
        let mut calls: [Call; 2] = std::array::from_fn(|_| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(service.poll_ready(&mut cx).is_ready());
            Box::pin(service.call(())) as Call
        });
        for call in &mut calls {
            assert!(poll(call, Waker::noop()).is_pending());
        }
        calls
    });
    assert_eq!(handle.queue_depth(), 1);
    drop(first);
    runtime().block_on(async { tokio::time::sleep(Duration::from_millis(120)).await });
    let snapshot = handle.snapshot();
    assert_eq!((handle.queue_depth(), snapshot.queue_depth), (0, 0));
    assert_ne!(snapshot.state, BulkheadState::Queueing);
    // They are dropped outside of any runtime.
    drop(calls);
}
