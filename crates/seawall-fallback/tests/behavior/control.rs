//! Reading and control from outside.

use super::*;
use seawall_core::{
    Command, EventFilter, EventKind, EventType, Events, InstanceHandle, Received, Registry,
};

#[tokio::test(start_paused = true)]
async fn read_only_rejects_what_changes_something_and_answers_what_reads() {
    let layer = layer([value("default")]);
    let (handle, upstream) = (layer.handle(), Upstream::down());
    let mut service = layer.layer(upstream.clone());
    handle.set_read_only(true);
    let order = Ask::with("SPY", RequestMeta::non_idempotent());
    let Failed::Rejected(rejection) = call(&mut service, order).await.unwrap_err() else {
        panic!("no rejection");
    };
    assert_eq!(
        (rejection.reason(), rejection.pattern()),
        (Reason::Paused, Some("fallback"))
    );
    assert_eq!(rejection.sent(), seawall_core::Sent::No);
    assert_eq!(upstream.calls(), 0);
    assert!(
        call(&mut service, Ask::of("SPY"))
            .await
            .unwrap()
            .is_degraded()
    );
    upstream.set(Ok(Price::at(1)));
    let read = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert!(!read.is_degraded(), "the primary is asked first");
    handle.set_read_only(false);
    assert!(call(&mut service, order).await.is_ok());
    assert_eq!(handle.counts().read_only, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bypass_answers_nothing_and_learns_nothing() {
    let layer = layer([last_good(SECOND), value("default")]);
    let handle = layer.handle();
    let upstream = Upstream::new([Ok(Price::at(1)), Err(DOWN)]);
    let mut service = layer.layer(upstream);
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.state(), "bypassed");
    assert!(call(&mut service, Ask::of("SPY")).await.is_ok());
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
    assert_eq!(handle.snapshot().steps[0].keys, Some(0));
    handle.control(Command::Resume).unwrap();
    assert!(call(&mut service, Ask::of("SPY")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn read_only_and_a_bypass_are_both_shown_and_each_ends_for_itself() {
    let layer = layer([value("default")]);
    let handle = layer.handle();
    let mut service = layer.layer(Upstream::down());
    let mut seen = async |state: &str, rejects: bool, answers: bool| {
        assert_eq!(handle.state(), state);
        let order = Ask::with("SPY", RequestMeta::non_idempotent());
        let order = call(&mut service, order).await.unwrap_err();
        let is_rejected = matches!(order, Failed::Rejected(why) if why.reason() == Reason::Paused);
        assert_eq!(is_rejected, rejects, "{state}");
        let read = call(&mut service, Ask::of("SPY")).await;
        assert_eq!(read.is_ok(), answers, "{state}");
    };
    seen("ok", false, true).await;
    // One begins, the other does, and they end in either order.
    for bypass_first in [true, false] {
        for bypass_ends_first in [true, false] {
            if bypass_first {
                handle.control(Command::Bypass).unwrap();
                seen("bypassed", false, false).await;
                handle.set_read_only(true);
            } else {
                handle.set_read_only(true);
                seen("read_only", true, true).await;
                handle.control(Command::Bypass).unwrap();
            }
            seen("read_only_bypassed", true, false).await;
            if bypass_ends_first {
                handle.control(Command::Resume).unwrap();
                seen("read_only", true, true).await;
                handle.set_read_only(false);
            } else {
                handle.set_read_only(false);
                seen("bypassed", false, false).await;
                handle.control(Command::Resume).unwrap();
            }
            seen("ok", false, true).await;
        }
    }
    // A resume without a bypass changes nothing, and a reset ends both.
    handle.set_read_only(true);
    handle.control(Command::Resume).unwrap();
    seen("read_only", true, true).await;
    handle.bypass();
    handle.control(Command::Reset).unwrap();
    seen("ok", false, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_what_was_learned() {
    let layer = layer([last_good(60 * SECOND)]);
    let by_time = |answer: &Res| Some(answer.value().at);
    let order = NeverOlder::new(5, |ask: &Ask| Some(ask.symbol), by_time).unwrap();
    let layer = layer.never_older(order);
    let upstream = Upstream::new([Ok(Price::at(9))]);
    let mut service = layer.layer(upstream.clone());
    call(&mut service, Ask::of("SPY")).await.unwrap();
    layer.handle().control(Command::Reset).unwrap();
    upstream.set(Err(DOWN));
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
    // The newest time, too: what is older than before is learned again.
    upstream.set(Ok(Price::at(1)));
    call(&mut service, Ask::of("SPY")).await.unwrap();
    upstream.set(Err(DOWN));
    assert_eq!(
        call(&mut service, Ask::of("SPY")).await.unwrap().value().at,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_began_before_a_reset_is_not_learned_after_it() {
    let layer = layer([last_good(60 * SECOND)]);
    let upstream = Upstream::new([Ok(Price::at(1)), Ok(Price::at(2)), Err(DOWN)]);
    let mut service = layer.layer(upstream.slow(SECOND));
    let mut before = Box::pin(service.call(Ask::of("SPY")));
    advance(MS).await;
    layer.handle().reset();
    assert_eq!(before.as_mut().await.unwrap().value().at, 1);
    let keys = || layer.handle().snapshot().steps[0].keys;
    assert_eq!(keys(), Some(0));
    // One that begins afterwards is.
    call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(keys(), Some(1));
    let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().at, 2);
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_runs() {
    let slow = Upstream::new([Ok(Price::at(1))]).slow(SECOND);
    let layer = layer([Step::backup("vendor2", slow)]);
    let mut service = layer.layer(Upstream::down());
    assert!(call(&mut service, Ask::of("SPY")).await.is_ok());
    let short = FallbackConfig::builder().step_timeout(MS).build().unwrap();
    layer.handle().configure(short).unwrap();
    assert_eq!(layer.handle().config(), short);
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_an_event_of_its_call_and_in_the_metrics() {
    let layer = layer([last_good(60 * SECOND)]);
    let registry = Registry::new("prices");
    registry.register(layer.handle()).unwrap();
    let events = Events::new(16);
    layer.handle().attach(&events);
    let mut calls = registry.events().subscribe_to(EventFilter::all());
    let mut service = layer.layer(Upstream::new([Ok(Price::at(1)), Err(open())]));
    call(&mut service, Ask::of("SPY")).await.unwrap();
    advance(3 * SECOND).await;
    call(&mut service, Ask::of("SPY")).await.unwrap();
    let Some(Received::Event(event)) = calls.try_next() else {
        panic!("no event");
    };
    let expected = EventKind::Degraded {
        reason: "circuit_open",
        source: "last_good".into(),
        age: Some(3 * SECOND),
    };
    assert_eq!((event.pattern, event.kind), ("fallback", expected));
    assert_eq!(event.kind.event_type(), EventType::Degraded);
    assert!(!EventType::Degraded.is_change());
    let snapshot = registry.snapshot();
    let shown = format!("{snapshot:?}");
    assert!(shown.contains("seawall_fallback_steps_total"), "{shown}");
    let settings = layer.handle().settings();
    let about = settings.iter().find(|(name, _)| *name == "last_good");
    assert_eq!(about.unwrap().1, "last_good, at most 60s old, of 1000 keys");
}
