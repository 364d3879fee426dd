//! Commands while calls run: limits, settings, pause, drain, shadow mode, reset.

use std::task::Wake;

use seawall_core::{Command, Received};

use super::*;

fn running(
    svc: &mut Bulkhead<Mock>,
    calls: u32,
) -> Vec<PolledFuture<<Bulkhead<Mock> as Service<u32>>::Future>> {
    let mut all: Vec<_> = (0..calls).map(|n| call(svc, n)).collect();
    all.iter_mut()
        .for_each(|call| assert!(call.poll().is_pending()));
    all
}

#[tokio::test(start_paused = true)]
async fn new_permits_go_to_waiters_one_each() {
    let (mut svc, handle, mock) = subject(1, 10);
    let mut calls = running(&mut svc, 5);
    handle.set_limit(3).unwrap();
    // One is woken, and wakes the next when it has acquired its permit.
    assert_eq!(calls[1].wakes(), 1);
    assert!(calls[1].poll().is_pending());
    assert_eq!((calls[2].wakes(), calls[3].wakes()), (1, 0));
    assert!(calls[2].poll().is_pending());
    assert_eq!((calls[3].wakes(), calls[4].wakes()), (0, 0));
    assert_eq!(mock.requests(), [0, 1, 2]);
    assert_eq!(
        (handle.limit(), handle.in_flight(), handle.queue_depth()),
        (3, 3, 2)
    );
    assert_eq!(handle.config().max_concurrent(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_stops_no_call_and_admits_none_until_it_is_reached() {
    let (mut svc, handle, mock) = subject(4, 0);
    let mut calls = running(&mut svc, 4);
    handle.set_limit(2).unwrap();
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.in_flight, snapshot.limit, snapshot.available),
        (4, 2, 0)
    );
    assert_eq!(
        (snapshot.utilization, snapshot.state),
        (2.0, BulkheadState::Full)
    );
    for left in [3, 2] {
        calls.pop();
        assert_eq!(handle.in_flight(), left);
        assert_eq!(
            rejection(call(&mut svc, 9).poll()).reason(),
            Reason::BulkheadFull
        );
    }
    calls.pop();
    assert!(call(&mut svc, 5).poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 2, 3, 5]);
    drop(calls);
    assert_eq!(handle.in_flight(), 0);
    assert_eq!(handle.snapshot().peak_in_flight, 4);
    handle.reset_peak();
    let _one = call(&mut svc, 6);
    assert_eq!(handle.snapshot().peak_in_flight, 1);
    assert_eq!(handle.set_limit(0).unwrap_err().field(), "max_concurrent");
}

#[tokio::test(start_paused = true)]
async fn other_settings_hold_for_calls_that_come() {
    let (mut svc, handle, _mock) = subject(1, 2);
    let mut calls = running(&mut svc, 3);
    let config = BulkheadConfig::builder()
        .max_concurrent(2)
        .max_waiting(1)
        .max_wait(SECOND)
        .build()
        .unwrap();
    handle.configure(config).unwrap();
    assert_eq!(handle.config(), config);
    assert!(calls[1].poll().is_pending());
    assert_eq!((handle.in_flight(), handle.queue_depth()), (2, 1));
    assert_eq!(
        rejection(call(&mut svc, 9).poll()).reason(),
        Reason::BulkheadFull
    );
    // A queued call keeps its `max_wait` of 30 seconds.
    tokio::time::advance(2 * SECOND).await;
    assert!(calls[2].poll().is_pending());
    drop(calls.pop());
    let mut new = call(&mut svc, 10);
    assert!(new.poll().is_pending());
    tokio::time::advance(SECOND).await;
    assert_eq!(rejection(new.poll()).reason(), Reason::QueueTimeout);
}

#[tokio::test(start_paused = true)]
async fn the_peak_is_that_of_calls_whatever_the_limit_is() {
    let (mut svc, handle, _mock) = subject(4, 0);
    drop(running(&mut svc, 3));
    handle.set_limit(10).unwrap();
    assert_eq!(handle.snapshot().peak_in_flight, 3);
    handle.set_limit(1).unwrap();
    assert_eq!(handle.snapshot().peak_in_flight, 3);
    let _one = running(&mut svc, 1);
    assert_eq!(handle.snapshot().peak_in_flight, 3);
}

#[tokio::test(start_paused = true)]
async fn settings_can_begin_shadow_mode_and_a_reset_goes_back_to_them() {
    let (mut svc, handle, _mock) = subject(1, 0);
    let config = BulkheadConfig::builder().max_concurrent(1);
    handle
        .configure(config.shadow(true).build().unwrap())
        .unwrap();
    let _calls = running(&mut svc, 3);
    handle.control(Command::Block).unwrap();
    assert_eq!(rejection(call(&mut svc, 9).poll()).reason(), Reason::Paused);
    handle.control(Command::Reset).unwrap();
    let _more = running(&mut svc, 1);
    assert_eq!(handle.in_flight(), 4);
    handle.configure(config.build().unwrap()).unwrap();
    assert!(call(&mut svc, 9).poll().is_ready());
}

/// Between the call and the first poll of its future.
#[tokio::test(start_paused = true)]
async fn commands_hold_for_a_call_that_has_not_joined_the_queue_yet() {
    let (mut svc, handle, mock) = subject(1, 1);
    let _running = running(&mut svc, 1);
    let (mut paused, mut shadowed) = (call(&mut svc, 1), call(&mut svc, 2));
    let (mut waits, mut full) = (call(&mut svc, 3), call(&mut svc, 4));
    handle.pause();
    assert_eq!(rejection(paused.poll()).reason(), Reason::Paused);
    handle.resume();
    assert!(waits.poll().is_pending());
    assert_eq!(rejection(full.poll()).reason(), Reason::BulkheadFull);
    handle.set_shadow(true);
    assert!(waits.poll().is_pending() && shadowed.poll().is_pending());
    assert_eq!(mock.requests(), [0, 3, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_bulkhead_admits_no_call_and_keeps_its_queue() {
    let (mut svc, handle, mock) = subject(1, 2);
    let mut calls = running(&mut svc, 2);
    handle.pause();
    assert_eq!(handle.state(), "paused");
    assert_eq!(rejection(call(&mut svc, 9).poll()).reason(), Reason::Paused);
    mock.respond(0, Ok(()));
    assert!(calls[0].poll().is_ready());
    assert!(calls[1].poll().is_pending());
    assert_eq!((mock.calls(), handle.in_flight()), (1, 0));
    handle.resume();
    assert!(calls[1].wakes() > 0 && calls[1].poll().is_pending());
    assert_eq!(mock.requests(), [0, 1]);
    assert_eq!(handle.counts().rejected_paused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_leaves_a_paused_bulkhead_when_its_max_wait_ends() {
    let (mut svc, handle, _mock) = subject(1, 2);
    let mut calls = running(&mut svc, 2);
    handle.pause();
    calls.remove(0);
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(rejection(calls[0].poll()).reason(), Reason::QueueTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_draining_bulkhead_serves_its_queue_rejects_new_calls_and_reports_when_it_is_empty() {
    let (mut svc, handle, mock) = subject(1, 3);
    let mut calls = running(&mut svc, 2);
    // Made before, polled after.
    let mut unpolled = call(&mut svc, 7);
    handle.drain();
    let mut drained = PolledFuture::new(handle.drained());
    let mut dropped = PolledFuture::new(handle.drained());
    assert!(drained.poll().is_pending() && dropped.poll().is_pending());
    drop(dropped);
    assert_eq!(handle.state(), "draining");
    assert_eq!(
        rejection(call(&mut svc, 9).poll()).reason(),
        Reason::Draining
    );
    assert_eq!(rejection(unpolled.poll()).reason(), Reason::Draining);
    mock.respond(0, Ok(()));
    assert!(calls[0].poll().is_ready());
    assert!(drained.poll().is_pending(), "one is queued");
    assert!(calls[1].poll().is_pending());
    assert!(drained.poll().is_pending(), "it runs");
    let wakes = drained.wakes();
    mock.respond(1, Ok(()));
    assert!(calls[1].poll().is_ready());
    assert_eq!(drained.wakes(), wakes + 1);
    assert!(drained.poll().is_ready());
    assert_eq!(handle.counts().rejected_draining, 2);
    handle.resume();
    assert!(call(&mut svc, 10).poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_future_that_was_dropped_is_not_woken() {
    let (mut svc, handle, _mock) = subject(1, 3);
    let calls = running(&mut svc, 1);
    let waker = Arc::new(Wakes::default());
    let mut drained = handle.drained();
    let kept = Waker::from(Arc::clone(&waker));
    let cx = &mut Context::from_waker(&kept);
    assert!(Pin::new(&mut drained).poll(cx).is_pending());
    drop(drained);
    drop(calls);
    assert_eq!(waker.0.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&waker), 2, "here and in `kept`");
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_can_be_the_last_one() {
    let (mut svc, handle, mock) = subject(1, 3);
    let mut calls = running(&mut svc, 2);
    mock.set_pending();
    calls.remove(0);
    assert!(calls[0].poll().is_pending(), "it is skipped");
    let mut drained = PolledFuture::new(handle.drained());
    assert!(drained.poll().is_pending());
    calls.clear();
    assert!(drained.wakes() == 1 && drained.poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_lets_every_call_pass_and_reports_what_it_would_reject() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = BulkheadConfig::builder()
        .max_concurrent(1)
        .max_waiting(2)
        .shadow(true)
        .build()
        .unwrap();
    let layer = BulkheadLayer::new("shadow", config);
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let events = Events::new(16);
    handle.attach(&events);
    let mut emitted = events.subscribe();
    // One has a permit, two would wait, two would be rejected.
    let calls = running(&mut svc, 5);
    assert_eq!(
        (mock.calls(), handle.in_flight(), handle.queue_depth()),
        (5, 5, 0)
    );
    let counts = handle.counts();
    assert_eq!(
        (counts.waited, counts.shadowed, counts.rejected()),
        (2, 2, 0)
    );
    for _ in 0..2 {
        let Some(Received::Event(event)) = emitted.try_next() else {
            panic!("nothing was emitted")
        };
        assert!(matches!(event.kind, EventKind::Shadowed(r) if r.reason() == Reason::BulkheadFull));
    }
    assert!(emitted.try_next().is_none());
    assert!(handle.snapshot().shadow);
    // Shadow mode ends: no call is stopped, none is admitted.
    handle.set_shadow(false);
    let mut waits = call(&mut svc, 9);
    assert!(waits.poll().is_pending());
    assert_eq!(handle.queue_depth(), 1);
    drop(calls);
    assert!(waits.poll().is_pending());
    assert_eq!((mock.calls(), handle.in_flight()), (6, 1));
}

#[tokio::test(start_paused = true)]
async fn queued_calls_go_when_shadow_mode_begins() {
    let (mut svc, handle, mock) = subject(1, 8);
    let mut calls = running(&mut svc, 4);
    handle.set_shadow(true);
    for waiter in &mut calls[1..] {
        assert_eq!(waiter.wakes(), 1);
        assert!(waiter.poll().is_pending());
    }
    assert_eq!(
        (mock.calls(), handle.in_flight(), handle.queue_depth()),
        (4, 4, 0)
    );
    assert!(call(&mut svc, 9).poll().is_pending());
    assert_eq!(mock.calls(), 5);
}

/// What an operator has commanded holds whatever the settings are: shadow mode is for the limit.
#[tokio::test(start_paused = true)]
async fn a_pause_a_drain_and_a_block_hold_in_shadow_mode() {
    let (mut svc, handle, mock) = subject(1, 8);
    let mut calls = running(&mut svc, 2);
    handle.pause();
    handle.set_shadow(true);
    assert_eq!(calls[1].wakes(), 0);
    assert_eq!(rejection(call(&mut svc, 9).poll()).reason(), Reason::Paused);
    handle.resume();
    assert_eq!(calls[1].wakes(), 1);
    assert!(calls[1].poll().is_pending());
    handle.drain();
    let draining = rejection(call(&mut svc, 9).poll());
    assert_eq!(draining.reason(), Reason::Draining);
    handle.resume();
    let passes = call(&mut svc, 9);
    assert_eq!((mock.calls(), handle.in_flight()), (3, 3));
    handle.control(Command::Block).expect("it has that command");
    handle.set_shadow(true);
    assert_eq!(rejection(call(&mut svc, 9).poll()).reason(), Reason::Paused);
    handle
        .control(Command::Bypass)
        .expect("it has that command");
    let also_passes = call(&mut svc, 9);
    assert_eq!(handle.in_flight(), 4);
    drop((passes, also_passes, calls));
    assert_eq!(handle.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_registry_commands_the_bulkhead() {
    let (mut svc, handle, _mock) = subject(1, 0);
    handle.control(Command::Block).unwrap();
    assert_eq!(rejection(call(&mut svc, 0).poll()).reason(), Reason::Paused);
    handle.control(Command::Bypass).unwrap();
    let calls = running(&mut svc, 3);
    assert_eq!(handle.in_flight(), 3);
    handle.control(Command::Block).unwrap();
    assert_eq!(rejection(call(&mut svc, 0).poll()).reason(), Reason::Paused);
    handle.control(Command::Reset).unwrap();
    assert_eq!(
        rejection(call(&mut svc, 0).poll()).reason(),
        Reason::BulkheadFull
    );
    drop(calls);
    assert!(call(&mut svc, 0).poll().is_pending());
    assert_eq!(handle.state(), "ok");
}

/// The limit changes all the time while calls come, wait, are dropped and end.
#[test]
fn no_permit_is_lost_while_the_limit_changes_under_load() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let layer = layer(4, 64);
    let svc = layer.layer(tower::service_fn(|n: u32| async move {
        for _ in 0..n % 4 {
            tokio::task::yield_now().await;
        }
        Ok::<_, Error<()>>(n)
    }));
    let handle = layer.handle();
    runtime.block_on(async {
        let mut tasks: Vec<_> = (0..32_u32)
            .map(|task| {
                let svc = svc.clone();
                tokio::spawn(async move {
                    for n in 0..200 {
                        let mut response = Box::pin(svc.clone().call(task + n));
                        if (task + n) % 5 == 0 {
                            let once = std::future::poll_fn(|cx| {
                                Poll::Ready(response.as_mut().poll(cx).is_ready())
                            });
                            once.await;
                            tokio::task::yield_now().await;
                        } else {
                            assert_eq!(response.await, Ok(task + n));
                        }
                    }
                })
            })
            .collect();
        let resizer = handle.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..2_000_u32 {
                resizer.set_limit(1 + n % 7).expect("valid");
                match n % 20 {
                    5 => resizer.pause(),
                    6 => resizer.resume(),
                    11 => resizer.set_shadow(true),
                    12 => resizer.set_shadow(false),
                    _ => {}
                }
                tokio::task::yield_now().await;
            }
            resizer.resume();
        }));
        for task in tasks {
            // A pause rejects some of them.
            let _ = task.await;
        }
        handle.drained().await;
    });
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.queue_depth), (0, 0));
    assert_eq!(snapshot.available, snapshot.limit);
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_every_command_and_keeps_calls_and_counts() {
    let (mut svc, handle, mock) = subject(2, 4);
    let mut calls = running(&mut svc, 4);
    handle.set_limit(1).unwrap();
    handle.drain();
    mock.respond(0, Ok(()));
    assert!(calls.remove(0).poll().is_ready());
    assert_eq!(handle.snapshot().state, BulkheadState::Draining);
    assert_eq!(calls[1].wakes(), 0, "one is still above the limit");
    handle.reset();
    assert_eq!(calls[1].wakes(), 1);
    assert!(calls[1].poll().is_pending());
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.limit, snapshot.in_flight, snapshot.queue_depth),
        (2, 2, 1)
    );
    assert_eq!((snapshot.peak_in_flight, snapshot.counts.success), (2, 1));
    assert_eq!(snapshot.state, BulkheadState::Queueing);
    handle.pause();
    handle.set_shadow(true);
    handle.reset();
    assert!(!handle.snapshot().shadow);
    assert_eq!(handle.state(), "queueing");
    drop(calls);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_configuration_holds_for_services_that_are_made_already_and_survives_a_reset() {
    let (mut svc, handle, _mock) = subject(1, 0);
    let config = BulkheadConfig::builder().max_concurrent(3).max_waiting(1);
    handle.configure(config.build().unwrap()).unwrap();
    let mut calls = running(&mut svc, 4);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (3, 1));
    // A future that was called and is not polled any more holds what it has until it is dropped.
    let kept = calls.remove(3);
    handle.reset();
    assert_eq!(handle.config(), config.build().unwrap());
    assert_eq!((handle.in_flight(), handle.queue_depth()), (3, 1));
    drop(kept);
    assert_eq!((handle.queue_depth(), handle.counts().abandoned), (0, 1));
}
