use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn counting_begins_again_later_than_before() {
    let ids = OrderIds::text(IdRules::text(20).unwrap(), "").unwrap();
    let now = EPOCH + Duration::from_secs(1_000);
    let mut last = ids.following(None, now, 20);
    let mut seen = HashSet::new();
    for _ in 0..200_000 {
        assert!(seen.insert(last.number(20)));
        // The wall clock was set back, and stands still.
        last = ids.following(Some(last), EPOCH, 20);
    }
    assert_eq!(last.second, 1_003);
}

#[test]
fn the_widest_number_fits_the_digits() {
    for digits in FEWEST_DIGITS..=MOST_DIGITS {
        let widest = Series {
            second: u32::MAX,
            random: (1 << random_bits(digits)) - 1,
            count: (1 << COUNTER_BITS) - 1,
        };
        assert!(widest.number(digits) < 36_u128.pow(digits as u32));
    }
}

#[test]
fn a_process_that_starts_again_in_the_same_second_differs() {
    let start = || {
        OrderIds::text(IdRules::text(24).unwrap(), "")
            .unwrap()
            .next_id()
    };
    let ids: HashSet<_> = (0..1_000).map(|_| start()).collect();
    assert_eq!(ids.len(), 1_000);
}

#[test]
fn threads_never_make_the_same_id() {
    let ids = OrderIds::text(IdRules::text(16).unwrap(), "").unwrap();
    let made: Vec<Vec<String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..10_000).map(|_| ids.next_id()).collect()))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect()
    });
    let all: HashSet<_> = made.iter().flatten().collect();
    assert_eq!(all.len(), 40_000);
}

#[test]
fn uuids_have_their_version_and_variant() {
    let rules = IdRules::uuid();
    for (ids, version) in [
        (OrderIds::uuid_v4(rules.clone()).unwrap(), '4'),
        (OrderIds::uuid_v7(rules).unwrap(), '7'),
    ] {
        let made: HashSet<_> = (0..10_000).map(|_| ids.next_id()).collect();
        assert_eq!(made.len(), 10_000);
        for id in &made {
            assert_eq!(id.chars().nth(14), Some(version), "{id}");
            let variant = id.chars().nth(19);
            assert!(variant.is_some_and(|c| "89ab".contains(c)), "{id}");
            ids.rules().check(id).unwrap();
        }
    }
}

#[test]
fn version_7_begins_with_the_time() {
    let id = uuid(
        UuidVersion::Seven,
        u128::MAX,
        Duration::from_millis(0x0123_4567_89ab),
    );
    assert_eq!(id, "01234567-89ab-7fff-bfff-ffffffffffff");
    let id = uuid(UuidVersion::Four, 0, EPOCH);
    assert_eq!(id, "00000000-0000-4000-8000-000000000000");
}

#[test]
fn what_breaks_the_rules_is_an_error() {
    let cases = [
        (OrderIds::text(IdRules::uuid(), ""), "max_length"),
        (OrderIds::text(IdRules::text(11).unwrap(), ""), "max_length"),
        (
            OrderIds::text(IdRules::text(20).unwrap(), "desk-"),
            "prefix",
        ),
        (
            OrderIds::text(IdRules::text(20).unwrap(), "desk12345"),
            "prefix",
        ),
        (OrderIds::uuid_v4(IdRules::text(20).unwrap()), "ids"),
        (
            OrderIds::uuid_v7(IdRules::uuid()).and_then(|ids| ids.with_prefix("a")),
            "prefix",
        ),
    ];
    for (result, field) in cases {
        assert_eq!(result.unwrap_err().field(), field);
    }
    assert!(IdRules::text(0).is_err());
    assert!(IdRules::text(8).unwrap().check("").is_err());
    assert!(IdRules::uuid().check("desk1").is_err());
}

#[test]
fn a_prefix_makes_texts_where_they_are_accepted() {
    let kraken = IdRules::text(18).unwrap().with_characters("-").or_uuid();
    let ids = OrderIds::uuid_v4(kraken).unwrap();
    assert_eq!(ids.next_id().len(), 36);
    let ids = ids.with_prefix("desk1-").unwrap();
    let id = ids.next_id();
    assert_eq!((id.len(), id.starts_with("desk1-")), (18, true));
    assert_eq!(ids.with_prefix("desk-1-").unwrap_err().field(), "prefix");
}

proptest! {
    #[test]
    fn every_id_fits_its_rules_and_is_new(
        longest in FEWEST_DIGITS..200,
        prefix in "[a-zA-Z0-9_-]{0,40}",
        count in 1..500_usize,
    ) {
        let rules = IdRules::text(longest).unwrap().with_characters("-_");
        let made = OrderIds::text(rules.clone(), &prefix);
        prop_assert_eq!(made.is_ok(), prefix.len() + FEWEST_DIGITS <= longest);
        if let Ok(ids) = made {
            let mut seen = HashSet::new();
            for _ in 0..count {
                let id = ids.next_id();
                prop_assert!(rules.check(&id).is_ok());
                prop_assert!(id.starts_with(&prefix));
                prop_assert!(seen.insert(id));
            }
        }
    }
}
