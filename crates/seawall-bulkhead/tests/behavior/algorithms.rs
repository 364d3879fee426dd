//! Limits that change by themselves.

use std::sync::Mutex;

use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall_bulkhead::{CallSample, LimitAlgorithm};
use seawall_core::FailureKind;
use tokio::time::sleep;

use super::*;

/// Writes down what it is told, and answers with what it was given.
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
async fn a_tuner_is_told_how_long_a_place_was_held_and_by_how_many() {
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
    let told: Vec<_> = seen
        .iter()
        .map(|e| (e.latency_ns, e.in_flight, e.limit))
        .collect();
    assert_eq!(told, [(ns(2), 2, 2), (ns(1), 2, 2), (ns(2), 1, 7)]);
    assert!(seen.iter().all(|end| !end.dropped));
    assert!(seen[0].now_ns + ns(1) == seen[1].now_ns);
    assert!(handle.snapshot().mean_hold.expect("measured") > SECOND);
}

#[tokio::test(start_paused = true)]
async fn drops_are_told_and_what_says_nothing_is_not() {
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
        .classify(move |answer: Result<&u32, &Error<()>>| match answer {
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
    // A failure that came fast is no fast answer.
    assert_eq!(dropped, [false, true, true, true]);
    let counts = layer.handle().counts();
    assert_eq!(
        (counts.success, counts.ignored, counts.abandoned),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_tuner_that_panics_loses_no_place_and_is_asked_again() {
    struct Bad(u32);
    impl LimitAlgorithm for Bad {
        fn on_sample(&mut self, _: &CallSample) -> Option<u32> {
            self.0 += 1;
            assert!(self.0 > 1, "tuner");
            Some(9)
        }
    }
    let layer = layer(1, 0).limit_algorithm(Bad(0));
    let mut svc = layer.layer(Echo);
    let mut answer = call(&mut svc, 0);
    assert!(catch_unwind(AssertUnwindSafe(|| answer.poll())).is_err());
    assert_eq!(layer.handle().in_flight(), 0);
    assert!(call(&mut svc, 1).poll().is_ready());
    assert_eq!(layer.handle().limit(), 9);
}

#[tokio::test(start_paused = true)]
async fn places_are_scaled_with_their_use() {
    let scaling = ScalingConfig::between(2, 12)
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
