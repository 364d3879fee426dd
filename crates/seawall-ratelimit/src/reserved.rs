//! Which share of a limit is for calls of reserved priority alone.

use seawall_core::{InvalidConfig, Ratio};

/// A share, or none, where that was set; else what is in force stays.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReservedShare(Option<Option<Ratio>>);

impl ReservedShare {
    pub(crate) const fn set(share: Option<Ratio>) -> Self {
        Self(Some(share))
    }

    pub(crate) fn get(self) -> Option<Ratio> {
        self.0.flatten()
    }

    pub(crate) const fn is_set(self) -> bool {
        self.0.is_some()
    }

    /// The one of `base`, where this was not set.
    pub(crate) fn or(self, base: Self) -> Self {
        Self(self.0.or(base.0))
    }

    /// How many tokens of a limit of this capacity are reserved: at least one, and never all.
    pub(crate) fn of(self, capacity: u64) -> u64 {
        let of_share = |share: Ratio| {
            let tokens = (capacity as f64 * share.get()) as u64;
            tokens.max(1).min(capacity.saturating_sub(1))
        };
        self.get().map_or(0, of_share)
    }

    /// # Errors
    ///
    /// A share of nothing or of all.
    pub(crate) fn check(self) -> Result<(), InvalidConfig> {
        match self.get().map(Ratio::get) {
            Some(share) if !(share > 0.0 && share < 1.0) => {
                let accepted = "a share above 0 and below 1, or none";
                Err(InvalidConfig::new("reserved_share", share, accepted))
            }
            _ => Ok(()),
        }
    }

    /// For a list of settings.
    pub(crate) fn words(self) -> String {
        self.get()
            .map_or_else(|| "none".to_owned(), |share| share.get().to_string())
    }
}
