use super::*;

const MS: u64 = 1_000_000;

#[tokio::test(start_paused = true)]
async fn readings_move_with_paused_time_and_saturate() {
    let before = Instant::now();
    tokio::time::advance(Duration::from_secs(1)).await;
    let clock = Clock::start();
    assert_eq!(clock.at(before), 0);
    tokio::time::advance(Duration::from_millis(5)).await;
    assert_eq!(clock.now(), 5_000_000);
    assert_eq!(clock.instant(5_000_000), Instant::now());
    assert!(clock.instant(u64::MAX) > Instant::now());
    assert_eq!(ns(Duration::MAX), u64::MAX);
    assert_eq!(ns(Duration::from_nanos(1_500_000_001)), 1_500_000_001);
}

#[tokio::test(start_paused = true)]
async fn a_reading_of_one_clock_holds_for_another() {
    let outer = Clock::start();
    tokio::time::advance(Duration::from_millis(3)).await;
    let inner = Clock::start();
    let early = outer.read();
    tokio::time::advance(Duration::from_millis(4)).await;
    let late = outer.read();
    assert_eq!((outer.of(early), inner.of(early)), (3 * MS, 0));
    assert_eq!((outer.of(late), inner.of(late)), (7 * MS, 4 * MS));
    assert_eq!(inner.of(inner.read()), inner.now());
}

#[tokio::test(start_paused = true)]
async fn a_reading_from_another_source_is_taken_again() {
    let clock = Clock::start();
    tokio::time::advance(Duration::from_millis(3)).await;
    let mut strange = clock.read();
    (strange.ns, strange.fast) = (0, !strange.fast);
    assert_eq!(clock.of(strange), 3 * MS);
}

#[tokio::test]
async fn paused_and_advanced_time_is_noticed() {
    assert!(!is_simulated(), "runs");
    tokio::time::pause();
    assert!(is_simulated(), "stands still");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(is_simulated(), "is ahead");
    tokio::time::resume();
    assert!(is_simulated(), "runs, and is still ahead");
}

#[test]
fn an_instant_before_the_first_reading_has_one_too() {
    let early = os_now();
    let origin = *ORIGIN;
    assert!(origin < early);
    let later = tokio_ns((early + Duration::from_millis(2)).into());
    assert_eq!(later - tokio_ns(early.into()), 2 * MS);
}
