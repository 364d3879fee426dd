//! Which share of a limit is for calls of reserved priority alone.

use seawall_core::{InvalidConfig, Ratio};

/// A share, or none; and what holds where that is not set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReservedShare {
    own: Own,
    default: Option<Option<Ratio>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Own {
    /// What is in force stays.
    #[default]
    Kept,
    /// What was set before ends.
    Unset,
    Set(Option<Ratio>),
}

impl ReservedShare {
    pub(crate) const fn set(&mut self, share: Option<Ratio>) {
        self.own = Own::Set(share);
    }

    pub(crate) const fn unset(&mut self) {
        self.own = Own::Unset;
    }

    pub(crate) const fn set_default(&mut self, share: Option<Ratio>) {
        self.default = Some(share);
    }

    pub(crate) fn get(self) -> Option<Ratio> {
        match self.own {
            Own::Set(share) => share,
            Own::Kept | Own::Unset => self.default.flatten(),
        }
    }

    pub(crate) const fn is_set(self) -> bool {
        matches!(self.own, Own::Set(_))
    }

    /// The one of `base`, where this was not set.
    pub(crate) fn or(self, base: Self) -> Self {
        Self {
            own: match self.own {
                Own::Kept => base.own,
                own => own,
            },
            default: self.default.or(base.default),
        }
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
        let shares = [self.get(), self.default.flatten()];
        let mut shares = shares.into_iter().flatten().map(Ratio::get);
        match shares.find(|share| !(*share > 0.0 && *share < 1.0)) {
            Some(share) => {
                let accepted = "a share above 0 and below 1, or none";
                Err(InvalidConfig::new("reserved_share", share, accepted))
            }
            None => Ok(()),
        }
    }

    /// For a list of settings.
    pub(crate) fn words(self) -> String {
        self.get()
            .map_or_else(|| "none".to_owned(), |share| share.get().to_string())
    }
}
