use std::time::Duration;

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

fn is_emitted(observer: &EventSource) -> bool {
    let mut built = false;
    observer.emit_call(|| {
        built = true;
        EventKind::Abandoned
    });
    built
}

#[test]
fn nothing_is_built_when_nobody_listens() {
    let observer = EventSource::new("breaker", "quiet");
    assert!(!is_emitted(&observer));
    let events = Events::new(4);
    assert!(observer.attach(&events));
    assert!(!is_emitted(&observer));
    let subscription = events.subscribe();
    assert!(is_emitted(&observer));
    drop(subscription);
    assert!(!is_emitted(&observer));
}

#[test]
fn a_lagging_subscription_loses_the_oldest_and_receives_how_many() {
    let observer = EventSource::new("retry", "lagging");
    let events = Events::new(4);
    observer.attach(&events);
    let mut subscription = events.subscribe();
    for attempt in 0..10 {
        observer.emit_call(|| EventKind::Retry {
            attempt,
            delay: Duration::ZERO,
        });
    }
    assert_eq!(subscription.try_next(), Some(Received::Missed(6)));
    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = subscription.try_next() {
        if let EventKind::Retry { attempt, .. } = event.kind {
            seen.push(attempt);
        }
    }
    assert_eq!(seen, [6, 7, 8, 9]);
}

#[tokio::test]
async fn a_subscription_ends_with_its_bus() {
    let events = Events::new(4);
    let mut subscription = events.subscribe();
    drop(events);
    assert_eq!(subscription.next().await, None);
}

#[test]
fn a_listener_may_own_what_leads_back_to_the_bus() {
    let events = Events::new(4);
    let inner = events.listen(|_| {});
    let outer = events.listen(move |_| {
        let _ = &inner;
    });
    drop(outer);
    assert!(!events.is_listening());
    events.listen(|_| {}).detach();
    assert!(events.is_listening());
}

#[test]
fn a_panicking_listener_is_counted_and_disturbs_nobody() {
    let observer = EventSource::new("breaker", "panicking");
    let events = Events::new(4);
    observer.attach(&events);
    let _bad = events.listen(|_| panic!("listener"));
    let heard = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&heard);
    let good = events.listen(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(is_emitted(&observer));
    assert!(is_emitted(&observer));
    assert_eq!(heard.load(Ordering::Relaxed), 2);
    assert_eq!(events.listener_panics(), 2);
    drop(good);
    assert!(is_emitted(&observer));
    assert_eq!(heard.load(Ordering::Relaxed), 2);
}

fn transition(source: &EventSource, to: &'static str) {
    source.emit(|| EventKind::Transition {
        from: "closed",
        to,
        reason: "test",
    });
}

fn numbers(changes: &Changes) -> Vec<u64> {
    let of = |event: &Event| event.sequence.map_or(0, std::num::NonZeroU64::get);
    changes.events.iter().map(of).collect()
}

#[test]
fn a_kind_of_event_stays_small() {
    assert!(size_of::<EventKind>() <= 56, "{}", size_of::<EventKind>());
    assert!(size_of::<Event>() <= 120, "{}", size_of::<Event>());
}

#[test]
fn every_type_has_a_bit_and_a_word_of_its_own() {
    let mut seen = 0;
    for (index, one) in EventType::ALL.into_iter().enumerate() {
        assert_eq!(one.bit(), 1 << index);
        assert_eq!(EventType::from_word(one.as_str()), Some(one));
        seen |= one.bit();
    }
    assert_eq!(seen, event_type::CALLS | event_type::CHANGES);
    assert_eq!(EventType::from_word("no such"), None);
    assert!(EventType::Transition.is_change() && EventType::Alert.is_change());
    assert!(!EventType::Rejected.is_change() && !EventType::OrderSettled.is_change());
}

#[test]
fn a_subscriber_of_changes_alone_makes_no_call_build_anything() {
    let source = EventSource::new("breaker", "changes_alone");
    let events = Events::new(4);
    source.attach(&events);
    let mut changes = events.subscribe_to(EventFilter::changes());
    assert!(events.is_listening() && !events.wants_calls());
    assert!(!is_emitted(&source));
    let retries = events.listen_to(EventFilter::calls().types([EventType::Retry]), |_| {});
    assert!(events.wants_calls() && is_emitted(&source));
    drop(retries);
    assert!(!is_emitted(&source));
    transition(&source, "open");
    assert!(matches!(changes.try_next(), Some(Received::Event(_))));
    assert_eq!(changes.try_next(), None);
}

#[test]
fn a_filter_asks_for_type_pattern_and_name_at_once() {
    let events = Events::new(16);
    let sources = [("breaker", "a"), ("breaker", "b"), ("retry", "a")]
        .map(|(pattern, name)| EventSource::new(pattern, name));
    let filter = EventFilter::all()
        .types([EventType::Transition, EventType::Abandoned])
        .patterns(["breaker"])
        .names(["a"]);
    let mut subscription = events.subscribe_to(filter);
    let mut nothing = events.subscribe_to(EventFilter::all().names([] as [&str; 0]));
    for source in &sources {
        source.attach(&events);
        transition(source, "open");
        source.emit_call(|| EventKind::Abandoned);
        source.commanded("reset");
    }
    for wanted in [EventType::Transition, EventType::Abandoned] {
        let Some(Received::Event(event)) = subscription.try_next() else {
            panic!("{wanted:?} is missing");
        };
        assert_eq!((event.pattern, event.name.as_str()), ("breaker", "a"));
        assert_eq!(event.kind.event_type(), wanted);
    }
    assert_eq!(subscription.try_next(), None);
    assert_eq!(nothing.try_next(), None);
    let neither = EventFilter::changes().types([EventType::Rejected]);
    assert_eq!(neither.wanted(), 0, "no type is both");
}

#[test]
fn a_lagging_subscription_misses_what_it_asked_for_alone() {
    let source = EventSource::new("breaker", "own_kind");
    let events = Events::new(4);
    source.attach(&events);
    let mut all = events.subscribe();
    let mut changes = events.subscribe_to(EventFilter::changes());
    for _ in 0..100 {
        source.emit_call(|| EventKind::Abandoned);
    }
    for _ in 0..3 {
        transition(&source, "open");
    }
    assert_eq!(all.try_next(), Some(Received::Missed(99)));
    for _ in 0..3 {
        assert!(matches!(changes.try_next(), Some(Received::Event(_))));
    }
    for _ in 0..6 {
        transition(&source, "open");
    }
    assert_eq!(changes.try_next(), Some(Received::Missed(2)));
}

#[test]
fn changes_are_numbered_and_the_last_are_kept_for_later_readers() {
    let source = EventSource::new("breaker", "kept");
    let events = Events::new(4).keep_changes(3);
    assert_eq!(events.changes_since(0), Changes::default());
    source.attach(&events);
    for _ in 0..5 {
        transition(&source, "open");
        source.emit_call(|| EventKind::Abandoned);
    }
    for (since, missed, numbered) in [
        (0, 2, vec![3, 4, 5]),
        (1, 1, vec![3, 4, 5]),
        (2, 0, vec![3, 4, 5]),
        (4, 0, vec![5]),
        (5, 0, vec![]),
        // Of an earlier process.
        (6, 2, vec![3, 4, 5]),
        (u64::MAX, 2, vec![3, 4, 5]),
    ] {
        let changes = events.changes_since(since);
        let found = (changes.missed, numbers(&changes), changes.last);
        assert_eq!(found, (missed, numbered, 5), "since {since}");
    }
    let events = events.keep_changes(0);
    transition(&source, "closed");
    let changes = events.changes_since(5);
    assert_eq!((changes.missed, changes.events.len()), (1, 0));
}

#[tokio::test]
async fn who_follows_receives_each_change_once_and_in_order() {
    let source = Arc::new(EventSource::new("breaker", "followed"));
    let events = Events::new(4).keep_changes(100_000);
    source.attach(&events);
    transition(&source, "open");
    let mut feed = events.follow(EventFilter::changes(), 0);
    let threads = [(); 2].map(|()| {
        let source = Arc::clone(&source);
        std::thread::spawn(move || {
            for _ in 0..500 {
                transition(&source, "open");
            }
        })
    });
    let mut seen = Vec::new();
    while seen.len() < 1_001 {
        let changes = feed.next().await.unwrap();
        assert_eq!(changes.missed, 0);
        seen.extend(numbers(&changes));
    }
    assert_eq!(seen, (1..=1_001).collect::<Vec<_>>());
    assert_eq!(feed.try_next(), None);
    for thread in threads {
        thread.join().unwrap();
    }
    drop((events, source));
    assert_eq!(feed.next().await, None, "no more can come");
}

#[tokio::test(start_paused = true)]
async fn who_follows_waits_for_its_own_kind_and_receives_what_it_missed() {
    let source = EventSource::new("breaker", "waits");
    let events = Events::new(4).keep_changes(2);
    source.attach(&events);
    let filter = EventFilter::changes().types([EventType::Commanded]);
    let mut feed = events.follow(filter, 0);
    transition(&source, "open");
    let waited = tokio::time::timeout(Duration::from_secs(1), feed.next()).await;
    assert!(waited.is_err(), "a transition was not asked for");
    source.commanded("reset");
    let changes = feed.next().await.unwrap();
    assert_eq!((changes.missed, numbers(&changes)), (0, vec![2]));
    for _ in 0..5 {
        transition(&source, "open");
    }
    let changes = feed.next().await.unwrap();
    assert_eq!(
        (changes.missed, changes.events.len(), changes.last),
        (3, 0, 7)
    );
}

#[test]
fn a_listener_may_emit_and_listen_itself() {
    let source = Arc::new(EventSource::new("breaker", "nested"));
    let events = Events::new(4);
    source.attach(&events);
    let (inner, bus) = (Arc::clone(&source), events.clone());
    let filter = EventFilter::changes().types([EventType::Transition]);
    let _listening = events.listen_to(filter, move |_| {
        inner.commanded("reset");
        drop(bus.subscribe());
        assert_eq!(bus.changes_since(0).events.len(), 2);
    });
    transition(&source, "open");
    assert_eq!(
        (events.changes_since(0).last, events.listener_panics()),
        (2, 0)
    );
}

#[cfg(feature = "serde")]
#[test]
fn an_event_is_a_map_with_its_time_and_its_type() {
    let at = Event {
        sequence: std::num::NonZeroU64::new(7),
        at: Instant::now(),
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        pattern: "breaker",
        name: "alpaca".into(),
        kind: EventKind::Transition {
            from: "closed",
            to: "open",
            reason: "failure_rate",
        },
    };
    let written = |event: &Event| serde_json::to_value(event).unwrap();
    let expected = serde_json::json!({
        "sequence": 7, "at_unix_ms": 1_500, "pattern": "breaker", "name": "alpaca",
        "kind": {"type": "transition", "from": "closed", "to": "open", "reason": "failure_rate"},
    });
    assert_eq!(written(&at), expected);
    let of = |kind| written(&Event { kind, ..at })["kind"].clone();
    let rejection = crate::Rejection::new(crate::Reason::CircuitOpen, "alpaca");
    assert_eq!(of(EventKind::Rejected(rejection))["reason"], "circuit_open");
    assert_eq!(of(EventKind::Rejected(rejection))["type"], "rejected");
    let retry = EventKind::Retry {
        attempt: 2,
        delay: Duration::from_millis(250),
    };
    let expected = serde_json::json!({"type": "retry", "attempt": 2, "delay_seconds": 0.25});
    assert_eq!(of(retry), expected);
    let unnamed = of(EventKind::Misconfigured(Misconfiguration::Unnamed));
    assert_eq!(
        (&unnamed["type"], &unnamed["what"]),
        (&"misconfigured".into(), &"unnamed".into())
    );
    let alert = EventKind::Alert {
        rule: "breaker_open".into(),
        severity: Severity::Critical,
        raised: true,
    };
    let expected = serde_json::json!({
        "type": "alert", "rule": "breaker_open", "severity": "critical", "raised": true,
    });
    assert_eq!(of(alert), expected);
    for (kind, of_type) in [
        (EventKind::BudgetExhausted, EventType::BudgetExhausted),
        (EventKind::FileNotWritten, EventType::FileNotWritten),
    ] {
        assert_eq!(of(kind)["type"], of_type.as_str());
    }
}
