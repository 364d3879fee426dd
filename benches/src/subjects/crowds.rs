//! Subjects that many tasks call at once: queues, and an HTTP client over a real connection.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use governor::{Quota, RateLimiter};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Clock, WrapError};
use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::buffer::Buffer;
use tower::limit::rate::Rate;
use tower::limit::{ConcurrencyLimit, RateLimit};
use tower_layer::Layer;
use tower_service::Service;

use super::loopback;
use crate::crowd::{Crowd, Size, Tasks};
use crate::harness::nanoseconds;
use crate::leaf::LeafError;

const PERMITS: u32 = 8;
const AT_BULKHEAD: Size = Size {
    tasks: 64,
    calls: 200,
    rounds: 41,
};
/// Calls per second of a limit, and how many it passes at once.
const RATE: u32 = 20_000;
const BURST: u32 = 200;
const AT_LIMIT: Size = Size {
    tasks: 64,
    calls: 20,
    rounds: 9,
};
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn crowds() -> Vec<Crowd> {
    let mut crowds = bulkheads();
    crowds.extend(limits());
    crowds.extend(loopback::crowds());
    crowds
}

fn bulkheads() -> Vec<Crowd> {
    let size = AT_BULKHEAD;
    vec![
        crowd("seawall/bulkhead/contended", size, move || {
            let config = BulkheadConfig::builder()
                .max_concurrent(PERMITS)
                .max_waiting(size.tasks as u32)
                .build();
            BulkheadLayer::new("bench", config.expect("a valid bulkhead"))
                .layer(WrapError::new(Upstream))
        }),
        // Not a service: what waiting costs at least.
        Crowd::new("tokio/bulkhead/semaphore", size, move || {
            let semaphore = Arc::new(Semaphore::new(PERMITS as usize));
            Box::new(move || {
                let semaphore = Arc::clone(&semaphore);
                Box::pin(async move {
                    let mut waits = Vec::with_capacity(size.calls);
                    let mut upstream = Upstream;
                    for _ in 0..size.calls {
                        let start = Instant::now();
                        let permit = semaphore.acquire().await;
                        permit.as_ref().expect("nobody closes it");
                        waits.extend(upstream.call(start).await);
                        drop(permit);
                    }
                    waits
                })
            })
        }),
        // With what a call of a service needs that may wait: memory that outlives `call`, two
        // references to the state, a reading of the clock at each end of the wait.
        Crowd::new("tokio/bulkhead/semaphore-of-a-service", size, move || {
            let semaphore = Semaphore::new(PERMITS as usize);
            let state = Shared::new(semaphore, Stripes::auto(), || ());
            Box::new(move || {
                let (state, clock) = (state.anchor(), Clock::start());
                Box::pin(async move {
                    let mut waits = Vec::with_capacity(size.calls);
                    let mut upstream = Upstream;
                    for _ in 0..size.calls {
                        let start = Instant::now();
                        let (waiting, held) = (state.local(), state.local());
                        let joined = black_box(clock.now());
                        let permit = Box::pin(waiting.common().acquire()).await;
                        permit.as_ref().expect("nobody closes it");
                        waits.extend(upstream.call(start).await);
                        drop(permit);
                        black_box((clock.now() - joined, held));
                    }
                    waits
                })
            })
        }),
        crowd("tower/bulkhead/contended", size, move || {
            ConcurrencyLimit::new(Upstream, PERMITS as usize)
        }),
        crowd("tower-resilience/bulkhead/contended", size, move || {
            tower_resilience::bulkhead::BulkheadLayer::builder()
                .max_concurrent_calls(PERMITS as usize)
                .build()
                .expect("a bulkhead")
                .layer(Upstream)
        }),
    ]
}

fn limits() -> Vec<Crowd> {
    let size = AT_LIMIT;
    vec![
        crowd("seawall/ratelimit/contended", size, move || {
            let config = RateLimitConfig::builder()
                .rate(RATE, SECOND)
                .burst(BURST)
                .max_waiting(size.tasks as u32)
                .max_wait(SECOND)
                .build();
            RateLimitLayer::new("bench", config.expect("a valid rate"))
                .layer(WrapError::new(Upstream))
        }),
        Crowd::new("governor/ratelimit/contended", size, move || {
            let [rate, burst] = [RATE, BURST].map(|n| n.try_into().expect("not 0"));
            let quota = Quota::per_second(rate).allow_burst(burst);
            let limiter = Arc::new(RateLimiter::direct(quota));
            Box::new(move || {
                let limiter = Arc::clone(&limiter);
                Box::pin(async move {
                    let mut waits = Vec::with_capacity(size.calls);
                    let mut upstream = Upstream;
                    for _ in 0..size.calls {
                        let start = Instant::now();
                        limiter.until_ready().await;
                        waits.extend(upstream.call(start).await);
                    }
                    waits
                })
            })
        }),
        // A fixed window.
        crowd("tower/ratelimit/contended", size, move || {
            let rate = Rate::new(u64::from(BURST), SECOND / (RATE / BURST));
            Buffer::new(RateLimit::new(Upstream, rate), size.tasks)
        }),
        crowd("tower-resilience/ratelimit/contended", size, move || {
            tower_resilience::ratelimiter::RateLimiterLayer::builder()
                .limit_for_period(BURST as usize)
                .refresh_period(SECOND / (RATE / BURST))
                .burst_size(BURST as usize)
                .timeout_duration(SECOND)
                .build()
                .expect("a token bucket")
                .layer(Upstream)
        }),
    ]
}

/// Tasks that call clones of one service.
fn crowd<S>(name: &'static str, size: Size, make: impl Fn() -> S + 'static) -> Crowd
where
    S: Service<Instant, Response = f64, Error: Send, Future: Send> + Clone + Send + 'static,
{
    Crowd::new(name, size, move || -> Tasks {
        let template = make();
        Box::new(move || {
            let mut service = template.clone();
            Box::pin(async move {
                let mut waits = Vec::with_capacity(size.calls);
                for _ in 0..size.calls {
                    let start = Instant::now();
                    // A rejected call is missing in the end.
                    if poll_fn(|cx| service.poll_ready(cx)).await.is_ok() {
                        waits.extend(service.call(start).await);
                    }
                }
                waits
            })
        })
    })
}

/// Responds at the second poll, with how long the request waited for this call.
#[derive(Clone, Copy, Debug, Default)]
struct Upstream;

impl Service<Instant> for Upstream {
    type Response = f64;
    type Error = LeafError;
    type Future = Response;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LeafError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, start: Instant) -> Response {
        Response {
            waited: nanoseconds(start, Instant::now()),
            polled: false,
        }
    }
}

struct Response {
    waited: f64,
    polled: bool,
}

impl Future for Response {
    type Output = Result<f64, LeafError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polled {
            return Poll::Ready(Ok(self.waited));
        }
        self.polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
