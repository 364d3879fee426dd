//! Bringing an unhealthy upstream back: detect, heal, validate, restore.

mod config;
mod drive;
mod entry;
mod hold;
mod report;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use seawall_core::{Command, InstanceHandle, InvalidConfig};

use crate::CheckResult;
use crate::run::Running;

pub use config::{RecoveryConfig, RecoveryConfigBuilder};
pub(crate) use drive::keep_recovering;
pub(crate) use entry::Entry;
pub use report::{RecoveryReport, RecoveryState};

pub(crate) type Hook = Arc<dyn Fn(u32) -> Running + Send + Sync>;

/// What is done to bring one upstream back; see
/// [`HealthMonitor::set_recovery`](crate::HealthMonitor::set_recovery).
///
/// Nothing has to be given: then the check itself is what validates, and to restore is no more than to
/// report it.
///
/// ```
/// use seawall_health::{CheckConfig, HealthMonitor, Recovery, RecoveryConfig};
///
/// # async fn reconnect() -> Result<(), std::io::Error> { Ok(()) }
/// # async fn subscribe_again() -> Result<(), std::io::Error> { Ok(()) }
/// let monitor = HealthMonitor::new("desk");
/// monitor.register("feed", CheckConfig::default(), || async { true })?;
/// let plan = Recovery::new()
///     .heal(|_attempt| reconnect())
///     .restore(subscribe_again);
/// monitor.set_recovery("feed", RecoveryConfig::default(), plan)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it does nothing until it is set"]
#[derive(Default)]
pub struct Recovery {
    heal: Option<Hook>,
    validate: Option<Hook>,
    restore: Vec<Hook>,
    held: Vec<Arc<dyn InstanceHandle>>,
}

impl Recovery {
    /// Nothing is done but to validate by the check itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `hook` with the number of the attempt, from 1, to put right what is wrong: to reconnect, to
    /// log in again, to start a process. Without one, an attempt begins when the check has recovered.
    pub fn heal<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(u32) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        self.heal = Some(boxed(hook));
        self
    }

    /// Validates by `hook` in place of the check: cheap calls that show that the upstream does real
    /// work. Those that fail or that are inconclusive are not clean.
    pub fn validate<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        self.validate = Some(boxed(move |_| hook()));
        self
    }

    /// Calls `hook` when the upstream works again: to subscribe, to warm a cache, to let orders pass.
    /// Several are called in their order, each when the one before it has succeeded.
    pub fn restore<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        self.restore.push(boxed(move |_| hook()));
        self
    }

    /// Keeps a layer blocked ([`Command::Block`]) while the upstream is down, and lets it go by its own
    /// rules again ([`Command::Resume`]) before the hooks that restore: a circuit then probes, and lets
    /// more and more calls pass where it has a ramp. It is let go as well where the recovery is stopped, and
    /// where the last attempt has failed and the check is healthy. Of several recoveries that hold one layer,
    /// the last one lets it go. A layer that is under an operator's command when the upstream goes down, or
    /// comes under one while it is held, is left to the operator.
    ///
    /// The check and the validations must not go through what is held, since it rejects them.
    pub fn hold(mut self, handle: impl InstanceHandle + 'static) -> Self {
        self.held.push(Arc::new(handle));
        self
    }

    /// Whether every layer that is held knows both commands.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let needed = [Command::Block, Command::Resume];
        let is_fit = |handle: &Arc<dyn InstanceHandle>| {
            needed
                .iter()
                .all(|command| handle.commands().contains(command))
        };
        match self.held.iter().find(|handle| !is_fit(handle)) {
            Some(handle) => {
                let accepted =
                    "a layer that can be blocked and resumed: a breaker, a bulkhead, a rate limit";
                Err(InvalidConfig::new("hold", handle.pattern(), accepted))
            }
            None => Ok(()),
        }
    }
}

fn boxed<F, Fut>(hook: F) -> Hook
where
    F: Fn(u32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Into<CheckResult>> + Send + 'static,
{
    Arc::new(move |attempt| {
        let running = hook(attempt);
        Box::pin(async move { running.await.into() })
    })
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.iter().map(|held| (held.pattern(), held.name()));
        f.debug_struct("Recovery")
            .field("heals", &self.heal.is_some())
            .field("validates", &self.validate.is_some())
            .field("restores", &self.restore.len())
            .field("holds", &held.collect::<Vec<_>>())
            .finish()
    }
}
