//! What the services of one layer share: the limit that calls read, and the settings behind it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::{EventSource, Events, InstanceName, Misconfiguration, Operated};

use crate::instance::{Instance, InstanceId, Pattern};
use crate::limit::BYPASSED;

/// Settings from which the word that calls read is made.
pub(crate) trait Limit: Copy {
    fn limit_ns(&self) -> u64;
}

/// What the services of one layer value and its clones share: the settings `C`, and the counters
/// `T`.
#[derive(Debug)]
pub(crate) struct State<C, T> {
    /// What calls read: nanoseconds, or [`BYPASSED`].
    limit_ns: AtomicU64,
    /// A copy of the instance's, so that calls read one cache line.
    id: InstanceId,
    instance: Arc<Instance<T>>,
    settings: Mutex<Settings<C>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<C> {
    pub(crate) config: C,
    pub(crate) bypassed: bool,
}

impl<C: Limit, T: Pattern> State<C, T> {
    pub(crate) fn new(name: InstanceName, config: C) -> Self {
        let instance = Instance::new(name);
        Self {
            limit_ns: AtomicU64::new(config.limit_ns()),
            id: instance.id(),
            instance,
            settings: Mutex::new(Settings {
                config,
                bypassed: false,
            }),
        }
    }

    /// Changes the settings, for calls from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings<C>)) {
        let mut settings = self.lock();
        change(&mut settings);
        let limit_ns = if settings.bypassed {
            BYPASSED
        } else {
            settings.config.limit_ns()
        };
        self.limit_ns.store(limit_ns, Ordering::Relaxed);
    }

    pub(crate) fn settings(&self) -> Settings<C> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Settings<C>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C, T> State<C, T> {
    #[inline]
    pub(crate) fn limit_ns(&self) -> u64 {
        self.limit_ns.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) const fn id(&self) -> InstanceId {
        self.id
    }

    pub(crate) fn name(&self) -> InstanceName {
        self.instance.source().name()
    }

    pub(crate) fn counters(&self) -> &T {
        self.instance.counters()
    }

    pub(crate) fn attach(&self, events: &Events) {
        self.instance.source().attach(events);
    }

    pub(crate) fn source(&self) -> &EventSource {
        self.instance.source()
    }

    pub(crate) fn operated(&self) -> Operated {
        self.source().operated()
    }

    pub(crate) fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.source().misconfigured()
    }

    /// Emits that an operator has given that command.
    pub(crate) fn commanded(&self, command: &'static str) {
        self.instance.source().commanded(command);
    }
}
