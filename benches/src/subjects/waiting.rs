//! What a wait costs without a scheduler: calls that go round, of which most are queued.
//!
//! One round completes the oldest running call, lets the next one of the queue run, and sends one
//! more to the end of the queue.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::WrapError;
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimit;
use tower_layer::Layer;
use tower_service::Service;

use super::{Instance, Subject, Worker};
use crate::leaf::Late;

const CALLS: usize = 64;
const PERMITS: usize = 8;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        service("seawall/bulkhead/waiting", || {
            let config = BulkheadConfig::builder()
                .max_concurrent(PERMITS as u32)
                .max_waiting(CALLS as u32)
                .build();
            let layer = BulkheadLayer::new("bench", config.expect("a valid bulkhead"));
            layer.layer(WrapError::new(Late))
        }),
        // Not a service: what a wait costs at least.
        subject("tokio/bulkhead/waiting", || {
            let semaphore = Arc::new(Semaphore::new(PERMITS));
            move |request| {
                let semaphore = Arc::clone(&semaphore);
                async move {
                    let permit = semaphore.acquire().await;
                    permit.is_ok() && Late.call(request).await.is_ok()
                }
            }
        }),
        service("tower/bulkhead/waiting", || {
            ConcurrencyLimit::new(Late, PERMITS)
        }),
    ]
}

fn service<S>(name: &'static str, make: impl Fn() -> S + 'static) -> Subject
where
    S: Service<u64, Error: Send, Future: Send> + Clone + Send + 'static,
{
    subject(name, move || {
        let service = make();
        move |request| {
            let mut service = service.clone();
            async move {
                let ready = poll_fn(|cx| service.poll_ready(cx)).await;
                ready.is_ok() && service.call(request).await.is_ok()
            }
        }
    })
}

fn subject<C, F>(name: &'static str, make: impl Fn() -> C + 'static) -> Subject
where
    C: Fn(u64) -> F + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let instance = move || {
        let mut only = Some(make());
        Instance {
            service_bytes: size_of::<C>(),
            future_bytes: size_of::<F>(),
            worker: Box::new(move || only.take().map(going_round)),
        }
    };
    Subject::new(name, instance).alone()
}

fn going_round<C, F>(call: C) -> Worker
where
    C: Fn(u64) -> F + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    // Whether it has succeeded, now or before.
    let poll = |call: &mut Pin<Box<Option<F>>>| {
        let mut cx = Context::from_waker(Waker::noop());
        let Some(running) = call.as_mut().as_pin_mut() else {
            return true;
        };
        let done = running.poll(&mut cx) == Poll::Ready(true);
        if done {
            call.set(None);
        }
        done
    };
    let mut calls: Vec<_> = (0..CALLS as u64).map(|n| Box::pin(Some(call(n)))).collect();
    for call in &mut calls {
        poll(call);
    }
    let mut oldest = 0;
    Box::new(move |rounds| {
        (0..rounds).fold(0, |ok, round| {
            let mut done = poll(&mut calls[oldest]);
            let mut tries = 0;
            while !done && tries < CALLS {
                // The machine has slept, and notified waiters have lapsed: some order is lost.
                tries += 1;
                for call in &mut calls {
                    poll(call);
                }
                done = poll(&mut calls[oldest]);
            }
            // Made where the one before it was.
            calls[oldest].as_mut().set(Some(call(round)));
            poll(&mut calls[oldest]);
            poll(&mut calls[(oldest + PERMITS) % CALLS]);
            oldest = (oldest + 1) % CALLS;
            ok + u64::from(done)
        })
    })
}
