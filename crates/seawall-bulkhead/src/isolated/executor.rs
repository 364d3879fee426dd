//! Runs the calls of an isolated pool: a queue of what is to be polled, and threads that poll it.
//!
//! A runtime would run the calls as well, but not apart from each other: whichever of its workers is
//! idle drives the timers and sockets of all, until that worker polls a call that blocks; and what a
//! call wakes is polled next by the same worker, which is the wrong one if the call then blocks. Here
//! the runtime only drives, on a thread of its own, and every idle thread takes from one queue.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_task::{Runnable, Task};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;

/// What is to be polled, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Executor {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    runnable: VecDeque<Runnable>,
    /// Threads that wait: to notify where there is none is a system call for nothing.
    idle: u32,
    closed: bool,
}

impl Executor {
    /// Starts a thread that polls until the executor is closed. `runtime` is what the work finds as
    /// the current one; `alive` counts the thread.
    pub(crate) fn start_thread(
        self: &Arc<Self>,
        name: &'static str,
        runtime: Handle,
        alive: &Arc<AtomicU32>,
    ) -> io::Result<()> {
        let (executor, alive) = (Arc::clone(self), Alive::new(alive));
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || {
            let _alive = alive;
            while let Some(task) = executor.next() {
                // Each poll within a `block_on` of its own: so it has Tokio's budget, at whose end
                // a call for which everything is ready lets others have the thread.
                let poll = || runtime.block_on(async { task.run() });
                // Of work only the drop of a result or of a waker panics here.
                let _ = contain(poll);
            }
        })?;
        Ok(())
    }

    /// Starts `work`. When the task is dropped, so is the work, by a thread of the executor; not
    /// before its next await, if it is being polled.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Task<()> {
        let executor = Arc::clone(self);
        let work = Contained { work: Some(work) };
        let (runnable, task) = async_task::spawn(work, move |task| executor.schedule(task));
        runnable.schedule();
        task
    }

    /// Lets the threads end when the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn schedule(&self, task: Runnable) {
        let mut queue = self.lock();
        if queue.closed {
            // Nobody may be there to poll it. Dropped without the lock: it drops the work.
            drop(queue);
            return drop(task);
        }
        queue.runnable.push_back(task);
        let idle = queue.idle > 0;
        drop(queue);
        if idle {
            self.changed.notify_one();
        }
    }

    /// Waits for a task; `None` when there will be none.
    fn next(&self) -> Option<Runnable> {
        let mut queue = self.lock();
        loop {
            let task = queue.runnable.pop_front();
            if task.is_some() || queue.closed {
                return task;
            }
            queue.idle += 1;
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a thread for as long as it lives.
struct Alive(Arc<AtomicU32>);

impl Alive {
    fn new(alive: &Arc<AtomicU32>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(alive))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// Work whose panics end it, and nothing else: those of its drop would end the process.
    struct Contained<F> {
        #[pin]
        work: Option<F>,
    }

    impl<F> PinnedDrop for Contained<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut work = this.project().work;
            contain(|| work.set(None));
        }
    }
}

impl<F: Future<Output = ()>> Future for Contained<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut work = self.project().work;
        if let Some(running) = work.as_mut().as_pin_mut()
            && contain(|| running.poll(cx)) == Some(Poll::Pending)
        {
            return Poll::Pending;
        }
        contain(|| work.set(None));
        Poll::Ready(())
    }
}

/// `None` when it panicked, which the panic hook has reported.
fn contain<T>(work: impl FnOnce() -> T) -> Option<T> {
    let panic = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => return Some(done),
        Err(panic) => panic,
    };
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        #[expect(clippy::mem_forget, reason = "its drop may panic each time")]
        std::mem::forget(again);
    }
    None
}
