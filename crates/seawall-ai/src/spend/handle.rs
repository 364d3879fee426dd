//! Reads and controls a budget from outside.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::account::Account;
use super::budget::{Shared, SpendBudget};
use super::config::SpendConfig;
use super::counts::SpendCounts;
use super::money::Money;
use super::period::SpendPeriod;

/// Reads and controls a budget from any thread.
///
/// ```
/// use seawall_ai::spend::{Money, SpendBudget, SpendConfig, SpendPeriod};
///
/// let config = SpendConfig::builder().per_month(Money::whole(400)).build()?;
/// let handle = SpendBudget::new("research", config).handle();
/// // What was spent before this process was started.
/// handle.already_spent(SpendPeriod::Month, "123.45".parse()?);
/// assert_eq!(handle.snapshot().periods[0].left, "276.55".parse()?);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct SpendHandle {
    budget: SpendBudget,
}

seawall_core::state_words! {
    /// Whether a budget has anything left.
    pub enum SpendState {
        /// Every period has something left.
        Ok = "ok",
        /// What is spent and reserved is all that a period allows.
        Exhausted = "exhausted",
    }
}

/// A budget at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SpendSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether anything is left.
    pub state: SpendState,
    /// Whether the budget is in shadow mode.
    pub shadow: bool,
    /// What is reserved for calls that are not over.
    pub reserved: Money,
    /// The periods that have a limit, the shortest first.
    pub periods: Vec<PeriodSnapshot>,
    /// What became of the calls.
    pub counts: SpendCounts,
}

/// One period of a budget.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PeriodSnapshot {
    /// Which one.
    pub period: SpendPeriod,
    /// How much it allows.
    pub limit: Money,
    /// How much was spent.
    pub spent: Money,
    /// How much is neither spent nor reserved.
    pub left: Money,
    /// In how long it ends, and all of it is allowed again.
    pub renews_in: Duration,
}

impl SpendBudget {
    /// A handle to read and to control the budget from outside.
    pub fn handle(&self) -> SpendHandle {
        SpendHandle {
            budget: self.clone(),
        }
    }
}

impl SpendHandle {
    fn shared(&self) -> &Shared {
        &self.budget.shared
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.shared().events.name()
    }

    /// The settings in force.
    pub fn config(&self) -> SpendConfig {
        self.shared().account().config().clone()
    }

    /// Changes the settings, [`shadow`](SpendConfig::shadow) included. What is spent and reserved stays,
    /// also of periods that have had no limit. Less than that leaves nothing until the period ends.
    ///
    /// # Errors
    ///
    /// None at present: every [`SpendConfig`] is accepted.
    pub fn configure(&self, config: SpendConfig) -> Result<(), InvalidConfig> {
        let (shadow, now) = (config.shadow(), self.shared().now());
        self.shared().account().configure(config, now);
        self.shared().shadow.store(shadow, Ordering::Relaxed);
        self.shared().events.commanded("configure");
        Ok(())
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> SpendCounts {
        SpendCounts::sum([&self.shared().counters])
    }

    /// Everything at once.
    pub fn snapshot(&self) -> SpendSnapshot {
        let account = self.shared().account();
        let (reserved, now) = (account.reserved(), self.shared().now());
        let periods: Vec<_> = account
            .periods()
            .filter_map(|(period, limit, spent, end)| {
                let wait = u64::try_from((end - now).max(0)).unwrap_or(u64::MAX);
                Some(PeriodSnapshot {
                    period,
                    limit: limit?,
                    spent,
                    left: limit?.less(spent).less(reserved),
                    renews_in: Duration::from_nanos(wait),
                })
            })
            .collect();
        let state = state_of(&account);
        drop(account);
        SpendSnapshot {
            name: self.name(),
            state,
            shadow: self.shared().shadow.load(Ordering::Relaxed),
            reserved,
            periods,
            counts: self.counts(),
        }
    }

    /// So much was spent of the current `period` elsewhere, or before the start of this process.
    pub fn already_spent(&self, period: SpendPeriod, amount: Money) {
        self.shared().account().already_spent(period, amount);
        self.shared().events.commanded("already_spent");
    }

    /// It is `time` now: the clock of the machine was set since the budget was made, which does not follow
    /// it by itself. A period that has begun goes on until its end by the new clock. A
    /// [`reset`](Self::reset) reads the clock of the machine again.
    pub fn set_wall_clock(&self, time: SystemTime) {
        self.shared().set_wall_clock(time);
        self.shared().events.commanded("set_wall_clock");
    }

    /// Turns shadow mode on or off, until [`configure`](Self::configure) or [`reset`](Self::reset).
    pub fn set_shadow(&self, on: bool) {
        self.shared().shadow.store(on, Ordering::Relaxed);
        self.shared().events.commanded_shadow(on);
    }

    /// Forgets what was spent, and returns to the configured shadow mode and to the clock of the machine.
    /// What is reserved stays, and [`counts`](Self::counts) do.
    pub fn reset(&self) {
        self.shared().set_wall_clock(SystemTime::now());
        let mut account = self.shared().account();
        account.forget();
        let shadow = account.config().shadow();
        drop(account);
        self.shared().shadow.store(shadow, Ordering::Relaxed);
        self.shared().events.commanded("reset");
    }

    fn bypass(&self) {
        self.shared().shadow.store(true, Ordering::Relaxed);
        self.shared().events.commanded("bypass");
    }
}

fn state_of(account: &Account) -> SpendState {
    let reserved = account.reserved();
    let is_out = account
        .periods()
        .any(|(_, limit, spent, _)| limit.is_some_and(|limit| spent.plus(reserved) >= limit));
    if is_out {
        SpendState::Exhausted
    } else {
        SpendState::Ok
    }
}

/// [`Bypass`](seawall_core::Command::Bypass) turns shadow mode on. There is no
/// [`Block`](seawall_core::Command::Block): pause the limits of the stack.
impl InstanceHandle for SpendHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.shared().events.pattern(),
        state: state_of(&this.shared().account()).as_str(),
        attach: this.shared().events,
        commands: [Bypass => bypass, Reset => reset, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let snapshot = self.snapshot();
        sink.gauge(
            "seawall_spend_reserved",
            &[],
            snapshot.reserved.approximate(),
        );
        for period in snapshot.periods {
            let labels = [("period", period.period.as_str())];
            sink.gauge("seawall_spend_spent", &labels, period.spent.approximate());
            sink.gauge("seawall_spend_limit", &labels, period.limit.approximate());
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }
}

seawall_core::impl_debug!(SpendHandle: |this| name = this.name());
