//! The configuration that can be read again, with its stacks.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use seawall_core::{EventKind, EventSource, InstanceName, InvalidConfig};

use crate::catalog::ProviderStack;
use crate::config::{AnswerLayers, Config, ConfigError, Loader, Overlay, ServiceConfig, Update};

use super::kept::{Current, Kept, update};
use super::outcome::{RejectedConfig, ReloadError, ReloadStatus, Reloaded};
use super::report::{self, Counters};
use super::turn::Reloading;

/// A configuration that can be read again, with the stacks of its services; see the
/// [module](crate::reload). Clones share.
///
/// It is an [`InstanceHandle`](crate::InstanceHandle): add it to a [`Registry`](crate::Registry) for
/// its events and metrics.
///
/// ```
/// use seawall::Registry;
/// use seawall::config::Config;
///
/// let text = "[resilience.feed]\nkind = \"market-data\"\n";
/// let config = Config::loader().text("seawall.toml", text).load_reloadable()?;
/// Registry::new("desk").register(config.clone())?;
/// assert_eq!(config.status().generation, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReloadableConfig {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) loader: Loader,
    pub(super) events: EventSource,
    pub(super) counters: Counters,
    pub(super) current: ArcSwap<Current>,
    pub(super) reloading: Reloading,
    /// What was changed while the program runs. Changed in the turn of a reload.
    pub(super) overlay: Mutex<Overlay>,
    /// Held while `current` is exchanged.
    changing: Mutex<()>,
}

impl Loader {
    /// Loads the services, so that they can be [read again](crate::reload): the file by the same
    /// path, which is made absolute now, with the same variables over it.
    ///
    /// Where `fail_safe_defaults` has it loaded in spite of mistakes, they are in the
    /// [status](ReloadableConfig::status), and a warning of `tracing`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_reloadable(self) -> Result<ReloadableConfig, ConfigError> {
        let overlay = self.read_overlay()?;
        let config = self.clone().with_overlay(overlay.clone()).load()?;
        let name = self.source_name();
        let name = Path::new(&name).file_name().unwrap_or_default();
        let name = InstanceName::new(&name.to_string_lossy());
        let loader = self.anchored();
        let source = loader.path().map(Path::to_owned);
        report::log_fallen_back(name, config.mistakes());
        Ok(ReloadableConfig {
            shared: Arc::new(Shared {
                loader,
                events: EventSource::new(report::PATTERN, name),
                counters: Counters::default(),
                current: ArcSwap::from_pointee(Current::first(config, source)),
                reloading: Reloading::default(),
                overlay: Mutex::new(overlay),
                changing: Mutex::new(()),
            }),
        })
    }
}

/// What there is to report once no lock is held.
pub(super) enum Report {
    Nothing,
    Reloaded { generation: u64, recovered: bool },
    Rejected(ReloadError),
}

impl ReloadableConfig {
    /// The services of this file, with the environment of the process put over it.
    ///
    /// # Errors
    ///
    /// As [`Loader::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Config::loader().file(path).from_env().load_reloadable()
    }

    /// The name of the instance: that of the file.
    pub fn name(&self) -> InstanceName {
        self.shared.events.name()
    }

    /// The configuration in force.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.shared.current.load().config)
    }

    /// The stack of a service: built when it is first asked for and kept from then on, so that all who
    /// ask have the same circuits, tokens and permits. A look-up of one that was built takes no lock.
    ///
    /// It is changed with the file. A service that is removed from the file keeps its stack as it was:
    /// that of a service which comes back later is the same one.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where there is no service of that name, with the nearest names, and of a service that
    /// has a table of a layer that the program adds: take that from [`answers`](Self::answers).
    pub fn stack(&self, name: &str) -> Result<ProviderStack, InvalidConfig> {
        self.kept(name)?.plain()
    }

    /// The layers of a service that answer without the upstream, to be taken and added to
    /// [its stack](Self::stack), as [`ServiceConfig::answers`]. Each that is taken is a layer of its own, and is
    /// changed with the file as long as it is used.
    ///
    /// ```
    /// use seawall::config::{Config, SettingChanges};
    /// use seawall::fallback::Step;
    ///
    /// let text = "[resilience.opinions]\nkind = \"ai-api\"\nfallback.max_running = 8\n";
    /// let config = Config::loader().text("seawall.toml", text).load_reloadable()?;
    /// let mut answers = config.answers("opinions")?;
    /// let hold: Step<&str, &str> = Step::value("hold", "HOLD");
    /// let fallback = answers.fallback([hold])?;
    /// let stack = answers.build()?.fallback(fallback)?;
    ///
    /// config.change(&SettingChanges::new().set("opinions", "fallback.max_running", 4))?;
    /// assert_eq!(stack.handles().fallback.config().max_running(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where there is no service of that name, with the nearest names.
    pub fn answers(&self, name: &str) -> Result<AnswerLayers, InvalidConfig> {
        let kept = self.kept(name)?;
        let (stack, running) = (kept.stack.clone(), Arc::clone(&kept.running));
        Ok(kept.service.answers().around(stack, running))
    }

    /// The stack of a service, with what it is made of.
    pub(crate) fn kept(&self, name: &str) -> Result<Arc<Kept>, InvalidConfig> {
        let current = self.shared.current.load();
        service(&current.config, name)?;
        match current.kept.get(name) {
            Some(kept) => Ok(Arc::clone(kept)),
            None => self.build(name),
        }
    }

    #[cold]
    fn build(&self, name: &str) -> Result<Arc<Kept>, InvalidConfig> {
        let _changing = lock(&self.shared.changing);
        // Another thread may have built it or changed the configuration meanwhile.
        let current = self.shared.current.load_full();
        let service = service(&current.config, name)?;
        if let Some(kept) = current.kept.get(name) {
            return Ok(Arc::clone(kept));
        }
        let stack = service.build_stack()?.with_nothing_replaced();
        let kept = Arc::new(Kept::new(stack, service.clone()));
        let next = current.with(name, Arc::clone(&kept));
        self.shared.current.store(Arc::new(next));
        Ok(kept)
    }

    /// Keeps the stack of a service no longer, and whether there was one: the next [`stack`](Self::stack)
    /// is a new one, of the configuration in force then, with no memory of the old one's tokens and
    /// circuits. Services that were made of the old stack work on, and are changed no more.
    ///
    /// For what a running stack cannot take, such as another provider: forget it, [reload](Self::reload),
    /// and make new services. Where the old stack is in a [registry](crate::Registry), take it out by
    /// [`unregister`](crate::StackHandles::unregister) of its handles before the new one is registered,
    /// which has the same name.
    pub fn forget(&self, name: &str) -> bool {
        let _changing = lock(&self.shared.changing);
        let current = self.shared.current.load_full();
        let is_kept = current.kept.contains_key(name);
        if is_kept {
            self.shared.current.store(Arc::new(current.without(name)));
        }
        is_kept
    }

    /// Reads the configuration again, and puts it on the stacks of its services: on all of them, or
    /// where something is wrong, on none. It reads a file, so call it where that may block.
    ///
    /// Two at once go one after the other.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]: there is no such configuration, or a running stack cannot be changed so. The last
    /// good one stays in force.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (result, report) = {
            let _reloading = self.shared.reloading.enter()?;
            match self
                .read_with(self.overlay())
                .and_then(|config| self.put(config))
            {
                Ok((reloaded, report)) => (Ok(reloaded), report),
                Err(error) => {
                    let report = self.reject(&error);
                    (Err(error), report)
                }
            }
        };
        self.report(report);
        if let Ok(reloaded) = &result {
            report::log_not_reached(self.name(), &reloaded.not_reached);
        }
        result
    }

    /// What the file and the environment say, with `overlay` over it.
    pub(super) fn read_with(&self, overlay: Overlay) -> Result<Config, ReloadError> {
        let loaded = self.shared.loader.clone().with_overlay(overlay).load();
        // What is in force is safer than the numbers of a base.
        let right = loaded.and_then(Config::without_mistakes);
        right.map_err(ReloadError::Config)
    }

    /// Puts `config` on all stacks, those that are built meanwhile included, and in force.
    pub(super) fn put(&self, config: Config) -> Result<(Reloaded, Report), ReloadError> {
        let config = Arc::new(config);
        let (mut updated, mut updates) = (Vec::new(), Vec::new());
        loop {
            let missing: Vec<Arc<Kept>> = {
                let changing = lock(&self.shared.changing);
                let before = self.shared.current.load_full();
                let is_missing =
                    |kept: &&Arc<Kept>| !updated.iter().any(|it| Arc::ptr_eq(it, kept));
                let missing = before.kept.values().filter(is_missing).map(Arc::clone);
                let missing: Vec<_> = missing.collect();
                if missing.is_empty() {
                    let (current, reloaded) = before.next(&config);
                    self.shared.current.store(Arc::new(current));
                    drop(changing);
                    updates.iter().for_each(Update::switch);
                    let recovered = before.status.rejected.is_some();
                    let generation = reloaded.generation;
                    let report = match recovered || !reloaded.is_unchanged() {
                        true => Report::Reloaded {
                            generation,
                            recovered,
                        },
                        false => Report::Nothing,
                    };
                    return Ok((reloaded, report));
                }
                missing
            };
            update(&missing, &config, &mut updates)?;
            updated.extend(missing);
        }
    }

    /// Notes what is wrong, where it is not known already.
    fn reject(&self, error: &ReloadError) -> Report {
        let text = error.to_string();
        let _changing = lock(&self.shared.changing);
        let before = self.shared.current.load_full();
        let known = before.status.rejected.as_ref();
        if known.is_some_and(|known| known.error.to_string() == text) {
            return Report::Nothing;
        }
        let rejected = RejectedConfig::new(error.clone(), SystemTime::now());
        let current = before.rejecting(rejected);
        self.shared.current.store(Arc::new(current));
        Report::Rejected(error.clone())
    }

    pub(super) fn report(&self, report: Report) {
        let Shared {
            events, counters, ..
        } = &*self.shared;
        match report {
            Report::Nothing => {}
            Report::Reloaded {
                generation,
                recovered,
            } => {
                counters.reloaded(recovered);
                report::log_reloaded(self.name(), generation, recovered);
                events.emit(|| EventKind::Reloaded { generation });
            }
            Report::Rejected(error) => {
                counters.rejected.add();
                report::log_rejected(self.name(), &error);
                let reason = error.reason();
                events.emit(|| EventKind::ReloadRejected { reason });
            }
        }
    }

    /// Which configuration is in force, since when, and what is wrong with the file now.
    pub fn status(&self) -> ReloadStatus {
        self.shared.current.load().status.clone()
    }
}

pub(super) fn service<'a>(
    config: &'a Config,
    name: &str,
) -> Result<&'a ServiceConfig, InvalidConfig> {
    config.service(name).map_err(|unknown| {
        InvalidConfig::new(
            "service",
            format!("{name:?}"),
            unknown.accepted().join(", "),
        )
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
