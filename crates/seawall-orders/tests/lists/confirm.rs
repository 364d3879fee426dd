//! Which differences are reported.

use std::time::Duration;

use seawall_orders::lists::{
    Confirmations, ListsConfig, OwnEntry, OwnPositions, OwnView, OwnedDifference, Reading, compare,
    compare_positions,
};
use seawall_orders::protocol::{Decimal, OrderState};
use tokio::time::{Instant, sleep, sleep_until};

use super::broker::{Fake, figures};

const WINDOW: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(600);

/// Open orders with these ids, of which so much is filled, and a position.
async fn read(fake: &Fake, own: &[(&str, u32)], position: u32) -> Reading {
    let entry = |(id, filled): &(&str, u32)| {
        OwnEntry::new(*id, figures(OrderState::Open, 10, *filled), LONG).confirmed_for(LONG)
    };
    let positions = OwnPositions::from_fn(move || [("AAPL", Decimal::from(position))]);
    let view = OwnView::of(own.iter().map(entry).collect());
    let config = ListsConfig::builder().window(WINDOW).build().unwrap();
    let client = fake.client();
    let mut reading = compare(fake, &client, None, config, || view).await.unwrap();
    let held = compare_positions(fake, &client, None, config, &positions).await;
    let held = held.unwrap().unwrap();
    reading.differences.extend(held.differences);
    reading.ended = held.ended;
    reading
}

fn fake() -> Fake {
    Fake {
        has_closed: true,
        has_positions: true,
        ..Fake::default()
    }
}

fn kinds(differences: &[OwnedDifference]) -> Vec<&'static str> {
    differences.iter().map(OwnedDifference::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_reported_once_when_a_later_reading_still_has_it() {
    let fake = fake();
    fake.place(None, figures(OrderState::Open, 1, 0));
    let mut confirmations = Confirmations::new(WINDOW);
    let confirmed = confirmations.take(read(&fake, &[("lost", 0)], 0).await);
    assert_eq!(confirmed.differences, []);
    let first = Instant::now();
    assert_eq!(confirmations.read_again_at(), Some(first + WINDOW));

    // Too early: what was accepted then may not be shown yet.
    sleep(WINDOW / 2).await;
    let confirmed = confirmations.take(read(&fake, &[("lost", 0)], 0).await);
    assert_eq!(confirmed.differences, []);
    assert_eq!(confirmations.read_again_at(), Some(first + WINDOW));

    sleep_until(first + WINDOW).await;
    let confirmed = confirmations.take(read(&fake, &[("lost", 0)], 0).await);
    assert_eq!(
        kinds(&confirmed.differences),
        ["unknown_to_broker", "unknown_to_us"]
    );
    assert_eq!(confirmations.read_again_at(), None);
    assert_eq!(confirmations.open().count(), 2);

    sleep(WINDOW).await;
    let confirmed = confirmations.take(read(&fake, &[("lost", 0)], 0).await);
    assert_eq!((confirmed.differences, confirmed.gone), (vec![], vec![]));
    fake.place("lost", figures(OrderState::Open, 10, 0));
    let confirmed = confirmations.take(read(&fake, &[("lost", 0)], 0).await);
    assert_eq!(kinds(&confirmed.gone), ["unknown_to_broker"]);
    assert_eq!(confirmations.open().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reading_without_it_begins_again() {
    let fake = fake();
    let mut confirmations = Confirmations::new(WINDOW);
    confirmations.take(read(&fake, &[("slow", 0)], 0).await);
    fake.place("slow", figures(OrderState::Open, 10, 0));
    sleep(WINDOW).await;
    let confirmed = confirmations.take(read(&fake, &[("slow", 0)], 0).await);
    assert_eq!((confirmed.differences, confirmed.gone), (vec![], vec![]));
    fake.state.lock().unwrap().orders.clear();
    sleep(WINDOW).await;
    let confirmed = confirmations.take(read(&fake, &[("slow", 0)], 0).await);
    assert_eq!(confirmed.differences, []);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_follows_is_not_wrong_and_one_that_stays_behind_is() {
    for (follows, reported) in [(true, 0), (false, 1)] {
        let fake = fake();
        let mut confirmations = Confirmations::new(WINDOW);
        let mut all = 0;
        for filled in 1..6 {
            fake.state.lock().unwrap().orders.clear();
            fake.place("x", figures(OrderState::PartiallyFilled, 10, filled));
            // Our view is one fill behind, or stands still.
            let known = if follows { filled - 1 } else { 0 };
            let confirmed = confirmations.take(read(&fake, &[("x", known)], 0).await);
            all += confirmed.differences.len();
            sleep(WINDOW).await;
        }
        assert_eq!(all, reported, "{follows}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_is_wrong_by_the_same_amount() {
    let fake = fake();
    let mut confirmations = Confirmations::new(WINDOW);
    let mut reported = Vec::new();
    // The broker is ahead by one fill each time, and then by seven that do not come.
    for (ours, theirs) in [(0, 10), (10, 13), (13, 20), (20, 27), (30, 37)] {
        fake.state.lock().unwrap().positions = vec![("AAPL", theirs)];
        let confirmed = confirmations.take(read(&fake, &[], ours).await);
        reported.extend(confirmed.differences.iter().map(ToString::to_string));
        sleep(WINDOW).await;
    }
    assert_eq!(reported, ["AAPL: we have 20, the broker has 27"]);
}

/// Readings of our position and the broker's, a window apart: what is reported, and what is gone.
fn positions(readings: impl IntoIterator<Item = (i32, i32)>) -> (Vec<String>, Vec<String>) {
    let mut confirmations = Confirmations::new(WINDOW);
    let (mut reported, mut gone) = (Vec::new(), Vec::new());
    let mut at = Instant::now();
    for (ours, broker) in readings {
        let symbol = "AAPL".into();
        let [ours, broker] = [ours, broker].map(|it| it.to_string().parse::<Decimal>().unwrap());
        let differences = if ours == broker {
            Vec::new()
        } else {
            vec![OwnedDifference::Position {
                symbol,
                ours,
                broker,
            }]
        };
        let confirmed = confirmations.take(Reading::new(at, at, differences));
        let words = |all: Vec<OwnedDifference>| all.into_iter().map(|it| it.to_string());
        reported.extend(words(confirmed.differences));
        gone.extend(words(confirmed.gone));
        at += WINDOW;
    }
    (reported, gone)
}

#[test]
fn a_gap_that_changes_is_the_same_one_unless_one_side_follows() {
    let words = |ours, broker| format!("AAPL: we have {ours}, the broker has {broker}");
    // It changes at each reading, on either side.
    let grows = positions((0..100).map(|i| (0, 100 + i)));
    assert_eq!(grows, (vec![words(0, 101)], vec![]));
    let shrinks = positions((0..100).map(|i| (0, -100 - i)));
    assert_eq!(shrinks, (vec![words(0, -101)], vec![]));
    let behind = positions((0..50).map(|i| (i, 100 + 2 * i)));
    assert_eq!(behind, (vec![words(1, 102)], vec![]));
    // One that was reported and grows is no all-clear; one that is closed is.
    let closed = positions([(0, 100), (0, 100), (0, 101), (101, 101)]);
    assert_eq!(closed, (vec![words(0, 100)], vec![words(0, 101)]));
    // Our view is one fill behind the broker, or the broker behind us, up or down.
    for sign in [1, -1] {
        let square = |i: i32| sign * i * i;
        let follows = positions((0..50).map(|i| (square(i), square(i + 1))));
        assert_eq!(follows, (vec![], vec![]));
        let shown_late = positions((0..50).map(|i| (square(i + 1), square(i))));
        assert_eq!(shown_late, (vec![], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn several_orders_of_one_id_are_an_alarm_at_once() {
    let fake = fake();
    for _ in 0..2 {
        fake.place("twice", figures(OrderState::Open, 10, 0));
    }
    let mut confirmations = Confirmations::new(WINDOW);
    let confirmed = confirmations.take(read(&fake, &[("twice", 0)], 0).await);
    assert_eq!(kinds(&confirmed.differences), ["several"]);
    let confirmed = confirmations.take(read(&fake, &[("twice", 0)], 0).await);
    assert_eq!(confirmed.differences, []);
    fake.state.lock().unwrap().orders.pop();
    let confirmed = confirmations.take(read(&fake, &[("twice", 0)], 0).await);
    assert_eq!(kinds(&confirmed.gone), ["several"]);
}
