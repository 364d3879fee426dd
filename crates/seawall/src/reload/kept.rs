//! The configuration in force, with the stacks that were built of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::catalog::ProviderStack;
use crate::config::{Config, ConfigError, Mistake, ServiceConfig, Update};

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
}

impl Kept {
    pub(super) const fn new(stack: ProviderStack, service: ServiceConfig) -> Self {
        Self { stack, service }
    }
}

impl Current {
    pub(super) fn first(config: Config, source: Option<PathBuf>) -> Self {
        Self {
            config: Arc::new(config),
            kept: HashMap::new(),
            status: ReloadStatus {
                generation: 1,
                since: SystemTime::now(),
                source,
                rejected: None,
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

    /// Puts `config` on the stacks: on all of them or, with an error, on none.
    pub(super) fn next(&self, config: Config) -> Result<(Self, Reloaded), ReloadError> {
        self.check_fail_safe(&config)?;
        self.update(&config)?;
        let mut next = self.copy();
        for service in config.services() {
            if let Some(kept) = next.kept.get_mut(service.name()) {
                *kept = Arc::new(Kept::new(kept.stack.clone(), service.clone()));
            }
        }
        let mut reloaded = self.difference(&config);
        if !reloaded.is_unchanged() {
            next.status.generation += 1;
            next.status.since = SystemTime::now();
        }
        reloaded.generation = next.status.generation;
        next.status.rejected = None;
        next.config = Arc::new(config);
        Ok((next, reloaded))
    }

    /// A service that runs by what was written for it does not go back to the numbers of its base
    /// because of a mistake: what it has is safer.
    fn check_fail_safe(&self, config: &Config) -> Result<(), ReloadError> {
        let was_right = |service: &&ServiceConfig| {
            let before = self.config.service(service.name());
            before.is_ok_and(|before| !before.is_fail_safe())
        };
        let mut fallen = config.services().filter(|service| service.is_fail_safe());
        if fallen.any(|service| was_right(&service)) {
            let mistakes = config.mistakes().to_vec();
            return Err(ReloadError::Config(ConfigError::Invalid(mistakes)));
        }
        Ok(())
    }

    fn update(&self, config: &Config) -> Result<(), ReloadError> {
        let mut updates = Vec::new();
        let mut mistakes: Vec<Mistake> = Vec::new();
        for to in config.services() {
            let Some(kept) = self.kept.get(to.name()) else {
                continue;
            };
            if kept.service.is_same(to) {
                continue;
            }
            match Update::check(kept.stack.handles(), &kept.service, to) {
                Ok(update) => updates.push(update),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        if !mistakes.is_empty() {
            mistakes.sort_by(|a, b| a.place.cmp(&b.place));
            return Err(ReloadError::NeedsNewStack(mistakes));
        }
        for (at, update) in updates.iter().enumerate() {
            if let Err(mistake) = update.apply() {
                updates.iter().take(at + 1).for_each(Update::undo);
                return Err(ReloadError::NeedsNewStack(vec![mistake]));
            }
        }
        updates.iter().for_each(Update::switch);
        Ok(())
    }

    fn difference(&self, config: &Config) -> Reloaded {
        let mut reloaded = Reloaded::default();
        for service in config.services() {
            match self.config.service(service.name()) {
                Err(_) => reloaded.added.push(service.name().to_owned()),
                Ok(before) if !before.is_same(service) => {
                    reloaded.changed.push(service.name().to_owned());
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
