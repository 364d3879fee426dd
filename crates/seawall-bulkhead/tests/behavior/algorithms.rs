//! Limits that change by themselves.

use std::sync::Mutex;

use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall_bulkhead::{CallSample, LimitAlgorithm};
use seawall_core::FailureKind;
use tokio::time::sleep;

use super::*;

/// Records its samples, and returns what the test has set.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<(Vec<CallSample>, Option<u32>)>>);

impl LimitAlgorithm for Spy {
    fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
        let mut seen = self.0.lock().expect("nobody panics");
        seen.0.push(*sample);
        seen.1.take()
    }
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_sees_how_long_a_permit_was_held_and_how_many_were() {
    let spy = Spy::default();
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = layer(2, 8)
        .limit_algorithm(spy.clone())
        .limit_algorithm(Spy::default());
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    tokio::time::advance(SECOND).await;
    let mut first = call(&mut svc, 0);
    tokio::time::advance(SECOND).await;
    let mut second = call(&mut svc, 1);
    let mut third = call(&mut svc, 2);
    assert!(first.poll().is_pending() && second.poll().is_pending() && third.poll().is_pending());
    tokio::time::advance(SECOND).await;
    mock.respond(0, Ok(()));
    assert!(first.poll().is_ready() && third.poll().is_pending());
    tokio::time::advance(SECOND).await;
    spy.0.lock().unwrap().1 = Some(7);
    mock.respond(2, Ok(()));
    assert!(third.poll().is_ready());
    assert_eq!(handle.limit(), 7);
    spy.0.lock().unwrap().1 = Some(0);
    mock.respond(1, Ok(()));
    assert!(second.poll().is_ready());
    assert_eq!(handle.limit(), 1, "a limit of 0 is one of 1");
    let ns = |secs: u64| secs * 1_000_000_000;
    let seen = spy.0.lock().unwrap().0.clone();
    // The wait of the third is not part of its second.
    let reported: Vec<_> = seen
        .iter()
        .map(|e| (e.latency_ns, e.in_flight, e.limit))
        .collect();
    assert_eq!(reported, [(ns(2), 2, 2), (ns(1), 2, 2), (ns(2), 1, 7)]);
    assert!(seen.iter().all(|end| !end.dropped));
    assert!(seen[0].now_ns + ns(1) == seen[1].now_ns);
    assert!(handle.snapshot().mean_hold.expect("measured") > SECOND);
}

#[tokio::test(start_paused = true)]
async fn drops_are_reported_and_calls_that_show_nothing_are_not() {
    let spy = Spy::default();
    let outcomes = [
        Outcome::Success,
        Outcome::Failure(FailureKind::Server),
        Outcome::Failure(FailureKind::Overloaded),
        Outcome::Failure(FailureKind::Timeout),
        Outcome::Unknown,
        Outcome::Ignored,
    ];
    let layer = layer(1, 0)
        .classify(move |response: Result<&u32, &Error<()>>| match response {
            Ok(n) => outcomes[*n as usize],
            Err(_) => Outcome::Success,
        })
        .limit_algorithm(spy.clone());
    let mut svc = layer.layer(Echo);
    for n in 0..6 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    drop(call(&mut svc, 0));
    let dropped: Vec<_> = spy.0.lock().unwrap().0.iter().map(|e| e.dropped).collect();
    // A failure that came fast is no fast response.
    assert_eq!(dropped, [false, true, true, true]);
    let counts = layer.handle().counts();
    assert_eq!(
        (counts.success, counts.ignored, counts.abandoned),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_that_panics_loses_no_permit_and_is_called_again() {
    struct Bad(u32);
    impl LimitAlgorithm for Bad {
        fn on_sample(&mut self, _: &CallSample) -> Option<u32> {
            self.0 += 1;
            assert!(self.0 > 1, "a panic in an algorithm");
            Some(9)
        }
    }
    let layer = layer(1, 0).limit_algorithm(Bad(0));
    let mut svc = layer.layer(Echo);
    let mut response = call(&mut svc, 0);
    assert!(catch_unwind(AssertUnwindSafe(|| response.poll())).is_err());
    assert_eq!(layer.handle().in_flight(), 0);
    assert!(call(&mut svc, 1).poll().is_ready());
    assert_eq!(layer.handle().limit(), 9);
}

#[tokio::test(start_paused = true)]
async fn the_limit_scales_with_its_use() {
    let scaling = ScalingConfig::builder()
        .min(2)
        .max(12)
        .step(2)
        .window(SECOND)
        .build()
        .unwrap();
    let config = BulkheadConfig::builder()
        .max_concurrent(50)
        .max_waiting(1_000)
        .build();
    let layer = ScalingBulkheadLayer::new("scaled", config.unwrap(), scaling);
    let scaled = layer.handle();
    let handle = scaled.bulkhead();
    assert_eq!(handle.limit(), 12, "the bounds hold from the start");
    handle.set_limit(2).unwrap();
    let svc: Bulkhead<_> = layer.layer(tower::service_fn(|n: u32| async move {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, Error<()>>(n)
    }));
    sleep(SECOND).await;
    let flood: Vec<_> = (0..600)
        .map(|n| tokio::spawn(svc.clone().call(n)))
        .collect();
    sleep(3 * SECOND).await;
    assert!((4..=8).contains(&handle.limit()), "{}", handle.limit());
    for call in flood {
        call.await.unwrap().unwrap();
    }
    assert_eq!(handle.limit(), 12);
    assert_eq!(
        handle.snapshot().mean_hold,
        Some(Duration::from_millis(100))
    );
    for n in 0..200 {
        svc.clone().call(n).await.unwrap();
    }
    assert_eq!(handle.limit(), 2);
}

/// Grows faster with every sample, and resets its own bulkhead when the test asks for it.
struct Learner {
    handle: Arc<Mutex<Option<BulkheadHandle>>>,
    learned: u32,
}

impl LimitAlgorithm for Learner {
    fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
        let handle = self.handle.lock().expect("nobody panics").take();
        if let Some(handle) = handle {
            handle.reset();
            return None;
        }
        self.learned += 1;
        Some(sample.limit + self.learned)
    }

    fn start(&mut self, max_concurrent: u32) -> u32 {
        self.learned = 0;
        max_concurrent + 1
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_restarts_the_algorithm_and_a_configuration_keeps_its_limit() {
    let handle = Arc::default();
    let learner = Learner {
        handle: Arc::clone(&handle),
        learned: 0,
    };
    let layer = layer(4, 0).limit_algorithm(learner);
    let mut svc = layer.layer(Echo);
    let outside = layer.handle();
    assert_eq!(outside.limit(), 5);
    let mut once = || assert!(call(&mut svc, 1).poll().is_ready());
    once();
    once();
    assert_eq!(outside.limit(), 8, "5, 6, 8");
    let config = BulkheadConfig::builder()
        .max_concurrent(20)
        .build()
        .unwrap();
    outside.configure(config).unwrap();
    assert_eq!(outside.limit(), 8, "what was learned stays");
    outside.reset();
    assert_eq!(outside.limit(), 21);
    once();
    assert_eq!(outside.limit(), 22);
    // From inside of the algorithm, too.
    *handle.lock().unwrap() = Some(outside.clone());
    once();
    assert_eq!(outside.limit(), 21);
    once();
    assert_eq!(outside.limit(), 22);
}

#[tokio::test(start_paused = true)]
async fn scaling_is_configured_live_and_starts_again_with_a_reset() {
    let scaling = |min, max| {
        ScalingConfig::builder()
            .min(min)
            .max(max)
            .step(2)
            .window(SECOND)
    };
    let config = BulkheadConfig::builder().max_concurrent(6).build().unwrap();
    let layer = ScalingBulkheadLayer::new("scaled", config, scaling(2, 8).build().unwrap());
    let handle = layer.handle();
    let mut svc = layer.layer(Echo);
    let idle = async |svc: &mut Bulkhead<Echo>| {
        for _ in 0..5 {
            tokio::time::advance(SECOND).await;
            assert!(call(svc, 1).poll().is_ready());
        }
    };
    idle(&mut svc).await;
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.limit, snapshot.min, snapshot.max), (2, 2, 8));
    assert_eq!(
        (snapshot.window_utilization, snapshot.counts.success),
        (Some(0.5), 5)
    );
    handle.configure(scaling(4, 5).build().unwrap()).unwrap();
    assert_eq!(handle.config(), scaling(4, 5).build().unwrap());
    assert_eq!(handle.snapshot().limit, 4);
    handle.bulkhead().pause();
    handle.reset();
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.limit, snapshot.window_utilization),
        (5, None),
        "6 is above"
    );
    assert_eq!(snapshot.state, BulkheadState::Ok);
    let last = handle.settings().pop();
    assert_eq!(last, Some(("scaling.step", "2".to_owned())));
    assert_eq!(handle.counts().success, 5);
}
