//! The threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_core::InstanceName;
use tokio::runtime::{Builder, Runtime};

use super::config::{BlockingConfig, IsolatedConfig};
use crate::pool::{PoolHandle, PoolState, Threads};

/// The threads. Kept by the layer, its services and the futures of calls, and by nothing that
/// runs on the threads themselves.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    state: Arc<PoolState>,
    threads: Threads,
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
}

impl ThreadPool {
    pub(crate) fn isolated(name: InstanceName, config: IsolatedConfig) -> io::Result<Arc<Self>> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(config.threads() as usize);
        builder.enable_all();
        let state = PoolState::new("isolated", name, config.limits());
        Self::start(state, config.threads(), builder)
    }

    pub(crate) fn blocking(name: InstanceName, config: BlockingConfig) -> io::Result<Arc<Self>> {
        // It has no worker: nothing but closures is spawned on it.
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(config.threads() as usize);
        let state = PoolState::new("blocking", name, config.limits());
        Self::start(state, config.threads(), builder)
    }

    fn start(state: Arc<PoolState>, threads: u32, mut builder: Builder) -> io::Result<Arc<Self>> {
        // A thread's name is a C string: one with a zero byte would panic.
        let name = state.source.name().as_str().replace('\0', " ");
        let alive = Arc::new(AtomicU32::new(0));
        let (started, stopped) = (Arc::clone(&alive), Arc::clone(&alive));
        let runtime = builder
            .thread_name(name)
            .on_thread_start(move || {
                started.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                stopped.fetch_sub(1, Ordering::Relaxed);
            })
            .build()?;
        let threads = Threads {
            configured: threads,
            alive,
        };
        Ok(Arc::new(Self {
            state,
            threads,
            runtime: Some(runtime),
        }))
    }

    pub(crate) const fn state(&self) -> &Arc<PoolState> {
        &self.state
    }

    /// A handle, which does not keep the threads.
    pub(crate) fn handle<C>(&self) -> PoolHandle<C> {
        PoolHandle::new(Arc::clone(&self.state), Some(self.threads.clone()))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken when dropped only")
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // The last one may go inside of an async context, where waiting for threads panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
