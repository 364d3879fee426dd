//! The queue: its order, its size, and how long calls wait.

use super::*;

/// Spawns calls 0, 1, ... one after the other.
async fn spawn_calls<X>(
    svc: &RateLimit<Departures, X>,
    requests: std::ops::Range<u32>,
) -> Vec<tokio::task::JoinHandle<Result<u64, Error<()>>>>
where
    RateLimit<Departures, X>: Service<u32, Error = Error<()>, Response = u64> + Clone,
    <RateLimit<Departures, X> as Service<u32>>::Future: Send + 'static,
{
    let mut tasks = Vec::new();
    for request in requests {
        tasks.push(tokio::spawn(svc.clone().call(request)));
        tokio::task::yield_now().await;
    }
    tasks
}

#[tokio::test(start_paused = true)]
async fn waiters_depart_in_order_one_per_token() {
    let inner = Departures::new();
    let layer = layer(2, SECOND);
    let svc = layer.layer(inner.clone());
    let tasks = spawn_calls(&svc, 0..6).await;
    assert_eq!(layer.handle().queue_depth(), 4);
    assert_eq!(layer.handle().state(), "queueing");
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        inner.log(),
        [(0, 0), (1, 0), (2, 100), (3, 200), (4, 300), (5, 400)]
    );
    let counts = layer.handle().counts();
    assert_eq!((counts.granted, counts.waited, counts.rejected), (6, 4, 0));
    assert_eq!(layer.handle().queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiters_that_leave_cost_nothing_and_cause_no_burst() {
    let inner = Departures::new();
    let layer = layer(1, SECOND);
    let svc = layer.layer(inner.clone());
    let mut tasks = spawn_calls(&svc, 0..7).await;
    tokio::time::sleep(ms(150)).await;
    // The first, one in the middle, and the last.
    for gone in [2, 4, 6] {
        tasks[gone].abort();
    }
    for (n, task) in tasks.drain(..).enumerate() {
        assert_eq!(task.await.is_err(), [2, 4, 6].contains(&n));
    }
    assert_eq!(inner.log(), [(0, 0), (1, 100), (3, 200), (5, 300)]);
    assert_eq!(layer.handle().counts().abandoned, 3);
    assert_eq!(layer.handle().queue_depth(), 0);
    // They are not in the forecast either: ten of these fit into a second, the eleventh does not.
    let mut tasks = spawn_calls(&svc, 7..18).await;
    let error = tasks.remove(10).await.unwrap().unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.retry_after(), Some(ms(1_100)));
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), Ok(400 + 100 * n as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_succeed_is_rejected_at_once_with_the_time_to_come_back() {
    let inner = Departures::new();
    let layer = layer(1, ms(200));
    let svc = layer.layer(inner.clone());
    let tasks = spawn_calls(&svc, 0..3).await;
    let error = svc.clone().call(3).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.retry_after(), Some(ms(300)));
    assert_eq!(Instant::now(), inner.start);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    // It is granted at that time and was not a nanosecond earlier.
    advance(ms(100) - Duration::from_nanos(1)).await;
    assert!(layer.handle().tokens() < 1.0);
    advance(Duration::from_nanos(1)).await;
    assert_eq!(layer.handle().tokens(), 1.0);
    assert_eq!(svc.clone().call(4).await, Ok(300));
}

#[tokio::test(start_paused = true)]
async fn the_wait_includes_the_costs_of_calls_ahead() {
    let by_number = |n: &u32| RequestMeta::new(Replay::Safe).with_cost(*n);
    let inner = Departures::new();
    let layer = layer(5, SECOND).describe(by_number);
    let mut svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for cost in [5, 3, 2, 4] {
        tasks.push(tokio::spawn(svc.call(cost)));
        tokio::task::yield_now().await;
    }
    // The waiters need 9 tokens.
    let error = svc.call(2).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().retry_after(), Some(ms(1_100)));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(inner.log(), [(5, 0), (3, 300), (2, 500), (4, 900)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_call_does_not_overtake_waiters() {
    let (mut svc, _handle, mock) = subject(1, SECOND);
    assert!(call(&mut svc, 0).poll().is_ready());
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    let mut late = call(&mut svc, 2);
    assert!(late.poll().is_pending());
    assert!(waiter.poll().is_ready());
    assert!(late.poll().is_pending());
    advance(ms(100)).await;
    assert!(late.poll().is_ready());
    assert_eq!(mock.requests(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn max_waiting_is_exact() {
    let (inner, _mock) = mock();
    let config = builder(1)
        .max_wait(10 * SECOND)
        .max_waiting(2)
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("desk", config);
    let mut svc = layer.layer(inner);
    let mut calls: Vec<_> = (0..4).map(|n| call(&mut svc, n)).collect();
    assert!(calls[0].poll().is_ready());
    assert!(calls[1].poll().is_pending() && calls[2].poll().is_pending());
    // Made before the queue was full, polled after.
    let rejected = rejection(calls[3].poll());
    assert_eq!(rejected.retry_after(), Some(ms(300)));
    assert_eq!(
        rejection(call(&mut svc, 4).poll()).retry_after(),
        Some(ms(300))
    );
    calls.remove(1);
    assert!(call(&mut svc, 5).poll().is_pending());
    assert_eq!(layer.handle().counts().rejected, 2);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_not_polled_delays_no_other() {
    let (mut svc, handle, mock) = subject(1, SECOND);
    let _granted = call(&mut svc, 0);
    let not_polled = call(&mut svc, 1);
    let mut waiter = call(&mut svc, 2);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    assert!(waiter.poll().is_ready());
    assert_eq!(mock.requests(), [0, 2]);
    drop(not_polled);
    assert_eq!(handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_at_the_last_instant_is_taken() {
    let (mut svc, handle, _mock) = subject(1, ms(100));
    let _granted = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    assert!(matches!(waiter.poll(), Poll::Ready(Ok(1))));
    assert_eq!(handle.counts().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn a_max_wait_without_end_does_not_overflow() {
    let (mut svc, _handle, mock) = subject(1, Duration::MAX);
    let _granted = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    assert!(waiter.poll().is_ready());
    assert_eq!(mock.requests(), [0, 1]);
}
