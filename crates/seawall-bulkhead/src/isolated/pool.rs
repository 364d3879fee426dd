//! The threads, and what of them is seen from outside.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use seawall_core::{EventSource, InstanceName};
use tokio::runtime::{Builder, Runtime};

use super::{BlockingConfig, IsolatedConfig};
use crate::connections::gate::{Gate, Sizes};
use crate::connections::room::Room;

/// Either pool's settings, as a handle shows them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) threads: u32,
    pub(crate) max_concurrent: u32,
    pub(crate) max_waiting: u32,
    pub(crate) max_wait: Duration,
}

impl From<IsolatedConfig> for Settings {
    fn from(config: IsolatedConfig) -> Self {
        Self {
            threads: config.threads().get(),
            max_concurrent: config.max_concurrent().get(),
            max_waiting: config.max_waiting(),
            max_wait: config.max_wait().get(),
        }
    }
}

impl From<BlockingConfig> for Settings {
    fn from(config: BlockingConfig) -> Self {
        Self {
            threads: config.threads().get(),
            max_concurrent: config.threads().get(),
            max_waiting: config.max_waiting(),
            max_wait: config.max_wait().get(),
        }
    }
}

/// What a handle keeps alive: all but the threads.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) room: Arc<Room>,
    pub(crate) settings: Settings,
    pub(crate) alive: Arc<AtomicU32>,
}

/// The threads. Kept by the layer, its services and the futures of calls, and by nothing that
/// runs on the threads themselves.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) seen: Seen,
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
}

impl Pool {
    pub(crate) fn isolated(name: InstanceName, config: IsolatedConfig) -> io::Result<Arc<Self>> {
        let settings = Settings::from(config);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(settings.threads as usize);
        builder.enable_all();
        Self::start(EventSource::new("isolated", name), settings, builder)
    }

    pub(crate) fn blocking(name: InstanceName, config: BlockingConfig) -> io::Result<Arc<Self>> {
        let settings = Settings::from(config);
        // It has no worker: nothing but closures is spawned on it.
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(settings.threads as usize);
        Self::start(EventSource::new("blocking", name), settings, builder)
    }

    fn start(
        observer: EventSource,
        settings: Settings,
        mut builder: Builder,
    ) -> io::Result<Arc<Self>> {
        let gate = Gate::new(Sizes {
            total: settings.max_concurrent,
            per_key: None,
            waiting: settings.max_waiting,
        });
        // A thread's name is a C string: one with a zero byte would panic.
        let name = observer.name().as_str().replace('\0', " ");
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
        let room = Room::new(gate, observer, settings.max_wait);
        let seen = Seen {
            room,
            settings,
            alive,
        };
        let runtime = Some(runtime);
        Ok(Arc::new(Self { seen, runtime }))
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.seen.room
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken when dropped only")
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The last one may go inside of an async context, where waiting for threads panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
