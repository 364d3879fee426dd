//! Starting, stopping, reading.

use super::*;
use seawall_chaos::{ChaosState, FaultSet};
use seawall_core::{Command, EventKind, Events, InstanceHandle, OwnedSample, Received, Registry};

fn hanging(
    service: &mut Chaos<Mock, Reads>,
) -> impl Future<Output = Result<u32, BoxError>> + Unpin + use<> {
    let mut future = Box::pin(service.call(3));
    assert!(poll_once(&mut future).is_pending());
    future
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_waits_of_calls_under_way_at_once() {
    let long = constant(3_000_000 * MS);
    for fault in [Fault::hang(), long] {
        let (mut service, _, handle) = subject();
        let injection = handle.start(fault).unwrap();
        service.ready().await.unwrap();
        let future = tokio::spawn(hanging(&mut service));
        tokio::time::sleep(1_000 * MS).await;
        assert!(!future.is_finished());
        let before = Instant::now();
        assert_eq!(injection.stop().injected(), 1);
        assert_eq!(future.await.unwrap().unwrap(), 3);
        assert_eq!(Instant::now(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_to_end_faults_ends_their_hangs() {
    type End = fn(&ChaosHandle, seawall_chaos::Injection);
    let ends: [End; 5] = [
        |_, injection| drop(injection),
        |_, injection| assert_eq!(injection.stop().hang, 1),
        |handle, injection| assert!(handle.stop(injection.detach())),
        |handle, injection| {
            let _ = injection.detach();
            assert_eq!(handle.stop_all(), 1);
        },
        |handle, injection| {
            let _ = injection.detach();
            handle.control(Command::Bypass).unwrap();
        },
    ];
    for end in ends {
        let (mut service, _, handle) = subject();
        let injection = handle.start(Fault::hang()).unwrap();
        service.ready().await.unwrap();
        let future = hanging(&mut service);
        // Called, and not polled before the end.
        service.ready().await.unwrap();
        let unpolled = service.call(4);
        end(&handle, injection);
        assert_eq!(future.await.unwrap(), 3);
        assert_eq!(unpolled.await.unwrap(), 4);
        assert_ne!(handle.state(), ChaosState::Injecting);
    }
}

#[tokio::test(start_paused = true)]
async fn faults_end_by_themselves_and_with_nobody_looking() {
    let (mut service, _, handle) = subject();
    let set = FaultSet::from(Fault::hang()).lasts(5_000 * MS).unwrap();
    let injection = handle.start(set).unwrap();
    let (result, took) = call(&mut service).await;
    assert_eq!(
        (result.unwrap(), took),
        (3, 5_000 * MS),
        "the hang ends with its fault"
    );
    assert!(!injection.is_on());
    assert_eq!(call(&mut service).await.1, Duration::ZERO);
    assert_eq!(handle.state(), ChaosState::Off);
    assert_eq!(injection.counts().hang, 1);
}

#[tokio::test(start_paused = true)]
async fn starts_do_not_overwrite_each_other() {
    let (mut service, _, handle) = subject();
    let by_operator = handle.start(constant(100 * MS)).unwrap().detach();
    let experiment = handle
        .start(FaultSet::from(constant(10 * MS)).label("an experiment"))
        .unwrap();
    assert_eq!(call(&mut service).await.1, 110 * MS);
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.state, ChaosState::Injecting);
    let labels: Vec<_> = snapshot
        .injections
        .iter()
        .map(|i| i.label.as_str())
        .collect();
    assert_eq!(labels, ["unnamed", "an experiment"]);
    assert_eq!(experiment.stop().delay, 1);
    assert_eq!(
        call(&mut service).await.1,
        100 * MS,
        "the operator's goes on"
    );
    assert!(handle.stop(by_operator));
    assert!(!handle.stop(by_operator), "it is off already");
    assert_eq!(call(&mut service).await.1, Duration::ZERO);
    assert_eq!(handle.counts().delay, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_not_stopped_any_more() {
    let (_service, _, handle) = subject();
    let short = || FaultSet::from(Fault::hang()).lasts(100 * MS).unwrap();
    let over = handle.start(short()).unwrap().detach();
    tokio::time::advance(100 * MS).await;
    assert!(!handle.stop(over), "its time is over");
    handle.start(short()).unwrap().detach();
    tokio::time::advance(50 * MS).await;
    handle.start(short()).unwrap().detach();
    tokio::time::advance(60 * MS).await;
    assert_eq!(handle.stop_all(), 1, "the first one was over");
    assert_eq!(handle.stop_all(), 0);
    assert_eq!(handle.state(), ChaosState::Off);
}

#[tokio::test(start_paused = true)]
async fn after_an_emergency_stop_nothing_starts_until_reset() {
    let (mut service, _, handle) = subject();
    let injection = handle.start(Fault::hang()).unwrap();
    handle.bypass();
    assert!(!injection.is_on());
    assert_eq!(handle.state(), ChaosState::Bypassed);
    assert_eq!(handle.start(Fault::hang()).unwrap_err().field(), "state");
    assert_eq!(call(&mut service).await.0.unwrap(), 3);
    handle.reset();
    assert_eq!(handle.state(), ChaosState::Off);
    let _on = handle.start(Fault::refused_connection()).unwrap();
    injected(call(&mut service).await.0);
    assert!(handle.control(Command::Drain).is_err());
}

#[test]
fn what_the_hooks_cannot_make_is_an_error_that_names_what_they_can() {
    let handle = reads().handle();
    let set = FaultSet::new([Fault::hang(), Fault::corrupted_body()]).unwrap();
    let invalid = handle.start(set).unwrap_err();
    assert_eq!(invalid.field(), "faults[1].kind");
    assert_eq!(invalid.value(), "`corrupted_body`");
    assert!(
        invalid.accepted().contains("`refused_connection`"),
        "{invalid}"
    );
    assert_eq!(handle.state(), ChaosState::Off);
}

#[test]
fn bad_values_are_errors_that_name_them() {
    let none = [0.0, -0.0, -0.1, 1.000_1, f64::NAN, f64::INFINITY];
    for intensity in none.into_iter().chain([9e-7, f64::MIN_POSITIVE, 1e-320]) {
        let invalid = Fault::hang().with_intensity(intensity).unwrap_err();
        assert_eq!(invalid.field(), "intensity");
        assert!(invalid.value().len() < 30, "{invalid}");
    }
    let least = Fault::LEAST_INTENSITY;
    assert!(Fault::hang().with_intensity(least).is_ok());
    assert_eq!(FaultSet::new([]).unwrap_err().field(), "faults");
    let many = std::iter::repeat_n(Fault::hang(), usize::MAX);
    assert_eq!(FaultSet::new(many).unwrap_err().field(), "faults");
    let set = FaultSet::from(Fault::hang());
    assert_eq!(
        set.clone().lasts(Duration::ZERO).unwrap_err().field(),
        "lasts"
    );
    assert!(set.lasts(Duration::MAX).is_ok());
    assert!(FaultKind::from_word("hang ").is_err());
    for kind in FaultKind::ALL {
        assert_eq!(FaultKind::from_word(kind.as_str()), Ok(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_do_not_panic() {
    let (mut service, _, handle) = subject();
    let forever = FaultSet::from(Fault::hang()).lasts(Duration::MAX).unwrap();
    let injection = handle.start(forever).unwrap();
    service.ready().await.unwrap();
    let future = hanging(&mut service);
    assert!(handle.snapshot().injections[0].ends_in.unwrap() > Duration::from_secs(1 << 20));
    drop(injection);
    assert_eq!(future.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_registry_has_the_counts_the_events_and_the_settings() {
    let registry = Registry::with_events("svc", Events::new(64));
    let mut events = registry.events().subscribe();
    let (mut service, _, handle) = subject();
    registry.register(handle.clone()).unwrap();
    let set = FaultSet::from(Fault::refused_connection())
        .lasts(1_000 * MS)
        .unwrap();
    let _on = handle.start(set).unwrap();
    injected(call(&mut service).await.0);
    tokio::time::advance(2_000 * MS).await;
    let snapshot = &registry.snapshot()[0];
    assert_eq!((snapshot.pattern, snapshot.state), ("chaos", "off"));
    let value = |metric: &str, fault: &str| {
        let of = |s: &&OwnedSample| {
            s.metric == metric && s.labels.iter().all(|(_, value)| *value == fault)
        };
        snapshot
            .samples
            .iter()
            .find(of)
            .map(|sample| sample.value.clone())
    };
    let one = value("seawall_chaos_injected_total", "refused_connection");
    assert_eq!(format!("{one:?}"), "Some(Counter(1))");
    assert!(value("seawall_chaos_injections", "").is_some());
    assert!(snapshot.settings.contains(&("seed", "7".to_owned())));

    let mut transitions = Vec::new();
    while let Some(Received::Event(event)) = events.try_next() {
        if let EventKind::Transition { from, to, reason } = event.kind {
            transitions.push((from, to, reason));
        }
    }
    let expected = [
        ("off", "injecting", "started"),
        ("injecting", "off", "time_over"),
    ];
    assert_eq!(transitions, expected);
}

#[tokio::test]
async fn in_real_time_a_stop_from_another_thread_wakes_every_hang() {
    let (service, _, handle) = subject();
    let injection = handle.start(Fault::hang()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for request in 0..64 {
        tasks.spawn(service.clone().oneshot(request));
    }
    while handle.counts().hang < 64 {
        tokio::task::yield_now().await;
    }
    let stopping = std::thread::spawn(move || injection.stop().hang);
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(stopping.join().unwrap(), 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_races_with_calls_leaves_none_of_them_behind() {
    for _ in 0..200 {
        let (service, _, handle) = subject();
        let injection = handle.start(Fault::hang()).unwrap();
        let calls: Vec<_> = (0..4)
            .map(|n| tokio::spawn(service.clone().oneshot(n)))
            .collect();
        let stopping = tokio::spawn(async move { injection.stop() });
        for call in calls {
            let result = tokio::time::timeout(Duration::from_secs(20), call).await;
            result.expect("no call hangs on").unwrap().unwrap();
        }
        stopping.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn faults_that_end_while_the_upstream_works_have_no_effect() {
    for fault in [
        Fault::lost_response(),
        Fault::duplicated_request(),
        Fault::hang(),
        constant(100 * MS),
    ] {
        let (mut service, mock, handle) = subject();
        mock.hold_responses();
        let injection = handle.start(fault).unwrap();
        service.ready().await.unwrap();
        let future = hanging(&mut service);
        injection.stop();
        mock.respond_to_all();
        let before = Instant::now();
        assert_eq!(future.await.unwrap(), 3);
        assert_eq!((Instant::now(), mock.requests()), (before, vec![3]));
        let counts = handle.counts();
        assert_eq!((counts.injected(), counts.without_effect), (0, 1));
    }
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_is_serialized_by_its_words() {
    let handle = reads().handle();
    let set = FaultSet::from(Fault::lost_response().with_intensity(0.5).unwrap());
    let _on = handle
        .start(set.lasts(1_500 * MS).unwrap().seed(9))
        .unwrap();
    let json = serde_json::to_value(handle.snapshot()).unwrap();
    assert_eq!(json["state"], "injecting");
    assert_eq!(json["injections"][0]["seed"], 9);
    assert_eq!(json["injections"][0]["ends_in"], 1.5);
    assert_eq!(json["injections"][0]["faults"][0]["kind"], "lost_response");
    assert_eq!(json["injections"][0]["faults"][0]["intensity"], 0.5);
    assert_eq!(json["counts"]["hang"], 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_started_faults_sees_that_somebody_ended_them_before_their_time() {
    let (_, _, handle) = subject();
    let start = || {
        let set = FaultSet::new([Fault::hang()]).unwrap();
        handle.start(set.lasts(10 * MS).unwrap()).unwrap()
    };
    let by_time = start();
    assert!(!by_time.is_stopped_early());
    tokio::time::advance(11 * MS).await;
    assert!(!by_time.is_on() && !by_time.is_stopped_early());
    assert_eq!(handle.stop_all(), 0, "its time was over");
    assert!(!by_time.is_stopped_early(), "its time was over before");
    let by_handle = start();
    assert_eq!(handle.stop_all(), 1);
    assert!(by_handle.is_stopped_early());
    let by_bypass = start();
    handle.bypass();
    assert!(by_bypass.is_stopped_early());
}
