//! Figures in words for people.

/// A time in words, rounded up: `1.5 s`, `12 s`, `3 min`, `2 h`.
pub(crate) fn wait(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", (seconds * 1_000.0).ceil())
    } else if seconds < 10.0 {
        let tenths = (seconds * 10.0).ceil() / 10.0;
        format!("{tenths} s")
    } else if seconds <= 120.0 {
        format!("{:.0} s", seconds.ceil())
    } else if seconds <= 7_200.0 {
        format!("{:.0} min", (seconds / 60.0).ceil())
    } else {
        format!("{:.0} h", (seconds / 3_600.0).ceil())
    }
}

/// A share in percent: `62 %`, `0.4 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 10.0 {
        let tenths = ((percent * 10.0).round() / 10.0).max(0.1);
        format!("{tenths} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A count with its noun: `1 order`, `3 orders`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// Tokens: whole ones without a point.
pub(crate) fn tokens(number: f64) -> String {
    format!("{:.0}", number.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (seconds, words) in [
            (0.0, "0 ms"),
            (0.25, "250 ms"),
            (1.0, "1 s"),
            (2.34, "2.4 s"),
            (11.2, "12 s"),
            (120.0, "120 s"),
            (130.0, "3 min"),
            (86_400.0, "24 h"),
        ] {
            assert_eq!(wait(seconds), words);
        }
        for (share, words) in [
            (0.0, "0 %"),
            (0.0001, "0.1 %"),
            (0.034, "3.4 %"),
            (0.62, "62 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), words);
        }
        assert_eq!(count(1, "order"), "1 order");
        assert_eq!(count(0, "order"), "0 orders");
        assert_eq!(tokens(3.9), "3");
    }
}
