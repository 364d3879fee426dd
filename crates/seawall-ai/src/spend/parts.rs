//! What all services of a layer share.

use std::sync::Arc;

use http::Extensions;
use seawall_core::Rejection;

use super::budget::{Budgets, SpendBudget};
use super::call::{Call, Charge, Noted};
use super::price::Prices;
use crate::bound::bound_of;
use crate::estimate::Tokenizer;
use crate::prompt::Prompt;

/// Further budgets that pay for one request, beside those of the [layer](super::SpendLayer): a value in
/// its extensions. That of the key or the team for which it is made.
///
/// ```
/// use http::Request;
/// use seawall_ai::spend::{Money, PaidBy, SpendBudget, SpendConfig};
///
/// let config = SpendConfig::builder().per_month(Money::whole(400)).build()?;
/// let research = SpendBudget::new("research", config);
/// let request = Request::post("/v1/messages").extension(PaidBy(vec![research]));
/// # let _ = request;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct PaidBy(pub Vec<SpendBudget>);

/// The longest output that is believed of a choice without a maximum, as an estimator has it by default.
const LONGEST_OUTPUT: u32 = 128_000;

/// Prices, budgets and what is reserved.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) prices: Prices,
    pub(super) budgets: Vec<SpendBudget>,
    pub(super) tokenizer: Arc<dyn Tokenizer>,
    pub(super) default_output: u32,
    /// The budgets, as they are locked.
    pub(super) all: Budgets,
    pub(super) noted: Arc<Noted>,
}

impl Parts {
    /// A call with a reservation for its first attempt. A body that is not read has so many bytes.
    pub(super) fn reserve(
        &self,
        extensions: &Extensions,
        prompt: Option<&Prompt<'_>>,
        bytes: u64,
    ) -> Result<Arc<Call>, Rejection> {
        let counted = match prompt {
            Some(prompt) => self.tokenizer.count(prompt),
            None => u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX),
        };
        // Three bytes per token in place of four.
        let input = counted.saturating_add(counted.div_ceil(3));
        let output = prompt.and_then(|prompt| prompt.max_output);
        let choices = prompt.map_or(1, |prompt| prompt.choices);
        let output = output.unwrap_or(self.default_output.saturating_mul(choices));
        let model = prompt.and_then(|prompt| prompt.model.as_deref());
        let price = self.prices.of(model.unwrap_or_default());
        let budgets = match extensions.get::<PaidBy>() {
            Some(PaidBy(further)) => {
                Budgets::new(self.budgets.iter().chain(further).cloned().collect())
            }
            None => self.all.clone(),
        };
        let noted = Arc::clone(&self.noted);
        let most = prompt.and_then(|prompt| prompt.max_output);
        let longest = self.default_output.max(LONGEST_OUTPUT);
        let bound = bound_of(counted, most.unwrap_or(longest.saturating_mul(choices)));
        let each = price.most(input, output);
        Call::reserved(noted, budgets, Charge { price, bound, each })
    }
}
