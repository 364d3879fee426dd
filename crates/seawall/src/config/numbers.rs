//! What a service ends up with.

use std::time::Duration;

use seawall_core::{Command, InstanceHandle, Ratio};

use crate::catalog::{ProviderStack, UTILIZATION};
use crate::settings::Settings;

use super::value::Rate;

/// The settings of a service, and which of its layers are off.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers {
    pub(super) settings: Settings,
    pub(super) off: Off,
    /// The share of a provider's limits that is used.
    pub(super) utilization: Ratio,
    /// The longest wait of an upstream that is believed, where it is set.
    pub(super) longest_wait: Option<Duration>,
    /// What the provider allows, where the file says so.
    pub(super) limit: Option<Rate>,
}

impl Numbers {
    /// These settings, and every layer on.
    pub(super) fn of(settings: Settings) -> Self {
        Self {
            settings,
            off: Off::default(),
            utilization: Ratio::new(UTILIZATION).unwrap_or(Ratio::HALF),
            longest_wait: None,
            limit: None,
        }
    }
}

/// The layers that let every call pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Off {
    pub(super) deadline: bool,
    pub(super) attempt_timeout: bool,
    pub(super) retry: bool,
    pub(super) bulkhead: bool,
    pub(super) rate_limit: bool,
    pub(super) breaker: bool,
    pub(super) body_timeout: bool,
}

impl Off {
    pub(super) fn apply(self, stack: &ProviderStack) {
        let handles = stack.handles();
        let account = handles.rate_limit.account();
        let off: [(bool, &dyn InstanceHandle); 7] = [
            (self.deadline, &handles.deadline),
            (self.attempt_timeout, &handles.attempt_timeout),
            (self.retry, &handles.retry),
            (self.bulkhead, &handles.bulkhead),
            (self.rate_limit, &handles.rate_limit),
            (self.breaker, &handles.breaker),
            (self.body_timeout, &handles.protocol.body_timeout),
        ];
        let account = account
            .iter()
            .map(|account| (self.rate_limit, account as _));
        for (is_off, handle) in off.into_iter().chain(account) {
            if is_off {
                // All of them have this command.
                let _ = handle.control(Command::Bypass);
            }
        }
    }
}
