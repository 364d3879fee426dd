//! The threads of a pool end with it, in whichever order its parts are dropped.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer};
use seawall_core::{Reason, Rejectable};
use tokio::sync::oneshot;
use tower_service::Service;

use super::*;

/// The threads of the process with this name.
#[cfg(target_os = "linux")]
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    let names = tasks.map(|task| {
        let comm = task.expect("an entry").path().join("comm");
        // It may have ended meanwhile.
        std::fs::read_to_string(comm).unwrap_or_default()
    });
    names.filter(|comm| comm.trim_end() == name).count()
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

async fn work(n: u64) -> Result<u64, Fails> {
    match n % 5 {
        0 => panic!("inner"),
        1 => std::thread::park_timeout(20 * MS),
        2 => sleep(20 * MS).await,
        3 => {
            let _bomb = Bomb;
            pending::<()>().await;
        }
        _ => {}
    }
    Ok(n)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_thread_is_left_after_drops_in_every_order() {
    for round in 0..12 {
        let config = IsolatedConfig::builder()
            .threads(3)
            .max_concurrent(4)
            .max_waiting(50)
            .max_wait(200 * MS);
        let layer = IsolatedLayer::new("iso-leak", config.build().unwrap()).unwrap();
        let handle = layer.handle();
        let svc = layer.layer(service_fn(work));
        let calls = (0..40_u32).map(|n| {
            let call = timeout(n * 37 % 150 * MS, svc.clone().oneshot(n.into()));
            tokio::spawn(async move { drop(call.await) })
        });
        let mut calls: Vec<_> = calls.collect();
        let unpolled = svc.clone().call(9);
        match round % 4 {
            0 => drop((layer, svc)),
            1 => {
                for call in calls.drain(..) {
                    call.await.unwrap();
                }
                drop((svc, layer));
            }
            2 => {
                calls.iter().for_each(JoinHandle::abort);
                drop((svc, layer));
            }
            _ => {
                drop(svc);
                for call in calls.drain(..) {
                    call.await.unwrap();
                }
                drop(layer);
            }
        }
        for call in calls {
            let _ = call.await;
        }
        drop(unpolled);
        until("nothing in flight", || {
            handle.in_flight() == 0 && handle.queue_depth() == 0
        })
        .await;
        until("no thread", || handle.threads() == 0).await;
        let counts = handle.counts();
        let ended = counts.success + counts.failure + counts.ignored + counts.abandoned;
        let ended = ended + counts.panicked + counts.rejected();
        // Tasks that were aborted before their first poll have never called.
        assert!(ended == 41 || round % 4 == 2 && ended < 41, "{counts:?}");
    }
    until("no thread of that name", || threads("iso-leak") == 0).await;
}

#[test]
fn the_last_owner_may_be_dropped_on_the_pool_itself() {
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let handle = rt.block_on(async {
        let layer = pool("iso-self", 2);
        let handle = layer.handle();
        let inner = layer.layer(service_fn(|n: u64| async move { Ok::<_, Fails>(n) }));
        let (begin, begun) = oneshot::channel();
        let begin = Arc::new(Mutex::new(Some(begin)));
        let outer = layer.layer(service_fn(move |n: u64| {
            let (inner, begin) = (inner.clone(), Arc::clone(&begin));
            async move {
                // Nested, on the same pool.
                let response = inner.oneshot(n).await;
                let begin = begin.lock().unwrap().take();
                begin.expect("called once").send(()).unwrap();
                sleep(50 * MS).await;
                response
            }
        }));
        let call = tokio::spawn(outer.clone().oneshot(1));
        begun.await.unwrap();
        drop((outer, layer));
        call.abort();
        let _ = call.await;
        until("no thread", || handle.threads() == 0).await;
        handle
    });
    drop(rt);
    assert_eq!((handle.threads(), handle.in_flight()), (0, 0));
}

#[tokio::test]
async fn a_blocked_call_that_was_dropped_ends_at_its_next_await_and_the_pool_with_it() {
    let layer = pool("iso-late", 2);
    let handle = layer.handle();
    let (svc_gate, passed) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (gate, after) = (svc_gate.clone(), Arc::clone(&passed));
    let (begin, mut begun) = mpsc::unbounded_channel();
    let svc = layer.layer(service_fn(move |()| {
        let (gate, after, begin) = (gate.clone(), Arc::clone(&after), begin.clone());
        async move {
            begin.send(()).unwrap();
            gate.wait();
            tokio::task::yield_now().await;
            after.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Fails>(())
        }
    }));
    let calls = [(); 2].map(|()| tokio::spawn(svc.clone().oneshot(())));
    for call in calls {
        soon("begun", begun.recv()).await;
        call.abort();
        let _ = call.await;
    }
    drop((svc, layer));
    // Nothing waits for them, and their permits are held.
    assert_eq!((handle.in_flight(), handle.threads()), (2, 2));
    svc_gate.open();
    until("no thread", || handle.threads() == 0).await;
    assert_eq!((handle.in_flight(), passed.load(Ordering::SeqCst)), (0, 0));
    assert_eq!(handle.counts().abandoned, 2);
}

#[tokio::test]
async fn a_blocking_pool_panics_cancels_and_ends() {
    let config = BlockingConfig::builder()
        .threads(2)
        .max_waiting(100)
        .max_wait(500 * MS);
    let layer = BlockingLayer::new("iso-closed", config.build().unwrap()).unwrap();
    let handle = layer.handle();
    let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&peak);
    let svc = layer.layer(move |n: u32| {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::park_timeout(5 * MS);
        running.fetch_sub(1, Ordering::SeqCst);
        assert!(!n.is_multiple_of(7), "closure");
        Ok::<_, std::io::Error>(n)
    });
    let calls =
        (0..100_u32).map(|n| tokio::spawn(timeout(n * 37 % 300 * MS, svc.clone().oneshot(n))));
    for call in calls.collect::<Vec<_>>() {
        if let Ok(Err(error)) = call.await.unwrap() {
            let reason = error.rejection().unwrap().reason();
            assert!(matches!(reason, Reason::Panicked | Reason::QueueTimeout));
        }
    }
    until("idle", || {
        handle.in_flight() == 0 && handle.queue_depth() == 0
    })
    .await;
    assert!(peak.load(Ordering::SeqCst) <= 2);
    drop((layer, svc));
    until("no thread", || handle.threads() == 0).await;
}

#[tokio::test]
async fn nothing_waits_for_a_closure_that_blocks() {
    let config = BlockingConfig::builder().threads(1).build().unwrap();
    let layer = BlockingLayer::new("iso-waits", config).unwrap();
    let (handle, gate) = (layer.handle(), Gate::default());
    let inner = gate.clone();
    let svc = layer.layer(move |()| {
        inner.wait();
        Ok::<_, std::io::Error>(())
    });
    let call = tokio::spawn(svc.clone().oneshot(()));
    until("it has begun", || handle.threads() == 1).await;
    call.abort();
    let _ = call.await;
    drop((layer, svc));
    assert_eq!(handle.threads(), 1, "it blocks still");
    gate.open();
    until("no thread", || handle.threads() == 0).await;
}
