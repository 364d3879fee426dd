//! Steps that take time: bounded, and nothing is held meanwhile.

use std::task::Poll;

use super::*;
use seawall_core::KeepWhole;
use seawall_testkit::contract::PolledFuture;

fn backup(upstream: &Upstream) -> Step<Ask, Res> {
    Step::backup("vendor2", upstream.clone())
}

#[tokio::test(start_paused = true)]
async fn a_backup_answers_with_its_own_stack() {
    let vendor = Upstream::new([Ok(Price::from("vendor2", 3))]).slow(20 * MS);
    let layer = layer([backup(&vendor)]);
    let mut service = layer.layer(Upstream::down());
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&answer), ("vendor2", Some(("server", "vendor2"))));
    assert_eq!(vendor.calls(), 1);
    assert_eq!(layer.handle().snapshot().running, 0);
}

#[tokio::test(start_paused = true)]
async fn backups_are_tried_in_order_and_their_failure_gives_the_original_error() {
    let (two, three) = (Upstream::down(), Upstream::new([Err(open())]));
    let layer = layer([backup(&two), Step::backup("vendor3", three.clone())]);
    let original = Failed::With(Outcome::Failure(FailureKind::Timeout));
    let upstream = Upstream::new([Err(original)]);
    let mut service = layer.layer(upstream.clone());
    assert_eq!(
        call(&mut service, Ask::of("SPY")).await.unwrap_err(),
        original
    );
    assert_eq!((upstream.calls(), two.calls(), three.calls()), (1, 1, 1));
    assert_eq!(layer.handle().counts().unanswered, 1);
}

#[tokio::test(start_paused = true)]
async fn steps_of_both_kinds_may_follow_each_other() {
    let nothing = Step::function("nothing", |_, _: &Ask| None::<Res>);
    let layer = layer([nothing, backup(&Upstream::down()), value("default")]);
    let mut service = layer.layer(Upstream::down());
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().from, "default");
}

#[tokio::test(start_paused = true)]
async fn a_step_has_a_time_of_its_own() {
    let slow = Upstream::new([Ok(Price::at(1))]).slow(10 * SECOND);
    let layer = layer([
        backup(&slow).timeout(300 * MS),
        Step::backup("vendor3", slow.clone()),
        value("default"),
    ]);
    let mut service = layer.layer(Upstream::down());
    let start = tokio::time::Instant::now();
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().from, "default");
    // And two seconds by default.
    assert_eq!(tokio::time::Instant::now() - start, 2_300 * MS);
    for name in ["vendor2", "vendor3"] {
        assert_eq!(step(&layer.handle(), name).timed_out, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn no_step_runs_beyond_the_deadline_of_its_call() {
    let slow = Upstream::new([Ok(Price::at(1))]).slow(10 * SECOND);
    let layer = layer([backup(&slow), Step::backup("vendor3", slow.clone())]);
    let mut service = layer.layer(Upstream::down());
    let until = tokio::time::Instant::now() + 500 * MS;
    let ask = Ask::with("SPY", RequestMeta::idempotent().with_deadline(until));
    assert_eq!(call(&mut service, ask).await.unwrap_err(), DOWN);
    assert_eq!(tokio::time::Instant::now(), until);
    assert_eq!(slow.calls(), 1, "the second one would begin too late");
    assert_eq!(step(&layer.handle(), "vendor3").timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn as_many_calls_are_in_steps_as_configured() {
    let config = FallbackConfig::builder().max_running(2).build().unwrap();
    let vendor = Upstream::new([Ok(Price::from("vendor2", 1))]).slow(SECOND);
    let layer = layer_with(config, [backup(&vendor), value("default")]);
    let service = layer.layer(Upstream::down());
    let calls = (0..5).map(|_| tokio::spawn(service.clone().oneshot(Ask::of("SPY"))));
    let calls: Vec<_> = calls.collect();
    let mut from = Vec::new();
    for call in calls {
        from.push(call.await.unwrap().unwrap().value().from);
    }
    from.sort_unstable();
    assert_eq!(
        from,
        ["default", "default", "default", "vendor2", "vendor2"]
    );
    assert_eq!(vendor.calls(), 2);
    assert_eq!(step(&layer.handle(), "vendor2").full, 3);
    assert_eq!(layer.handle().snapshot().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_back_what_its_step_has() {
    let vendor = Upstream::new([Ok(Price::at(1))]).slow(SECOND);
    let layer = layer([backup(&vendor)]);
    let service = layer.layer(Upstream::down().slow(SECOND));
    let idle = vendor.under_way();
    // Never polled, within the call, and within the step.
    for (after, running) in [(None, 0), (Some(0), 0), (Some(1_000), 1), (Some(1_500), 1)] {
        let mut call = PolledFuture::new(service.clone().call(Ask::of("SPY")));
        if let Some(ms) = after {
            assert!(call.poll().is_pending());
            advance(ms * MS).await;
            assert!(call.poll().is_pending());
        }
        assert_eq!(layer.handle().snapshot().running, running);
        drop(call);
        assert_eq!(layer.handle().snapshot().running, 0);
        assert_eq!(vendor.under_way(), idle);
    }
    assert_eq!(
        layer.handle().counts(),
        Default::default(),
        "none has ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_polled_late_has_its_answer_all_the_same() {
    let vendor = Upstream::new([Ok(Price::from("vendor2", 1))]).slow(SECOND);
    let layer = layer([backup(&vendor), value("default")]);
    let service = layer.layer(Upstream::down());
    let mut late = PolledFuture::new(service.clone().call(Ask::of("SPY")));
    assert!(late.poll().is_pending());
    advance(100 * SECOND).await;
    // The answer is there, and is looked for before the time is.
    let Poll::Ready(Ok(answer)) = late.poll() else {
        panic!("not ready");
    };
    assert_eq!(answer.value().from, "vendor2");
    assert_eq!(layer.handle().snapshot().running, 0);
}

fn holding(permit: &Arc<()>) -> Upstream {
    let mut failed = Price::failed(Outcome::Unknown);
    failed.permit = Some(Arc::clone(permit));
    Upstream::new([Ok(failed), Err(DOWN)])
}

#[tokio::test(start_paused = true)]
async fn the_failed_response_holds_nothing_while_a_step_runs() {
    let permit = Arc::new(());
    let seen = Arc::clone(&permit);
    let look = Step::async_function("look", move |_, _: Ask| {
        // This one and the closure's: the failed response is gone.
        let count = Arc::strong_count(&seen) as i64;
        async move { Some(Degraded::fresh(Price::at(count))) }
    });
    let mut service = layer([look]).layer(holding(&permit));
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().at, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_that_is_kept_is_returned_where_no_step_answers() {
    let nothing = || Step::async_function("nothing", |_, _: Ask| async { None::<Res> });
    let keeping = layer([nothing()]).keep(KeepWhole);
    let failed = Price::failed(Outcome::Unknown);
    let mut service = keeping.layer(Upstream::new([Ok(failed.clone())]));
    let original = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&original), ("upstream", None));
    // The default keeper drops it, and with it what it holds.
    let mut service = layer([nothing()]).layer(Upstream::new([Ok(failed)]));
    let Failed::Rejected(none) = call(&mut service, Ask::of("SPY")).await.unwrap_err() else {
        panic!("no rejection");
    };
    assert_eq!(
        (none.reason(), none.pattern()),
        (Reason::NoRoute, Some("fallback"))
    );
    assert_eq!(none.sent(), seawall_core::Sent::Maybe);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_copied_is_answered_by_steps_that_do_not_ask_for_it() {
    let vendor = Upstream::new([Ok(Price::at(1))]);
    let layer = layer([backup(&vendor), last_good(SECOND), value("default")]);
    let layer = layer.copy(|_: &Ask| None::<Ask>);
    let handle = layer.handle();
    let mut service = layer.layer(Upstream::down());
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().from, "default");
    assert_eq!(step(&handle, "vendor2").no_copy, 1);
    assert_eq!(step(&handle, "last_good").no_copy, 1);
}

#[test]
fn a_backup_answers_in_real_time_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let vendor = Upstream::new([Ok(Price::from("vendor2", 1))]).slow(5 * MS);
        let layer = layer([last_good(SECOND), backup(&vendor)]);
        let service = layer.layer(Upstream::down().slow(MS));
        let calls = (0..200).map(|_| tokio::spawn(service.clone().oneshot(Ask::of("SPY"))));
        let calls: Vec<_> = calls.collect();
        let mut answered = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(answer) => {
                    assert_eq!(answer.value().from, "vendor2");
                    answered += 1;
                }
                Err(error) => assert_eq!(error, DOWN),
            }
        }
        assert_eq!(layer.handle().counts().answered, answered);
        assert_eq!(vendor.calls() as u64, answered);
        assert_eq!(answered + step(&layer.handle(), "vendor2").full, 200);
        assert!(answered >= 64, "{answered}");
        assert_eq!(layer.handle().snapshot().running, 0);
    });
}
