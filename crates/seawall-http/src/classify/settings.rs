//! What a classifier knows beside the table of statuses.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Outcome, Scope};

use crate::quota::{COMMON, RateLimitHeaders};
use crate::wait_bounds::WaitBounds;

/// The settings: those of a provider are cloned without touching a shared count. A classifier is a
/// part of every service, so it is small.
#[derive(Clone, Debug)]
pub(super) enum Settings {
    Known(Known),
    Own(Arc<Own>),
}

/// The settings of a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) rules: &'static [(u16, Rule)],
    pub(super) bounds: WaitBounds,
}

impl Known {
    pub(super) const fn rules(rules: &'static [(u16, Rule)]) -> Self {
        Self {
            rules,
            bounds: WaitBounds::DEFAULT,
        }
    }
}

/// Settings that were changed.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) rules: Vec<(u16, Rule)>,
    /// The headers of limits, where they are not the common ones.
    pub(super) limits: Option<RateLimitHeaders>,
    pub(super) bounds: WaitBounds,
}

impl Settings {
    pub(super) fn rules(&self) -> &[(u16, Rule)] {
        match self {
            Self::Known(known) => known.rules,
            Self::Own(own) => &own.rules,
        }
    }

    pub(super) fn bounds(&self) -> WaitBounds {
        match self {
            Self::Known(known) => known.bounds,
            Self::Own(own) => own.bounds,
        }
    }

    pub(super) fn limits(&self) -> &RateLimitHeaders {
        match self {
            Self::Own(own) => own.limits.as_ref().unwrap_or(&COMMON),
            Self::Known(_) => &COMMON,
        }
    }

    /// Those of a provider stay free of a shared count.
    pub(super) fn with_bounds(self, bounds: WaitBounds) -> Self {
        match self {
            Self::Known(known) => Self::Known(Known { bounds, ..known }),
            Self::Own(_) => self.change(|own| own.bounds = bounds),
        }
    }

    pub(super) fn change(self, change: impl FnOnce(&mut Own)) -> Self {
        let mut own = match self {
            Self::Known(known) => Own {
                rules: known.rules.to_vec(),
                limits: None,
                bounds: known.bounds,
            },
            Self::Own(own) => Arc::unwrap_or_clone(own),
        };
        change(&mut own);
        Self::Own(Arc::new(own))
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Is(Outcome),
    Ban(Duration),
    /// Lasts for the wait asked for.
    Throttle(Scope),
    /// Renews after the wait asked for, if that is no shorter than this.
    Quota(Duration),
}

/// How long the shortest ban of Binance lasts.
pub(super) const BINANCE_BAN: (u16, Rule) = ban(418, 120);

/// A rule for a ban of so many seconds.
pub(super) const fn ban(status: u16, seconds: u64) -> (u16, Rule) {
    (status, Rule::Ban(Duration::from_secs(seconds)))
}
