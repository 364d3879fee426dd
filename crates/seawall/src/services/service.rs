//! A service by name, and its stack.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use seawall_breaker::{BreakerHandle, BreakerLayer, CircuitState};
use seawall_bulkhead::BulkheadState;
use seawall_core::{
    AlreadyRegistered, CloneRequest, CompleteOnResponse, Error, ErrorIsFailure, InstanceName,
    InvalidConfig, KeepWhole, PartitionKey, Policy, Priority, Registry, Replay, RequestMeta,
    WrapError,
};
use seawall_ratelimit::RateLimitState;
use tower_layer::Layer;
use tower_service::Service as TowerService;

use super::operation::{CallFunction, Operation, OperationMeta};
use crate::settings::Settings;
use crate::{ClientStack, StackBuilder, StackHandles, StackService, StackSnapshot};

/// How many operations of a service have circuits of their own; further ones share one.
pub const MAX_OPERATIONS: usize = 1_024;

type OperationService = StackService<WrapError<CallFunction>, ServicePolicy>;
type ServicePolicy =
    Policy<ErrorIsFailure, OperationMeta, CompleteOnResponse, CloneRequest, KeepWhole>;

/// A service by name, through which any async function is called; from
/// [`Services`](super::Services).
///
/// Clones share everything.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    /// Its breaker is that of the operations that have none of their own.
    stack: ClientStack<ServicePolicy>,
    others: Guarded,
    operations: ArcSwap<HashMap<String, Arc<Guarded>>>,
    /// Where the breakers of operations are registered. Held while one is added.
    registry: Mutex<Option<Registry>>,
}

/// An operation behind the layers of its service and a circuit of its own.
struct Guarded {
    service: OperationService,
    breaker: BreakerHandle,
}

/// How a service is.
#[non_exhaustive]
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ServiceStatus {
    /// Its name.
    pub name: InstanceName,
    /// Whether no circuit of it is open, and neither bulkhead nor rate limit are paused or drain.
    pub is_available: bool,
    /// The operations that were called, by name.
    pub operations: Vec<OperationStatus>,
    /// Everything that its layers know. The breaker is that of operations beyond
    /// [`MAX_OPERATIONS`].
    pub layers: StackSnapshot,
}

/// How an operation of a service is.
#[non_exhaustive]
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OperationStatus {
    /// Its name.
    pub name: String,
    /// The state of its circuit.
    pub circuit: CircuitState,
}

impl Guarded {
    fn new(stack: &ClientStack<ServicePolicy>, breaker: BreakerHandle) -> Arc<Self> {
        let service = stack.layer(WrapError::new(CallFunction));
        Arc::new(Self { service, breaker })
    }
}

impl Service {
    pub(super) fn new(stack: StackBuilder) -> Result<Self, InvalidConfig> {
        let policy = Policy::new().describe(OperationMeta).keep(KeepWhole);
        let stack = stack.build_generic(policy)?;
        if stack.name().as_str().contains('/') {
            return Err(InvalidConfig::new(
                "name",
                stack.name(),
                "a name without `/`, which is between a service and its operation",
            ));
        }
        let service = stack.layer(WrapError::new(CallFunction));
        let others = Guarded {
            service,
            breaker: stack.handles().breaker,
        };
        let shared = Shared {
            stack,
            others,
            operations: ArcSwap::default(),
            registry: Mutex::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        let own = |registry: &Registry| -> HashSet<_> {
            let all = registry.all();
            let own = all.iter().filter(|layer| layer.name() == self.name());
            own.map(|layer| layer.pattern()).collect()
        };
        let before = own(registry);
        if let Err(taken) = self.handles().register(registry) {
            // All layers of a service are there, or none is.
            for pattern in own(registry).difference(&before) {
                registry.remove(pattern, self.name());
            }
            return Err(taken);
        }
        *self.adding() = Some(registry.clone());
        Ok(())
    }

    fn adding(&self) -> MutexGuard<'_, Option<Registry>> {
        let registry = &self.shared.registry;
        registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> InstanceName {
        self.shared.stack.name()
    }

    /// Handles of the layers that all operations share. Its breaker is that of operations beyond
    /// [`MAX_OPERATIONS`]: those before it have a [circuit](Self::circuit) each. What blocks the
    /// service is its bulkhead ([`drain`](Self::drain)).
    pub fn handles(&self) -> StackHandles {
        self.shared.stack.handles()
    }

    /// Calls `function` once, as the operation of that name. See
    /// [`operation`](Self::operation) for calls that may be repeated.
    ///
    /// # Errors
    ///
    /// As [`OperationCall::call`].
    pub async fn call<F, Fut, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        function: F,
    ) -> Result<T, Error<E>>
    where
        F: FnMut() -> Fut + Clone,
        Fut: Future<Output = Result<T, E>>,
    {
        self.operation(operation).call(function).await
    }

    /// An operation of that name, to be called. A name that is a constant costs nothing; each name
    /// has a circuit, so names are few: `"load_orders"`, and not that of an order.
    pub fn operation(&self, name: impl Into<Cow<'static, str>>) -> OperationCall<'_> {
        OperationCall::new(self, name.into())
    }

    async fn run<F, Fut, T, E>(&self, operation: Operation<F>) -> Result<T, Error<E>>
    where
        F: FnMut() -> Fut + Clone,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut service = self.service_of(operation.name());
        poll_fn(|cx| TowerService::<Operation<F>>::poll_ready(&mut service, cx)).await?;
        service.call(operation).await
    }

    fn service_of(&self, name: &str) -> OperationService {
        let known = self.shared.operations.load();
        match known.get(name) {
            Some(guarded) => guarded.service.clone(),
            None if known.len() >= MAX_OPERATIONS => self.shared.others.service.clone(),
            None => self.first_call_of(name),
        }
    }

    #[cold]
    fn first_call_of(&self, name: &str) -> OperationService {
        let registry = self.adding();
        let known = self.shared.operations.load();
        if let Some(guarded) = known.get(name) {
            return guarded.service.clone();
        }
        if known.len() >= MAX_OPERATIONS {
            return self.shared.others.service.clone();
        }
        let config = || self.shared.others.breaker.config();
        let breaker = BreakerLayer::new(format!("{}/{name}", self.name()), config());
        let handle = breaker.handle();
        if let Some(registry) = &*registry {
            // A name that is taken is another's, who has to be found by it.
            let _ = registry.register(handle.clone());
        }
        let stack = self.shared.stack.clone();
        let stack = stack.map_slots(|_, slots| slots.with_breaker(|_| breaker));
        let guarded = Guarded::new(&stack, handle.clone());
        let service = guarded.service.clone();
        let mut operations = HashMap::clone(&known);
        operations.insert(name.to_owned(), guarded);
        self.shared.operations.store(Arc::new(operations));
        // `configure` may have read the operations before this one was among them.
        let now = config();
        if handle.config() != now {
            // It was accepted for the others.
            let _ = handle.configure(now);
        }
        service
    }

    /// The circuit of an operation that was called.
    pub fn circuit(&self, operation: &str) -> Option<BreakerHandle> {
        let operations = self.shared.operations.load();
        operations
            .get(operation)
            .map(|guarded| guarded.breaker.clone())
    }

    fn circuits(&self) -> Vec<(String, BreakerHandle)> {
        let operations = self.shared.operations.load();
        let circuits = operations.iter();
        let circuits = circuits.map(|(name, guarded)| (name.clone(), guarded.breaker.clone()));
        let mut circuits: Vec<_> = circuits.collect();
        circuits.sort_by(|(a, _), (b, _)| a.cmp(b));
        circuits
    }

    /// How it is.
    pub fn status(&self) -> ServiceStatus {
        let operation = |(name, circuit): (String, BreakerHandle)| OperationStatus {
            name,
            circuit: circuit.state(),
        };
        let operations: Vec<_> = self.circuits().into_iter().map(operation).collect();
        let layers = self.handles().snapshot();
        let is_open = |circuit| matches!(circuit, CircuitState::Open | CircuitState::ForcedOpen);
        let is_shut = matches!(
            layers.bulkhead.state,
            BulkheadState::Paused | BulkheadState::Draining
        ) || matches!(
            layers.rate_limit.state,
            RateLimitState::Paused | RateLimitState::Draining
        ) || is_open(self.shared.others.breaker.state());
        ServiceStatus {
            name: self.name(),
            is_available: !is_shut && !operations.iter().any(|one| is_open(one.circuit)),
            operations,
            layers,
        }
    }

    /// Changes the settings while calls run; see [`StackHandles::configure`]. Those of the breaker
    /// are those of every operation's.
    ///
    /// # Errors
    ///
    /// As [`StackHandles::configure`].
    pub fn configure(&self, settings: &Settings) -> Result<(), InvalidConfig> {
        self.handles().configure(settings)?;
        for (_, circuit) in self.circuits() {
            circuit.configure(settings.breaker.clone())?;
        }
        Ok(())
    }

    /// Back to automatic: what was learned and every command of an operator is forgotten; counters
    /// stay.
    pub fn reset(&self) {
        self.handles().reset();
        for (_, circuit) in self.circuits() {
            circuit.reset();
        }
    }

    /// Rejects new calls, and lets those that run go on.
    pub fn drain(&self) {
        self.handles().bulkhead.drain();
    }

    /// Undoes [`drain`](Self::drain), and ends a pause or a bypass of the bulkhead as well.
    pub fn resume(&self) {
        self.handles().bulkhead.resume();
    }

    /// Completes when no call runs and none waits for a permit. A call between two attempts has none
    /// and is not waited for: its next attempt is rejected.
    pub async fn drained(&self) {
        self.handles().bulkhead.drained().await;
    }
}

/// A call that is about to be made; from [`Service::operation`].
///
/// It is made once, unless it is [safe to repeat](Self::retry_safe) or was certainly not made.
#[must_use = "nothing is called yet"]
#[derive(Clone, Debug)]
pub struct OperationCall<'a> {
    service: &'a Service,
    name: Cow<'static, str>,
    meta: RequestMeta,
}

impl<'a> OperationCall<'a> {
    fn new(service: &'a Service, name: Cow<'static, str>) -> Self {
        let meta = RequestMeta::new(Replay::Never);
        Self {
            service,
            name,
            meta,
        }
    }

    /// It may be made again after a failure: twice has the effect of once, as of reads.
    pub const fn retry_safe(mut self) -> Self {
        self.meta.replay = Replay::Safe;
        self
    }

    /// How much it matters where calls wait.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.meta = self.meta.with_priority(priority);
        self
    }

    /// What it takes of the rate limit; 1 unless set.
    pub fn cost(mut self, cost: u32) -> Self {
        self.meta = self.meta.with_cost(cost);
        self
    }

    /// What it belongs to.
    pub fn key(mut self, key: PartitionKey) -> Self {
        self.meta = self.meta.with_key(key);
        self
    }

    /// Makes the call: a clone of `function` once, or one for each attempt that retry makes. What it
    /// borrows may be borrowed until the returned future is done.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] when a layer of the service rejects, [`Error::Inner`] with the error of
    /// `function`, which is a failure of the service.
    pub async fn call<F, Fut, T, E>(self, function: F) -> Result<T, Error<E>>
    where
        F: FnMut() -> Fut + Clone,
        Fut: Future<Output = Result<T, E>>,
    {
        let Self {
            service,
            name,
            meta,
        } = self;
        service.run(Operation::new(name, meta, function)).await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.name()).finish()
    }
}
