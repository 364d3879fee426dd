//! Reading and controlling a whole stack from outside.

use seawall_core::{AlreadyRegistered, InstanceName, InvalidConfig, Registry};
use seawall_retry::RetryHandle;
use seawall_telemetry::TelemetryHandle;
use seawall_timeout::DeadlineHandle;

use super::answers::Answering;
use super::attempts::AttemptHandle;
use super::limits::LimitHandle;
use super::permits::PermitHandle;
use super::slot::{Configure, Slot, SlotHandle, remove};
use super::slots::{Slots, StackSlots};
use super::snapshot::{StackCounts, StackSnapshot};
use crate::settings::Settings;

type HandleOf<L> = <L as Slot>::Handle;
type Fallback<O> = <<O as StackSlots>::Answers as Answering>::Fallback;
type Cache<O> = <<O as StackSlots>::Answers as Answering>::Cache;
type Coalesce<O> = <<O as StackSlots>::Answers as Answering>::Coalesce;

/// Handles of every layer of a stack, outermost first, and what can be done with all of them at
/// once.
///
/// A layer that the stack does not have has the handle `()`. `E` are the handles of what is
/// particular to a protocol: [`HttpHandles`](crate::HttpHandles) for an
/// [`HttpStack`](crate::HttpStack).
///
/// A command that is not for all layers, such as a pause or shadow mode, is given to the handle of
/// one; [`reset`](Self::reset) ends all of them. Settings are no command: `reset` leaves them. A [registry](Self::register) blocks a stack by its
/// breaker, or lets every call pass by the layers that it names.
///
/// ```
/// use std::time::Duration;
///
/// let handles = seawall::broker("my-broker").build()?.handles();
/// assert_eq!(handles.bulkhead.in_flight(), 0);
///
/// // In an incident: fewer calls at once, without a restart. Open circuits, spent tokens and
/// // queues stay as they are.
/// let mut settings = handles.settings();
/// settings.bulkhead = seawall::BulkheadConfig::builder().max_concurrent(2).build()?;
/// handles.configure(&settings)?;
/// assert_eq!(handles.snapshot().bulkhead.limit, 2);
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct StackHandles<O: StackSlots = Slots, E = ()> {
    /// What was measured of calls and attempts.
    pub telemetry: TelemetryHandle,
    /// The overall deadline.
    pub deadline: DeadlineHandle,
    /// Answers in place of failures.
    pub fallback: HandleOf<Fallback<O>>,
    /// Answers that are kept.
    pub cache: HandleOf<Cache<O>>,
    /// Calls of one key that share an answer.
    pub coalesce: HandleOf<Coalesce<O>>,
    /// Attempts and budget.
    pub retry: RetryHandle,
    /// Hedged attempts.
    pub hedge: HandleOf<O::Hedge>,
    /// Adaptive throttling.
    pub throttle: HandleOf<O::Throttle>,
    /// Permits and queue.
    pub bulkhead: HandleOf<O::Bulkhead>,
    /// Tokens and their queue.
    pub rate_limit: HandleOf<O::RateLimit>,
    /// The circuit, of the gate and of the breaker.
    pub breaker: HandleOf<O::Breaker>,
    /// What was observed of the upstream's health.
    pub health: HandleOf<O::Health>,
    /// The attempt timeout.
    pub attempt_timeout: HandleOf<O::AttemptTimeout>,
    /// Failures on purpose.
    pub chaos: HandleOf<O::Chaos>,
    /// What is particular to the protocol.
    pub protocol: E,
    name: InstanceName,
}

impl<O: StackSlots> StackHandles<O> {
    pub(super) fn of(
        name: InstanceName,
        telemetry: TelemetryHandle,
        deadline: DeadlineHandle,
        slots: &O,
    ) -> Self {
        let slots = slots.slots();
        Self {
            telemetry,
            deadline,
            fallback: slots.answers.fallback().handle(),
            cache: slots.answers.cache().handle(),
            coalesce: slots.answers.coalesce().handle(),
            retry: slots.retry.handle(),
            hedge: slots.hedge.handle(),
            throttle: slots.throttle.handle(),
            bulkhead: slots.bulkhead.handle(),
            rate_limit: slots.rate_limit.handle(),
            breaker: slots.breaker.handle(),
            health: slots.health.handle(),
            attempt_timeout: slots.attempt_timeout.handle(),
            chaos: slots.chaos.handle(),
            protocol: (),
            name,
        }
    }

    /// The same with handles of what is particular to a protocol.
    #[cfg(feature = "http")]
    pub(crate) fn with_protocol<E>(self, protocol: E) -> StackHandles<O, E> {
        StackHandles {
            telemetry: self.telemetry,
            deadline: self.deadline,
            fallback: self.fallback,
            cache: self.cache,
            coalesce: self.coalesce,
            retry: self.retry,
            hedge: self.hedge,
            throttle: self.throttle,
            bulkhead: self.bulkhead,
            rate_limit: self.rate_limit,
            breaker: self.breaker,
            health: self.health,
            attempt_timeout: self.attempt_timeout,
            chaos: self.chaos,
            protocol,
            name: self.name,
        }
    }
}

/// Handles of what is particular to a protocol; `()` and [`HttpHandles`](crate::HttpHandles).
pub trait ProtocolHandles: SlotHandle {
    /// Writes the settings in force.
    #[doc(hidden)]
    fn read_settings(&self, settings: &mut Settings);

    /// Applies its part of `settings`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a layer cannot be changed so while it runs.
    #[doc(hidden)]
    fn apply_settings(&self, settings: &Settings) -> Result<(), InvalidConfig>;
}

impl ProtocolHandles for () {
    fn read_settings(&self, _: &mut Settings) {}

    fn apply_settings(&self, _: &Settings) -> Result<(), InvalidConfig> {
        Ok(())
    }
}

impl<O: StackSlots, E: ProtocolHandles> StackHandles<O, E> {
    /// The name of the stack and of its layers.
    pub fn name(&self) -> InstanceName {
        self.name
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings {
            telemetry: self.telemetry.config(),
            deadline: self.deadline.config(),
            retry: self.retry.config(),
            bulkhead: self.bulkhead.config(),
            rate_limit: self.rate_limit.config(),
            breaker: self.breaker.config(),
            attempt_timeout: self.attempt_timeout.config(),
            #[cfg(feature = "http")]
            body_timeout: seawall_http::body_timeout::BodyTimeoutConfig::default(),
        };
        self.protocol.read_settings(&mut settings);
        settings
    }

    /// Changes the settings of all layers while calls run: all of them or, when one is not
    /// accepted, none. What the layers know stays: open circuits, spent tokens, queues, learned
    /// values. Optional layers are configured by their own handles.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when
    ///
    /// * the settings do not fit each other, see [`Settings::check`];
    /// * the rate limit has other kinds of limits than before;
    /// * the attempt timeout is learned, and `attempt_timeout` not the longest one: configure what
    ///   is learned by its own handle.
    pub fn configure(&self, settings: &Settings) -> Result<(), InvalidConfig> {
        settings.check()?;
        let before = self.settings();
        self.apply(&before, settings).inspect_err(|_| {
            // What was in force before is accepted.
            let _ = self.apply(settings, &before);
        })
    }

    /// Leaves alone what does not change: a limit that has been learned starts again when it is
    /// set.
    fn apply(&self, from: &Settings, to: &Settings) -> Result<(), InvalidConfig> {
        // First what can be rejected.
        if from.rate_limit != to.rate_limit {
            self.rate_limit.configure(to.rate_limit.clone())?;
        }
        if from.attempt_timeout != to.attempt_timeout {
            self.attempt_timeout.configure(to.attempt_timeout)?;
        }
        if from.bulkhead != to.bulkhead {
            self.bulkhead.configure(to.bulkhead)?;
        }
        if from.breaker != to.breaker {
            self.breaker.configure(to.breaker.clone())?;
        }
        self.protocol.apply_settings(to)?;
        self.retry.configure(to.retry.clone())?;
        if from.telemetry != to.telemetry {
            self.telemetry.configure(to.telemetry)?;
        }
        self.deadline.configure(to.deadline)
    }

    /// Everything that every layer knows now.
    pub fn snapshot(&self) -> StackSnapshot {
        let mut snapshot = StackSnapshot {
            name: self.name,
            telemetry: self.telemetry.snapshot(),
            deadline: self.deadline.snapshot(),
            fallback: None,
            cache: None,
            coalesce: None,
            retry: self.retry.snapshot(),
            hedge: None,
            throttle: None,
            bulkhead: self.bulkhead.permits().snapshot(),
            adaptive: None,
            rate_limit: self.rate_limit.total(),
            rate_limit_per_key: None,
            breaker: None,
            breaker_per_key: None,
            health: None,
            attempt_timeout: self.attempt_timeout.snapshot(),
            #[cfg(feature = "chaos")]
            chaos: None,
            #[cfg(feature = "http")]
            http: None,
        };
        self.fallback.add_to(&mut snapshot);
        self.cache.add_to(&mut snapshot);
        self.coalesce.add_to(&mut snapshot);
        self.hedge.add_to(&mut snapshot);
        self.throttle.add_to(&mut snapshot);
        self.bulkhead.add_to(&mut snapshot);
        self.rate_limit.add_to(&mut snapshot);
        self.breaker.add_to(&mut snapshot);
        self.health.add_to(&mut snapshot);
        self.chaos.add_to(&mut snapshot);
        self.protocol.add_to(&mut snapshot);
        snapshot
    }

    /// What became of the calls so far in every layer.
    pub fn counts(&self) -> StackCounts {
        self.snapshot().into()
    }

    /// Back to automatic: every layer forgets what it has learned and every operator command, and
    /// the circuit is closed. Counters stay, and so do the settings: what was
    /// [configured](Self::configure) is in force until it is configured again.
    pub fn reset(&self) {
        self.telemetry.reset();
        self.deadline.reset();
        self.fallback.reset();
        self.cache.reset();
        self.coalesce.reset();
        self.retry.reset();
        self.hedge.reset();
        self.throttle.reset();
        self.bulkhead.reset();
        self.rate_limit.reset();
        self.breaker.reset();
        self.health.reset();
        self.attempt_timeout.reset();
        self.chaos.reset();
        self.protocol.reset();
    }

    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before
    /// stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        registry.register(self.telemetry.clone())?;
        registry.register(self.deadline.clone())?;
        self.fallback.register(registry)?;
        self.cache.register(registry)?;
        self.coalesce.register(registry)?;
        registry.register(self.retry.clone())?;
        self.hedge.register(registry)?;
        self.throttle.register(registry)?;
        self.bulkhead.register(registry)?;
        self.rate_limit.register(registry)?;
        self.breaker.register(registry)?;
        self.health.register(registry)?;
        self.attempt_timeout.register(registry)?;
        self.chaos.register(registry)?;
        self.protocol.register(registry)
    }

    /// Removes from `registry` every instance of the patterns and the name of this stack's layers: the
    /// inverse of [`register`](Self::register). The layers work on. For a stack that is to be replaced
    /// by another one of its name; call it before the new one is registered.
    ///
    /// ```
    /// use seawall::Registry;
    ///
    /// let registry = Registry::new("desk");
    /// let old = seawall::broker("my-broker").build()?.handles();
    /// old.register(&registry)?;
    /// let new = seawall::broker("my-broker").build()?.handles();
    /// assert!(new.register(&registry).is_err());
    /// old.unregister(&registry);
    /// new.register(&registry)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unregister(&self, registry: &Registry) {
        remove(registry, &self.telemetry);
        remove(registry, &self.deadline);
        self.fallback.unregister(registry);
        self.cache.unregister(registry);
        self.coalesce.unregister(registry);
        remove(registry, &self.retry);
        self.hedge.unregister(registry);
        self.throttle.unregister(registry);
        self.bulkhead.unregister(registry);
        self.rate_limit.unregister(registry);
        self.breaker.unregister(registry);
        self.health.unregister(registry);
        self.attempt_timeout.unregister(registry);
        self.chaos.unregister(registry);
        self.protocol.unregister(registry);
    }
}
