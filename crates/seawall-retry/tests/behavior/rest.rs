//! Chance, panics, telemetry, settings.

use super::*;

#[tokio::test(start_paused = true)]
async fn jitter_stays_below_the_backoff_and_repeats_with_the_seed() {
    let pauses = async |seed: Option<u64>| {
        let upstream = Upstream::new([SERVER; 5]);
        let backoff = Backoff::exponential(SECOND, 4 * SECOND).unwrap();
        let config = RetryConfig::builder().attempts(6).backoff(backoff).build();
        let layer = layer(config.unwrap(), Replay::Safe);
        let layer = match seed {
            Some(seed) => layer.seed(seed),
            None => layer,
        };
        let mut service = layer.layer(upstream.service());
        service.ready().await.unwrap().call(7).await.unwrap();
        upstream.pauses()
    };
    let one = pauses(Some(1)).await;
    assert_eq!(one, pauses(Some(1)).await);
    assert_ne!(one, pauses(Some(2)).await);
    let ceilings = [1, 2, 4, 4, 4].map(|s| s * SECOND);
    // Timers fire on whole milliseconds.
    let slack = Duration::from_millis(1);
    for pauses in [one, pauses(None).await] {
        assert_eq!(pauses.len(), 5);
        assert!(pauses.iter().zip(ceilings).all(|(p, c)| *p <= c + slack));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_leaves_the_next_call_untouched() {
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let trap = Arc::new(Mutex::new(""));
    let spring = |at: &'static str| {
        let trap = Arc::clone(&trap);
        move || {
            let set = *trap.lock().unwrap();
            assert!(set != at, "{at} panics");
        }
    };
    let (classify, describe, copy) = (spring("classify"), spring("describe"), spring("copy"));
    let layer = RetryLayer::new("r", ladder(3))
        .classify(move |result: Result<&u32, &BoxError>| {
            classify();
            ErrorIsFailure.classify(result)
        })
        .describe(move |_: &u32| {
            describe();
            RequestMeta::new(Replay::Safe)
        })
        .copy(move |request: &u32| {
            copy();
            Some(*request)
        });
    let events = Events::new(8);
    layer.handle().attach(&events);
    let _bad = events.listen(|_| panic!("listener"));
    let mut service = layer.layer(inner);
    for at in ["classify", "describe", "copy", "call", "poll"] {
        match at {
            "call" => mock.panic_at(Stage::Call),
            "poll" => mock.panic_at(Stage::Poll),
            at => *trap.lock().unwrap() = at,
        }
        let mut clone = service.clone();
        clone.ready().await.unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut call = PolledFuture::new(clone.call(1));
            call.poll().is_ready()
        }));
        assert!(panicked.is_err(), "{at} was made to panic");
        drop(clone);
        *trap.lock().unwrap() = "";
        let held = (mock.reserved(), mock.in_flight(), mock.futures());
        assert_eq!(held, (0, 0, 0), "after a panic in {at}");
        // The listener panics in this one.
        mock.script([Err(MockError::Failed(1))]);
        assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
    }
    assert_eq!(events.listener_panics(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_template_is_cloned_poisons_nothing() {
    struct Fragile(Arc<AtomicUsize>);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            // The layer's own clone, then the first extra attempt's.
            assert!(self.0.fetch_add(1, Ordering::Relaxed) != 1, "clone panics");
            Self(Arc::clone(&self.0))
        }
    }
    impl Service<u32> for Fragile {
        type Response = u32;
        type Error = Failed;
        type Future = std::future::Ready<Result<u32, Failed>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: u32) -> Self::Future {
            // Fails for as long as nothing but the layer has cloned.
            let extra = self.0.load(Ordering::Relaxed) > 2;
            std::future::ready(if extra { Ok(request) } else { Err(SERVER) })
        }
    }
    let config = RetryConfig::builder().backoff(Backoff::NONE).build();
    let budget = tokens(5);
    let layer = layer(config.unwrap(), Replay::Safe).budget(budget.clone());
    let mut service = layer.layer(Fragile(Arc::default()));
    let mut first = PolledFuture::new(service.ready().await.unwrap().call(1));
    assert!(catch_unwind(AssertUnwindSafe(|| first.poll().is_ready())).is_err());
    drop(first);
    assert_eq!(budget.balance(), 5.0, "the token came back");
    assert_eq!(service.ready().await.unwrap().call(2).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_published_and_adds_up() {
    let registry = Registry::new("svc");
    let upstream = Upstream::new([
        SERVER,
        throttled(None),
        UNKNOWN,
        rejected(Reason::CircuitOpen, None),
    ]);
    let layer = layer(ladder(3), Replay::Safe).budget(tokens(5));
    registry.register(layer.handle()).unwrap();
    let mut service = layer.layer(upstream.service());
    for _ in 0..4 {
        let _ = service.ready().await.unwrap().call(7).await;
    }
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("retry", "ok"));
    let read = |metric: &str, label: &str| {
        let found = snapshot.samples.iter().find(|s| {
            s.metric == metric && (label.is_empty() || s.labels.iter().any(|(_, v)| *v == label))
        });
        found.map(|s| s.value.clone())
    };
    let count = |n| Some(Value::Counter(n));
    let attempts = "seawall_retry_attempts_total";
    for (outcome, n) in [
        ("success", 2),
        ("failure", 1),
        ("throttled", 1),
        ("unknown", 1),
        ("rejected", 1),
        ("ignored", 0),
    ] {
        assert_eq!(read(attempts, outcome), count(n), "{outcome}");
    }
    // The first call ended with the unknown result, the second was rejected.
    let calls = "seawall_calls_total";
    for (outcome, n) in [
        ("success", 2),
        ("failure", 0),
        ("unknown", 1),
        ("rejected", 1),
    ] {
        assert_eq!(read(calls, outcome), count(n), "{outcome}");
    }
    assert_eq!(read("seawall_retry_retries_total", ""), count(2));
    let give_ups = "seawall_retry_give_ups_total";
    assert_eq!(read(give_ups, "attempts_exhausted"), count(1));
    assert_eq!(read(give_ups, "rejected"), count(1));
    // Two taken, and two successes.
    let balance = Some(Value::Gauge(4.0));
    assert_eq!(read("seawall_retry_budget_balance", ""), balance);
    assert!(snapshot.settings.contains(&("attempts", "3".to_owned())));
}

/// A call that completed without a last attempt was in no count of calls.
#[tokio::test(start_paused = true)]
async fn calls_that_end_between_two_attempts_are_counted_too() {
    let calls = |handle: RetryHandle| {
        let total = std::cell::Cell::new((0, 0));
        handle.samples(&mut seawall_core::Samples::new(&mut |sample| {
            if let ("seawall_calls_total", Value::Counter(n)) = (sample.metric, sample.value) {
                let rejected = sample.labels.iter().any(|(_, v)| *v == "rejected");
                let (all, rejections) = total.get();
                total.set((all + n, rejections + u64::from(rejected) * n));
            }
        }));
        total.get()
    };
    // The next service fails.
    let (inner, mock) = mock();
    mock.script([Err(MockError::Failed(1))]);
    let layer = RetryLayer::new("r", ladder(3)).describe(SAFE);
    let mut service = layer.layer(inner);
    let call = tokio::spawn(service.ready().await.unwrap().call(7));
    sleep(SECOND / 2).await;
    mock.set_failed();
    assert!(call.await.unwrap().is_err());
    assert_eq!(calls(layer.handle()), (1, 0));
    // The deadline passes.
    let (inner, mock) = self::mock();
    mock.script([Err(MockError::Failed(1))]);
    let deadline = Instant::now() + 5 * SECOND;
    let layer = RetryLayer::new("r", ladder(3)).describe(ConstMeta(
        RequestMeta::new(Replay::Safe).with_deadline(deadline),
    ));
    let mut service = layer.layer(inner);
    let call = service.ready().await.unwrap().call(7);
    mock.set_pending();
    let result = call.await;
    assert!(
        result.unwrap_err().is::<MockError>(),
        "its last real result"
    );
    assert_eq!(calls(layer.handle()), (1, 0));
    // The first attempt cannot be prepared.
    let layer = self::layer(ladder(3), Replay::Safe)
        .prepare(|_: &mut u32, _: Attempt| Err(Failed::With(Outcome::Ignored)));
    let upstream = Upstream::new([]);
    assert!(layer.layer(upstream.service()).oneshot(7).await.is_err());
    assert_eq!(calls(layer.handle()), (1, 0));
}

#[test]
fn settings_are_checked_and_read_back() {
    let config = RetryConfig::builder()
        .attempts(7)
        .backoff(Backoff::NONE)
        .max_retry_after(SECOND)
        .max_rejection_wait(2 * SECOND)
        .retry_throttled(false)
        .retry_if_not_sent(false)
        .build()
        .unwrap();
    assert_eq!(config.attempts(), 7);
    assert_eq!(*config.backoff(), Backoff::NONE);
    assert_eq!(config.max_retry_after(), SECOND);
    assert_eq!(config.max_rejection_wait(), 2 * SECOND);
    assert!(!config.retry_throttled() && !config.retry_if_not_sent());
    let rejected = RetryConfig::builder().attempts(0).build().unwrap_err();
    assert_eq!((rejected.field(), rejected.value()), ("attempts", "0"));
    let default = RetryConfig::builder().build().unwrap();
    assert_eq!(default, RetryConfig::default());
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_clock_can_measure_do_not_panic() {
    let config = RetryConfig::builder()
        .max_retry_after(Duration::MAX)
        .build()
        .unwrap();
    let longest = Duration::MAX - Duration::from_nanos(1);
    let upstream = Upstream::new([Failed::Hinted(longest)]);
    let mut service = layer(config, Replay::Safe).layer(upstream.service());
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn the_type_of_a_stack_can_be_named() {
    type Classifier = fn(Result<&u32, &Failed>) -> Outcome;
    type Describer = fn(&u32) -> RequestMeta;
    struct Client<S> {
        service: Retry<S, Policy<Classifier, Describer>>,
    }
    fn classify(result: Result<&u32, &Failed>) -> Outcome {
        ByError.classify(result)
    }
    fn describe(_: &u32) -> RequestMeta {
        RequestMeta::new(Replay::Safe)
    }
    let upstream = Upstream::new([SERVER]);
    let mut client = Client {
        service: RetryLayer::new("r", ladder(2))
            .classify(classify as Classifier)
            .describe(describe as Describer)
            .layer(upstream.service()),
    };
    assert_eq!(client.service.ready().await.unwrap().call(7).await, Ok(7));
    assert!(SERVER.rejection().is_none());
}
