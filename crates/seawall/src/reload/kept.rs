//! The configuration in force, with the stacks that were built of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use seawall_core::InvalidConfig;

use crate::catalog::ProviderStack;
use crate::config::{Config, Mistake, RunningAnswers, ServiceConfig, Update};

use super::outcome::{RejectedConfig, ReloadError, ReloadStatus, Reloaded};

/// Everything that is exchanged at once.
pub(super) struct Current {
    pub(super) config: Arc<Config>,
    /// The stacks that were asked for, those of removed services included.
    pub(super) kept: HashMap<String, Arc<Kept>>,
    pub(super) status: ReloadStatus,
}

/// A stack, and the configuration that it has.
pub(crate) struct Kept {
    pub(crate) stack: ProviderStack,
    pub(crate) service: ServiceConfig,
    /// The layers that the program has added to it.
    pub(crate) running: Arc<RunningAnswers>,
}

impl Kept {
    pub(super) fn new(stack: ProviderStack, service: ServiceConfig) -> Self {
        Self {
            running: service.running_answers(),
            stack,
            service,
        }
    }

    /// The same stack with another configuration.
    fn changed(&self, service: ServiceConfig) -> Self {
        Self {
            running: Arc::clone(&self.running),
            stack: self.stack.clone(),
            service,
        }
    }

    /// The way to another configuration of its service, changing nothing yet.
    pub(super) fn update_to(&self, to: &ServiceConfig) -> Result<Update, Vec<Mistake>> {
        Update::check(self.stack.handles(), &self.service, to, &self.running)
    }

    /// The stack, without a layer that the program adds.
    pub(crate) fn plain(&self) -> Result<ProviderStack, InvalidConfig> {
        self.service.check_untaken()?;
        Ok(self.stack.clone())
    }
}

impl Current {
    pub(super) fn first(config: Config, source: Option<PathBuf>) -> Self {
        let mistakes = config.mistakes().into();
        Self {
            config: Arc::new(config),
            kept: HashMap::new(),
            status: ReloadStatus {
                generation: 1,
                since: SystemTime::now(),
                source,
                rejected: None,
                mistakes,
            },
        }
    }

    fn copy(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            kept: self.kept.clone(),
            status: self.status.clone(),
        }
    }

    /// The same with another stack.
    pub(super) fn with(&self, name: &str, kept: Arc<Kept>) -> Self {
        let mut next = self.copy();
        next.kept.insert(name.to_owned(), kept);
        next
    }

    /// The same without a stack.
    pub(super) fn without(&self, name: &str) -> Self {
        let mut next = self.copy();
        next.kept.remove(name);
        next
    }

    /// The same, beside a configuration that is not accepted.
    pub(super) fn rejecting(&self, rejected: RejectedConfig) -> Self {
        let mut next = self.copy();
        next.status.rejected = Some(rejected);
        next
    }

    /// The same with `config`, which the stacks have by now.
    pub(super) fn next(&self, config: &Arc<Config>) -> (Self, Reloaded) {
        let mut next = self.copy();
        for service in config.services() {
            if let Some(kept) = next.kept.get_mut(service.name()) {
                *kept = Arc::new(kept.changed(service.clone()));
            }
        }
        let mut reloaded = self.difference(config);
        if !reloaded.is_unchanged() {
            next.status.generation += 1;
            next.status.since = SystemTime::now();
        }
        reloaded.generation = next.status.generation;
        next.status.rejected = None;
        next.status.mistakes = Arc::default();
        next.config = Arc::clone(config);
        (next, reloaded)
    }

    pub(super) fn difference(&self, config: &Config) -> Reloaded {
        let mut reloaded = Reloaded::default();
        for service in config.services() {
            match self.config.service(service.name()) {
                Err(_) => reloaded.added.push(service.name().to_owned()),
                Ok(before) if !before.is_same(service) => {
                    reloaded.changed.push(service.name().to_owned());
                    if let Some(kept) = self.kept.get(service.name()) {
                        let replaced = kept.stack.replaced();
                        let missed = service.not_reached(before, replaced);
                        reloaded.not_reached.extend(missed);
                    }
                }
                Ok(_) => {}
            }
        }
        let gone = |service: &&ServiceConfig| config.service(service.name()).is_err();
        let removed = self.config.services().filter(gone);
        reloaded.removed = removed.map(|service| service.name().to_owned()).collect();
        reloaded
    }
}

/// Puts `config` on these stacks, after those of `updates`: on all or, with an error, on none of both.
/// It emits events, so no lock may be held that a listener could want.
pub(super) fn update(
    stacks: &[Arc<Kept>],
    config: &Config,
    updates: &mut Vec<Update>,
) -> Result<(), ReloadError> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut further = Vec::new();
    for kept in stacks {
        let from = &kept.service;
        match config.service(from.name()) {
            Ok(to) if !from.is_same(to) => match kept.update_to(to) {
                Ok(update) => further.push(update),
                Err(wrong) => mistakes.extend(wrong),
            },
            // One that is gone keeps what it has.
            Ok(_) | Err(_) => {}
        }
    }
    for update in further {
        if !mistakes.is_empty() {
            break;
        }
        let applied = update.apply();
        updates.push(update);
        mistakes.extend(applied.err());
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    updates.drain(..).for_each(|update| update.undo());
    mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    Err(ReloadError::NeedsNewStack(mistakes))
}
