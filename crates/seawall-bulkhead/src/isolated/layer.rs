//! The layer: owner of the threads.

use std::io;
use std::sync::Arc;

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use super::config::IsolatedConfig;
use super::service::Isolated;
use super::threads::ThreadPool;
use crate::pool::PoolHandle;

/// Runs the calls of a service on threads of their own; see the [module](super).
///
/// Its clones and every service that they make share one pool. The threads end in the background
/// when the last layer, service and call of the pool are gone.
///
/// ```
/// use seawall_bulkhead::isolated::{IsolatedConfig, IsolatedLayer};
///
/// let config = IsolatedConfig::builder().threads(2).max_concurrent(10).build()?;
/// let layer = IsolatedLayer::new("pricing", config)?;
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Of the policy `X` it uses the classifier, for its counters.
#[derive(Clone)]
pub struct IsolatedLayer<X = Policy> {
    pool: Arc<ThreadPool>,
    policy: X,
}

impl IsolatedLayer {
    /// Starts the threads. `name` is what rejections, metrics and threads are called by; Linux shows
    /// the first 15 bytes of a thread's name.
    ///
    /// # Errors
    ///
    /// When the operating system rejects a thread, or what a runtime needs, such as the file
    /// handles of its I/O driver.
    ///
    /// # Panics
    ///
    /// When the operating system rejects the thread of the driver.
    pub fn new(name: impl Into<InstanceName>, config: IsolatedConfig) -> io::Result<Self> {
        Ok(Self {
            pool: ThreadPool::isolated(name.into(), config)?,
            policy: Policy::new(),
        })
    }
}

policy_setters!(IsolatedLayer { pool }: classify);

impl<X> IsolatedLayer<X> {
    /// A handle to read and to control the pool from outside. It does not keep the threads.
    pub fn handle(&self) -> PoolHandle<IsolatedConfig> {
        self.pool.handle()
    }
}

impl<S, X: Clone> Layer<S> for IsolatedLayer<X> {
    type Service = Isolated<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        Isolated::new(inner, Arc::clone(&self.pool), self.policy.clone())
    }
}

seawall_core::impl_debug!(IsolatedLayer<X>: |this| name = this.pool.state().source.name());
