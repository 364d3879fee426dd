//! Quotas of the wall clock, when that is set, and the files that keep them.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use seawall_core::PartitionKey;
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, QuotaFile, Reservation,
};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn of(limit: impl Into<Limit>) -> RateLimitHandle {
    let config = RateLimitConfig::builder().limit(limit);
    RateLimitLayer::new("l", config.build().expect("valid")).handle()
}

fn passing(handle: &RateLimitHandle, calls: u32) -> u32 {
    let take = |_| {
        let reserved = handle.try_reserve(&RequestMeta::default());
        u32::from(reserved.map(Reservation::commit).is_ok())
    };
    (0..calls).map(take).sum()
}

fn by_the_wall() -> [(Limit, Duration); 3] {
    [
        (Limit::daily(5, DailyReset::utc()).into(), DAY),
        (Limit::window(5, HOUR).into(), HOUR),
        (Limit::window(5, HOUR).margin(HOUR / 10).into(), HOUR),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_renewed_after_a_clock_was_far_ahead_for_a_moment() {
    for (limit, window) in by_the_wall() {
        let handle = of(limit.clone());
        let now = SystemTime::now();
        handle.set_wall_clock(now + 3 * 365 * DAY);
        assert_eq!(passing(&handle, 6), 5);
        handle.set_wall_clock(now);
        assert_eq!(passing(&handle, 1), 0, "{limit}");
        // Two windows later at the latest.
        advance(2 * window).await;
        assert_eq!(passing(&handle, 1), 1, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_an_hour_stops_nothing_for_longer_than_two_windows() {
    for (limit, window) in by_the_wall() {
        for back in [SECOND, HOUR, 30 * DAY] {
            let handle = of(limit.clone());
            let start = SystemTime::now();
            handle.set_wall_clock(start);
            assert_eq!(passing(&handle, 6), 5);
            handle.set_wall_clock(start - back);
            assert_eq!(passing(&handle, 6), 0, "{limit}");
            let wait = handle.time_to_next(&RequestMeta::default()).unwrap();
            assert!(wait <= 2 * window, "{limit}: {wait:?} after {back:?}");
            advance(2 * window).await;
            assert_eq!(passing(&handle, 6), 5, "{limit} after {back:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refilling_goes_by_the_new_time_at_once() {
    for (limit, _) in by_the_wall() {
        let handle = of(limit.clone());
        // In the middle of an hour: near its edges the margin counts in two windows.
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_002_600);
        handle.set_wall_clock(start);
        assert_eq!(passing(&handle, 6), 5);
        handle.refill();
        assert_eq!(
            passing(&handle, 6),
            0,
            "{limit}: only the upstream renews it"
        );
        handle.set_wall_clock(start - 30 * DAY);
        handle.refill();
        assert_eq!(passing(&handle, 6), 5, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_all_keys_can_be_set() {
    let config = RateLimitConfig::builder().limit(Limit::daily(1, DailyReset::utc()));
    let keys = KeyedRateLimitConfig::new(config.build().unwrap()).unwrap();
    let handle = KeyedRateLimitLayer::new("k", keys).handle();
    let passes = |key: u64| {
        let meta = RequestMeta::default().with_key(PartitionKey(key));
        handle.try_reserve(&meta).map(Reservation::commit).is_ok()
    };
    assert!(passes(1) && !passes(1));
    handle.set_wall_clock(SystemTime::now() + DAY);
    assert!(passes(1) && !passes(1) && passes(2));
    let midnight = (SystemTime::now() + DAY)
        .duration_since(UNIX_EPOCH)
        .unwrap();
    let rest = DAY - Duration::from_secs(midnight.as_secs() % 86_400);
    advance(rest + SECOND).await;
    assert!(passes(1) && passes(2));
}

#[cfg(feature = "timezone")]
#[tokio::test(start_paused = true)]
async fn days_of_22_to_26_hours_are_as_long_as_they_are() {
    // 2027-03-14 and 2027-11-07 in New York; Troll moves by two hours, on 2027-03-28 and 2027-10-31.
    for (zone, begin, hours) in [
        ("America/New_York", 1_805_000_400, 23),
        ("America/New_York", 1_825_560_000, 25),
        ("Antarctica/Troll", 1_806_192_000, 22),
        ("Antarctica/Troll", 1_824_933_600, 26),
    ] {
        let handle = of(Limit::daily(2, DailyReset::zone(zone).unwrap()));
        handle.set_wall_clock(UNIX_EPOCH + Duration::from_secs(begin - 1));
        assert_eq!(passing(&handle, 3), 2);
        advance(SECOND).await;
        assert_eq!(passing(&handle, 3), 2, "{zone}: a new day");
        let wait = handle.time_to_next(&RequestMeta::default());
        assert_eq!(wait, Some(hours * HOUR), "{zone}");
        advance(hours * HOUR - Duration::from_nanos(1)).await;
        assert_eq!(passing(&handle, 3), 0, "{zone}");
        advance(Duration::from_nanos(1)).await;
        assert_eq!(passing(&handle, 3), 2, "{zone}");
    }
}

// ---- Files

/// A folder that nobody else uses, and is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("seawall-clocks-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("valid");
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("quota")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn kept_in(path: &Path, count: u32) -> RateLimitHandle {
    of(Limit::daily(count, DailyReset::utc()).persist_in(QuotaFile::open(path).expect("valid")))
}

#[tokio::test(start_paused = true)]
async fn a_file_that_could_not_be_written_for_a_while_is_right_after_a_clean_end() {
    let folder = Folder::new("failed");
    let handle = kept_in(&folder.file(), 100);
    assert_eq!(passing(&handle, 10), 10);
    // The disk is full, read-only, ...: here, a folder stands in the way.
    let beside = folder.0.join("quota.seawall-quota-new");
    std::fs::create_dir(&beside).unwrap();
    assert_eq!(passing(&handle, 40), 40);
    std::fs::remove_dir(&beside).unwrap();
    drop(handle);
    let again = kept_in(&folder.file(), 100);
    assert_eq!(again.tokens(), 50.0);
}

#[tokio::test(start_paused = true)]
async fn torn_files_are_errors_and_stay_and_those_of_the_future_count_for_today() {
    let folder = Folder::new("torn");
    let path = folder.file();
    for torn in [
        "",
        "seawall-quota 1",
        "seawall-quota 1\nday 20",
        "seawall-quota 1\nday 20778\nused 12",
        "seawall-quota 2\nday 1\nused 1\n",
        "seawall-quota 1\nday -1\nused 1\n",
        "\0\0\0\0",
        "seawall-quota 1\nday 1\nused 99999999999999999999\n",
    ] {
        std::fs::write(&path, torn).unwrap();
        let error = QuotaFile::open(&path).unwrap_err();
        assert_eq!(error.path().file_name(), path.file_name());
        assert_eq!(std::fs::read(&path).unwrap(), torn.as_bytes());
    }
    for (future, used) in [(99_999_i64, 40_u64), (i64::MAX, 40), (99_999, u64::MAX)] {
        let text = format!("seawall-quota 1\nday {future}\nused {used}\n");
        std::fs::write(&path, text).unwrap();
        let handle = kept_in(&path, 100);
        let rest = 100_u32.saturating_sub(used.try_into().unwrap_or(u32::MAX));
        assert_eq!(passing(&handle, 101), rest);
        // Not for 200 years.
        let wait = handle.time_to_next(&RequestMeta::default()).unwrap();
        assert!(wait <= DAY, "{wait:?}");
        advance(DAY).await;
        assert_eq!(passing(&handle, 101), 100);
    }
}

/// In real time: the clock is read, and a file that cannot be written is emitted.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_emitted_and_counted() {
    let folder = Folder::new("emitted");
    let events = Events::new(16);
    let mut subscription = events.subscribe();
    let file = QuotaFile::open(folder.file()).unwrap();
    let limit = Limit::daily(1_000, DailyReset::utc()).persist_in(file.clone());
    let config = RateLimitConfig::builder().limit(limit);
    let layer = RateLimitLayer::new("l", config.build().unwrap());
    let handle = layer.handle();
    handle.attach(&events);
    std::fs::create_dir(folder.0.join("quota.seawall-quota-new")).unwrap();
    assert_eq!(passing(&handle, 50), 50);
    assert!(file.write_errors() > 0 && file.last_error().is_some());
    tokio::time::sleep(ms(1_100)).await;
    let mut counted = 0;
    // Again where the thread was preempted.
    for _ in 0..100 {
        assert_eq!(passing(&handle, 1), 1);
        counted = handle.counts().files_not_written;
        if counted > 0 {
            break;
        }
    }
    assert!(counted > 0 && counted <= file.write_errors());
    let Some(Received::Event(event)) = subscription.next().await else {
        panic!("no event");
    };
    assert_eq!(event.kind, EventKind::FileNotWritten);
    assert_eq!(handle.counts().clock_jumps, 0);
}

#[tokio::test(start_paused = true)]
async fn one_step_forward_grants_one_window_more_in_one_true_window() {
    const MINUTE: Duration = Duration::from_secs(60);
    let base = UNIX_EPOCH + Duration::from_secs(4_000_000_020);
    // To the last second of the next minute, to its middle, and over an hour.
    for step in [119, 90, 3_659] {
        let config = RateLimitConfig::builder().limit(Limit::window(5, MINUTE));
        let handle = RateLimitLayer::new("l", config.build().unwrap()).handle();
        handle.set_wall_clock(base);
        let mut granted = [0; 8];
        for second in 0..480 {
            if second == 10 {
                handle.set_wall_clock(base + Duration::from_secs(step));
            }
            granted[second / 60] += passing(&handle, 6);
            advance(SECOND).await;
        }
        assert!(granted[0] <= 10, "{step}: {granted:?}");
        assert!(granted[1..].iter().all(|n| *n <= 5), "{step}: {granted:?}");
        assert!(granted.iter().sum::<u32>() >= 35, "{step}: {granted:?}");
    }
}
