//! Many callers on real threads.

use super::*;

#[test]
fn threads_together_are_granted_the_burst_and_counted() {
    let layer = RateLimitLayer::new(
        "threads",
        RateLimitConfig::builder()
            .rate(1, Duration::from_secs(3600))
            .burst(1_000)
            .build()
            .unwrap(),
    );
    let svc = layer.layer(Echo);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut svc = svc.clone();
                scope.spawn(move || {
                    (0..1_000)
                        .filter(|n| {
                            matches!(PolledFuture::new(svc.call(*n)).poll(), Poll::Ready(Ok(_)))
                        })
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(granted, 1_000);
    let counts = layer.handle().counts();
    assert_eq!((counts.granted, counts.rejected), (1_000, 3_000));
}

/// Many waiters on real threads, a third of them dropped: every other one departs, and
/// the queue is empty in the end.
#[test]
fn under_threads_no_waiter_is_lost() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let config = RateLimitConfig::builder()
        .rate(20_000, SECOND)
        .burst(1)
        .max_wait(Duration::from_secs(3600))
        .max_waiting(10_000)
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("stress", config);
    let svc = layer.layer(Echo);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200_u32)
            .map(|n| {
                let mut svc = svc.clone();
                tokio::spawn(async move {
                    let mut future = Box::pin(svc.call(n));
                    if n % 3 == 0 {
                        for _ in 0..n % 5 {
                            let once = std::future::poll_fn(|cx| {
                                Poll::Ready(future.as_mut().poll(cx).is_ready())
                            });
                            if once.await {
                                break;
                            }
                            tokio::task::yield_now().await;
                        }
                    } else {
                        assert_eq!(future.await, Ok(n));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(layer.handle().queue_depth(), 0);
    let counts = layer.handle().counts();
    assert_eq!(counts.granted + counts.abandoned, 200);
    assert!(counts.granted >= 133, "{counts:?}");
}
