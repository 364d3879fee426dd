//! What a classifier knows beside the table of statuses.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Outcome, Scope};

use crate::quota::{COMMON, RateLimitHeaders};
use crate::wait_bounds::WaitBounds;

/// The settings: without rules they are cloned without touching a shared count. A classifier is a
/// part of every service, so it is small.
#[derive(Clone, Debug)]
pub(super) enum Settings {
    Common(WaitBounds),
    Own(Arc<Own>),
}

/// Settings with more than other bounds.
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
            Self::Common(_) => &[],
            Self::Own(own) => &own.rules,
        }
    }

    pub(super) fn bounds(&self) -> WaitBounds {
        match self {
            Self::Common(bounds) => *bounds,
            Self::Own(own) => own.bounds,
        }
    }

    pub(super) fn limits(&self) -> &RateLimitHeaders {
        match self {
            Self::Own(own) => own.limits.as_ref().unwrap_or(&COMMON),
            Self::Common(_) => &COMMON,
        }
    }

    pub(super) fn with_bounds(self, bounds: WaitBounds) -> Self {
        match self {
            Self::Common(_) => Self::Common(bounds),
            Self::Own(_) => self.change(|own| own.bounds = bounds),
        }
    }

    pub(super) fn change(self, change: impl FnOnce(&mut Own)) -> Self {
        let mut own = match self {
            Self::Common(bounds) => Own {
                rules: Vec::new(),
                limits: None,
                bounds,
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
    /// Lasts for the wait asked for, or for this.
    Throttle(Option<Duration>, Scope),
    /// Renews after the wait asked for, if that is no shorter than this, or after this.
    Quota(Duration),
}
