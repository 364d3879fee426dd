//! The threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use seawall_core::InstanceName;
use tokio::runtime::{Builder, Runtime};

use super::config::{BlockingConfig, IsolatedConfig};
use super::executor::Executor;
use crate::pool::{PoolHandle, PoolState, Threads};

/// The threads. Kept by the layer, its services and the futures of calls, and by nothing that
/// runs on the threads themselves.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    state: Arc<PoolState>,
    threads: Threads,
    /// Polls the calls of an isolated pool; a blocking one has no thread for it.
    executor: Arc<Executor>,
    /// Runs closures, or drives the timers and sockets of calls; `None` while it is dropped.
    runtime: Option<Runtime>,
}

impl ThreadPool {
    pub(crate) fn isolated(name: InstanceName, config: IsolatedConfig) -> io::Result<Arc<Self>> {
        // The one worker has the driver, and runs what calls spawn. It runs no call.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        let runtime = builder.thread_name(name.as_str()).build()?;
        let state = PoolState::new("isolated", name, config.limits());
        let pool = Self::new(state, threads(config.threads()), runtime);
        for _ in 0..config.threads() {
            let (name, alive) = (name.as_str(), &pool.threads.alive);
            let runtime = pool.runtime().handle().clone();
            // Where one fails, the drop of the pool ends those before.
            pool.executor.start_thread(name, runtime, alive)?;
        }
        Ok(Arc::new(pool))
    }

    pub(crate) fn blocking(name: InstanceName, config: BlockingConfig) -> io::Result<Arc<Self>> {
        let threads = threads(config.threads());
        let (started, stopped) = (Arc::clone(&threads.alive), Arc::clone(&threads.alive));
        // It has no worker: nothing but closures is spawned on it.
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(config.threads() as usize)
            .thread_name(name.as_str())
            .on_thread_start(move || {
                started.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                stopped.fetch_sub(1, Ordering::Relaxed);
            })
            .build()?;
        let state = PoolState::new("blocking", name, config.limits());
        Ok(Arc::new(Self::new(state, threads, runtime)))
    }

    fn new(state: Arc<PoolState>, threads: Threads, runtime: Runtime) -> Self {
        Self {
            state,
            threads,
            executor: Arc::default(),
            runtime: Some(runtime),
        }
    }

    pub(crate) const fn state(&self) -> &Arc<PoolState> {
        &self.state
    }

    /// A handle, which does not keep the threads.
    pub(crate) fn handle<C>(&self) -> PoolHandle<C> {
        PoolHandle::new(Arc::clone(&self.state), Some(self.threads.clone()))
    }

    pub(crate) const fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken when dropped only")
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.executor.close();
        // The last one may go inside of an async context, where waiting for threads panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// None is alive yet.
fn threads(configured: u32) -> Threads {
    let alive = Arc::default();
    Threads { configured, alive }
}
