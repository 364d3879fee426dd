//! Whether one can trade.

use super::report::{Finding, Judged};

/// Whether one can trade, as the order layer or the program knows it.
///
/// ```
/// use seawall_health::TradingFigures;
///
/// assert_eq!(TradingFigures::new(true, true).score(), 100.0);
/// // Positions can be closed, and not opened.
/// assert_eq!(TradingFigures::new(false, true).score(), 40.0);
/// assert_eq!(TradingFigures::new(true, true).in_doubt(1).exhausted(1).score(), 65.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradingFigures {
    can_open: bool,
    can_close: bool,
    in_doubt: u32,
    exhausted: u32,
}

/// What it costs that no position can be opened.
const NOT_OPEN: f64 = 60.0;
const PER_DOUBT: f64 = 10.0;
const MOST_DOUBT: f64 = 30.0;
const PER_EXHAUSTED: f64 = 25.0;
const MOST_EXHAUSTED: f64 = 50.0;

impl TradingFigures {
    /// Whether orders that open positions pass, and whether those that close positions do.
    pub const fn new(can_open: bool, can_close: bool) -> Self {
        Self {
            can_open,
            can_close,
            in_doubt: 0,
            exhausted: 0,
        }
    }

    /// Sets how many orders have an unknown outcome and are looked up.
    #[must_use]
    pub const fn in_doubt(mut self, orders: u32) -> Self {
        self.in_doubt = orders;
        self
    }

    /// Sets how many orders a person has to look at, since their look-ups are used up.
    #[must_use]
    pub const fn exhausted(mut self, orders: u32) -> Self {
        self.exhausted = orders;
        self
    }

    /// The score, from 0 to 100: 0 where no position can be closed; else 60 points less where no new order
    /// passes, 10 less for each order in doubt up to 30, and 25 less for each exhausted one up to 50.
    pub fn score(&self) -> f64 {
        if !self.can_close {
            return 0.0;
        }
        let not_open = if self.can_open { 0.0 } else { NOT_OPEN };
        (100.0 - not_open - self.doubt() - self.exhaustion()).max(0.0)
    }

    fn doubt(&self) -> f64 {
        (f64::from(self.in_doubt) * PER_DOUBT).min(MOST_DOUBT)
    }

    fn exhaustion(&self) -> f64 {
        (f64::from(self.exhausted) * PER_EXHAUSTED).min(MOST_EXHAUSTED)
    }

    /// What it comes to where nothing is known, since asking has panicked.
    pub(super) fn unknown(panic: &str) -> Judged {
        let words = "nobody knows whether orders pass: the source of trading panicked";
        let advice = format!("find out why the source of trading panics: {panic}");
        Judged::new(0.0, words, vec![Finding::new(100.0, advice).capping(true)])
    }

    pub(super) fn judge(&self) -> Judged {
        let mut findings = Vec::new();
        let words = match (self.can_open, self.can_close) {
            (true, true) => "orders pass",
            (false, true) => {
                let words = "find out why no new order passes";
                findings.push(Finding::new(NOT_OPEN, words).capping(true));
                "orders that close positions pass"
            }
            (_, false) => {
                let words = "find out why no order passes, not even one that closes a position";
                findings.push(Finding::new(100.0, words).capping(true));
                "no order passes"
            }
        };
        let orders = |count: u32| if count == 1 { "order" } else { "orders" };
        if self.in_doubt > 0 {
            let words = format!(
                "look at the {} {} in doubt",
                self.in_doubt,
                orders(self.in_doubt)
            );
            findings.push(Finding::new(self.doubt(), words));
        }
        if self.exhausted > 0 {
            let count = self.exhausted;
            let words = format!(
                "settle the {count} {} by hand that nothing is known of",
                orders(count)
            );
            findings.push(Finding::new(self.exhaustion(), words));
        }
        let doubts = format!("{} in doubt, {} exhausted", self.in_doubt, self.exhausted);
        Judged::new(self.score(), format!("{words}; {doubts}"), findings)
    }
}
