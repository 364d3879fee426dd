//! A budget in words, as settings show it.

use std::fmt;

use super::config::{BudgetConfig, CostClass};

/// In words: `0.2 per success and 1 per second, at most 20; prices 1, timeout 1, throttled 0`.
impl fmt::Display for BudgetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ratio, floor, capacity) =
            (self.ratio().get(), self.floor_per_second(), self.capacity());
        if self.is_throttle() {
            return write!(f, "throttle of {capacity} tokens, {ratio} per success");
        }
        write!(f, "{ratio} per success and {floor} per second, ")?;
        match self.window() {
            Some(window) => write!(f, "within {window:?}")?,
            None => write!(f, "at most {capacity}")?,
        }
        let [transient, timeout, throttled] = [
            CostClass::Transient,
            CostClass::Timeout,
            CostClass::Throttled,
        ]
        .map(|c| self.price(c));
        write!(
            f,
            "; prices {transient}, timeout {timeout}, throttled {throttled}"
        )?;
        if self.refund_on_success() {
            f.write_str(", back on success")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_budget_is_shown_in_words() {
        let shown =
            |config: Result<BudgetConfig, crate::InvalidConfig>| config.unwrap().to_string();
        assert_eq!(
            shown(
                BudgetConfig::new(0.1, 2.0, 40)
                    .and_then(|b| b.with_price(CostClass::Throttled, 0.5))
            ),
            "0.1 per success and 2 per second, at most 40; prices 1, timeout 1, throttled 0.5"
        );
        let window = BudgetConfig::windowed(0.2, 1.0, Duration::from_secs(10));
        assert!(shown(window).starts_with("0.2 per success and 1 per second, within 10s; "));
    }
}
