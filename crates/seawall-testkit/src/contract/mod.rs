//! The contract kit: a strict mock service and the laws of a Tower layer, one function each.
//!
//! A layer is easily right in the demo and wrong under a service that means what the Tower
//! contract says: one that must be polled ready before each call, that hands out reservations
//! while it does so, that takes its readiness back. [`Mock`] is such a service, and each function
//! in [`checks`] puts a layer on top of one and walks it through the situation in which layers are
//! known to have failed. A law never passes by default: a subject that does not reach the inner
//! service, or never rejects where it should, is told so.
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
//! assert_check(checks::asks_again_before_claiming_ready(subject).await);
//!
//! // Tower's limit keeps its permit for as long as the finished future is not dropped.
//! let violation = checks::finished_future_holds_nothing(|inner| ConcurrencyLimit::new(inner, 1))
//!     .await
//!     .expect_err("the permit goes with the future");
//! assert_eq!(violation.law().rules(), "C11 B11");
//! # }
//! ```
//!
//! In a test file, [`contract_tests!`](crate::contract_tests) makes one test of each law:
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
//! mock is. Most laws take a function that makes a new subject from a mock; it must make a new
//! *layer* too, since laws try several subjects. Which configuration a law wants is said in its
//! documentation; there are five groups:
//!
//! | the subject | laws |
//! |---|---|
//! | lets requests through | `calls_the_ready_instance`, `one_request_needs_one_reservation`, `reserves_once_when_polled_again`, `dropped_service_releases_its_reservation`, `dropped_future_releases_everything`, `pending_has_registered_the_waker`, `call_does_not_poll_readiness`, `spawns_no_task`, `clone_resets_readiness`, `asks_again_before_claiming_ready`, `finished_future_holds_nothing`, `finished_future_has_dropped_the_inner_future`, `idle_ready_clone_blocks_nobody`, `passes_errors_through`, `survives_a_panic` |
//! | limits | those above with a limit of one, and `never_exceeds_its_limit`, `keeps_no_permit_while_inner_is_not_ready`, `dropped_waiter_gives_its_place_back` (if it waits), `rejected_clone_keeps_no_place` (if it rejects) |
//! | rejects | `rejects_in_call`, `rejects_without_asking_the_inner_service`, `parked_task_is_woken_by_the_gate` |
//! | tries again | `every_attempt_polls_readiness`, `holds_nothing_while_it_backs_off` |
//! | shares state | `two_services_of_one_layer_share`, `clones_share` |
//!
//! # Time
//!
//! Laws are polled by hand wherever they can be, and wait on Tokio's clock elsewhere, for at most
//! one hour. Run them in `#[tokio::test(start_paused = true)]`: the hour then costs nothing, is the
//! detector of deadlocks, and a layer that arms timers finds its runtime.
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
//! | C9 | the inner service is polled before readiness is claimed; a gate that rejects need not | linkerd2-proxy #2491 |
//! | C10 | nothing is held across a wait that does not need it | |
//! | C11 | one admission has one end, and holds nothing after it | linkerd2-proxy #751 |
//! | C14 | errors of the inner service keep their type | |
//!
//! | bug | what happened | where |
//! |---|---|---|
//! | B1 | a clone that was never polled is moved into the future | tower-resilience #286 |
//! | B2 | the second attempt is made without `poll_ready` | tower-resilience #362 |
//! | B3 | room was seen, but not reserved | hyper-util #297, tower-resilience #365 |
//! | B4 | acquires twice when polled twice, then waits for itself | linkerd2-proxy #2371 |
//! | B5 | claims ready for ever, while the inner service has died | linkerd2-proxy #2491 |
//! | B6 | a waiter is never woken | tower #70, #480 |
//! | B7 | a rejected clone keeps its place in the queue and gets the next permit | tower's `LoadShed<ConcurrencyLimit>`, tower #793 |
//! | B8 | clones that are ready and idle hold all the room | tower #408 |
//! | B9 | reserves for a request that may never come | tower #472, #709 |
//! | B10 | a shared permit is kept while the inner service is not ready | tower's `GlobalConcurrencyLimitLayer` |
//! | B11 | a permit is kept by a finished future | linkerd2-proxy #751, tower's `ConcurrencyLimit` |
//! | B15 | an open circuit waits for a stuck inner service | tower-resilience #381 |
//! | B16 | a rejection from `poll_ready` ends the buffer or the balancer above | tower #43 |
//! | B19 | a background task outlives its service | tower #581 |
//! | B22 | the caller has given up, the work goes on | tokio #6571 |
//! | B24 | state per clone where it should be shared | axum #2634, tower #764 |
//! | B29 | capacity off by one | tower #635 |

pub mod checks;
mod handle;
mod mock;
mod probe;
mod state;
mod violation;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tower_service::Service;

pub use self::handle::MockHandle;
pub use self::mock::{Mock, MockError, MockFuture, Stage, mock};
use self::probe::PATIENCE;
pub use self::probe::Probe;
pub use self::violation::{Check, Violation};

/// The error of the mock and of each subject: the one that `tower::BoxError` names.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Passes if the law was kept.
///
/// # Panics
///
/// With the violation, in words.
#[track_caller]
pub fn assert_check(result: Result<(), Violation>) {
    if let Err(violation) = result {
        panic!("{violation}");
    }
}

/// Sends one request that stays open, and gives its future: the way to fill a limit of one.
///
/// It fits where a law asks how the subject is brought to reject.
///
/// # Panics
///
/// If the subject does not become ready, or answers.
pub async fn occupy<S>(service: &mut S, mock: &MockHandle) -> Pin<Box<S::Future>>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    mock.hold();
    let ready = tokio::time::timeout(PATIENCE, poll_fn(|cx| service.poll_ready(cx))).await;
    assert!(matches!(ready, Ok(Ok(()))), "no request gets in: {ready:?}");
    let mut future = Box::pin(service.call(OCCUPIES));
    let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    assert!(
        polled.is_pending(),
        "the request that fills the limit was answered: {polled:?}"
    );
    future
}

/// Sends `count` requests that the mock answers with an error: the way to trip a circuit breaker.
///
/// Rejections that come before the count is reached are taken as well.
///
/// # Panics
///
/// If a request is never answered.
pub async fn fail_calls<S>(service: &mut S, mock: &MockHandle, count: usize)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    mock.answer_at_once();
    mock.script((0..count).map(|_| Err(MockError::Failed(FAILS))));
    let all = async {
        for _ in 0..count {
            if poll_fn(|cx| service.poll_ready(cx)).await.is_ok() {
                // What the caller sees is not the point here, only that the layer saw a failure.
                drop(service.call(FAILS).await);
            }
        }
    };
    let done = tokio::time::timeout(PATIENCE, all).await;
    assert!(done.is_ok(), "a request that fails is never answered");
}

/// The request number of [`occupy`].
const OCCUPIES: u32 = 1_000_001;
/// The request number, and the error code, of [`fail_calls`].
const FAILS: u32 = 1_000_002;

/// Makes a test of each law that is named, for the subject that the function before `=>` makes.
///
/// Each is a `#[tokio::test(start_paused = true)]` with the name of the law, so `tokio` with
/// `macros`, `rt` and `test-util` must be a (dev-)dependency. Only laws that take nothing but that
/// function can be named; the others are called by hand. Two lists in one file need a `mod` each.
///
/// ```no_run
/// use seawall_testkit::contract::Mock;
/// use tower::load_shed::LoadShed;
///
/// seawall_testkit::contract_tests! {
///     |inner: Mock| LoadShed::new(inner) =>
///     calls_the_ready_instance,
///     clone_resets_readiness,
/// }
/// ```
#[macro_export]
macro_rules! contract_tests {
    ($make:expr => $($law:ident),+ $(,)?) => {
        $(
            #[::tokio::test(start_paused = true)]
            async fn $law() {
                $crate::contract::assert_check($crate::contract::checks::$law($make).await);
            }
        )+
    };
}
