//! Small layers with one bug each, and the check that must find it.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_testkit::contract::{BoxError, Check, Mock, MockHandle, checks, fail_calls, hold_call};
use tower::{Service, ServiceExt as _};

use super::assert_found;

type BoxFuture = Pin<Box<dyn Future<Output = Result<u32, BoxError>>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    MovesAnUnpolledClone,
    ReadiesASecondInstance,
    SecondAttemptUnpolled,
    SecondAttemptReservesBeforeTheBackoff,
    RejectsInPollReady,
    AcquiresAtEachPoll,
    ReservesAtEachPoll,
    ReportsReadyForever,
    CopiesReadinessIntoTheClone,
    LeaksOnDrop,
    LosesTheWaker,
    Spins,
    Spawns,
    ChecksCapacityWithoutReserving,
    StringifiesErrors,
    StatePerClone,
    PollsReadinessInCall,
    StashesReadyInstances,
    PollsAStuckServiceBeforeItRejects,
    NeverCalls,
    ReplacesRequests,
}

/// A layer that is a pass-through, a limit of one or a breaker of three failures, with a bug.
#[derive(Debug)]
struct Broken {
    inner: Mock,
    bug: Bug,
    ready: bool,
    kept: Vec<Mock>,
    count: Arc<AtomicUsize>,
    stash: Arc<Mutex<Vec<Mock>>>,
}

impl Clone for Broken {
    fn clone(&self) -> Self {
        let count = match self.bug {
            Bug::StatePerClone => Arc::default(),
            _ => Arc::clone(&self.count),
        };
        Self {
            inner: self.inner.clone(),
            bug: self.bug,
            ready: self.bug == Bug::CopiesReadinessIntoTheClone && self.ready,
            kept: Vec::new(),
            count,
            stash: Arc::clone(&self.stash),
        }
    }
}

fn with(bug: Bug) -> impl Fn(Mock) -> Broken {
    move |inner| Broken {
        inner,
        bug,
        ready: false,
        kept: Vec::new(),
        count: Arc::default(),
        stash: Arc::default(),
    }
}

impl Broken {
    fn used(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Service<u32> for Broken {
    type Response = u32;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.bug {
            Bug::RejectsInPollReady if self.used() > 0 => {
                return Poll::Ready(Err("full".into()));
            }
            Bug::ChecksCapacityWithoutReserving if self.used() > 0 => return Poll::Pending,
            Bug::AcquiresAtEachPoll if self.count.fetch_add(1, Ordering::SeqCst) > 0 => {
                return Poll::Pending;
            }
            Bug::ReservesAtEachPoll => {
                let mut next = self.inner.clone();
                if next.poll_ready(cx).is_pending() {
                    return Poll::Pending;
                }
                self.kept.push(std::mem::replace(&mut self.inner, next));
                return Poll::Ready(Ok(()));
            }
            Bug::ReportsReadyForever | Bug::CopiesReadinessIntoTheClone if self.ready => {
                return Poll::Ready(Ok(()));
            }
            Bug::LosesTheWaker => {
                let mut cx = Context::from_waker(Waker::noop());
                return self.inner.poll_ready(&mut cx);
            }
            Bug::NeverCalls => return Poll::Ready(Ok(())),
            _ => {}
        }
        let polled = self.inner.poll_ready(cx);
        match self.bug {
            Bug::Spins if polled.is_pending() => cx.waker().wake_by_ref(),
            Bug::StashesReadyInstances if polled.is_ready() => {
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                self.stash.lock().expect("no poison").push(ready);
            }
            _ => {}
        }
        self.ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, request: u32) -> BoxFuture {
        self.ready = false;
        let mut clone = self.inner.clone();
        match self.bug {
            Bug::MovesAnUnpolledClone => Box::pin(async move { clone.call(request).await }),
            Bug::ReadiesASecondInstance => Box::pin(clone.oneshot(request)),
            Bug::SecondAttemptUnpolled => {
                let first = self.inner.call(request);
                Box::pin(async move {
                    match first.await {
                        Ok(result) => Ok(result),
                        Err(_) => clone.call(request).await,
                    }
                })
            }
            Bug::SecondAttemptReservesBeforeTheBackoff => {
                let first = self.inner.call(request);
                Box::pin(async move {
                    if let Ok(result) = first.await {
                        return Ok(result);
                    }
                    poll_fn(|cx| clone.poll_ready(cx)).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    clone.call(request).await
                })
            }
            Bug::LeaksOnDrop | Bug::StatePerClone if self.used() > 0 => {
                Box::pin(async { Err("full".into()) })
            }
            Bug::LeaksOnDrop
            | Bug::RejectsInPollReady
            | Bug::ChecksCapacityWithoutReserving
            | Bug::StatePerClone => {
                let count = Arc::clone(&self.count);
                count.fetch_add(1, Ordering::SeqCst);
                let future = self.inner.call(request);
                Box::pin(async move {
                    let result = future.await;
                    count.fetch_sub(1, Ordering::SeqCst);
                    result
                })
            }
            Bug::Spawns => {
                let task = tokio::spawn(self.inner.call(request));
                Box::pin(async { task.await? })
            }
            Bug::StringifiesErrors => {
                let future = self.inner.call(request);
                Box::pin(async { future.await.map_err(|error| error.to_string().into()) })
            }
            Bug::PollsReadinessInCall => {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(self.inner.poll_ready(&mut cx).is_ready());
                Box::pin(self.inner.call(request))
            }
            Bug::StashesReadyInstances => {
                let ready = self.stash.lock().expect("no poison").pop();
                Box::pin(ready.expect("polled ready").call(request))
            }
            Bug::PollsAStuckServiceBeforeItRejects => {
                if self.used() >= 3 {
                    return Box::pin(async { Err("open".into()) });
                }
                let count = Arc::clone(&self.count);
                let future = self.inner.call(request);
                Box::pin(async move {
                    let result = future.await;
                    if result.is_err() {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    result
                })
            }
            Bug::NeverCalls => Box::pin(async move { Ok(request) }),
            Bug::ReplacesRequests => {
                let future = self.inner.call(0);
                Box::pin(async move { future.await.map(|_| request) })
            }
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

/// One test for each planted bug: the check, and words of what it must have seen.
macro_rules! finds {
    ($($name:ident: $check_fn:ident($bug:ident $(, $more:expr)*) => $check:ident, $words:literal;)+) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                let found = checks::$check_fn(with(Bug::$bug) $(, $more)*).await;
                assert_found(found, Check::$check, $words);
            }
        )+
    };
}

async fn trip(service: &mut Broken, mock: &MockHandle) {
    fail_calls(service, mock, 3).await;
}

finds! {
    clone_moved_unpolled:
        calls_the_ready_instance(MovesAnUnpolledClone)
        => CallsTheReadyInstance, "without having been polled ready";
    replaced_request:
        calls_the_ready_instance(ReplacesRequests)
        => CallsTheReadyInstance, "reached the inner service as [0, 0, 0]";
    subject_that_never_reaches_the_inner_service:
        calls_the_ready_instance(NeverCalls)
        => CallsTheReadyInstance, "never reached the inner service";
    second_instance_for_one_request:
        one_request_needs_one_reservation(ReadiesASecondInstance)
        => OneRequestNeedsOneReservation, "the future pends forever";
    second_attempt_unpolled:
        every_attempt_polls_readiness(SecondAttemptUnpolled)
        => EveryAttemptPollsReadiness, "without having been polled ready";
    no_second_attempt:
        every_attempt_polls_readiness(StringifiesErrors)
        => EveryAttemptPollsReadiness, "expected two attempts";
    reservation_held_during_a_backoff:
        holds_nothing_during_backoff(SecondAttemptReservesBeforeTheBackoff)
        => HoldsNothingDuringBackoff, "1 reservations";
    no_backoff:
        holds_nothing_during_backoff(StringifiesErrors)
        => HoldsNothingDuringBackoff, "without a backoff";
    rejection_from_poll_ready:
        rejects_in_call(RejectsInPollReady, hold_call)
        => RejectsInCall, "poll_ready failed with the rejection";
    permit_acquired_at_each_poll:
        reserves_once_when_polled_again(AcquiresAtEachPoll)
        => ReservesOnceWhenPolledAgain, "not ready at the second poll";
    reservation_at_each_poll:
        reserves_once_when_polled_again(ReservesAtEachPoll)
        => ReservesOnceWhenPolledAgain, "hold 3 reservations";
    readiness_reported_forever:
        polls_inner_again_before_ready(ReportsReadyForever)
        => PollsInnerAgainBeforeReady, "reported ready a second time";
    readiness_copied_into_the_clone:
        clone_resets_readiness(CopiesReadinessIntoTheClone)
        => CloneResetsReadiness, "without having been polled ready";
    count_leaked_by_a_dropped_future:
        dropped_future_releases_everything(LeaksOnDrop)
        => DroppedFutureReleasesEverything, "before its first poll";
    count_leaked_by_a_panic:
        survives_a_panic(LeaksOnDrop)
        => SurvivesAPanic, "after the inner service panicked in Call";
    work_that_outlives_its_future:
        dropped_future_releases_everything(Spawns)
        => DroppedFutureReleasesEverything, "is still alive";
    spawned_task:
        spawns_no_task(Spawns)
        => SpawnsNoTask, "1 tasks";
    waker_lost:
        pending_has_registered_the_waker(LosesTheWaker)
        => PendingHasRegisteredTheWaker, "the task that waits in poll_ready was not woken";
    self_wake_loop:
        pending_has_registered_the_waker(Spins)
        => PendingHasRegisteredTheWaker, "wakes its own task";
    capacity_checked_and_not_reserved:
        never_exceeds_its_limit(ChecksCapacityWithoutReserving, 1)
        => NeverExceedsItsLimit, "3 calls were open";
    error_turned_into_a_string:
        passes_errors_through(StringifiesErrors)
        => PassesErrorsThrough, "mock failed with error 7";
    state_per_clone:
        clones_share_state(StatePerClone, hold_call)
        => ClonesShareState, "let a request through";
    readiness_polled_in_call:
        call_does_not_poll_readiness(PollsReadinessInCall)
        => CallDoesNotPollReadiness, "1 times";
    reservation_that_outlives_the_service:
        dropped_service_releases_its_reservation(StashesReadyInstances)
        => DroppedServiceReleasesItsReservation, "1 reservations are held";
    open_breaker_behind_a_stuck_service:
        rejects_without_polling_inner(PollsAStuckServiceBeforeItRejects, trip)
        => RejectsWithoutPollingInner, "poll_ready pends";
}

/// A breaker that wakes no parked task when it opens.
#[tokio::test(start_paused = true)]
async fn task_left_parked_behind_an_open_breaker() {
    let two = |one: Mock, two: Mock| {
        let one = with(Bug::PollsAStuckServiceBeforeItRejects)(one);
        let two = Broken {
            inner: two,
            ..one.clone()
        };
        (one, two)
    };
    assert_found(
        checks::parked_task_is_woken_by_the_gate(two, trip).await,
        Check::ParkedTaskIsWokenByTheGate,
        "was not woken",
    );
}

/// A queue for one permit, which is granted to the longest waiter, also if that was dropped.
#[derive(Debug, Default)]
struct Queue {
    taken: AtomicBool,
    waiting: Mutex<VecDeque<(Arc<AtomicBool>, Waker)>>,
}

impl Queue {
    fn release(&self) {
        let next = self.waiting.lock().expect("no poison").pop_front();
        match next {
            Some((granted, waker)) => {
                granted.store(true, Ordering::SeqCst);
                waker.wake();
            }
            None => self.taken.store(false, Ordering::SeqCst),
        }
    }
}

#[derive(Debug, Clone)]
struct Queued {
    inner: Mock,
    queue: Arc<Queue>,
}

impl Service<u32> for Queued {
    type Response = u32;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> BoxFuture {
        let queue = Arc::clone(&self.queue);
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let granted = Arc::new(AtomicBool::new(false));
            let mut queued = false;
            poll_fn(|cx| {
                let free = !queued && !queue.taken.swap(true, Ordering::SeqCst);
                if free || granted.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut queued, true) {
                    let waiter = (Arc::clone(&granted), cx.waker().clone());
                    queue.waiting.lock().expect("no poison").push_back(waiter);
                }
                Poll::Pending
            })
            .await;
            let result = ready.call(request).await;
            queue.release();
            result
        })
    }
}

#[tokio::test(start_paused = true)]
async fn permit_granted_to_a_dropped_waiter() {
    let make = |inner| Queued {
        inner,
        queue: Arc::default(),
    };
    assert_found(
        checks::dropped_waiter_returns_its_permit(make).await,
        Check::DroppedWaiterReturnsItsPermit,
        "the future pends forever after a waiter was dropped",
    );
}
