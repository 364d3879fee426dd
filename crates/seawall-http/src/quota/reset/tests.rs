use super::*;
use ResetFormat::*;
use proptest::prelude::*;

/// 2026-11-21 00:00:00 UTC.
const NOW: u64 = 1_795_219_200;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn left(format: ResetFormat, text: &str) -> Option<Duration> {
    format.resets_in(text, at(NOW))
}

const ALL: [ResetFormat; 8] = [
    EpochSeconds,
    EpochMillis,
    EpochAuto,
    SecondsLeft,
    GoDuration,
    Rfc3339,
    HttpDate,
    Auto,
];

#[test]
fn go_durations_are_read_as_go_writes_them() {
    let read = |text| left(GoDuration, text);
    let ms = |n| Some(Duration::from_millis(n));
    assert_eq!(read("20ms"), ms(20));
    assert_eq!(read("1s"), ms(1_000));
    assert_eq!(read("6m0s"), ms(360_000));
    assert_eq!(read("1h23m31s"), ms(5_011_000));
    assert_eq!(read("2m59.56s"), ms(179_560));
    assert_eq!(read("1.5h"), ms(5_400_000));
    assert_eq!(read("0"), ms(0));
    assert_eq!(read("0s"), ms(0));
    assert_eq!(read("1us500ns"), Some(Duration::from_nanos(1_500)));
    for garbage in [
        "",
        "s",
        "5",
        "-1s",
        "+1s",
        "1 s",
        "1S",
        "1d",
        "1s2",
        ".s",
        ".5s",
        "1..5s",
        "1\u{b5}s",
        "99999999999999999999h",
    ] {
        assert_eq!(read(garbage), None, "{garbage:?}");
    }
}

#[test]
fn times_by_rfc_3339_are_read_in_their_zone() {
    let read = |text| rfc3339(text);
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(read("1970-01-01T00:00:00Z"), seconds(0));
    assert_eq!(read("2024-04-30T15:56:17Z"), seconds(1_714_492_577));
    assert_eq!(read("2024-04-30t17:56:17+02:00"), seconds(1_714_492_577));
    assert_eq!(read("2024-04-30 10:26:17-05:30"), seconds(1_714_492_577));
    assert_eq!(read("2024-02-29T00:00:00z"), seconds(1_709_164_800));
    assert_eq!(read("2016-12-31T23:59:60Z"), seconds(1_483_228_800));
    assert_eq!(
        read("1970-01-01T00:00:01.0000000019Z"),
        Some(Duration::new(1, 1))
    );
    for garbage in [
        "",
        "2024",
        "2024-04-30",
        "2024-04-30T15:56:17",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-04-00T00:00:00Z",
        "2024-04-30T24:00:00Z",
        "2024-04-30T15:60:17Z",
        "2024-04-30T15:56:61Z",
        "2024-04-30T15:56:17.Z",
        "2024-04-30T15:56:17,5Z",
        "2024-04-30T15:56:17+24:00",
        "2024-04-30T15:56:17+01:60",
        "2024-04-30T15:56:17+0100",
        "2024-04-30T15:56:17Zulu",
        "24-04-30T15:56:17Z",
        "+024-04-30T15:56:17Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "2024-04-3\u{e9}T15:56:17Z",
    ] {
        assert_eq!(read(garbage), None, "{garbage:?}");
    }
}

#[test]
fn epochs_are_distinguished_by_magnitude() {
    let minute = Some(Duration::from_secs(60));
    let seconds = (NOW + 60).to_string();
    let millis = format!("{}000", NOW + 60);
    assert_eq!(left(EpochAuto, &seconds), minute);
    assert_eq!(left(EpochAuto, &millis), minute);
    assert_eq!(left(Auto, &seconds), minute);
    assert_eq!(left(Auto, &millis), minute);
    assert_eq!(left(Auto, "60"), minute);
    assert_eq!(left(Auto, "1m0s"), minute);
    assert_eq!(left(Auto, "2026-11-21T00:01:00Z"), minute);
    assert_eq!(left(Auto, "Sat, 21 Nov 2026 00:01:00 GMT"), minute);
    assert_eq!(left(Auto, "soon"), None);
}

#[test]
fn a_reset_in_the_past_is_now() {
    let past = (NOW - 5).to_string();
    assert_eq!(left(EpochSeconds, &past), Some(Duration::ZERO));
    assert_eq!(left(Rfc3339, "2026-11-20T23:00:00Z"), Some(Duration::ZERO));
}

#[test]
fn a_reset_further_off_than_a_month_is_not_believed() {
    let longest = LONGEST_RESET.as_secs();
    assert_eq!(left(SecondsLeft, &longest.to_string()), Some(LONGEST_RESET));
    assert_eq!(left(SecondsLeft, &(longest + 1).to_string()), None);
    let future = |extra: u64| (NOW + longest + extra).to_string();
    assert_eq!(left(EpochSeconds, &future(0)), Some(LONGEST_RESET));
    assert_eq!(left(EpochSeconds, &future(1)), None);
    let past = |extra: u64| (NOW - longest - extra).to_string();
    assert_eq!(left(EpochSeconds, &past(0)), Some(Duration::ZERO));
    assert_eq!(left(EpochSeconds, &past(1)), None);
    assert_eq!(left(GoDuration, "745h"), None);
    assert_eq!(left(EpochSeconds, "43"), None, "seconds left are no epoch");
    let millis = format!("{NOW}000");
    assert_eq!(left(EpochSeconds, &millis), None, "nor are milliseconds");
    assert_eq!(left(SecondsLeft, &NOW.to_string()), None);
    let huge = format!("1{}", "0".repeat(30));
    for format in ALL {
        assert_eq!(left(format, &huge), None, "{format:?}");
    }
}

#[test]
fn no_calendar_makes_it_panic() {
    let eve = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(
        EpochSeconds.resets_in("30", eve),
        Some(Duration::from_secs(30))
    );
}

/// The slow, obvious calendar: day by day.
fn date(mut days: u64) -> (u32, u32, u32) {
    let (mut year, mut month) = (1970, 1);
    while days >= u64::from(days_in(year, month)) {
        days -= u64::from(days_in(year, month));
        month += 1;
        if month == 13 {
            (year, month) = (year + 1, 1);
        }
    }
    (year, month, u32::try_from(days).unwrap() + 1)
}

fn go(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours}h{minutes}m{}.{nanos:09}s", seconds % 60)
}

proptest! {
    #[test]
    fn whatever_is_sent_nothing_panics(text in "\\PC{0,40}", now: u32) {
        for format in ALL {
            let read = format.resets_in(&text, at(u64::from(now)));
            prop_assert!(read.is_none_or(|left| left <= LONGEST_RESET));
        }
    }

    #[test]
    fn whatever_looks_like_a_time_nothing_panics(text in "[0-9TZhms:.+-]{0,30}") {
        for format in ALL {
            let _ = left(format, &text);
        }
    }

    #[test]
    fn every_format_reads_the_same_reset(seconds in 0..=31_u64 * 86_400) {
        let expected = Some(Duration::from_secs(seconds));
        let reset = NOW + seconds;
        prop_assert_eq!(left(EpochSeconds, &reset.to_string()), expected);
        prop_assert_eq!(left(EpochMillis, &(reset * 1_000).to_string()), expected);
        prop_assert_eq!(left(SecondsLeft, &seconds.to_string()), expected);
        prop_assert_eq!(left(HttpDate, &httpdate::fmt_http_date(at(reset))), expected);
        let (year, month, day) = date(reset / 86_400);
        let (hour, minute, second) = (reset / 3_600 % 24, reset / 60 % 60, reset % 60);
        let text = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        prop_assert_eq!(left(Rfc3339, &text), expected);
        prop_assert_eq!(left(Auto, &text), expected);
    }

    #[test]
    fn go_durations_keep_their_nanoseconds(seconds in 0..31_u64 * 86_400, nanos in 0..1_000_000_000_u32) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(left(GoDuration, &go(duration)), Some(duration));
    }

    #[test]
    fn days_are_counted_as_a_calendar_counts_them(days in 0..80_000_u64) {
        let (year, month, day) = date(days);
        prop_assert_eq!(days_since_epoch(year, month, day), i64::try_from(days).unwrap());
    }
}
