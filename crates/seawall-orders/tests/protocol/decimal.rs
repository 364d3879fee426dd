//! Exact decimal numbers.

use proptest::prelude::*;
use seawall_orders::protocol::Decimal;

#[test]
fn texts_that_are_no_number_are_errors() {
    for text in [
        "", "-", ".", "-.", "1e3", "+1", "1.2.3", "--1", " 1", "NaN", "inf", "1,000", "٣",
    ] {
        assert!(text.parse::<Decimal>().is_err(), "{text}");
    }
    assert!(
        "0.0000000000000000001".parse::<Decimal>().is_err(),
        "19 places"
    );
    assert!(
        "1000000000000000000000".parse::<Decimal>().is_err(),
        "22 digits"
    );
    let error = "1e3".parse::<Decimal>().unwrap_err();
    assert!(error.to_string().starts_with("`1e3` is no decimal number"));
}

#[test]
fn what_brokers_write_is_read() {
    for (text, shown) in [
        ("0", "0"),
        ("-0.50", "-0.5"),
        ("100.00000000000000000000000", "100"),
        (".5", "0.5"),
        ("5.", "5"),
        ("0.000000000000000001", "0.000000000000000001"),
    ] {
        assert_eq!(text.parse::<Decimal>().unwrap().to_string(), shown);
    }
}

proptest! {
    /// Sums and order are those of whole thousandths.
    #[test]
    fn counts_exactly(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
        let thousandths = |n: i64| {
            let sign = if n < 0 { "-" } else { "" };
            let (whole, places) = (n.abs() / 1000, n.abs() % 1000);
            format!("{sign}{whole}.{places:03}").parse::<Decimal>().unwrap()
        };
        let (x, y) = (thousandths(a), thousandths(b));
        prop_assert_eq!(x + y, thousandths(a + b));
        prop_assert_eq!(x - y, thousandths(a - b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.abs(), thousandths(a.abs()));
        prop_assert_eq!(x.to_string().parse::<Decimal>().unwrap(), x);
    }
}

#[test]
fn products_are_exact_or_saturate() {
    let of = |text: &str| text.parse::<Decimal>().unwrap();
    for (a, b, product) in [
        ("100", "281.25", "28125"),
        ("0.00250000", "64000.5", "160.00125"),
        ("-3", "0.1", "-0.3"),
        ("-3", "-0.1", "0.3"),
        ("0.000000000000000001", "0.5", "0"),
        ("-0.000000000000000001", "0.5", "0"),
        (
            "13043817825.332782",
            "13043817825.332782",
            "170141183460469226191.989043859524",
        ),
    ] {
        assert_eq!(of(a) * of(b), of(product), "{a} * {b}");
        assert_eq!(of(b) * of(a), of(product), "{b} * {a}");
    }
    let most = of("170141183460469231731");
    assert!(most * most > most && most * most == most * of("2"));
    assert!(most * of("-2") < of("-170141183460469231731"));
}
