//! What the adaptive throttle promises: the laws of every layer, and its own.

use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{
    Always, Command, Component, Delivery, Error, FailureKind, Meta, Outcome, Priority, Reason,
    Refusable, Registry, Rejection, Replay, Scope, Sent, Value, What,
};
use seawall_ratelimit::{
    PriorityClass, Throttle, ThrottleConfig, ThrottleConfigBuilder, ThrottleFuture, ThrottleHandle,
    ThrottleLayer,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{
    BoxError, Mock, MockError, MockHandle, Probe, Stage, assert_law, fail_calls, laws, mock,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::advance;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(120);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The same draws in every run.
fn builder() -> ThrottleConfigBuilder {
    ThrottleConfig::builder().seed(7)
}

fn layer_of(builder: ThrottleConfigBuilder) -> ThrottleLayer {
    ThrottleLayer::new("desk", builder.build().expect("valid settings"))
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<Req>, Req>(service: &mut S, request: Req) -> Probe<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    Probe::new(service.call(request))
}

/// Does what the request says, and counts how many came.
#[derive(Clone, Default)]
struct Obeys {
    came: Arc<Mutex<u32>>,
}

impl Obeys {
    fn came(&self) -> u32 {
        *self.came.lock().expect("no panic under it")
    }
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    answer: Result<(), Error<Outcome>>,
    priority: Priority,
}

impl Service<Ask> for Obeys {
    type Response = ();
    type Error = Error<Outcome>;
    type Future = Ready<Result<(), Error<Outcome>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        *self.came.lock().expect("no panic under it") += 1;
        ready(ask.answer)
    }
}

fn by_word(answer: Result<&(), &Error<Outcome>>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Success,
        Err(error) => *error.inner().expect("never asked about a refusal"),
    }
}

type ByWord = fn(Result<&(), &Error<Outcome>>) -> Outcome;
type ByAsk = fn(&Ask) -> Meta;
type Obeying = Throttle<Obeys, ByWord, ByAsk>;

fn obeying(builder: ThrottleConfigBuilder) -> (Obeying, ThrottleHandle, Obeys) {
    let layer = layer_of(builder)
        .classify(by_word as ByWord)
        .describe((|ask| Meta::new(Replay::Safe).with_priority(ask.priority)) as ByAsk);
    let inner = Obeys::default();
    (layer.layer(inner.clone()), layer.handle(), inner)
}

const BUSY: Outcome = Outcome::Throttled {
    retry_after: None,
    scope: Scope::Upstream,
};

fn ask(answer: Result<(), Outcome>, priority: Priority) -> Ask {
    Ask {
        answer: answer.map_err(Error::Inner),
        priority,
    }
}

/// Sends one request, and tells whether the throttle let it pass.
fn send(service: &mut Obeying, ask: Ask) -> bool {
    let answer = call(service, ask).poll();
    let Poll::Ready(answer) = answer else {
        panic!("the answer is there at once")
    };
    !matches!(answer, Err(Error::Rejected(r)) if r.reason() == Reason::ClientThrottled)
}

/// Sends `count` requests that are all answered alike, and tells how many passed.
fn send_many(service: &mut Obeying, count: u32, answer: Result<(), Outcome>, p: Priority) -> u32 {
    let passed = (0..count).filter(|_| send(service, ask(answer, p)));
    u32::try_from(passed.count()).expect("at most `count`")
}

mod contract {
    use super::*;

    fn passing(inner: Mock) -> Throttle<Mock> {
        layer_of(builder()).layer(inner)
    }

    seawall_testkit::contract_tests! { passing =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }

    const MANY: u32 = 5_000;

    /// Refuses nearly everything after that many failures, and nothing before.
    fn refusing_layer() -> ThrottleLayer {
        layer_of(builder().min_requests(MANY).max_rejection(1.0))
    }

    fn refusing(inner: Mock) -> Throttle<Mock> {
        refusing_layer().layer(inner)
    }

    fn two(a: Mock, b: Mock) -> (Throttle<Mock>, Throttle<Mock>) {
        let layer = refusing_layer();
        (layer.layer(a), layer.clone().layer(b))
    }

    async fn saturate(service: &mut Throttle<Mock>, mock: &MockHandle) {
        fail_calls(service, mock, MANY as usize).await;
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_errors_of_call() {
        assert_law(laws::refuses_in_call(refusing, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn two_services_of_one_layer_count_together() {
        assert_law(laws::two_services_of_one_layer_share(two, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_count_together() {
        assert_law(laws::clones_share(refusing, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_call_gives_the_reservation_below_up() {
        let (inner, mock) = mock();
        let mut service = refusing(inner);
        saturate(&mut service, &mock).await;
        mock.set_capacity(1);
        let before = mock.calls();
        let Poll::Ready(Err(error)) = call(&mut service, 1).poll() else {
            panic!("the call was not refused")
        };
        let refused = error.rejection().expect("a refusal");
        assert_eq!(
            (refused.reason(), refused.sent(), refused.retry_after()),
            (Reason::ClientThrottled, Sent::No, None)
        );
        assert_eq!(refused.name().as_str(), "desk");
        assert_eq!((mock.calls(), mock.reserved()), (before, 0));
    }
}

mod formula {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_layer_gives_the_numbers_of_the_book() {
        for (requests, accepts, k, expected) in [
            (100, 100, 2.0, 0.0),
            (100, 40, 2.0, 20.0 / 101.0),
            (1_000, 0, 2.0, 1_000.0 / 1_001.0),
            (100, 60, 1.1, 34.0 / 101.0),
        ] {
            // Refuses none until all are there.
            let (mut service, handle, inner) =
                obeying(builder().k(k).min_requests(requests).max_rejection(1.0));
            send_many(&mut service, accepts, Ok(()), Priority::NORMAL);
            let rest = requests - accepts;
            send_many(&mut service, rest, Err(BUSY), Priority::NORMAL);
            assert_eq!(inner.came(), requests);
            let p = handle.rejection_probability();
            assert!((p - expected).abs() < 1e-9, "{p} is not {expected}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_refused_here_is_a_request() {
        let (mut service, handle, inner) = obeying(builder());
        send_many(&mut service, 200, Err(BUSY), Priority::NORMAL);
        let counts = handle.counts();
        assert!(counts.refused > 100, "{counts:?}");
        assert_eq!(counts.not_accepted, u64::from(inner.came()));
        let normal = handle.snapshot().classes[2];
        assert_eq!((normal.requests, normal.accepts), (200, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_refused_below_the_least_number_of_requests() {
        let (mut service, handle, inner) = obeying(builder().min_requests(50));
        assert_eq!(send_many(&mut service, 49, Err(BUSY), Priority::NORMAL), 49);
        assert_eq!(handle.rejection_probability(), 0.0);
        send(&mut service, ask(Err(BUSY), Priority::NORMAL));
        assert_eq!(handle.rejection_probability(), 0.9);
        assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
        assert!(inner.came() < 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_share_that_is_refused_is_kept() {
        let (mut service, handle, inner) = obeying(builder().max_rejection(0.5));
        send_many(&mut service, 10_000, Err(BUSY), Priority::NORMAL);
        assert_eq!(handle.rejection_probability(), 0.5);
        assert!((4_800..5_200).contains(&inner.came()), "{}", inner.came());
        let (mut never, handle, _) = obeying(builder().max_rejection(0.0));
        assert_eq!(
            send_many(&mut never, 1_000, Err(BUSY), Priority::NORMAL),
            1_000
        );
        assert_eq!(handle.counts().refused, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_at_the_work_count_only_if_told_so() {
        let failed = Err(Outcome::Failure(FailureKind::Server));
        let (mut service, handle, _) = obeying(builder());
        assert_eq!(send_many(&mut service, 100, failed, Priority::NORMAL), 100);
        assert_eq!(handle.counts().accepted, 100);
        let (mut service, handle, _) = obeying(builder().count_failures(true));
        assert!(send_many(&mut service, 100, failed, Priority::NORMAL) < 50);
        assert_eq!(handle.counts().accepted, 0);
        handle.set_config(builder().build().unwrap());
        handle.reset();
        send_many(&mut service, 10, failed, Priority::NORMAL);
        assert_eq!(handle.counts().accepted, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_nobody_classified_is_no_acceptance() {
        let (inner, mock) = mock();
        let layer = layer_of(builder());
        let mut service = layer.layer(inner);
        fail_calls(&mut service, &mock, 100).await;
        assert_eq!(layer.handle().rejection_probability(), 0.9);
        assert!(mock.calls() < 60, "{}", mock.calls());
    }
}

mod overload {
    use super::*;

    /// What became of a load.
    struct Seen {
        /// Requests per second that reached the upstream.
        reached: f64,
        /// Requests per second that it accepted.
        accepted: f64,
        /// When the first ten seconds began in which nothing was refused here.
        admitted: Option<Duration>,
    }

    /// Sends `rate` requests per second for `lasts` to an upstream that accepts `capacity` per
    /// second, and as many at once.
    async fn load(service: &mut Obeying, rate: u32, capacity: f64, lasts: Duration) -> Seen {
        let gap = SECOND / rate;
        let (mut room, mut reached, mut accepted) = (0.0_f64, 0_u32, 0_u32);
        let (mut in_a_row, mut admitted) = (0, None);
        let calls = (lasts.as_secs_f64() * f64::from(rate)) as u32;
        for n in 0..calls {
            room = (room + capacity / f64::from(rate)).min(capacity);
            let accepts = room >= 1.0;
            let answer = if accepts { Ok(()) } else { Err(BUSY) };
            if send(service, ask(answer, Priority::NORMAL)) {
                room -= f64::from(u8::from(accepts));
                accepted += u32::from(accepts);
                reached += 1;
                in_a_row += 1;
            } else {
                in_a_row = 0;
            }
            if in_a_row == 10 * rate && admitted.is_none() {
                admitted = Some(gap * (n + 1) - 10 * SECOND);
            }
            advance(gap).await;
        }
        let per_second = |n: u32| f64::from(n) / lasts.as_secs_f64();
        Seen {
            reached: per_second(reached),
            accepted: per_second(accepted),
            admitted,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_times_the_capacity_is_cut_down_to_k_times_the_capacity() {
        for k in [1.1, 1.5, 2.0, 3.0] {
            let (mut service, ..) = obeying(builder().k(k));
            load(&mut service, 100, 10.0, 2 * WINDOW).await;
            let seen = load(&mut service, 100, 10.0, 2 * WINDOW).await;
            let times = seen.reached / 10.0;
            assert!((times / k - 1.0).abs() < 0.1, "{k}: {times}");
            assert!(seen.accepted > 9.5, "{k}: {}", seen.accepted);
        }
    }

    /// What was refused here counts as a request until it is out of the window, and what passes
    /// in the meantime has to make up for it.
    #[tokio::test(start_paused = true)]
    async fn everything_passes_again_within_two_windows_after_the_overload() {
        let after = async |rate, before: f64, since: f64| {
            let (mut service, handle, _) = obeying(builder());
            load(&mut service, 100, before, 2 * WINDOW).await;
            assert!(handle.rejection_probability() > 0.7);
            let seen = load(&mut service, rate, since, 3 * WINDOW).await;
            assert_eq!(handle.rejection_probability(), 0.0);
            seen.admitted.expect("ten seconds without a refusal")
        };
        for (rate, before, since, windows) in [
            // The upstream has grown, the load has gone, nothing at all was accepted before.
            (100, 10.0, 200.0, 1.25),
            (5, 10.0, 10.0, 1.75),
            (100, 0.0, 200.0, 2.0),
        ] {
            let admitted = after(rate, before, since).await;
            let bound = WINDOW.mul_f64(windows);
            assert!(admitted < bound, "{before}/s, then {since}/s: {admitted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_idle_for_a_window_starts_anew() {
        let (mut service, handle, _) = obeying(builder());
        send_many(&mut service, 1_000, Err(BUSY), Priority::NORMAL);
        advance(WINDOW - WINDOW / 16).await;
        assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 30);
        let refused = handle.counts().refused;
        // Nobody has looked meanwhile: the call itself does.
        advance(WINDOW).await;
        assert_eq!(send_many(&mut service, 9, Err(BUSY), Priority::NORMAL), 9);
        assert_eq!(handle.counts().refused, refused);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_come_late_are_as_young_as_they_are() {
        let (inner, mock) = mock();
        let layer = layer_of(builder());
        let mut service = layer.layer(inner);
        mock.hold();
        let mut open: Vec<_> = (0..20).map(|n| call(&mut service, n)).collect();
        advance(WINDOW).await;
        for (n, call) in open.iter_mut().enumerate() {
            mock.respond(n, Err(MockError::Failed(1)));
            assert!(call.poll().is_ready());
        }
        advance(WINDOW / 2).await;
        assert_eq!(layer.handle().snapshot().classes[2].requests, 20);
        advance(WINDOW / 2).await;
        assert_eq!(layer.handle().snapshot().classes[2].requests, 0);
    }

    /// Counted when they are made, as the book has it, the calls under way would stand against an
    /// upstream that had no time to answer: the eleventh call of a burst would be refused.
    #[tokio::test(start_paused = true)]
    async fn a_burst_into_an_upstream_that_has_not_answered_yet_is_not_refused() {
        let (inner, mock) = mock();
        let layer = layer_of(builder());
        let mut service = layer.layer(inner);
        mock.hold();
        let mut open = Vec::new();
        for n in 0..1_000 {
            open.push(call(&mut service, n));
            advance(ms(1)).await;
        }
        assert!(open.iter_mut().all(|call| call.poll().is_pending()));
        mock.respond_to_all();
        assert!(
            open.iter_mut()
                .all(|call| matches!(call.poll(), Poll::Ready(Ok(_))))
        );
        let counts = layer.handle().counts();
        assert_eq!((counts.accepted, counts.refused), (1_000, 0));
    }
}

mod priorities {
    use super::*;

    const RANKS: [Priority; 4] = [Priority(0), Priority::LOW, Priority::NORMAL, Priority::HIGH];

    #[tokio::test(start_paused = true)]
    async fn the_more_a_request_matters_the_later_it_is_refused() {
        let (mut service, handle, _) = obeying(builder().min_requests(100));
        // Four of ten are accepted: k is 1.25, 1.5, 2 and 3.
        for rank in RANKS {
            send_many(&mut service, 40, Ok(()), rank);
            send_many(&mut service, 60, Err(BUSY), rank);
        }
        let p = PriorityClass::ALL.map(|class| handle.rejection_probability_of(class));
        let expected = [50.0, 40.0, 20.0, 0.0].map(|over| over / 101.0);
        for (p, expected) in p.into_iter().zip(expected) {
            assert!((p - expected).abs() < 1e-9, "{p} is not {expected}");
        }
        let passed = RANKS.map(|rank| send_many(&mut service, 1_000, Ok(()), rank));
        assert!(passed.is_sorted(), "{passed:?}");
        assert!((450..550).contains(&passed[0]), "{passed:?}");
        assert_eq!(passed[3], 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_factor_of_one_treats_all_alike() {
        let (mut service, handle, _) = obeying(builder().priority_factor(1.0).min_requests(100));
        for rank in RANKS {
            send_many(&mut service, 40, Ok(()), rank);
            send_many(&mut service, 60, Err(BUSY), rank);
        }
        for class in PriorityClass::ALL {
            let p = handle.rejection_probability_of(class);
            assert!((p - 20.0 / 101.0).abs() < 1e-9, "{p}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_of_one_class_does_not_count_against_another() {
        let (mut service, handle, _) = obeying(builder());
        send_many(&mut service, 1_000, Err(BUSY), Priority::LOW);
        assert_eq!(send_many(&mut service, 100, Ok(()), Priority::NORMAL), 100);
        assert_eq!(handle.rejection_probability_of(PriorityClass::Low), 0.9);
        assert_eq!(handle.rejection_probability(), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn cancels_can_be_exempt() {
        let (mut service, handle, _) = obeying(builder().always_pass(Priority::HIGH));
        assert_eq!(send_many(&mut service, 200, Err(BUSY), Priority::HIGH), 200);
        assert_eq!(send_many(&mut service, 200, Err(BUSY), Priority(255)), 200);
        assert!(send_many(&mut service, 200, Err(BUSY), Priority(191)) < 100);
        // They are counted all the same, for the day on which the exemption ends.
        assert_eq!(handle.snapshot().classes[3].requests, 400);
        handle.set_config(builder().build().unwrap());
        assert!(send_many(&mut service, 200, Err(BUSY), Priority::HIGH) < 100);
    }
}

mod ends {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_dropped_says_nothing() {
        let (inner, mock) = mock();
        let layer = layer_of(builder());
        let handle = layer.handle();
        let mut service = layer.layer(inner);
        mock.hold();
        for n in 0..100 {
            let mut polled = call(&mut service, n);
            assert!(polled.poll().is_pending());
            drop(polled);
            drop(call(&mut service, n));
        }
        let counts = handle.counts();
        assert_eq!((counts.abandoned, counts.refused), (200, 0));
        assert_eq!(handle.snapshot().classes[2].requests, 0);
        assert_eq!((mock.in_flight(), mock.futures()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_a_layer_below_says_nothing() {
        let (mut service, handle, _) = obeying(builder());
        let refused = |reason| Ask {
            answer: Err(Rejection::new(reason, "below").into()),
            priority: Priority::NORMAL,
        };
        for _ in 0..100 {
            assert!(send(&mut service, refused(Reason::RateLimited)));
        }
        assert_eq!(handle.counts().silent, 100);
        assert_eq!(handle.snapshot().classes[2].requests, 0);
        // An attempt that timed out was not accepted, as far as anybody knows.
        for _ in 0..100 {
            send(&mut service, refused(Reason::AttemptTimeout));
        }
        assert_eq!(handle.counts().silent, 100);
        assert_eq!(handle.rejection_probability(), 0.9);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_once_though_its_future_is_kept() {
        let (inner, mock) = mock();
        let layer = layer_of(builder());
        let mut answered = call(&mut layer.layer(inner), 1);
        assert!(answered.poll().is_ready());
        assert_eq!(mock.futures(), 0);
        drop(answered);
        let counts = layer.handle().counts();
        assert_eq!((counts.accepted, counts.abandoned), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_the_inner_service_or_the_classifier_is_an_abandoned_call() {
        let (inner, mock) = mock();
        let layer = layer_of(builder());
        let handle = layer.handle();
        let panics = |_: Result<&u32, &BoxError>| -> Outcome { panic!("classifier") };
        let mut judged = layer.clone().classify(panics).layer(inner.clone());
        let mut service = layer.layer(inner);
        let caught = |run: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(run)).is_err();
        mock.panic_at(Stage::Call);
        assert!(caught(&mut || drop(call(&mut service, 1))));
        mock.panic_at(Stage::Poll);
        assert!(caught(&mut || drop(call(&mut service, 2).poll())));
        assert!(caught(&mut || drop(call(&mut judged, 3).poll())));
        assert_eq!(handle.counts().abandoned, 3);
        assert_eq!(handle.snapshot().classes[2].requests, 0);
        assert!(matches!(call(&mut service, 4).poll(), Poll::Ready(Ok(4))));
        assert_eq!(handle.counts().accepted, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_a_listener_changes_nothing() {
        let (mut service, handle, _) = obeying(builder());
        let registry = Registry::new("svc");
        registry.register(handle.clone()).unwrap();
        let _listening = registry.events().listen(|_| panic!("listener"));
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
        let counts = handle.counts();
        assert_eq!(counts.refused + counts.not_accepted, 100);
        assert_eq!(registry.events().listener_panics(), counts.refused);
    }

    #[test]
    fn threads_lose_no_call() {
        let (service, handle, inner) = obeying(builder().window(SECOND * 3_600));
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let mut service = service.clone();
                scope.spawn(move || {
                    for n in 0..5_000 {
                        let answer = if (n + thread) % 4 == 0 {
                            Ok(())
                        } else {
                            Err(BUSY)
                        };
                        send(&mut service, ask(answer, Priority::NORMAL));
                    }
                });
            }
        });
        let counts = handle.counts();
        assert_eq!(
            counts.accepted + counts.not_accepted + counts.refused,
            20_000
        );
        assert_eq!(
            counts.accepted + counts.not_accepted,
            u64::from(inner.came())
        );
        assert!(counts.refused > 0);
        let normal = handle.snapshot().classes[2];
        assert_eq!((normal.requests, normal.accepts), (20_000, counts.accepted));
    }
}

mod control {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_only_watches_refuses_nothing_and_tells_what_it_would_have() {
        let (mut service, handle, inner) = obeying(builder().shadow(true));
        let registry = Registry::new("svc");
        registry.register(handle.clone()).unwrap();
        let mut events = registry.events().subscribe();
        assert_eq!(
            send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
            100
        );
        let counts = handle.counts();
        assert_eq!((inner.came(), counts.refused), (100, 0));
        assert!(counts.shadowed > 50, "{counts:?}");
        let Some(Delivery::Event(event)) = events.try_next() else {
            panic!("nothing was told")
        };
        assert!(matches!(event.what, What::Shadowed(r) if r.reason() == Reason::ClientThrottled));
        assert_eq!(handle.rejection_probability(), 0.9);
        assert!(handle.snapshot().shadow);
        handle.set_shadow(false);
        assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_lets_everything_pass_and_puts_the_rules_back() {
        let (mut service, handle, _) = obeying(builder());
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
        handle.control(Command::ForceClose).unwrap();
        assert_eq!(
            send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
            100
        );
        handle.control(Command::Reset).unwrap();
        assert_eq!(handle.rejection_probability(), 0.0);
        assert_eq!(send_many(&mut service, 9, Err(BUSY), Priority::NORMAL), 9);
        assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
        let refused = handle.control(Command::ForceOpen).unwrap_err();
        assert_eq!(refused.pattern, "throttle");
    }

    #[tokio::test(start_paused = true)]
    async fn settings_change_while_it_works() {
        let (mut service, handle, _) = obeying(builder().min_requests(100));
        send_many(&mut service, 40, Ok(()), Priority::NORMAL);
        send_many(&mut service, 60, Err(BUSY), Priority::NORMAL);
        let p = |k: f64| {
            handle.set_config(builder().k(k).build().unwrap());
            handle.rejection_probability()
        };
        assert!((p(1.0) - 60.0 / 101.0).abs() < 1e-9);
        assert!((p(1.5) - 40.0 / 101.0).abs() < 1e-9);
        assert_eq!(p(2.5), 0.0);
        handle.set_config(builder().k(1.0).shadow(true).build().unwrap());
        assert_eq!(
            send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
            100
        );
        handle.set_config(builder().build().unwrap());
        assert_eq!(handle.config(), builder().build().unwrap());
        assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 60);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_counted_stays_when_the_window_changes() {
        let (mut service, handle, _) = obeying(builder());
        let short = || builder().window(10 * SECOND).build().unwrap();
        advance(2 * WINDOW).await;
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
        handle.set_config(short());
        assert_eq!(handle.snapshot().classes[2].requests, 100);
        advance(10 * SECOND).await;
        assert_eq!(handle.snapshot().classes[2].requests, 0);
        send_many(&mut service, 20, Err(BUSY), Priority::NORMAL);
        handle.set_config(builder().build().unwrap());
        advance(WINDOW - WINDOW / 16 - 10 * SECOND).await;
        assert_eq!(handle.snapshot().classes[2].requests, 20);
        advance(WINDOW).await;
        assert_eq!(handle.snapshot().classes[2].requests, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_seed_makes_the_draws_the_same_in_every_run() {
        let draws = |seed| {
            let (mut service, ..) = obeying(builder().seed(seed));
            let draw = |_| send(&mut service, ask(Err(BUSY), Priority::NORMAL));
            (0..200).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        // On another thread, too.
        let there = std::thread::spawn(move || draws(1)).join().unwrap();
        assert_eq!(draws_here(), there);

        fn draws_here() -> Vec<bool> {
            let (mut service, ..) = obeying(builder().seed(1));
            let draw = |_| send(&mut service, ask(Err(BUSY), Priority::NORMAL));
            (0..200).map(draw).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_reads_what_the_throttle_does() {
        let (mut service, handle, _) = obeying(builder());
        let registry = Registry::new("svc");
        registry.register(handle.clone()).unwrap();
        let mut events = registry.events().subscribe();
        assert_eq!(registry.snapshot()[0].state, "ok");
        send_many(&mut service, 5, Ok(()), Priority::HIGH);
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
        let snapshot = registry.snapshot().remove(0);
        assert_eq!(
            (snapshot.pattern, snapshot.state),
            ("throttle", "throttling")
        );
        let value = |metric: &str, labels: &[(&str, &str)]| {
            let found = snapshot.samples.iter();
            let mut found = found.filter(|s| s.metric == metric && s.labels == labels);
            found.next().expect("a sample").value
        };
        let counts = handle.counts();
        let calls = |outcome| {
            let labels = [("layer", "throttle"), ("outcome", outcome)];
            value("seawall_calls_total", &labels)
        };
        assert_eq!(calls("accepted"), Value::Counter(5));
        assert_eq!(calls("not_accepted"), Value::Counter(counts.not_accepted));
        let labels = [("layer", "throttle"), ("reason", "client_throttled")];
        assert_eq!(
            value("seawall_rejections_total", &labels),
            Value::Counter(counts.refused)
        );
        let probability = |class| {
            let metric = "seawall_throttle_rejection_probability";
            value(metric, &[("priority", class)])
        };
        assert_eq!(probability("normal"), Value::Gauge(0.9));
        assert_eq!(probability("high"), Value::Gauge(0.0));
        let Some(Delivery::Event(event)) = events.try_next() else {
            panic!("the refusal was not told")
        };
        assert!(matches!(event.what, What::Refused(r) if r.sent() == Sent::No));
        assert!(snapshot.settings.contains(&("k", "2".to_owned())));
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let field =
            |builder: ThrottleConfigBuilder| builder.build().unwrap_err().field().to_owned();
        for k in [0.99, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(field(builder().k(k)), "k");
        }
        for factor in [0.5, 101.0, f64::NAN] {
            assert_eq!(field(builder().priority_factor(factor)), "priority_factor");
        }
        for share in [-0.1, 1.1, f64::NAN] {
            assert_eq!(field(builder().max_rejection(share)), "max_rejection");
        }
        assert_eq!(field(builder().window(Duration::ZERO)), "window");
        assert_eq!(field(builder().min_requests(0)), "min_requests");
        let default = ThrottleConfig::builder().build().unwrap();
        assert_eq!(default, ThrottleConfig::default());
        assert_eq!(default.k(), 2.0);
        assert_eq!(default.window().get(), WINDOW);
        assert_eq!(default.max_rejection().get(), 0.9);
        assert_eq!(default.min_requests().get(), 10);
        let huge = builder()
            .k(f64::MAX)
            .priority_factor(100.0)
            .build()
            .unwrap();
        assert_eq!(huge.k_of(PriorityClass::High), f64::MAX);
    }
}

mod shape {
    use super::*;

    /// Answers at once.
    #[derive(Clone)]
    struct Echo;

    impl Service<u32> for Echo {
        type Response = u32;
        type Error = Error<()>;
        type Future = Ready<Result<u32, Error<()>>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            ready(Ok(request))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_allocated_whether_it_passes_or_is_refused() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut once = |service: &mut Obeying, answer| {
            assert!(Service::<Ask>::poll_ready(service, cx).is_ready());
            let mut answer = std::pin::pin!(service.call(ask(answer, Priority::NORMAL)));
            assert!(answer.as_mut().poll(cx).is_ready());
        };
        let (mut service, handle, _) = obeying(builder());
        once(&mut service, Ok(()));
        let happy = alloc::count(|| {
            for _ in 0..100 {
                once(&mut service, Ok(()));
                once(&mut service.clone(), Ok(()));
            }
        });
        assert_eq!(happy.allocations, 0);
        advance(WINDOW * 2).await;
        let refused = alloc::count(|| {
            for _ in 0..100 {
                once(&mut service, Err(BUSY));
            }
        });
        assert_eq!(refused.allocations, 0);
        assert!(handle.counts().refused > 50);
    }

    #[test]
    fn the_future_is_small() {
        type Inner = Ready<Result<u32, Error<()>>>;
        let size = size_of::<ThrottleFuture<Inner, seawall_core::ErrorIsFailure>>();
        assert!(
            size <= size_of::<Inner>() + 3 * size_of::<usize>(),
            "{size}"
        );
    }

    /// Neither `Send` nor `Sync`, and so is what is made of it.
    #[derive(Clone)]
    struct Local(#[expect(dead_code, reason = "it is here for its auto traits")] Rc<Cell<u32>>);

    impl Service<u32> for Local {
        type Response = u32;
        type Error = Error<()>;
        type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>>>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            Box::pin(ready(Ok(request)))
        }
    }

    type Fut<S> = <Throttle<S> as Service<u32>>::Future;
    assert_impl_all!(Throttle<Echo>: Send, Sync, Unpin, Clone);
    assert_impl_all!(Fut<Echo>: Send, Sync, Unpin);
    assert_impl_all!(Throttle<Local>: Unpin, Clone);
    assert_not_impl_any!(Throttle<Local>: Send, Sync);
    assert_not_impl_any!(Fut<Local>: Send, Sync);
    assert_impl_all!(ThrottleLayer: Send, Sync, Clone);
    assert_impl_all!(ThrottleHandle: Send, Sync, Clone, Component);

    #[test]
    fn a_service_that_is_not_send_works() {
        let vip = Always(Meta::new(Replay::Safe).with_priority(Priority::HIGH));
        let layer = layer_of(builder()).describe(vip);
        let mut service = layer.layer(Local(Rc::default()));
        assert!(matches!(call(&mut service, 3).poll(), Poll::Ready(Ok(3))));
    }
}

fn arb_answer() -> impl Strategy<Value = Result<(), Outcome>> {
    prop_oneof![
        Just(Ok(())),
        Just(Err(BUSY)),
        Just(Err(Outcome::Ignored)),
        Just(Err(Outcome::Unknown)),
        Just(Err(Outcome::Banned { lasts: None })),
        Just(Err(Outcome::Failure(FailureKind::Server))),
        Just(Err(Outcome::Failure(FailureKind::Overloaded))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_probability_is_a_share_within_bounds_and_every_call_is_counted(
        k in 1.0..5.0_f64,
        most in 0.0..=1.0_f64,
        least in 1_u32..30,
        steps in proptest::collection::vec((arb_answer(), any::<u8>(), 0_u64..20_000), 1..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (mut service, handle, inner) =
                obeying(builder().k(k).max_rejection(most).min_requests(least));
            for (n, (answer, priority, gap)) in steps.iter().enumerate() {
                send(&mut service, ask(*answer, Priority(*priority)));
                advance(ms(*gap)).await;
                for class in handle.snapshot().classes {
                    let p = class.rejection_probability;
                    prop_assert!((0.0..=most).contains(&p), "{}", p);
                    prop_assert!(class.accepts <= class.requests);
                    prop_assert!(class.requests >= u64::from(least) || p == 0.0);
                }
                let counts = handle.counts();
                let passed = counts.accepted + counts.not_accepted;
                prop_assert_eq!(passed + counts.refused, n as u64 + 1);
                prop_assert_eq!(passed, u64::from(inner.came()));
            }
            Ok(())
        })?;
    }
}
