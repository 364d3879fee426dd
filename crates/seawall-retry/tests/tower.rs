//! `tower::retry` both ways.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_core::{
    Backoff, Budget, BudgetConfig, Classify, ConstMeta, Error, FailureKind, Jitter, Outcome,
    Reason, Rejectable, Rejection, Replay, RequestMeta, Scope,
};
use seawall_retry::{
    Attempt, CompletedAttempt, RetryConfig, RetryDecision, RetryLayer, StopReason,
};
use tokio::time::{Instant, Sleep, sleep};
use tower::retry::Policy;
use tower::retry::backoff::{Backoff as TowersBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::util::rng::HasherRng;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const SAFE: ConstMeta = ConstMeta(RequestMeta::new(Replay::Safe));

type Fault = Error<Outcome>;

#[derive(Clone, Copy, Debug)]
struct ByError;

impl Classify<u32, Fault> for ByError {
    fn classify(&self, result: Result<&u32, &Fault>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => *error.inner().unwrap(),
        }
    }
}

const SERVER: Outcome = Outcome::Failure(FailureKind::Server);

/// Returns these results, then echoes; records when it was called for what.
#[derive(Clone, Default)]
struct Upstream {
    results: Arc<Mutex<Vec<Outcome>>>,
    times: Arc<Mutex<Vec<(Instant, u32)>>>,
}

impl Upstream {
    fn new(results: impl IntoIterator<Item = Outcome>) -> Self {
        let mut results: Vec<_> = results.into_iter().collect();
        results.reverse();
        Self {
            results: Arc::new(Mutex::new(results)),
            times: Arc::default(),
        }
    }

    fn service(
        &self,
    ) -> impl Service<u32, Response = u32, Error = Fault, Future: Send> + Clone + use<> {
        let upstream = self.clone();
        service_fn(move |request| {
            let mut times = upstream.times.lock().unwrap();
            times.push((Instant::now(), request));
            let result = upstream.results.lock().unwrap().pop();
            std::future::ready(match result {
                Some(outcome) => Err(Error::Inner(outcome)),
                None => Ok(request),
            })
        })
    }

    fn calls(&self) -> usize {
        self.times.lock().unwrap().len()
    }

    fn requests(&self) -> Vec<u32> {
        self.times.lock().unwrap().iter().map(|(_, n)| *n).collect()
    }

    fn pauses(&self) -> Vec<Duration> {
        let times = self.times.lock().unwrap();
        times.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
    }
}

fn ladder(attempts: u32) -> RetryConfig {
    let backoff = Backoff::exponential(SECOND, 60 * SECOND).unwrap();
    RetryConfig::builder()
        .attempts(attempts)
        .retry_after_jitter(0.0)
        .backoff(backoff.with_jitter(Jitter::None))
        .build()
        .unwrap()
}

fn layer(config: RetryConfig) -> RetryLayer<seawall_core::Policy<ByError, ConstMeta>> {
    RetryLayer::new("r", config)
        .describe(SAFE)
        .classify(ByError)
}

/// Tower's way: three attempts, each a tenth of a second later and numbered in the request.
#[derive(Clone)]
struct Thrice {
    left: u32,
    successes: Arc<AtomicU32>,
}

impl Thrice {
    fn new() -> Self {
        Self {
            left: 2,
            successes: Arc::default(),
        }
    }
}

impl<E> Policy<u32, u32, E> for Thrice {
    type Future = Sleep;

    fn retry(&mut self, request: &mut u32, result: &mut Result<u32, E>) -> Option<Sleep> {
        if result.is_ok() {
            self.successes.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        *request += 10;
        Some(sleep(SECOND / 10))
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        (*request < 1_000).then_some(*request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_towers_decides_waits_and_copies_here() {
    let policy = Thrice::new();
    let upstream = Upstream::new([SERVER; 2]);
    let layer = layer(ladder(9)).tower_policy(policy.clone());
    let mut service = layer.layer(upstream.service());
    assert_eq!(service.ready().await.unwrap().call(7).await, Ok(27));
    assert_eq!(upstream.requests(), [7, 17, 27]);
    assert_eq!(upstream.pauses(), [SECOND / 10; 2]);
    assert_eq!(
        policy.successes.load(Ordering::Relaxed),
        1,
        "it saw the success"
    );
    // Each call has a policy of its own, which says when it is enough.
    let upstream = Upstream::new([SERVER; 9]);
    let mut service = layer.layer(upstream.service());
    for calls in [3, 6] {
        let result = service.ready().await.unwrap().call(7).await;
        assert_eq!(
            (result, upstream.calls()),
            (Err(Error::Inner(SERVER)), calls)
        );
    }
    assert_eq!(
        layer.handle().counts().give_ups.of(StopReason::Predicate),
        2
    );
    // It may reject to copy.
    let result = service.ready().await.unwrap().call(1_000).await;
    assert_eq!((result, upstream.calls()), (Err(Error::Inner(SERVER)), 7));
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_towers_cannot_override_safety_hints_budget_or_deadline() {
    let throttled = Outcome::Throttled {
        retry_after: Some(5 * SECOND),
        scope: Scope::Upstream,
    };
    let upstream = Upstream::new([throttled]);
    let service = layer(ladder(9)).tower_policy(Thrice::new());
    assert!(service.layer(upstream.service()).oneshot(7).await.is_ok());
    assert_eq!(
        upstream.pauses(),
        [5 * SECOND],
        "what the upstream times for"
    );

    let upstream = Upstream::new([SERVER]);
    let orders = layer(ladder(9)).describe(ConstMeta(RequestMeta::new(Replay::Never)));
    let orders = orders.tower_policy(Thrice::new());
    assert!(orders.layer(upstream.service()).oneshot(7).await.is_err());
    assert_eq!(upstream.calls(), 1, "sent once");

    let upstream = Upstream::new([SERVER]);
    let empty = Budget::new(BudgetConfig::new(0.0, 0.0, 1).unwrap());
    assert!(empty.withdraw());
    let poor = layer(ladder(9)).budget(empty).tower_policy(Thrice::new());
    assert!(poor.layer(upstream.service()).oneshot(7).await.is_err());
    assert_eq!(
        (
            upstream.calls(),
            poor.handle().counts().give_ups.budget_exhausted
        ),
        (1, 1)
    );

    let upstream = Upstream::new([SERVER]);
    let start = Instant::now();
    let soon = RequestMeta::new(Replay::Safe).with_deadline(start + SECOND / 20);
    let hurried = layer(ladder(9))
        .describe(ConstMeta(soon))
        .tower_policy(Thrice::new());
    let result = hurried.layer(upstream.service()).oneshot(7).await;
    assert_eq!(result, Err(Error::Inner(SERVER)), "its last real result");
    let give_ups = hurried.handle().counts().give_ups;
    assert_eq!(give_ups.of(StopReason::Deadline), 1);
    assert_eq!((Instant::now() - start, upstream.calls()), (SECOND / 20, 1));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_never_pauses_lets_others_run_now_and_then() {
    #[derive(Clone)]
    struct ConstMeta;
    impl<Res, E> Policy<u32, Res, E> for ConstMeta {
        type Future = std::future::Ready<()>;
        fn retry(&mut self, _: &mut u32, _: &mut Result<Res, E>) -> Option<Self::Future> {
            Some(std::future::ready(()))
        }
        fn clone_request(&mut self, request: &u32) -> Option<u32> {
            Some(*request)
        }
    }
    let upstream = Upstream::new([SERVER; 100]);
    let layer = layer(ladder(u32::MAX))
        .without_budget()
        .tower_policy(ConstMeta);
    let mut call = tokio_test::task::spawn(layer.layer(upstream.service()).oneshot(7));
    assert!(call.poll().is_pending());
    assert!(call.is_woken());
    assert_eq!(upstream.calls(), 32);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_towers_pays_here() {
    // Two tokens a second for as long as the window is.
    let budget = Arc::new(TpsBudget::new(10 * SECOND, 0, 0.5));
    for _ in 0..4 {
        budget.deposit();
    }
    let upstream = Upstream::new([SERVER; 9]);
    let layer = layer(ladder(9)).tower_budget(budget);
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert_eq!(result, Err(Error::Inner(SERVER)));
    assert_eq!(
        upstream.pauses(),
        [SECOND, 2 * SECOND],
        "four calls paid for two"
    );
    let handle = layer.handle();
    assert_eq!(
        (
            handle.counts().give_ups.budget_exhausted,
            handle.budget().is_none()
        ),
        (1, true)
    );
    // It sees successes.
    let upstream = Upstream::new([]);
    let mut service = layer.layer(upstream.service());
    for _ in 0..2 {
        assert!(service.ready().await.unwrap().call(7).await.is_ok());
    }
    upstream.results.lock().unwrap().push(SERVER);
    assert!(service.ready().await.unwrap().call(7).await.is_ok());
}

/// One, two, three seconds.
struct Steps(u32);

impl TowersBackoff for Steps {
    type Future = Sleep;
    fn next_backoff(&mut self) -> Sleep {
        self.0 += 1;
        sleep(self.0 * SECOND)
    }
}

struct MakeSteps;

impl MakeBackoff for MakeSteps {
    type Backoff = Steps;
    fn make_backoff(&mut self) -> Steps {
        Steps(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_backoff_of_towers_waits_here_beside_a_predicate_and_hints() {
    let throttled = Outcome::Throttled {
        retry_after: Some(7 * SECOND),
        scope: Scope::Upstream,
    };
    let upstream = Upstream::new([SERVER, throttled, SERVER, Outcome::Unknown]);
    let layer = layer(ladder(9))
        .retry_if(
            |attempt: CompletedAttempt<'_, u32, u32, Fault>| match attempt.outcome {
                Outcome::Unknown => RetryDecision::Stop,
                _ => RetryDecision::Default,
            },
        )
        .tower_backoff(MakeSteps);
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert_eq!(result, Err(Error::Inner(Outcome::Unknown)));
    assert_eq!(upstream.pauses(), [SECOND, 7 * SECOND, 3 * SECOND]);
    // Tower's own, too.
    let (least, most) = (SECOND / 10, SECOND);
    let maker = ExponentialBackoffMaker::new(least, most, 0.0, HasherRng::default());
    let upstream = Upstream::new([SERVER; 2]);
    let layer = self::layer(ladder(9)).tower_backoff(maker.unwrap());
    assert!(layer.layer(upstream.service()).oneshot(7).await.is_ok());
    assert!(upstream.pauses().iter().all(|p| (least..=most).contains(p)));
}

#[tokio::test(start_paused = true)]
async fn our_policy_decides_in_towers_layer_as_in_our_own() {
    let throttled = Outcome::Throttled {
        retry_after: Some(5 * SECOND),
        scope: Scope::Upstream,
    };
    for results in [
        vec![],
        vec![SERVER],
        vec![SERVER, throttled, SERVER],
        vec![SERVER; 9],
        vec![Outcome::Ignored],
        vec![Outcome::Banned { lasts: None }],
        vec![SERVER, Outcome::QuotaExhausted { renews_in: None }],
        vec![Outcome::Throttled {
            retry_after: Some(Duration::MAX),
            scope: Scope::Upstream,
        }],
    ] {
        for replay in [Replay::Safe, Replay::Never] {
            let make = || {
                layer(ladder(4))
                    .describe(ConstMeta(RequestMeta::new(replay)))
                    .prepare(|request: &mut u32, attempt: Attempt| {
                        *request += 10 * attempt.number.saturating_sub(1);
                        Ok::<_, Fault>(())
                    })
            };
            let (ours, towers) = (
                Upstream::new(results.clone()),
                Upstream::new(results.clone()),
            );
            let here = make().layer(ours.service()).oneshot(7).await;
            let policy = make().into_tower_policy();
            let handle = policy.handle();
            let there = ServiceBuilder::new()
                .retry(policy)
                .service(towers.service())
                .oneshot(7)
                .await;
            let alike = (here.is_ok(), here.as_ref().err());
            assert_eq!(alike, (there.is_ok(), there.as_ref().err()), "{results:?}");
            assert_eq!(ours.pauses(), towers.pauses(), "{results:?}");
            assert_eq!(handle.counts().attempts.total(), towers.calls() as u64);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn our_policy_corrects_results_and_prepares_in_towers_layer() {
    let not_sent = Outcome::Failure(FailureKind::NotSent);
    let upstream = Upstream::new([Outcome::Unknown, not_sent]);
    let layer = layer(ladder(2)).describe(ConstMeta(RequestMeta::new(Replay::SafeWithKey)));
    let service = ServiceBuilder::new()
        .retry(layer.into_tower_policy())
        .service(upstream.service());
    let error = service.oneshot(7).await.unwrap_err();
    let rejection = *error.rejection().unwrap();
    assert_eq!(rejection.reason(), Reason::OutcomeUnknown);

    let upstream = Upstream::new([SERVER]);
    let no_key = Rejection::new(Reason::NotReady, "keys");
    let layer = self::layer(ladder(3))
        .prepare(move |_: &mut u32, _: Attempt| Err::<(), Fault>(no_key.into()));
    let policy = layer.into_tower_policy();
    let handle = policy.handle();
    let service = ServiceBuilder::new()
        .retry(policy)
        .service(upstream.service());
    let error = service.oneshot(7).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().reason(), Reason::NotReady);
    assert_eq!(
        (
            upstream.calls(),
            handle.counts().give_ups.of(StopReason::PrepareFailed)
        ),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn our_budget_pays_in_towers_layer_and_is_given_back_when_a_call_is_dropped() {
    let budget = Budget::new(BudgetConfig::new(0.0, 0.0, 2).unwrap());
    let upstream = Upstream::new([SERVER; 9]);
    let policy = layer(ladder(9)).budget(budget.clone()).into_tower_policy();
    let mut service = ServiceBuilder::new()
        .retry(policy.clone())
        .service(upstream.service());
    let mut call = tokio_test::task::spawn(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    assert_eq!(budget.balance(), 1.0);
    drop(call);
    assert_eq!(budget.balance(), 2.0);
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    assert_eq!((upstream.calls(), budget.balance()), (4, 0.0));
    assert_eq!(policy.handle().counts().give_ups.budget_exhausted, 1);
}
