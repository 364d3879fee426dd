//! The layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::budget::{Budgets, SpendBudget};
use super::call::Noted;
use super::parts::Parts;
use super::price::Prices;
use super::service::SpendService;
use crate::estimate::{RoughTokenizer, Tokenizer};

/// Rejects calls that a budget cannot pay for; see the [module](super).
///
/// ```
/// use seawall_ai::spend::{Money, Price, Prices, SpendBudget, SpendConfig, SpendLayer};
///
/// let day = |money| SpendConfig::builder().per_day(Money::whole(money)).build();
/// let (team, key) = (SpendBudget::new("team", day(50)?), SpendBudget::new("key", day(20)?));
/// let prices = Prices::new(Price::per_million("15".parse()?, "75".parse()?)?);
/// let layer = SpendLayer::new(prices).budget(team).budget(key).default_output(8_192);
/// # let _ = layer;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct SpendLayer {
    parts: Arc<Parts>,
}

impl SpendLayer {
    /// A layer without budgets, whose calls cost that. What no [budget](Self::budget) and no
    /// [`PaidBy`](super::PaidBy) pays for is rejected by nobody.
    pub fn new(prices: Prices) -> Self {
        Self {
            parts: Arc::new(Parts {
                prices,
                budgets: Vec::new(),
                tokenizer: Arc::new(RoughTokenizer),
                default_output: DEFAULT_OUTPUT,
                all: Budgets::new(Vec::new()),
                noted: Arc::new(Noted::default()),
            }),
        }
    }

    fn map_parts(self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = (*self.parts).clone();
        change(&mut parts);
        parts.all = Budgets::new(parts.budgets.clone());
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Pays every call from `budget`, too.
    #[must_use]
    pub fn budget(self, budget: SpendBudget) -> Self {
        self.map_parts(|parts| parts.budgets.push(budget))
    }

    /// Counts the tokens of prompts with `tokenizer`; a third more is reserved.
    #[must_use]
    pub fn tokenizer(self, tokenizer: impl Tokenizer + 'static) -> Self {
        self.map_parts(|parts| parts.tokenizer = Arc::new(tokenizer))
    }

    /// Reserves so many tokens of output for a request that sets no maximum, for each of the
    /// [choices](crate::estimate::Prompt::choices) that it asks for. Default: 4,096.
    ///
    /// Set it to what the models write at most without one: a response that is longer costs more than is
    /// reserved for it.
    #[must_use]
    pub fn default_output(self, tokens: u32) -> Self {
        self.map_parts(|parts| parts.default_output = tokens)
    }
}

const DEFAULT_OUTPUT: u32 = 4_096;

impl<S> Layer<S> for SpendLayer {
    type Service = SpendService<S>;

    fn layer(&self, inner: S) -> SpendService<S> {
        SpendService::new(inner, Arc::clone(&self.parts))
    }
}

seawall_core::impl_debug!(SpendLayer: |this| budgets = this.parts.budgets);
