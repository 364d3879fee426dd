//! When the timer is renewed, and when it fires.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{EventKind, Events, Received, Subscription};
use seawall_orders::dead_man::{
    BitmexTimer, DeadManConfig, DeadManHandle, DeadManState, DeadManSwitch, NotDisarmed,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::venue::{Fate, Venue};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

struct Running {
    venue: Venue,
    healthy: Arc<AtomicBool>,
    handle: DeadManHandle,
    driver: JoinHandle<()>,
    events: Subscription,
}

/// With a timeout of 60 s: renewed every 20 s, an attempt may take 10 s, the next one follows after 5 s.
fn start(fates: impl IntoIterator<Item = Fate>) -> Running {
    let venue = Venue::default();
    venue.fate(fates);
    let healthy = Arc::new(AtomicBool::new(true));
    let is_healthy = Arc::clone(&healthy);
    let switch = DeadManSwitch::new(
        "bitmex",
        DeadManConfig::builder(secs(60)).build().unwrap(),
        BitmexTimer,
        venue.client(),
        move || is_healthy.load(Ordering::SeqCst),
    );
    let switch = switch.unwrap();
    let handle = switch.handle();
    let events = Events::new(1_024);
    handle.attach(&events);
    let subscription = events.subscribe();
    let driver = tokio::spawn(switch.run());
    Running {
        venue,
        healthy,
        handle,
        driver,
        events: subscription,
    }
}

impl Running {
    fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// The transitions so far.
    fn transitions(&mut self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut all = Vec::new();
        while let Some(Received::Event(event)) = self.events.try_next() {
            if let EventKind::Transition { from, to, reason } = event.kind {
                all.push((from, to, reason));
            }
        }
        all
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_armed_at_once_and_renewed_in_time() {
    let mut running = start([]);
    assert_eq!(running.handle.state(), DeadManState::Disarmed);
    assert_eq!(running.handle.left(), None);
    sleep(secs(1)).await;
    assert_eq!(running.handle.left(), Some(secs(59)));
    sleep(secs(3_600)).await;
    let snapshot = running.handle.snapshot();
    assert_eq!(snapshot.state, DeadManState::Armed);
    assert_eq!(
        (snapshot.renewed, snapshot.failed, snapshot.lapsed),
        (181, 0, 0)
    );
    running.venue.look(|timer| {
        assert_eq!((timer.set, timer.disarmed), (181, 0));
        assert_eq!(timer.fired, []);
    });
    let transitions = running.transitions();
    assert_eq!(transitions[0], ("disarmed", "armed", "set"));
    let renewed = ("armed", "armed", "renewed");
    assert!(
        transitions[1..]
            .iter()
            .all(|transition| *transition == renewed)
    );
}

#[tokio::test(start_paused = true)]
async fn without_health_it_fires_and_with_health_it_is_armed_again() {
    let mut running = start([]);
    sleep(secs(30)).await;
    running.set_healthy(false);
    sleep(secs(5)).await;
    // Renewed at 20 s.
    assert_eq!(running.handle.state(), DeadManState::Withheld);
    assert_eq!(running.handle.left(), Some(secs(45)));
    sleep(secs(44)).await;
    running.venue.look(|timer| assert_eq!(timer.fired, []));
    sleep(secs(2)).await;
    running.venue.look(|timer| assert_eq!(timer.fired.len(), 1));
    assert_eq!(running.handle.state(), DeadManState::Lapsed);
    assert_eq!(running.handle.left(), None);
    sleep(secs(600)).await;
    running.venue.look(|timer| assert_eq!(timer.set, 2));

    running.set_healthy(true);
    sleep(secs(2)).await;
    assert_eq!(running.handle.state(), DeadManState::Armed);
    assert_eq!(running.handle.snapshot().lapsed, 1);
    assert_eq!(
        running.transitions(),
        [
            ("disarmed", "armed", "set"),
            ("armed", "armed", "renewed"),
            ("armed", "withheld", "unhealthy"),
            ("withheld", "lapsed", "not_renewed"),
            ("lapsed", "armed", "set"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_loss_of_health_costs_no_order() {
    let running = start([]);
    sleep(secs(21)).await;
    running.set_healthy(false);
    sleep(secs(30)).await;
    running.set_healthy(true);
    sleep(secs(2)).await;
    assert_eq!(running.handle.state(), DeadManState::Armed);
    assert!(running.handle.left() > Some(secs(57)));
    running.venue.look(|timer| assert_eq!(timer.fired, []));
}

#[tokio::test(start_paused = true)]
async fn one_request_that_fails_is_followed_by_another_in_time() {
    for fate in [
        Fate::Lost,
        Fate::Error,
        Fate::Status(503),
        Fate::Status(429),
    ] {
        let running = start([Fate::Answered(secs(0)), fate, fate]);
        sleep(secs(300)).await;
        assert_eq!(running.handle.state(), DeadManState::Armed, "{fate:?}");
        let snapshot = running.handle.snapshot();
        assert_eq!((snapshot.failed, snapshot.lapsed), (2, 0), "{fate:?}");
        running
            .venue
            .look(|timer| assert_eq!(timer.fired, [], "{fate:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_counts_from_the_sending() {
    let running = start([Fate::Answered(secs(9))]);
    sleep(secs(8)).await;
    assert_eq!(running.handle.left(), None, "nothing is confirmed");
    sleep(secs(2)).await;
    assert_eq!(running.handle.left(), Some(secs(50)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_answered_does_not_count() {
    let mut running = start([Fate::Answered(secs(0))]);
    running.venue.fate([Fate::Unanswered; 50]);
    sleep(secs(59)).await;
    assert_eq!(running.handle.left(), Some(secs(1)));
    sleep(secs(2)).await;
    // The venue was renewed and has not fired; that is not known.
    assert_eq!(running.handle.state(), DeadManState::Lapsed);
    running.venue.look(|timer| assert!(timer.is_armed()));
    let transitions = running.transitions();
    assert_eq!(
        transitions[1..],
        [
            ("armed", "armed", "timeout"),
            ("armed", "armed", "timeout"),
            ("armed", "lapsed", "not_renewed"),
            ("lapsed", "lapsed", "timeout"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_under_way_is_dropped_when_health_is_lost() {
    let running = start([Fate::Answered(secs(0)), Fate::Lost]);
    sleep(secs(25)).await;
    running.set_healthy(false);
    sleep(secs(2)).await;
    let snapshot = running.handle.snapshot();
    assert_eq!(snapshot.state, DeadManState::Withheld);
    assert_eq!(snapshot.failed, 1, "before its timeout");
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_disarms() {
    for healthy in [true, false] {
        let mut running = start([]);
        sleep(secs(1)).await;
        running.set_healthy(healthy);
        sleep(secs(5)).await;
        let before = Instant::now();
        assert_eq!(running.handle.stop().await, Ok(()));
        assert_eq!(Instant::now(), before);
        (&mut running.driver).await.unwrap();
        assert_eq!(running.handle.state(), DeadManState::Disarmed);
        assert_eq!(running.transitions().last().unwrap().2, "stopped");
        sleep(secs(600)).await;
        running.venue.look(|timer| {
            assert_eq!((timer.disarmed, timer.is_armed()), (1, false));
            assert_eq!(timer.fired, []);
        });
        assert_eq!(running.handle.stop().await, Ok(()), "again is the same");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_arrives_after_the_stop_is_disarmed_as_well() {
    let running = start([Fate::Answered(secs(0)), Fate::Late(secs(15))]);
    sleep(secs(21)).await;
    // The renewal of 20 s is under way: it ends without a response at 30 s, and arrives at 35 s.
    assert_eq!(running.handle.stop().await, Ok(()));
    sleep(secs(600)).await;
    running.venue.look(|timer| {
        assert_eq!((timer.set, timer.disarmed), (2, 2));
        assert_eq!((timer.is_armed(), timer.fired.len()), (false, 0));
    });
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_the_venue_does_not_confirm_says_so() {
    let running = start([Fate::Answered(secs(0))]);
    running.venue.fate([Fate::Status(500); 50]);
    sleep(secs(1)).await;
    let error = running.handle.stop().await.unwrap_err();
    let left = secs(60 - 1 - 25);
    assert_eq!(error, NotDisarmed { left: Some(left) });
    assert!(error.to_string().ends_with("it cancels all orders in 34s"));
    sleep(secs(60)).await;
    assert_eq!(
        running.handle.state(),
        DeadManState::Lapsed,
        "without a driver"
    );

    let killed = start([]);
    sleep(secs(1)).await;
    killed.driver.abort();
    assert_eq!(
        killed.handle.stop().await,
        Err(NotDisarmed {
            left: Some(secs(59))
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_lets_it_fire() {
    let running = start([]);
    sleep(secs(30)).await;
    running.driver.abort();
    sleep(secs(49)).await;
    running.venue.look(|timer| assert_eq!(timer.fired, []));
    sleep(secs(2)).await;
    running.venue.look(|timer| assert_eq!(timer.fired.len(), 1));
    assert_eq!(running.handle.state(), DeadManState::Lapsed);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_never_polled_does_nothing() {
    let venue = Venue::default();
    let config = DeadManConfig::builder(secs(60)).build().unwrap();
    let switch = DeadManSwitch::new("idle", config, BitmexTimer, venue.client(), || true);
    let switch = switch.unwrap();
    let handle = switch.handle();
    let stop = timeout(secs(5), handle.stop()).await;
    assert!(stop.is_err(), "nobody stops it");
    drop(switch);
    assert_eq!(handle.stop().await, Err(NotDisarmed { left: None }));
    venue.look(|timer| assert_eq!((timer.set, timer.disarmed), (0, 0)));
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => (0..12_u64).prop_map(|after| Fate::Answered(secs(after))),
        1 => Just(Fate::Unanswered),
        1 => (0..12_u64).prop_map(|after| Fate::Late(secs(after))),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Error),
        1 => Just(Fate::Status(502)),
    ]
}

async fn any_run(fates: Vec<Fate>, health: Vec<u64>) -> Result<(), TestCaseError> {
    let running = start(fates);
    let begin = Instant::now();
    let (mut at, mut healthy) = (begin, true);
    for step in health {
        at += secs(step);
        while Instant::now() < at {
            sleep_until(at.min(Instant::now() + Duration::from_millis(700))).await;
            let (known, now) = (running.handle.snapshot(), Instant::now());
            // Where some time is left, it is armed for at least that long.
            let left = known.left.unwrap_or_default();
            let is_armed = running.venue.look(super::venue::Timer::is_armed);
            prop_assert!(
                known.left.is_none() || is_armed,
                "{known:?}, at {:?}",
                now - begin
            );
            prop_assert!(left <= secs(60));
        }
        healthy = !healthy;
        running.set_healthy(healthy);
    }
    running.set_healthy(false);
    sleep(secs(100)).await;
    prop_assert!(
        !running.venue.look(super::venue::Timer::is_armed),
        "not without health"
    );
    running.set_healthy(true);
    running.venue.fates.lock().unwrap().clear();
    sleep(secs(10)).await;
    prop_assert_eq!(running.handle.state(), DeadManState::Armed);
    prop_assert_eq!(running.handle.stop().await, Ok(()));
    sleep(secs(100)).await;
    prop_assert!(!running.venue.look(super::venue::Timer::is_armed));
    prop_assert_eq!(running.handle.state(), DeadManState::Disarmed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_known_is_never_more_than_what_is(
        fates in prop::collection::vec(fate(), 0..40),
        health in prop::collection::vec(1..90_u64, 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(any_run(fates, health))?;
    }
}
