//! What a service ends up with.

use std::time::Duration;

use seawall_core::{Command, InstanceHandle, InvalidConfig, Ratio};
use seawall_http::LONGEST_WAIT;
use seawall_retry::RetryConfigBuilder;
use seawall_timeout::{AttemptTimeoutConfig, DeadlineConfig};

use crate::catalog::{ProviderHandles, UTILIZATION};
use crate::settings::Settings;

use super::answers::AnswerSettings;
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
    /// What there is of the layers that the program adds.
    pub(super) answers: AnswerSettings,
}

impl Numbers {
    /// These settings, and every layer on.
    pub(super) fn of(mut settings: Settings) -> Self {
        // A share that the file sets no longer ends in stacks that run.
        settings.rate_limit = settings.rate_limit.unset_reserved_share();
        Self {
            settings,
            off: Off::default(),
            utilization: Ratio::new(UTILIZATION).unwrap_or(Ratio::HALF),
            longest_wait: None,
            limit: None,
            answers: AnswerSettings::default(),
        }
    }

    /// The longest wait that is believed.
    pub(super) fn longest_wait_in_force(&self) -> Duration {
        self.longest_wait.unwrap_or(LONGEST_WAIT)
    }

    /// A layer that is off constrains no other. What it has for the time when a `reset` of its handle
    /// switches it on is made to fit those that are on.
    pub(super) fn ease(&mut self) -> Result<(), InvalidConfig> {
        let Settings {
            deadline,
            attempt_timeout,
            retry,
            ..
        } = &mut self.settings;
        let shorter = deadline.timeout() - deadline.timeout() / 10;
        let shorter = shorter.min(deadline.timeout().saturating_sub(Duration::from_nanos(1)));
        let fits =
            |time: Duration| time < deadline.timeout() || deadline.timeout() == Duration::MAX;
        let overall = retry.overall_timeout();
        if self.off.deadline && !(fits(attempt_timeout.timeout()) && overall.is_none_or(fits)) {
            *deadline = DeadlineConfig::new(Duration::MAX)?;
            return Ok(());
        }
        if self.off.attempt_timeout && !fits(attempt_timeout.timeout()) && !shorter.is_zero() {
            *attempt_timeout = AttemptTimeoutConfig::fixed(shorter)?;
        }
        if self.off.retry && !overall.is_none_or(fits) && !shorter.is_zero() {
            let builder = RetryConfigBuilder::from(retry.clone());
            *retry = builder.overall_timeout(shorter).build()?;
        }
        Ok(())
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
    /// Lets every call pass the layers that are off.
    pub(super) fn apply(self, handles: &ProviderHandles) {
        self.switch(Self::default(), handles, None);
    }

    /// Switches what differs from `before`. A layer that is on again works by what it knew, and for
    /// those that have a shadow mode `settings` say whether it is on.
    pub(super) fn switch(
        self,
        before: Self,
        handles: &ProviderHandles,
        settings: Option<&Settings>,
    ) {
        let account = handles.rate_limit.account();
        let shadow = |of: fn(&Settings) -> bool| settings.is_some_and(of);
        let layer = |was_off: bool, is_off: bool, handle: &dyn InstanceHandle, on: &dyn Fn()| match (
            was_off, is_off,
        ) {
            // All of them have this command.
            (false, true) => drop(handle.control(Command::Bypass)),
            (true, false) => on(),
            _ => {}
        };
        let (was, is) = (before, self);
        let of = handles;
        layer(was.deadline, is.deadline, &of.deadline, &|| {
            of.deadline.reset();
        });
        layer(
            was.attempt_timeout,
            is.attempt_timeout,
            &of.attempt_timeout,
            &|| of.attempt_timeout.reset(),
        );
        layer(was.retry, is.retry, &of.retry, &|| of.retry.reset());
        layer(was.bulkhead, is.bulkhead, &of.bulkhead, &|| {
            // It ends a bypass, and no pause.
            of.bulkhead.set_shadow(shadow(|s| s.bulkhead.shadow()));
        });
        layer(was.rate_limit, is.rate_limit, &of.rate_limit, &|| {
            of.rate_limit.resume_all();
        });
        if let Some(account) = &account {
            layer(was.rate_limit, is.rate_limit, account, &|| {
                account.set_shadow(shadow(|s| s.rate_limit.shadow()));
            });
        }
        layer(was.breaker, is.breaker, &of.breaker, &|| {
            of.breaker.automatic();
        });
        let body = &of.protocol.body_timeout;
        layer(was.body_timeout, is.body_timeout, body, &|| body.reset());
    }
}
