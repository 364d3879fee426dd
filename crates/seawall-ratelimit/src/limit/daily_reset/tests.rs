use super::*;
use proptest::prelude::*;

const HOUR: i128 = 3600 * SECOND;

#[test]
fn days_begin_at_the_midnight_of_the_zone() {
    let utc = DailyReset::utc();
    assert_eq!(
        (utc.day(-1), utc.day(0), utc.begin(1)),
        (-1, 0, Some(24 * HOUR))
    );
    let india = DailyReset::offset(19_800).unwrap();
    assert_eq!(india.begin(1), Some(18 * HOUR + HOUR / 2));
    let late = india.after(Duration::from_secs(86340)).unwrap();
    assert_eq!(late.begin(0), Some(18 * HOUR + HOUR / 2 - 60 * SECOND));
    assert_eq!(late.to_string(), "+05:30 at 23:59");
    assert_eq!(DailyReset::offset(-3_601).unwrap().to_string(), "-01:00:01");
}

#[test]
fn invalid_times_and_offsets_are_errors_that_name_the_field() {
    for bad in [86_400, -86_400, i32::MAX, i32::MIN] {
        assert_eq!(DailyReset::offset(bad).unwrap_err().field(), "offset");
    }
    let bad = DailyReset::utc().after(Duration::MAX).unwrap_err();
    assert_eq!((bad.field(), bad.accepted()), ("after", "less than a day"));
    assert!(
        DailyReset::utc()
            .after(Duration::from_secs(86_400))
            .is_err()
    );
}

#[allow(unused_mut, reason = "zones of the database are a feature")]
fn zones() -> Vec<DailyReset> {
    let mut zones = vec![
        DailyReset::utc(),
        DailyReset::offset(19_800).unwrap(),
        DailyReset::offset(-86_399)
            .unwrap()
            .after(Duration::from_secs(86340))
            .unwrap(),
    ];
    #[cfg(feature = "timezone")]
    for name in [
        "America/New_York",
        "America/Havana",
        "America/Sao_Paulo",
        "Pacific/Apia",
    ] {
        let zone = DailyReset::zone(name).unwrap();
        zones.push(zone.clone());
        zones.push(zone.clone().after(Duration::from_secs(1800)).unwrap());
        zones.push(zone.after(Duration::from_secs(9000)).unwrap());
    }
    zones
}

#[test]
fn extremes_do_not_panic() {
    for zone in zones() {
        for unix in [
            i128::MIN,
            i128::from(i64::MIN),
            0,
            i128::from(u64::MAX),
            i128::MAX,
        ] {
            let day = zone.day(unix);
            let _ = (zone.begin(day), zone.begin(day.saturating_add(1)));
        }
        let _ = (zone.begin(i64::MIN), zone.begin(i64::MAX));
    }
}

proptest! {
    /// Including zones where clocks change at midnight, and one that skipped a day.
    #[test]
    fn every_instant_is_in_the_day_that_has_begun(
        zone in 0..zones().len(),
        secs in 0_i64..4_102_444_800,
        into in 0_i64..1_000_000_000,
    ) {
        let zone = &zones()[zone];
        let unix = i128::from(secs) * SECOND + i128::from(into);
        let day = zone.day(unix);
        let (begin, end) = (zone.begin(day).unwrap(), zone.begin(day + 1).unwrap());
        prop_assert!(begin <= unix && unix < end);
        prop_assert_eq!(zone.day(end) > day, true);
        prop_assert_eq!(zone.day(end - 1), day);
        prop_assert!(end - begin <= 25 * HOUR);
    }
}

#[cfg(feature = "timezone")]
#[test]
fn days_are_as_long_as_the_zone_makes_them() {
    let hours =
        |zone: &DailyReset, day| (zone.begin(day + 1).unwrap() - zone.begin(day).unwrap()) / HOUR;
    // 2026-03-08 and 2026-11-01, when clocks in New York are changed at two.
    let (spring, autumn) = (20_520, 20_758);
    let new_york = DailyReset::zone("America/New_York").unwrap();
    assert_eq!(
        (hours(&new_york, spring), hours(&new_york, autumn)),
        (23, 25)
    );
    assert_eq!(hours(&new_york, spring + 1), 24);
    // 2026-03-08 05:00 UTC.
    assert_eq!(new_york.begin(spring), Some(1_772_946_000 * SECOND));
    // Half past two does not exist on that day, and comes at half past three.
    let half_past = new_york.after(Duration::from_secs(9000)).unwrap();
    assert_eq!(
        half_past.begin(spring),
        Some((1_772_946_000 + 9_000) * SECOND)
    );
    assert_eq!(half_past.to_string(), "America/New_York at 02:30");
    let rejected = DailyReset::zone("America/Gotham").unwrap_err();
    assert_eq!(
        (rejected.field(), rejected.value()),
        ("zone", "\"America/Gotham\"")
    );
}
