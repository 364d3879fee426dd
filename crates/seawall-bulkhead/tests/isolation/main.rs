//! What calls on one pool do to each other: nothing, as long as one of its threads is free. The
//! clock of a pool cannot be paused, so timers here run in real time. Calls block until the test
//! releases them, and what must not wait for them has to end first.
#![cfg(feature = "isolated")]

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use seawall_bulkhead::isolated::{IsolatedConfig, IsolatedLayer};
use seawall_core::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

mod ends;
mod panics;
mod stalls;

type Fails = Error<std::io::Error>;

const MS: Duration = Duration::from_millis(1);

fn pool(name: &'static str, threads: u32) -> IsolatedLayer {
    let config = IsolatedConfig::builder()
        .threads(threads)
        .max_concurrent(64)
        .build()
        .expect("valid settings");
    IsolatedLayer::new(name, config).expect("a runtime")
}

/// Generous: nothing takes that long, unless it waits for what it must not wait for.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let in_time = timeout(Duration::from_secs(10), future).await;
    in_time.unwrap_or_else(|_| panic!("not within 10 seconds: {what}"))
}

async fn until(what: &str, met: impl Fn() -> bool) {
    soon(what, async {
        while !met() {
            sleep(MS).await;
        }
    })
    .await;
}

/// What blocks threads until it is opened, or dropped.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Blocks the thread.
    fn wait(&self) {
        let open = self.0.0.lock().expect("no panic");
        let longest = Duration::from_secs(60);
        drop(self.0.1.wait_timeout_while(open, longest, |open| !*open));
    }

    fn open(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }
}

/// Calls that block their threads.
struct Blocked {
    gate: Gate,
    calls: Vec<JoinHandle<Result<(), Fails>>>,
}

impl Blocked {
    /// So many calls block on the pool, each after an await whose end it learns by the driver.
    async fn by(layer: &IsolatedLayer, calls: usize) -> Self {
        let gate = Gate::default();
        let (begin, mut begun) = mpsc::unbounded_channel();
        let inner = gate.clone();
        let svc = layer.layer(service_fn(move |()| {
            let (begin, gate) = (begin.clone(), inner.clone());
            async move {
                sleep(20 * MS).await;
                begin.send(()).expect("the test waits for it");
                gate.wait();
                Ok::<_, Fails>(())
            }
        }));
        let calls = (0..calls).map(|_| tokio::spawn(svc.clone().oneshot(())));
        let this = Self {
            gate,
            calls: calls.collect(),
        };
        for _ in &this.calls {
            soon("a call blocks", begun.recv()).await;
        }
        this
    }

    /// They have blocked all the time; lets them end.
    async fn release(mut self) {
        assert!(self.calls.iter().all(|call| !call.is_finished()));
        self.gate.open();
        for call in self.calls.drain(..) {
            soon("it ends", call).await.expect("no panic").expect("ok");
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.gate.open();
    }
}
