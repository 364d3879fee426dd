//! What the tokens of a model cost.

use std::collections::HashMap;

use seawall_core::InvalidConfig;
use seawall_http::quota::Usage;

use super::money::Money;

/// What a million tokens of a model cost.
///
/// ```
/// use seawall_ai::spend::Price;
/// use seawall_http::quota::Usage;
///
/// let price = Price::per_million("2.50".parse()?, "10".parse()?)?.cached_input("1.25".parse()?)?;
/// assert_eq!(price.cost(Usage::new(1_000, 200)).to_string(), "0.0045");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    input: Money,
    cached_input: Money,
    cache_write: Money,
    output: Money,
}

/// The price of one token, of which a million cost `money`.
fn per_token(field: &'static str, money: Money) -> Result<Money, InvalidConfig> {
    money.millionth().ok_or_else(|| {
        InvalidConfig::new(field, money, "a price per million with at most 6 decimals")
    })
}

impl Price {
    /// So much for a million tokens of input, and so much for a million of output. Input that is read
    /// from a cache or written to one costs as much as any other.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a price has more than six decimals, or both are zero: nothing is free.
    pub fn per_million(input: Money, output: Money) -> Result<Self, InvalidConfig> {
        if input.plus(output) == Money::ZERO {
            return Err(InvalidConfig::new("price", 0, "more than zero"));
        }
        let input = per_token("input", input)?;
        Ok(Self {
            input,
            cached_input: input,
            cache_write: input,
            output: per_token("output", output)?,
        })
    }

    /// So much for a million tokens of input that are read from a cache.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the price has more than six decimals.
    pub fn cached_input(mut self, price: Money) -> Result<Self, InvalidConfig> {
        self.cached_input = per_token("cached_input", price)?;
        Ok(self)
    }

    /// So much for a million tokens of input that are written to a cache.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the price has more than six decimals.
    pub fn cache_write(mut self, price: Money) -> Result<Self, InvalidConfig> {
        self.cache_write = per_token("cache_write", price)?;
        Ok(self)
    }

    /// What a usage costs.
    pub fn cost(&self, usage: Usage) -> Money {
        let special = usage.cached_tokens.saturating_add(usage.cache_write_tokens);
        let plain = usage.input_tokens.saturating_sub(special);
        let cached = usage
            .cached_tokens
            .saturating_add(usage.cached_beside_input);
        [
            self.input.times(plain),
            self.cached_input.times(cached),
            self.cache_write.times(usage.cache_write_tokens),
            self.output.times(usage.output_tokens),
        ]
        .into_iter()
        .sum()
    }

    /// The most that so many tokens cost, whatever is cached.
    pub(crate) fn most(&self, input: u32, output: u32) -> Money {
        let dearest = self.input.max(self.cache_write).max(self.cached_input);
        let output = self.output.times(output.into());
        dearest.times(input.into()).plus(output)
    }
}

/// The prices of models, by name.
///
/// A model without a price has that of the longest beginning of its name that has one, if it was
/// given with a `*`; else the fallback, which should be the highest. So no model is free.
///
/// ```
/// use seawall_ai::spend::{Price, Prices};
///
/// let fallback = Price::per_million("15".parse()?, "75".parse()?)?;
/// let small = Price::per_million("0.15".parse()?, "0.60".parse()?)?;
/// let prices = Prices::new(fallback).model("gpt-small-*", small);
/// assert_eq!(prices.of("gpt-small-2026-01-05"), small);
/// assert_eq!(prices.of("gpt-large"), fallback);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    fallback: Price,
    exact: HashMap<String, Price>,
    /// By what the name begins with, the longest first.
    beginnings: Vec<(String, Price)>,
}

impl Prices {
    /// A table by which every model has this price.
    pub fn new(fallback: Price) -> Self {
        Self {
            fallback,
            exact: HashMap::new(),
            beginnings: Vec::new(),
        }
    }

    /// Gives a model a price; with a `*` at the end of `name`, all whose names begin so.
    #[must_use]
    pub fn model(mut self, name: &str, price: Price) -> Self {
        match name.strip_suffix('*') {
            Some(beginning) => {
                self.beginnings.retain(|(other, _)| other != beginning);
                self.beginnings.push((beginning.to_owned(), price));
                let longest_first = |one: &(String, Price)| std::cmp::Reverse(one.0.len());
                self.beginnings.sort_by_key(longest_first);
            }
            None => {
                self.exact.insert(name.to_owned(), price);
            }
        }
        self
    }

    /// The price of a model.
    pub fn of(&self, model: &str) -> Price {
        if let Some(price) = self.exact.get(model) {
            return *price;
        }
        let mut beginnings = self.beginnings.iter();
        let found = beginnings.find(|(beginning, _)| model.starts_with(beginning.as_str()));
        found.map_or(self.fallback, |(_, price)| *price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_of_token_has_its_price_and_nothing_is_rounded() {
        let price = Price::per_million(money("3"), money("15")).unwrap();
        let price = price.cached_input(money("0.3")).unwrap();
        let price = price.cache_write(money("3.75")).unwrap();
        let mut open_ai = Usage::new(1_000, 10);
        open_ai.cached_tokens = 400;
        // 600 at 3, 400 at 0.3, 10 at 15.
        assert_eq!(price.cost(open_ai), money("0.00207"));
        let mut anthropic = Usage::new(1_000, 10);
        anthropic.cache_write_tokens = 900;
        anthropic.cached_beside_input = 10_000;
        // 100 at 3, 900 at 3.75, 10,000 at 0.3, 10 at 15.
        assert_eq!(price.cost(anthropic), money("0.006825"));
        assert_eq!(price.most(1_000, 10), money("0.0039"));
        let smallest = Price::per_million(money("0.000001"), Money::ZERO).unwrap();
        assert_eq!(smallest.cost(Usage::new(1, 1)), money("0.000000000001"));
    }

    #[test]
    fn what_is_free_or_not_exact_is_rejected() {
        let free = Price::per_million(Money::ZERO, Money::ZERO);
        assert_eq!(free.unwrap_err().field(), "price");
        let fine = money("0.0000001");
        assert_eq!(Price::per_million(fine, fine).unwrap_err().field(), "input");
        let price = Price::per_million(money("1"), money("1")).unwrap();
        assert_eq!(
            price.cached_input(fine).unwrap_err().field(),
            "cached_input"
        );
        assert_eq!(price.cache_write(fine).unwrap_err().field(), "cache_write");
    }

    #[test]
    fn hostile_usage_saturates() {
        let price = Price::per_million(money("1000"), money("1000")).unwrap();
        let mut usage = Usage::new(u64::MAX, u64::MAX);
        usage.cached_tokens = u64::MAX;
        usage.cached_beside_input = u64::MAX;
        usage.cache_write_tokens = u64::MAX;
        assert!(price.cost(usage) > Money::whole(u64::MAX / 1_000));
    }

    #[test]
    fn the_longest_beginning_counts_and_a_full_name_before_all() {
        let price = |n: u64| Price::per_million(Money::whole(n), Money::whole(n)).unwrap();
        let prices = Prices::new(price(9))
            .model("a*", price(1))
            .model("ab*", price(2))
            .model("abc", price(3))
            .model("ab*", price(4));
        let of = |model| prices.of(model);
        assert_eq!(
            (of("a"), of("abd"), of("abc"), of("b")),
            (price(1), price(4), price(3), price(9))
        );
    }
}
