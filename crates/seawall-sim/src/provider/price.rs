//! Prices that depend on nothing but the seed and the symbol.

use crate::incident::SplitMix64;

/// What a symbol is worth, 20 to 500.
pub(crate) fn base(seed: u64, symbol: &str) -> f64 {
    let name = symbol.bytes().map(u64::from);
    let words: Vec<_> = std::iter::once(seed).chain(name).collect();
    20.0 + 480.0 * SplitMix64::new(&words).unit()
}

pub(crate) fn cents(price: f64) -> f64 {
    (price * 100.0).round() / 100.0
}
