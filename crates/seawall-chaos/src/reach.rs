//! Which calls a fault may hit.

use std::fmt;
use std::sync::Arc;

use seawall_core::{InvalidConfig, Operation, PartitionKey, RequestMeta};

use crate::decide::mix;

type When = Arc<dyn Fn(&RequestMeta) -> bool + Send + Sync>;

/// Which calls a fault may hit: by operation (the route), by key, by a share of the keys, by a
/// function. A call must fulfil all of what is set; [`everything`](Self::everything) is every call.
///
/// What a request is says the layer's describer.
///
/// ```
/// use seawall_chaos::Reach;
/// use seawall_core::{Operation, PartitionKey, Priority};
///
/// let quotes = Reach::everything().operation(Operation::new("quotes"));
/// // The same tenth of the accounts for as long as the fault lasts.
/// let some_accounts = Reach::everything().share_of_keys(0.1)?;
/// let background = Reach::everything().when(|meta| meta.priority < Priority::NORMAL);
/// let one = Reach::everything().key(PartitionKey::of("account-7"));
/// # let _ = (quotes, some_accounts, background, one);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Default)]
pub struct Reach {
    operations: Vec<Operation>,
    keys: Vec<PartitionKey>,
    share_of_keys: Option<f64>,
    when: Option<When>,
}

impl Reach {
    pub(crate) const EVERYTHING: Self = Self {
        operations: Vec::new(),
        keys: Vec::new(),
        share_of_keys: None,
        when: None,
    };

    /// Every call.
    pub const fn everything() -> Self {
        Self::EVERYTHING
    }

    /// Calls of this operation, and of each other one that is added.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Calls of this key, and of each other one that is added.
    #[must_use]
    pub fn key(mut self, key: PartitionKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Calls of this share of the keys. Which ones follows from the seed, and stays so.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `share` is not above 0 and below 1: of no key, or of all of them, it
    /// would be without effect.
    pub fn share_of_keys(mut self, share: f64) -> Result<Self, InvalidConfig> {
        if !(share > 0.0 && share < 1.0) {
            let accepted = "a number above 0 and below 1";
            return Err(InvalidConfig::new("reach.share_of_keys", share, accepted));
        }
        self.share_of_keys = Some(share);
        Ok(self)
    }

    /// Calls of which `when` is true. It is asked at each call while the fault is on, and must be
    /// quick.
    #[must_use]
    pub fn when(mut self, when: impl Fn(&RequestMeta) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Arc::new(when));
        self
    }

    pub(crate) fn includes(&self, meta: &RequestMeta, seed: u64) -> bool {
        let is_in_share = |share| {
            let unit = mix(mix(seed) ^ meta.key.0) >> 11;
            (unit as f64) < share * (1_u64 << 53) as f64
        };
        (self.operations.is_empty() || self.operations.contains(&meta.operation))
            && (self.keys.is_empty() || self.keys.contains(&meta.key))
            && self.share_of_keys.is_none_or(is_in_share)
            && self.when.as_ref().is_none_or(|when| when(meta))
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("operations", &self.operations)
            .field("keys", &self.keys)
            .field("share_of_keys", &self.share_of_keys)
            .field("when", &self.when.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_share_of_keys_is_that_share_and_always_the_same(seed: u64, share in 0.01..0.99) {
            let reach = Reach::everything().share_of_keys(share).unwrap();
            let meta = |key: u64| RequestMeta::default().with_key(PartitionKey(key));
            let includes = |key: &u64| reach.includes(&meta(*key), seed);
            let found: Vec<u64> = (0..4_000).filter(includes).collect();
            prop_assert!((found.len() as f64 / 4_000.0 - share).abs() < 0.05);
            prop_assert!(found.iter().all(includes));
        }
    }

    #[test]
    fn all_that_is_set_must_hold() {
        let (quotes, bars) = (Operation::new("quotes"), Operation::new("bars"));
        let meta = RequestMeta::default()
            .with_operation(quotes)
            .with_key(PartitionKey(7));
        let reach = Reach::everything().operation(bars);
        assert!(!reach.includes(&meta, 0));
        let reach = reach.operation(quotes);
        assert!(reach.includes(&meta, 0), "one of the operations");
        let reach = reach.key(PartitionKey(8));
        assert!(!reach.includes(&meta, 0));
        let reach = reach.key(PartitionKey(7)).when(|meta| meta.cost == 1);
        assert!(reach.includes(&meta, 0));
        assert!(!reach.includes(&meta.with_cost(2), 0));
        for share in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
            let invalid = Reach::everything().share_of_keys(share).unwrap_err();
            assert_eq!(invalid.field(), "reach.share_of_keys");
        }
    }
}
