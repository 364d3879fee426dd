//! Correct layers: the kit finds nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_testkit::contract::{
    BoxError, Mock, MockHandle, assert_check, checks, fail_calls, hold_call,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Service, ServiceExt as _};

type BoxFuture = Pin<Box<dyn Future<Output = Result<u32, BoxError>>>>;

/// Keeps a future and what goes with it until completion, and nothing after that.
struct Fused<F: ?Sized, K>(Option<(Pin<Box<F>>, K)>);

impl<F: Future + ?Sized, K: Unpin> Future for Fused<F, K> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (future, _) = self.0.as_mut().expect("polled after completion");
        let result = future.as_mut().poll(cx);
        if result.is_ready() {
            self.0 = None;
        }
        result
    }
}

#[derive(Clone)]
struct Pass<S>(S);

impl<S: Service<u32>> Service<u32> for Pass<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Fused<S::Future, ()>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> Self::Future {
        Fused(Some((Box::pin(self.0.call(request)), ())))
    }
}

mod pass_through {
    use super::Pass;

    seawall_testkit::contract_tests! {
        Pass => all
    }
}

/// A limit that decides in `call`: it rejects, or lets the future wait.
#[derive(Clone)]
struct Limit {
    inner: Mock,
    permits: Arc<Semaphore>,
    waits: bool,
}

impl Service<u32> for Limit {
    type Response = u32;
    type Error = BoxError;
    type Future = Fused<dyn Future<Output = Result<u32, BoxError>>, Option<OwnedSemaphorePermit>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let permits = Arc::clone(&self.permits);
        match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => Fused(Some((Box::pin(self.inner.call(request)), Some(permit)))),
            Err(_) if self.waits => {
                // A clone, which is polled ready after the wait: the ready instance stays.
                let mut inner = self.inner.clone();
                let waiting = async move {
                    let ready = inner.ready().await?;
                    let _permit = permits.acquire_owned().await?;
                    ready.call(request).await
                };
                Fused(Some((Box::pin(waiting), None)))
            }
            Err(_) => Fused(Some((Box::pin(async { Err("full".into()) }), None))),
        }
    }
}

fn limit(inner: Mock, permits: &Arc<Semaphore>, waits: bool) -> Limit {
    Limit {
        inner,
        permits: Arc::clone(permits),
        waits,
    }
}

fn rejecting(inner: Mock) -> Limit {
    limit(inner, &Arc::new(Semaphore::new(1)), false)
}

fn waiting(inner: Mock) -> Limit {
    limit(inner, &Arc::new(Semaphore::new(1)), true)
}

fn two(one: Mock, two: Mock) -> (Limit, Limit) {
    let permits = Arc::new(Semaphore::new(1));
    (limit(one, &permits, false), limit(two, &permits, false))
}

mod rejecting_limit {
    seawall_testkit::contract_tests! {
        super::rejecting => all, rejected_clone_leaves_the_queue
    }
}

mod waiting_limit {
    seawall_testkit::contract_tests! {
        super::waiting =>
        calls_the_ready_instance,
        dropped_future_releases_everything,
        dropped_waiter_returns_its_permit,
        finished_future_holds_nothing,
        idle_ready_clone_blocks_no_other,
        survives_a_panic,
    }
}

#[tokio::test(start_paused = true)]
async fn limits_are_exact() {
    for waits in [false, true] {
        let make = |inner| limit(inner, &Arc::new(Semaphore::new(3)), waits);
        assert_check(checks::never_exceeds_its_limit(make, 3).await);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_share_and_reject_in_the_call() {
    assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two).await);
    assert_check(checks::services_of_one_layer_share_state(two, hold_call).await);
    assert_check(checks::clones_share_state(rejecting, hold_call).await);
    assert_check(checks::clones_share_state(waiting, hold_call).await);
    assert_check(checks::rejects_in_call(rejecting, hold_call).await);
}

/// Makes one further attempt, after a second, with an instance that it polls ready itself.
#[derive(Clone)]
struct RetryOnce(Mock);

impl Service<u32> for RetryOnce {
    type Response = u32;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> BoxFuture {
        let next = self.0.clone();
        let first = self.0.call(request);
        Box::pin(async move {
            if let Ok(result) = first.await {
                return Ok(result);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            next.oneshot(request).await
        })
    }
}

mod retry {
    seawall_testkit::contract_tests! {
        super::RetryOnce =>
        every_attempt_polls_readiness,
        holds_nothing_during_backoff,
    }
}

/// Opens forever after three failures, and then does not poll the inner service.
#[derive(Clone)]
struct Breaker {
    inner: Mock,
    failures: Arc<AtomicUsize>,
    parked: Arc<Mutex<Vec<Waker>>>,
}

impl Breaker {
    fn is_open(&self) -> bool {
        self.failures.load(Ordering::SeqCst) >= 3
    }
}

impl Service<u32> for Breaker {
    type Response = u32;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The gate first: the inner service may be the thing that is stuck.
        if self.is_open() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.inner.poll_ready(cx);
        if polled.is_pending() {
            let mut parked = self.parked.lock().expect("no poison");
            parked.push(cx.waker().clone());
        }
        polled
    }

    fn call(&mut self, request: u32) -> BoxFuture {
        if self.is_open() {
            return Box::pin(async { Err("open".into()) });
        }
        let (failures, parked) = (Arc::clone(&self.failures), Arc::clone(&self.parked));
        let future = self.inner.call(request);
        Box::pin(async move {
            let result = future.await;
            if result.is_err() && failures.fetch_add(1, Ordering::SeqCst) == 2 {
                let parked = std::mem::take(&mut *parked.lock().expect("no poison"));
                parked.into_iter().for_each(Waker::wake);
            }
            result
        })
    }
}

#[tokio::test(start_paused = true)]
async fn open_breaker_rejects_immediately() {
    let make = |inner| Breaker {
        inner,
        failures: Arc::default(),
        parked: Arc::default(),
    };
    let two = |one: Mock, two: Mock| {
        let one = make(one);
        let two = Breaker {
            inner: two,
            ..one.clone()
        };
        (one, two)
    };
    let trip = async |breaker: &mut Breaker, mock: &MockHandle| fail_calls(breaker, mock, 3).await;
    assert_check(checks::rejects_in_call(make, trip).await);
    assert_check(checks::rejects_without_polling_inner(make, trip).await);
    assert_check(checks::parked_task_is_woken_by_the_gate(two, trip).await);
    assert_check(checks::services_of_one_layer_share_state(two, trip).await);
    assert_check(checks::clones_share_state(make, trip).await);
}
