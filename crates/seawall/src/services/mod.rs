//! Services by name, each behind its stack: call through them, see how they are, shut down in order.
//!
//! For what is no HTTP client: a database, a message queue, an SDK. Any async function is called
//! through a service, with what it borrows, and without a line of Tower.
//!
//! ```
//! use seawall::Services;
//!
//! # async fn load(account: &str) -> Result<usize, std::io::Error> { Ok(account.len()) }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let services = Services::new("trading-desk");
//! let database = services.add(seawall::database("orders-db"))?;
//!
//! let account = String::from("A-17");
//! let orders = database.operation("load_orders").retry_safe().call(|| load(&account)).await?;
//! assert_eq!(orders, 4);
//!
//! // Elsewhere, by name; the operation has a circuit of its own.
//! let database = services.get("orders-db").ok_or("it was added")?;
//! database.call("cancel_order", || load("A-17")).await?;
//! assert_eq!(services.status().len(), 1);
//! services.shut_down().await;
//! # Ok(()) }
//! ```

mod operation;
mod service;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arc_swap::ArcSwap;
use seawall_core::{AlreadyRegistered, InstanceName, InvalidConfig, Registry};
use seawall_health::{HealthMonitor, MonitorGuard};

use crate::StackBuilder;

pub use operation::{CallFunction, Operation, OperationMeta};
pub use service::{MAX_OPERATIONS, OperationCall, OperationStatus, Service, ServiceStatus};

/// The services of a program, by name.
///
/// Clones share them. Every layer of every service is in one [`Registry`], for metrics, events and
/// operators. A look-up takes no lock.
#[derive(Clone)]
pub struct Services {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    health: HealthMonitor,
    by_name: ArcSwap<HashMap<&'static str, Service>>,
    /// The checks that run in the background. Held while services are added or removed as well.
    running: Mutex<Option<MonitorGuard>>,
}

/// Why a service was not added.
#[non_exhaustive]
#[derive(Debug)]
pub enum AddServiceError {
    /// There is one of that name.
    Taken(AlreadyRegistered),
    /// A setting that is not accepted.
    Invalid(InvalidConfig),
}

impl Services {
    /// No services yet; `program` is the label `service` of all metrics.
    pub fn new(program: impl Into<InstanceName>) -> Self {
        let program = program.into();
        Self {
            shared: Arc::new(Shared {
                registry: Registry::new(program),
                health: HealthMonitor::new(program),
                by_name: ArcSwap::default(),
                running: Mutex::new(None),
            }),
        }
    }

    /// The services of the process, for programs that pass none around.
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<Services> = LazyLock::new(|| Services::new("seawall"));
        &GLOBAL
    }

    /// Adds a service with the settings and the name of `stack`: at most 64 bytes, without `/`.
    ///
    /// Each [operation](Service::operation) has a circuit of its own; permits, rate limit and the
    /// budget of retries are those of the service.
    ///
    /// # Errors
    ///
    /// [`AddServiceError`] when the name is taken, or a setting is not accepted.
    pub fn add(&self, stack: StackBuilder) -> Result<Service, AddServiceError> {
        let service = Service::new(stack).map_err(AddServiceError::Invalid)?;
        let _changing = self.changing();
        let registry = &self.shared.registry;
        service.register(registry).map_err(AddServiceError::Taken)?;
        let mut by_name = HashMap::clone(&self.shared.by_name.load());
        by_name.insert(service.name().as_str(), service.clone());
        self.shared.by_name.store(Arc::new(by_name));
        Ok(service)
    }

    /// The service of that name.
    pub fn get(&self, name: &str) -> Option<Service> {
        self.shared.by_name.load().get(name).cloned()
    }

    /// All services, by name.
    pub fn all(&self) -> Vec<Service> {
        let mut all: Vec<_> = self.shared.by_name.load().values().cloned().collect();
        all.sort_by_key(|service| service.name().as_str());
        all
    }

    /// How each service is, by name.
    pub fn status(&self) -> Vec<ServiceStatus> {
        self.all().iter().map(Service::status).collect()
    }

    /// How the service of that name is.
    pub fn status_of(&self, name: &str) -> Option<ServiceStatus> {
        self.get(name).map(|service| service.status())
    }

    /// Every layer of every service, to publish and to control.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The checks of the program's health, to which checks of your own are added.
    pub fn health(&self) -> &HealthMonitor {
        &self.shared.health
    }

    /// Starts the [health checks](Self::health) in the background; nothing where they run already.
    ///
    /// # Panics
    ///
    /// As [`HealthMonitor::start`]: outside of a Tokio runtime.
    pub fn start(&self) {
        let mut running = self.changing();
        if running.is_none() {
            *running = Some(self.shared.health.start());
        }
    }

    /// Stops the health checks.
    pub fn stop(&self) {
        *self.changing() = None;
    }

    /// Stops the health checks, rejects new calls of every service, and waits until those that
    /// [run](Service::drained) have ended. Calls that wait for a permit end by then, too: drop the returned future, or put a
    /// timeout around it, to wait no longer. [`Service::resume`] undoes it for one service.
    pub async fn shut_down(&self) {
        self.stop();
        let all = self.all();
        for service in &all {
            service.drain();
        }
        for service in &all {
            service.drained().await;
        }
    }

    fn changing(&self) -> std::sync::MutexGuard<'_, Option<MonitorGuard>> {
        let running = &self.shared.running;
        running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all();
        let names = names.iter().map(Service::name);
        f.debug_tuple("Services")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Display for AddServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(taken) => {
                let name = taken.name;
                write!(
                    f,
                    "a service named `{name}`, or another stack of that name, is there already"
                )
            }
            Self::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for AddServiceError {}
