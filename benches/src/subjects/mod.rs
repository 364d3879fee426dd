//! What is measured: one file per crate, and here what a subject is.

mod admin;
mod ai;
mod caches;
mod crowds;
mod extra;
mod governor;
mod health;
mod http;
mod http_parts;
mod loopback;
mod monitor;
mod operations;
mod orders;
mod raw;
mod recloser;
mod routes;
mod seatbelt;
mod seawall;
mod tower;
mod tower_resilience;
mod waiting;

use std::future::Future;
use std::hint::{black_box, spin_loop};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tower_service::Service;

pub(crate) use crowds::crowds;
pub(crate) use extra::Extra;

/// Longer than any run: what lasts this long does not end.
const HOUR: Duration = Duration::from_secs(3_600);
/// A timeout that is never reached.
const LONG: Duration = Duration::from_secs(30);
/// More concurrent calls than there are.
const MANY: u32 = 1_024;

/// Every subject, ours first in each pattern's order of the report.
pub(crate) fn all() -> Vec<Subject> {
    let mut all = Vec::new();
    all.extend(raw::subjects());
    all.extend(seawall::subjects());
    all.extend(caches::subjects());
    all.extend(http::subjects());
    all.extend(http_parts::subjects());
    all.extend(ai::subjects());
    all.extend(orders::subjects());
    all.extend(routes::subjects());
    all.extend(monitor::subjects());
    all.extend(tower::subjects());
    all.extend(tower_resilience::subjects());
    all.extend(waiting::subjects());
    all.extend(seatbelt::subjects());
    all.extend(governor::subjects());
    all.extend(recloser::subjects());
    all
}

/// Makes so many calls one after the other, and returns how many were `Ok`.
pub(crate) type Worker = Box<dyn FnMut(u64) -> u64 + Send>;

/// One way to configure one layer.
pub(crate) struct Subject {
    /// `<crate>/<pattern>/<case>`.
    pub(crate) name: &'static str,
    /// Whether each call must be rejected.
    pub(crate) rejects: bool,
    /// The most calls that a batch may make, where the state grows with each.
    pub(crate) batch_limit: u64,
    /// Whether two threads may call it at once.
    pub(crate) shared: bool,
    make: Box<dyn Fn() -> Instance>,
}

/// A subject with its state.
pub(crate) struct Instance {
    pub(crate) service_bytes: usize,
    pub(crate) future_bytes: usize,
    worker: Box<dyn FnMut() -> Option<Worker>>,
}

impl Instance {
    /// One more worker on the same state; none if the subject cannot be shared.
    pub(crate) fn worker(&mut self) -> Option<Worker> {
        (self.worker)()
    }
}

impl Subject {
    /// A fresh state.
    pub(crate) fn instance(&self) -> Instance {
        (self.make)()
    }

    /// Whether a batch needs a fresh state, since each call makes the next one slower.
    pub(crate) fn wears_out(&self) -> bool {
        self.batch_limit != u64::MAX
    }

    fn new(name: &'static str, make: impl Fn() -> Instance + 'static) -> Self {
        Self {
            name,
            rejects: false,
            batch_limit: u64::MAX,
            shared: true,
            make: Box::new(make),
        }
    }

    /// A service whose clones share their state.
    fn service<S>(name: &'static str, make: impl Fn() -> S + 'static) -> Self
    where
        S: Service<u64> + Clone + Send + 'static,
    {
        Self::new(name, move || {
            let template = make();
            Instance::of::<S, u64>(move || Some(calling(template.clone())))
        })
    }

    /// The same, cloned for every call, as servers do it.
    fn service_cloned<S>(name: &'static str, make: impl Fn() -> S + 'static) -> Self
    where
        S: Service<u64> + Clone + Send + 'static,
    {
        Self::new(name, move || {
            let template = make();
            Instance::of::<S, u64>(move || Some(calling_clones(template.clone())))
        })
    }

    /// A service that cannot be cloned.
    fn lone_service<S>(name: &'static str, make: impl Fn() -> S + 'static) -> Self
    where
        S: Service<u64> + Send + 'static,
    {
        Self::new(name, move || {
            let mut only = Some(make());
            Instance::of::<S, u64>(move || only.take().map(calling))
        })
    }

    /// A plain function; its clones share their state.
    fn function<F>(name: &'static str, make: impl Fn() -> F + 'static) -> Self
    where
        F: FnMut(u64) -> bool + Clone + Send + 'static,
    {
        Self::new(name, move || {
            let template = make();
            let worker = move || {
                let mut function = template.clone();
                let run = move |calls| {
                    (0..calls).fold(0, |ok, i| ok + u64::from(black_box(function(black_box(i)))))
                };
                Some(Box::new(run) as Worker)
            };
            Instance {
                service_bytes: size_of::<F>(),
                future_bytes: 0,
                worker: Box::new(worker),
            }
        })
    }

    /// An async function; its clones share their state.
    fn async_function<F>(name: &'static str, make: impl Fn() -> F + 'static) -> Self
    where
        F: AsyncFn(u64) -> bool + Clone + Send + 'static,
    {
        Self::new(name, move || {
            let template = make();
            let future_bytes = size_of_val(&template(0));
            let worker = move || {
                let function = template.clone();
                let run = move |calls| {
                    let mut cx = Context::from_waker(Waker::noop());
                    (0..calls).fold(0, |ok, i| {
                        let mut future = pin!(function(black_box(i)));
                        ok + u64::from(black_box(until_ready(|| future.as_mut().poll(&mut cx))))
                    })
                };
                Some(Box::new(run) as Worker)
            };
            Instance {
                service_bytes: size_of::<F>(),
                future_bytes,
                worker: Box::new(worker),
            }
        })
    }

    /// Every call must be rejected.
    fn rejecting(mut self) -> Self {
        self.rejects = true;
        self
    }

    /// Only one thread calls it.
    fn alone(mut self) -> Self {
        self.shared = false;
        self
    }

    /// No batch makes more calls than this, and each starts afresh.
    fn at_most(mut self, calls: u64) -> Self {
        self.batch_limit = calls;
        self
    }
}

impl Instance {
    fn of<S: Service<Req>, Req>(worker: impl FnMut() -> Option<Worker> + 'static) -> Self {
        Self {
            service_bytes: size_of::<S>(),
            future_bytes: size_of::<S::Future>(),
            worker: Box::new(worker),
        }
    }
}

fn calling<S: Service<u64> + Send + 'static>(mut service: S) -> Worker {
    Box::new(move |calls| (0..calls).fold(0, |ok, i| ok + u64::from(call(&mut service, i))))
}

fn calling_clones<S: Service<u64> + Clone + Send + 'static>(template: S) -> Worker {
    Box::new(move |calls| {
        (0..calls).fold(0, |ok, i| ok + u64::from(call(&mut template.clone(), i)))
    })
}

#[inline(always)]
fn call<S: Service<u64>>(service: &mut S, request: u64) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    if let Err(error) = until_ready(|| service.poll_ready(&mut cx)) {
        black_box(error);
        return false;
    }
    let mut future = pin!(service.call(black_box(request)));
    let result = until_ready(|| future.as_mut().poll(&mut cx));
    black_box(&result).is_ok()
}

/// Polls until there is a result: at the first poll, or when the other thread has let go of an
/// async lock.
#[inline(always)]
fn until_ready<T>(mut poll: impl FnMut() -> Poll<T>) -> T {
    for _ in 0..1_000_000_000_u64 {
        if let Poll::Ready(ready) = poll() {
            return ready;
        }
        spin_loop();
    }
    panic!("this subject waits for something that never comes");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::harness;

    #[test]
    fn every_subject_has_a_name_of_its_own_in_three_parts() {
        let mut seen = HashSet::new();
        for Subject { name, .. } in all() {
            assert_eq!(name.split('/').count(), 3, "{name}");
            assert!(seen.insert(name), "{name} twice");
        }
    }

    #[test]
    fn every_subject_answers_or_rejects_as_it_says() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        for subject in all() {
            assert_eq!(harness::run_one(&subject, 30), Ok(()));
        }
    }

    #[test]
    fn no_call_of_ours_allocates_but_for_copies_of_headers() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        for subject in all().iter().filter(|s| s.name.starts_with("seawall/")) {
            let mut instance = subject.instance();
            let mut worker = instance.worker().expect("a worker");
            worker(10);
            let counted = allocation_counter::measure(|| {
                worker(10);
            });
            let most = match subject.name.split('/').collect::<Vec<_>>()[..] {
                // Of these, two are the request's own, and two those of its copy.
                [_, "http", case] if case.contains("-6") => 40,
                // An error is read where a call has failed.
                [_, "ai", "classify"] => 180,
                // What waits is boxed.
                [_, _, "waiting"] => 10,
                // What a second of monitoring does is no call.
                [_, "monitor", "sample-100" | "frame-100"] => u64::MAX,
                _ => 0,
            };
            assert!(counted.count_total <= most, "{}: {counted:?}", subject.name);
        }
    }
}
