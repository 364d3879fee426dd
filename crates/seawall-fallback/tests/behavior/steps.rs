//! Which steps answer which calls.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_success_is_returned_as_it_is() {
    let layer = layer([value("default")]);
    let mut service = layer.layer(Upstream::new([Ok(Price::at(1))]));
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&answer), ("upstream", None));
    assert_eq!(layer.handle().counts(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn the_first_step_that_has_an_answer_gives_it_with_the_reason_of_the_failure() {
    let steps = [
        Step::function("SPY alone", |_, ask: &Ask| {
            (ask.symbol == "SPY").then(|| Degraded::fresh(Price::from("function", 0)))
        }),
        value("default"),
    ];
    let layer = layer(steps);
    for (failure, reason) in [
        (DOWN, "server"),
        (open(), "circuit_open"),
        (Failed::With(Outcome::Unknown), "unknown"),
        (Failed::With(Outcome::Banned { lasts: None }), "banned"),
    ] {
        let mut service = layer.layer(Upstream::new([Err(failure)]));
        let spy = call(&mut service, Ask::of("SPY")).await.unwrap();
        assert_eq!(marked(&spy), ("function", Some((reason, "SPY alone"))));
        assert_eq!(spy.degradation().unwrap().age, None);
        let qqq = call(&mut service, Ask::of("QQQ")).await.unwrap();
        assert_eq!(marked(&qqq), ("default", Some((reason, "default"))));
    }
    let handle = layer.handle();
    assert_eq!(handle.counts().answered, 8);
    assert_eq!(step(&handle, "SPY alone").answered, 4);
    assert_eq!(step(&handle, "SPY alone").nothing, 4);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_a_failure_is_answered_as_well() {
    let failed = Price::failed(Outcome::Failure(FailureKind::Overloaded));
    let mut service = layer([value("default")]).layer(Upstream::new([Ok(failed)]));
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(
        marked(&answer),
        ("default", Some(("overloaded", "default")))
    );
}

#[tokio::test(start_paused = true)]
async fn the_mistakes_of_a_caller_are_never_answered() {
    let layer = layer([value("default")]);
    let invalid = Failed::Rejected(Rejection::new(Reason::InvalidRequest, "below"));
    for own in [Failed::With(Outcome::Ignored), invalid] {
        let mut service = layer.layer(Upstream::new([Err(own)]));
        let error = call(&mut service, Ask::of("SPY")).await.unwrap_err();
        assert_eq!(error, own);
    }
    let not_found = Price::failed(Outcome::Ignored);
    let mut service = layer.layer(Upstream::new([Ok(not_found)]));
    let response = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&response), ("upstream", None));
    assert_eq!(layer.handle().counts().not_covered, 3);
    assert_eq!(layer.handle().counts().answered, 0);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_safe_is_answered_from_elsewhere() {
    let layer = layer([value("default")]);
    let mut service = layer.layer(Upstream::down());
    for replay in [Replay::Never, Replay::SafeWithKey] {
        let order = Ask::with("SPY", RequestMeta::new(replay));
        assert_eq!(call(&mut service, order).await.unwrap_err(), DOWN);
    }
    assert_eq!(layer.handle().counts().not_answerable, 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_made_for_an_operation_answers_it() {
    let decide = Operation::new("decide");
    let place = Operation::new("orders.place");
    let hold = value("hold").also_for(decide);
    let layer = layer([value("default"), hold]);
    let mut service = layer.layer(Upstream::down());
    let meta = RequestMeta::non_idempotent();
    let of = |operation| Ask::with("SPY", meta.with_operation(operation));
    let opinion = call(&mut service, of(decide)).await.unwrap();
    assert_eq!(marked(&opinion), ("hold", Some(("server", "hold"))));
    assert_eq!(call(&mut service, of(place)).await.unwrap_err(), DOWN);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_some_operations_leaves_others_alone() {
    let quotes = Operation::new("quotes");
    let layer = layer([value("quote").only_for(quotes)]);
    let mut service = layer.layer(Upstream::down());
    let of = |operation| Ask::with("SPY", RequestMeta::idempotent().with_operation(operation));
    assert!(call(&mut service, of(quotes)).await.is_ok());
    let other = of(Operation::new("bars"));
    assert_eq!(call(&mut service, other).await.unwrap_err(), DOWN);
    assert_eq!(layer.handle().counts().not_answerable, 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_covers_what_it_says() {
    let while_open = Covers::nothing().and_reason(Reason::CircuitOpen);
    let layer = layer([value("open").covers(while_open)]);
    let mut service = layer.layer(Upstream::new([Err(open()), Err(DOWN)]));
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&answer), ("open", Some(("circuit_open", "open"))));
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_is_used_until_it_is_too_old() {
    let layer = layer([last_good(10 * SECOND)]);
    let upstream = Upstream::new([Ok(Price::at(7))]);
    let mut service = layer.layer(upstream.clone());
    call(&mut service, Ask::of("SPY")).await.unwrap();
    upstream.set(Err(DOWN));
    advance(4 * SECOND).await;
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(
        (marked(&answer), answer.value().at),
        (("upstream", Some(("server", "last_good"))), 7)
    );
    assert_eq!(answer.degradation().unwrap().age, Some(4 * SECOND));
    assert_eq!(call(&mut service, Ask::of("QQQ")).await.unwrap_err(), DOWN);
    advance(6 * SECOND).await;
    assert!(call(&mut service, Ask::of("SPY")).await.is_ok(), "10 s old");
    advance(MS).await;
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
    assert_eq!(layer.handle().snapshot().steps[0].keys, Some(1));
}

#[tokio::test(start_paused = true)]
async fn no_degraded_answer_is_kept_as_a_good_one() {
    let inner = layer([value("default")]);
    let outer = layer([last_good(10 * SECOND)]);
    let upstream = Upstream::new([Err(DOWN)]);
    let mut service = outer.layer(inner.layer(upstream.clone()));
    // The classifier of this test takes what the inner fallback answers for a success.
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(marked(&answer), ("default", Some(("server", "default"))));
    assert_eq!(outer.handle().snapshot().steps[0].keys, Some(0));
    upstream.set(Ok(Price::at(1)));
    call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(outer.handle().snapshot().steps[0].keys, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_call_that_began_earlier_is_not_kept_for_a_later_one() {
    let layer = layer([last_good(60 * SECOND)]);
    let slow = layer.layer(Upstream::new([Ok(Price::at(1))]).slow(5 * SECOND));
    let quick = layer.layer(Upstream::new([Ok(Price::at(2))]).slow(SECOND));
    let early = tokio::spawn(slow.oneshot(Ask::of("SPY")));
    tokio::task::yield_now().await;
    advance(SECOND).await;
    quick.oneshot(Ask::of("SPY")).await.unwrap();
    early.await.unwrap().unwrap();
    let mut down = layer.layer(Upstream::down());
    let kept = call(&mut down, Ask::of("SPY")).await.unwrap();
    assert_eq!(kept.value().at, 2);
}

#[tokio::test(start_paused = true)]
async fn as_many_keys_and_as_much_weight_are_kept_as_configured() {
    let few = LastGoodConfig::builder().max_keys(2).max_weight(10);
    let kept = LastGood::weighed(
        few.build().unwrap(),
        |ask: &Ask| Some(ask.symbol),
        |answer: &Res| Some(answer.clone()),
        |answer| answer.value().at as u64,
    );
    let layer = layer([Step::last_good(kept.unwrap())]);
    let upstream = Upstream::down();
    let mut service = layer.layer(upstream.clone());
    let mut learn = async |symbol, at| {
        upstream.set(Ok(Price::at(at)));
        call(&mut service, Ask::of(symbol)).await.unwrap();
        upstream.set(Err(DOWN));
        let mut found = Vec::new();
        for symbol in ["A", "B", "C"] {
            if let Ok(answer) = call(&mut service, Ask::of(symbol)).await {
                found.push((symbol, answer.value().at));
            }
        }
        found
    };
    assert_eq!(learn("A", 1).await, [("A", 1)]);
    assert_eq!(learn("B", 2).await, [("A", 1), ("B", 2)]);
    assert_eq!(learn("C", 3).await, [("B", 2), ("C", 3)]);
    assert_eq!(learn("C", 9).await, [("C", 9)], "11 together are too many");
    assert_eq!(learn("A", 11).await, [("C", 9)], "it alone is too heavy");
    assert_eq!(learn("C", 1).await, [("C", 1)]);
    assert_eq!(learn("B", 9).await, [("B", 9), ("C", 1)]);
}

#[test]
fn bad_input_is_named() {
    let invalid = |steps: Vec<Step<Ask, Res>>| {
        let layer = FallbackLayer::new("prices", FallbackConfig::default(), steps);
        let invalid = layer.unwrap_err();
        (invalid.field().to_owned(), invalid.value().to_owned())
    };
    let is = |field: &str, value: &str| (field.to_owned(), value.to_owned());
    assert_eq!(invalid(vec![]), is("steps", "0"));
    assert_eq!(invalid(vec![value("prices")]), is("step", "prices"));
    assert_eq!(invalid(vec![value("a"), value("a")]), is("step", "a"));
    assert_eq!(invalid(vec![value("")]).0, "step");
    let timeout = value("a").timeout(SECOND);
    assert_eq!(invalid(vec![timeout]), is("timeout", "1s"));
    let never = Step::backup("b", Upstream::down()).timeout(Duration::ZERO);
    assert_eq!(invalid(vec![never]).0, "timeout");
    let nothing = value("a").covers(Covers::nothing());
    assert_eq!(invalid(vec![nothing]), is("covers", "nothing"));
    let own = Covers::default().and_reason(Reason::Guarded);
    assert_eq!(
        invalid(vec![value("a").covers(own)]),
        is("covers", "guarded")
    );
    let success = Covers::default().and_outcome(Outcome::Ignored);
    assert_eq!(
        invalid(vec![value("a").covers(success)]),
        is("covers", Outcome::Ignored.as_str())
    );
    let weight = LastGoodConfig::builder().max_weight(10).build().unwrap();
    let kept = LastGood::new(weight, |ask: &Ask| Some(ask.symbol));
    assert_eq!(invalid(vec![Step::last_good(kept)]), is("max_weight", "10"));
    let other = value("a").also_for(Operation::OTHER);
    assert_eq!(invalid(vec![other]), is("also_for", "other"));
    let left_out = value("a").only_for(Operation::new("quotes"));
    let left_out = left_out.also_for(Operation::new("decide"));
    assert_eq!(invalid(vec![left_out]), is("also_for", "decide"));
    for (builder, field) in [
        (FallbackConfig::builder().max_running(0), "max_running"),
        (
            FallbackConfig::builder().step_timeout(Duration::ZERO),
            "step_timeout",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
    let kept = LastGoodConfig::builder;
    for (builder, field) in [
        (kept().max_age(Duration::ZERO), "max_age"),
        (kept().max_keys(0), "max_keys"),
        (kept().max_weight(0), "max_weight"),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
    let unweighed = LastGood::weighed(
        LastGoodConfig::default(),
        |ask: &Ask| Some(ask.symbol),
        |answer: &Res| Some(answer.clone()),
        |_| 1,
    );
    assert_eq!(unweighed.unwrap_err().field(), "max_weight");
    let order = NeverOlder::new(0, |ask: &Ask| Some(ask.symbol), |_: &Res| None);
    assert_eq!(order.unwrap_err().field(), "max_keys");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_described_is_not_answered_and_noted() {
    let layer = FallbackLayer::new("undescribed", FallbackConfig::default(), [value("a")]);
    let layer = layer.unwrap().classify(ByResult);
    let mut service = layer.layer(Upstream::down());
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
    let handle = layer.handle();
    let misconfigured = seawall_core::InstanceHandle::misconfigured(&handle);
    assert_eq!(misconfigured, [seawall_core::Misconfiguration::Undescribed]);
}

#[test]
fn a_step_that_is_never_asked_is_named() {
    let decide = Operation::new("decide");
    let build = |before: Step<Ask, Res>, after: Step<Ask, Res>| {
        FallbackLayer::new("prices", FallbackConfig::default(), [before, after])
    };
    for after in [
        value("b"),
        last_good(SECOND).named("b"),
        value("b").only_for(decide),
    ] {
        let never = build(value("a"), after).unwrap_err();
        assert_eq!((never.field(), never.value()), ("step", "b"));
    }
    let both = build(value("a").also_for(decide), value("b").also_for(decide));
    assert_eq!(both.unwrap_err().value(), "b");
    for (before, after) in [
        (value("a").accept(|_| false), value("b")),
        (value("a").only_for(decide), value("b")),
        (value("a").covers(Covers::rejections()), value("b")),
        (value("a"), value("b").also_for(decide)),
        (last_good(SECOND), value("b")),
    ] {
        assert!(build(before, after).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_accepted_is_none() {
    let layer = layer([
        value("wrong").accept(|answer: &Res| answer.value().from == "right"),
        value("right").accept(|answer: &Res| answer.value().from == "right"),
    ]);
    let mut service = layer.layer(Upstream::down());
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().from, "right");
    assert_eq!(step(&layer.handle(), "wrong").nothing, 1);
}

#[tokio::test(start_paused = true)]
async fn the_failed_response_is_dropped_before_the_answer_is_there() {
    let permit = Arc::new(());
    let mut failed = Price::failed(Outcome::Unknown);
    failed.permit = Some(Arc::clone(&permit));
    let upstream = Upstream::new([Ok(failed)]);
    let mut service = layer([value("default")]).layer(upstream.clone());
    let before = Arc::strong_count(&permit);
    call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(Arc::strong_count(&permit), before);
}
