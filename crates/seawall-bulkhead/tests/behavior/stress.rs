//! Many tasks on real threads.

use super::*;

/// Waits forever, and counts how many of its calls are alive.
#[derive(Clone)]
struct Counting {
    alive: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Counting {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(alive, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.alive));
        Box::pin(async move {
            let _alive = alive;
            for _ in 0..request % 4 {
                tokio::task::yield_now().await;
            }
            if request % 16 == 1 {
                pending::<()>().await;
            }
            Ok(request)
        })
    }
}

/// 64 tasks, 3 permits, every fourth call is dropped after a few polls, some calls never complete
/// and live by being dropped alone.
#[test]
fn under_threads_nothing_is_lost_and_the_limit_holds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let inner = Counting {
        alive: Arc::default(),
        peak: Arc::default(),
    };
    let config = BulkheadConfig::builder()
        .max_concurrent(3)
        .max_waiting(64)
        .max_wait(Duration::from_secs(3600))
        .build()
        .expect("valid settings");
    let layer = BulkheadLayer::new("stress", config);
    let svc = layer.layer(inner.clone());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64_u32)
            .map(|task| {
                let svc = svc.clone();
                tokio::spawn(async move {
                    for n in 0..50 {
                        let request = task + n;
                        let mut response = Box::pin(svc.clone().call(request));
                        if request % 4 == 1 {
                            for _ in 0..request % 7 {
                                let once = std::future::poll_fn(|cx| {
                                    Poll::Ready(response.as_mut().poll(cx).is_ready())
                                });
                                if once.await {
                                    break;
                                }
                                tokio::task::yield_now().await;
                            }
                        } else {
                            assert_eq!(response.await, Ok(request));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let handle = layer.handle();
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    assert_eq!(inner.alive.load(Ordering::SeqCst), 0);
    assert_eq!(inner.peak.load(Ordering::SeqCst), 3);
    let counts = handle.counts();
    assert_eq!(counts.success + counts.abandoned, 64 * 50);
    assert!(counts.success >= 64 * 50 * 3 / 4, "{counts:?}");
    assert_eq!((counts.rejected_full, counts.rejected_timeout), (0, 0));
}
