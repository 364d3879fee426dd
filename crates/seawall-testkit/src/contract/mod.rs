//! The contract kit: a strict mock service and the checks that a Tower layer must pass.
//!
//! A layer that works in a demo may still fail over a service that uses all of the Tower contract:
//! one that must be polled ready before each call, that reserves in `poll_ready`, that can turn
//! unready again. [`Mock`] is such a service. Each function in [`checks`] puts a layer on top of one
//! and brings about a situation in which layers are known to have failed. No check passes by
//! default: a subject that does not reach the inner service, or never rejects where it should,
//! fails.
//!
//! # Example
//!
//! ```
//! use seawall_testkit::contract::{Mock, assert_check, checks};
//! use tower::limit::ConcurrencyLimit;
//! use tower::util::{MapRequest, ServiceExt as _};
//!
//! fn subject(inner: Mock) -> MapRequest<Mock, fn(u32) -> u32> {
//!     inner.map_request(|request| request)
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! assert_check(checks::calls_the_ready_instance(subject).await);
//! assert_check(checks::polls_inner_again_before_ready(subject).await);
//!
//! // Tower's limit keeps its permit until the completed future is dropped.
//! let violation = checks::finished_future_holds_nothing(|inner| ConcurrencyLimit::new(inner, 1))
//!     .await
//!     .expect_err("the permit goes with the future");
//! assert_eq!(violation.check().rules(), "C11 B11");
//! # }
//! ```
//!
//! In a test file, [`contract_tests!`](crate::contract_tests) makes one test of each check:
//!
//! ```no_run
//! # use seawall_testkit::contract::{self, Mock};
//! seawall_testkit::contract_tests! {
//!     // Makes a new layer and puts it on top of the mock.
//!     |inner: Mock| inner =>
//!     calls_the_ready_instance,
//!     reserves_once_when_polled_again,
//!     passes_errors_through,
//! }
//! ```
//!
//! # How it works
//!
//! Subjects are services of `u32` that echo the request and whose error is [`BoxError`], as the
//! mock is. Most checks take a function that makes a new subject from a mock; it must make a new
//! *layer* too, since checks try several subjects. The documentation of each check says which
//! configuration it needs. There are five groups:
//!
//! | the subject | checks |
//! |---|---|
//! | lets requests through (`all` in the macro) | `calls_the_ready_instance`, `one_request_needs_one_reservation`, `reserves_once_when_polled_again`, `dropped_service_releases_its_reservation`, `dropped_future_releases_everything`, `pending_has_registered_the_waker`, `call_does_not_poll_readiness`, `spawns_no_task`, `clone_resets_readiness`, `polls_inner_again_before_ready`, `finished_future_holds_nothing`, `finished_future_has_dropped_the_inner_future`, `idle_ready_clone_blocks_no_other`, `passes_errors_through`, `survives_a_panic` |
//! | limits | those above with a limit of one, and `never_exceeds_its_limit`, `keeps_no_permit_while_inner_is_not_ready`, `dropped_waiter_returns_its_permit` (if it waits), `rejected_clone_leaves_the_queue` (if it rejects) |
//! | rejects | `rejects_in_call`, `rejects_without_polling_inner`, `parked_task_is_woken_by_the_gate` |
//! | makes further attempts | `every_attempt_polls_readiness`, `holds_nothing_during_backoff` |
//! | shares state | `services_of_one_layer_share_state`, `clones_share_state` |
//!
//! # Time
//!
//! Subjects are polled by hand wherever possible; elsewhere a check waits on Tokio's clock, for at
//! most one hour. Run the checks in `#[tokio::test(start_paused = true)]`: the hour then takes no
//! time, deadlocks are found, and a layer that arms timers finds its runtime.
//!
//! # The rules
//!
//! | rule | what it says | where it comes from |
//! |---|---|---|
//! | C1 | `call` only after `Ready(Ok)` on that same instance | `tower_service::Service` |
//! | C2 | after `Ready(Ok)`, more `poll_ready`s acquire nothing more | `tower_service::Service` |
//! | C3 | what is reserved is released when the service or the future is dropped | tower #662 |
//! | C4 | `Err` of `poll_ready` is final for the instance; rejections are errors of `call` | tower #43 |
//! | C5 | `Pending` has registered the waker of this poll; no self-wake loops | tower #70 |
//! | C6 | `call` polls no readiness, needs no task and spawns none | `tower_service::Service` |
//! | C7 | readiness belongs to the instance, a clone starts without; shared state stays shared | tower #548 |
//! | C8 | what moves into a future is the ready instance; later attempts poll again | tower #548, #679 |
//! | C9 | the inner service is polled before readiness is reported; a gate that rejects need not | linkerd2-proxy #2491 |
//! | C10 | nothing is held during a wait that does not need it | |
//! | C11 | one admission has one completion, and holds nothing after it | linkerd2-proxy #751 |
//! | C14 | errors of the inner service keep their type | |
//!
//! | bug | what happened | where |
//! |---|---|---|
//! | B1 | a clone that was never polled is moved into the future | tower-resilience #286 |
//! | B2 | the second attempt is made without `poll_ready` | tower-resilience #362 |
//! | B3 | capacity was checked, but not reserved | hyper-util #297, tower-resilience #365 |
//! | B4 | acquires twice when polled twice, then waits for itself | linkerd2-proxy #2371 |
//! | B5 | reports ready forever, while the inner service has died | linkerd2-proxy #2491 |
//! | B6 | a waiter is never woken | tower #70, #480 |
//! | B7 | a rejected clone stays queued and gets the next permit | tower's `LoadShed<ConcurrencyLimit>`, tower #793 |
//! | B8 | clones that are ready and idle hold all permits | tower #408 |
//! | B9 | reserves for a request that may never come | tower #472, #709 |
//! | B10 | a shared permit is kept while the inner service is not ready | tower's `GlobalConcurrencyLimitLayer` |
//! | B11 | a permit is kept by a completed future | linkerd2-proxy #751, tower's `ConcurrencyLimit` |
//! | B15 | an open circuit waits for a stuck inner service | tower-resilience #381 |
//! | B16 | a rejection from `poll_ready` ends the buffer or the balancer above | tower #43 |
//! | B19 | a background task outlives its service | tower #581 |
//! | B22 | the caller has given up, the work goes on | tokio #6571 |
//! | B24 | state per clone where it should be shared | axum #2634, tower #764 |
//! | B29 | capacity off by one | tower #635 |

pub mod checks;
mod error;
mod handle;
mod macros;
mod mock;
mod polled;
mod state;
mod subject;
mod violation;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tower_service::Service;

pub use self::error::{BoxError, MockError};
pub use self::handle::MockHandle;
pub use self::mock::{Mock, MockFuture, mock};
pub use self::polled::PolledFuture;
pub use self::state::Stage;
use self::subject::LONGEST_WAIT;
pub use self::violation::{Check, Violation};

/// Passes if the check did.
///
/// # Panics
///
/// With the text of the violation.
#[track_caller]
pub fn assert_check(result: Result<(), Violation>) {
    if let Err(violation) = result {
        panic!("{violation}");
    }
}

/// Sends one request that stays open, and returns its future: the way to exhaust a limit of one.
///
/// It fits the `saturate` argument of checks.
///
/// # Panics
///
/// If the subject does not become ready, or the request completes.
pub async fn hold_call<S>(service: &mut S, mock: &MockHandle) -> Pin<Box<S::Future>>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    mock.hold_responses();
    let ready = tokio::time::timeout(LONGEST_WAIT, poll_fn(|cx| service.poll_ready(cx))).await;
    assert!(matches!(ready, Ok(Ok(()))), "no request gets in: {ready:?}");
    let mut future = Box::pin(service.call(HELD));
    let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    assert!(
        polled.is_pending(),
        "the request that exhausts the limit completed: {polled:?}"
    );
    future
}

/// Sends `count` requests that fail in the mock: the way to open a circuit.
///
/// It fits the `saturate` argument of checks. Rejections before the count is reached are ignored.
///
/// # Panics
///
/// If a request never completes.
pub async fn fail_calls<S>(service: &mut S, mock: &MockHandle, count: usize)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    mock.respond_immediately();
    mock.script((0..count).map(|_| Err(MockError::Failed(FAILS))));
    let all = async {
        for _ in 0..count {
            if poll_fn(|cx| service.poll_ready(cx)).await.is_ok() {
                // Only the failure that the layer saw matters here.
                drop(service.call(FAILS).await);
            }
        }
    };
    let done = tokio::time::timeout(LONGEST_WAIT, all).await;
    assert!(done.is_ok(), "a request that fails never completes");
}

/// The request number of [`hold_call`].
const HELD: u32 = 1_000_001;
/// The request number, and the error code, of [`fail_calls`].
const FAILS: u32 = 1_000_002;
