//! Cancellation, panics, and what is held.

use super::*;

type Mocked = HedgeLayer<Policy<seawall_core::ErrorIsFailure, ConstMeta>>;

fn mocked(extra: u32, budget: &Budget) -> Mocked {
    HedgeLayer::new("h", after_100_ms(extra))
        .describe(SAFE)
        .budget(budget.clone())
}

/// The service and its template are left, and no token is missing but the spent ones.
fn assert_clean(mock: &MockHandle, what: &str) {
    let held = (mock.futures(), mock.reserved(), mock.waiting());
    assert_eq!(held, (0, 0, 0), "{what}");
    assert_eq!(mock.instances(), 2, "{what}");
}

/// A call on an upstream that does not respond, polled whenever an extra attempt is due.
struct Hanging {
    call: PolledFuture<ResponseFuture<Mock, u32, Policy<seawall_core::ErrorIsFailure, ConstMeta>>>,
    mock: MockHandle,
    budget: Budget,
    handle: HedgeHandle,
    _service: Hedge<Mock, Policy<seawall_core::ErrorIsFailure, ConstMeta>>,
}

impl Hanging {
    async fn new() -> Self {
        let (inner, mock) = mock();
        mock.hold_responses();
        let budget = tokens(5);
        let layer = mocked(2, &budget);
        let mut service = layer.layer(inner);
        let call = PolledFuture::new(service.ready().await.unwrap().call(7));
        let handle = layer.handle();
        Self {
            call,
            mock,
            budget,
            handle,
            _service: service,
        }
    }

    async fn poll_and_wait(&mut self) {
        assert!(self.call.poll().is_pending());
        advance(101 * MS).await;
    }

    /// Drops the call: these tokens must be left, and its extra attempts must have ended so.
    fn drop_call(self, calls: usize, balance: f64, expected: [u64; 5]) {
        assert_eq!(self.mock.calls(), calls);
        drop(self.call);
        assert_clean(&self.mock, "dropped");
        assert_eq!(self.budget.balance(), balance);
        assert_eq!(extra_counts(&self.handle), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_before_its_first_poll() {
    Hanging::new().await.drop_call(1, 5.0, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_in_the_delay() {
    let mut hanging = Hanging::new().await;
    hanging.poll_and_wait().await;
    hanging.drop_call(1, 5.0, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_while_an_extra_attempt_is_unready() {
    let mut hanging = Hanging::new().await;
    hanging.poll_and_wait().await;
    hanging.mock.set_pending();
    hanging.poll_and_wait().await;
    assert_eq!(hanging.budget.balance(), 4.0);
    hanging.drop_call(1, 5.0, [0, 0, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_while_extra_attempts_are_under_way_and_unready() {
    let mut hanging = Hanging::new().await;
    hanging.poll_and_wait().await;
    hanging.poll_and_wait().await;
    hanging.mock.set_pending();
    hanging.poll_and_wait().await;
    assert_eq!(hanging.budget.balance(), 3.0);
    hanging.drop_call(2, 4.0, [0, 0, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn losers_are_dropped_before_the_call_completes() {
    // The first wins, then the second, then the third.
    for winner in 0..3 {
        let (inner, mock) = mock();
        mock.hold_responses();
        let budget = tokens(5);
        let mut service = mocked(2, &budget).layer(inner);
        let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
        for _ in 0..3 {
            assert!(call.poll().is_pending());
            advance(101 * MS).await;
        }
        assert!(call.poll().is_pending());
        assert_eq!((mock.calls(), mock.in_flight()), (3, 3));
        mock.respond(winner, Ok(()));
        assert!(matches!(call.poll(), Poll::Ready(Ok(7))));
        // The future that has completed is still alive.
        assert_clean(&mock, &format!("{winner} won"));
        drop(call);
    }
}

/// What an extra attempt asks for is never in the way of the first.
#[tokio::test(start_paused = true)]
async fn the_first_result_does_not_wait_for_the_readiness_of_an_extra_attempt() {
    let (inner, mock) = mock();
    mock.hold_responses();
    mock.set_capacity(1);
    let budget = tokens(5);
    let layer = mocked(4, &budget);
    let mut service = layer.layer(inner);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    advance(101 * MS).await;
    assert!(call.poll().is_pending());
    // It waits for the only slot, and is woken by what comes first.
    assert_eq!(
        (mock.waiting(), mock.calls(), budget.balance()),
        (1, 1, 4.0)
    );
    mock.respond(0, Ok(()));
    assert!(call.wakes() > 0);
    assert!(matches!(call.poll(), Poll::Ready(Ok(7))));
    assert_clean(&mock, "completed");
    assert_eq!(
        (budget.balance(), layer.handle().counts().extra.not_sent),
        (5.0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_first_attempt_does_not_wait_for_an_extra_attempt_that_is_not_sent() {
    let (inner, mock) = mock();
    mock.hold_responses();
    mock.set_capacity(1);
    let budget = tokens(5);
    let mut service = mocked(1, &budget).layer(inner);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    advance(101 * MS).await;
    assert!(call.poll().is_pending());
    // The permit that the failure frees must not go to the extra attempt in the same poll.
    mock.respond(0, Err(MockError::Failed(3)));
    let Poll::Ready(Err(error)) = call.poll() else {
        panic!("no result");
    };
    assert_eq!(error.downcast_ref(), Some(&MockError::Failed(3)));
    assert_eq!((mock.calls(), budget.balance()), (1, 5.0));
    assert_clean(&mock, "failed");
}

#[tokio::test(start_paused = true)]
async fn an_extra_attempt_is_made_when_its_service_becomes_ready() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let budget = tokens(5);
    let mut service = mocked(1, &budget).layer(inner);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    mock.set_pending();
    assert!(call.poll().is_pending());
    advance(101 * MS).await;
    assert!(call.poll().is_pending());
    let wakes = call.wakes();
    mock.set_ready();
    assert_eq!(call.wakes(), wakes + 1);
    assert!(call.poll().is_pending());
    assert_eq!(mock.requests(), [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn an_extra_attempt_whose_service_is_ready_after_the_deadline_is_not_sent() {
    let (inner, mock) = mock();
    mock.hold_responses();
    mock.set_capacity(1);
    let budget = tokens(5);
    let meta = RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + 300 * MS);
    let layer = mocked(2, &budget).describe(ConstMeta(meta));
    let mut service = layer.layer(inner);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    advance(101 * MS).await;
    assert!(call.poll().is_pending());
    advance(200 * MS).await;
    mock.set_capacity(2);
    assert!(call.poll().is_pending());
    assert_eq!((mock.calls(), budget.balance()), (1, 5.0));
    assert_eq!(layer.handle().counts().extra.not_sent, 1);
    mock.respond(0, Ok(()));
    assert!(matches!(call.poll(), Poll::Ready(Ok(7))), "a late result");
    assert_clean(&mock, "completed");
}

/// A result that holds a permit until it is dropped.
#[derive(Clone)]
struct Holding {
    calls: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
}

impl Service<u32> for Holding {
    type Response = (u32, Open);
    type Error = Failed;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed) as u32;
        let held = Arc::clone(&self.held);
        Box::pin(async move {
            // The first at 250 ms, the second at 300 ms, the third at 250 ms, after the first.
            sleep([250 * MS, 200 * MS, 50 * MS][nth as usize]).await;
            held.fetch_add(1, Ordering::Relaxed);
            Ok((nth, Open(held)))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn results_that_lose_are_dropped_with_what_they_hold_before_the_call_completes() {
    let inner = Holding {
        calls: Arc::default(),
        held: Arc::default(),
    };
    let held = Arc::clone(&inner.held);
    // All but the second are bad results.
    let judge = |result: Result<&(u32, Open), &Failed>| match result {
        Ok((1, _)) => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Server),
    };
    let layer = HedgeLayer::new("h", after_100_ms(2))
        .describe(SAFE)
        .classify(judge);
    let mut service = layer.layer(inner);
    let (nth, open) = service.ready().await.unwrap().call(7).await.unwrap();
    assert_eq!((nth, held.load(Ordering::Relaxed)), (1, 1));
    drop(open);
    assert_eq!(held.load(Ordering::Relaxed), 0);
    assert_eq!(extra_counts(&layer.handle()), [1, 0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_hedge_holds_one_slot_of_a_buffer_and_a_race_two() {
    let upstream = Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    let budget = tokens(5);
    let hedge = HedgeLayer::new("h", after_100_ms(1))
        .describe(SAFE)
        .budget(budget);
    let lifted = upstream
        .clone()
        .map_err(|e| -> tower::BoxError { format!("{e:?}").into() });
    let buffered = tower::buffer::Buffer::new(lifted, 1);
    let mut service = hedge.layer(buffered);
    assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), 2);
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_leaks_nothing_and_gives_the_token_of_an_unsent_attempt_back() {
    for (stage, balance) in [
        (Stage::PollReady, 5.0),
        (Stage::Call, 5.0),
        (Stage::Poll, 4.0),
    ] {
        let (inner, mock) = mock();
        mock.hold_responses();
        let budget = tokens(5);
        let layer = mocked(1, &budget);
        let mut service = layer.layer(inner);
        let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
        assert!(call.poll().is_pending());
        advance(101 * MS).await;
        if stage == Stage::Poll {
            // Once as the second attempt, which the first poll of the race makes.
            assert!(call.poll().is_pending());
        }
        mock.panic_at(stage);
        assert!(catch_unwind(AssertUnwindSafe(|| call.poll())).is_err());
        drop(call);
        assert_clean(&mock, &format!("{stage:?}"));
        assert_eq!(budget.balance(), balance, "{stage:?}");
        mock.respond_immediately();
        assert_eq!(service.ready().await.unwrap().call(8).await.unwrap(), 8);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_classifier_or_the_copier_poisons_nothing() {
    let armed = Arc::new(AtomicUsize::new(0));
    let trap = |armed: &Arc<AtomicUsize>, at: usize| {
        let armed = Arc::clone(armed);
        move || assert!(armed.load(Ordering::Relaxed) != at, "armed")
    };
    let (in_classify, in_copy) = (trap(&armed, 1), trap(&armed, 2));
    let layer = HedgeLayer::new("h", after_100_ms(1))
        .describe(SAFE)
        .classify(move |result: Result<&u32, &Failed>| {
            in_classify();
            ByError.classify(result)
        })
        .copy(move |request: &u32| {
            in_copy();
            Some(*request)
        })
        .budget(tokens(5));
    let (slow, quick) = ((SECOND, Ok(1)), (MS, Ok(2)));
    // The second call ends before its extra attempt is sent.
    let upstream = Upstream::new([slow, quick, slow, slow, quick]);
    let handle = layer.handle();
    let mut service = layer.layer(upstream.clone());
    for at in [1, 2] {
        let call = service.ready().await.unwrap().call(7);
        armed.store(at, Ordering::Relaxed);
        let died = tokio::spawn(call).await.unwrap_err();
        assert!(died.is_panic());
        armed.store(0, Ordering::Relaxed);
        assert_eq!(upstream.open(), 0);
    }
    assert_eq!(call(&mut service).await.0, Ok(2));
    assert!(handle.budget().is_some());
}
