//! Threads that are blocked, and what must go on.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::task::{block_in_place, spawn_blocking, yield_now};

use super::*;

/// One blocked of two, two of three, all but one of eight.
const SIZES: [(u32, usize); 4] = [(2, 1), (3, 2), (4, 1), (8, 7)];

#[tokio::test]
async fn a_call_that_blocks_its_thread_does_not_stall_the_timers_of_others() {
    for (threads, blocked) in SIZES {
        let layer = pool("iso-stall", threads);
        // The two are on their way at once: the first to end its sleep leaves the driver.
        for _ in 0..3 {
            let svc = layer.layer(service_fn(|()| async {
                for _ in 0..5 {
                    sleep(12 * MS).await;
                }
                Ok::<_, Fails>(())
            }));
            let sleeps = tokio::spawn(svc.oneshot(()));
            let blocked = Blocked::by(&layer, blocked).await;
            soon("sleeps", sleeps).await.unwrap().unwrap();
            blocked.release().await;
        }
    }
}

#[tokio::test]
async fn a_call_that_blocks_its_thread_does_not_stall_the_sockets_of_others() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut byte = [0];
                while socket.read_exact(&mut byte).await.is_ok() {
                    sleep(10 * MS).await;
                    socket.write_all(&byte).await.unwrap();
                }
            });
        }
    });
    for (threads, blocked) in SIZES {
        let layer = pool("iso-io", threads);
        let svc = layer.layer(service_fn(move |()| async move {
            let mut socket = tokio::net::TcpStream::connect(addr).await.unwrap();
            for _ in 0..8 {
                socket.write_all(b"x").await.unwrap();
                socket.read_exact(&mut [0]).await.unwrap();
            }
            Ok::<_, Fails>(())
        }));
        for _ in 0..3 {
            // On its way while the others begin to block, and from its beginning on.
            let (before, after) = (svc.clone(), svc.clone());
            let before = tokio::spawn(before.oneshot(()));
            let blocked = Blocked::by(&layer, blocked).await;
            soon("echoes", before).await.unwrap().unwrap();
            soon("echoes", after.oneshot(())).await.unwrap();
            blocked.release().await;
        }
    }
}

#[tokio::test]
async fn what_a_call_wakes_does_not_wait_for_it_when_it_blocks() {
    let layer = pool("iso-wake", 2);
    let wake = Arc::new(Notify::new());
    let woken = Arc::clone(&wake);
    let svc = layer.layer(service_fn(move |blocks: Option<Gate>| {
        let wake = Arc::clone(&woken);
        async move {
            if let Some(gate) = blocks {
                wake.notify_one();
                gate.wait();
            } else {
                wake.notified().await;
            }
            Ok::<_, Fails>(())
        }
    }));
    for _ in 0..20 {
        let gate = Gate::default();
        let waits = tokio::spawn(svc.clone().oneshot(None));
        sleep(MS).await;
        let blocks = tokio::spawn(svc.clone().oneshot(Some(gate.clone())));
        soon("woken", waits).await.unwrap().unwrap();
        assert!(!blocks.is_finished());
        gate.open();
        soon("released", blocks).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_a_call_spawns_goes_on_while_every_thread_is_blocked() {
    let layer = pool("iso-spawn", 2);
    let ticks = Arc::new(AtomicU32::new(0));
    let ticked = Arc::clone(&ticks);
    let spawns = layer.layer(service_fn(move |()| {
        let ticks = Arc::clone(&ticked);
        async move {
            tokio::spawn(async move {
                loop {
                    sleep(MS).await;
                    ticks.fetch_add(1, Ordering::SeqCst);
                }
            });
            Ok::<_, Fails>(())
        }
    }));
    spawns.clone().oneshot(()).await.unwrap();
    let blocked = Blocked::by(&layer, 2).await;
    let before = ticks.load(Ordering::SeqCst);
    until("it ticks", || ticks.load(Ordering::SeqCst) >= before + 5).await;
    blocked.release().await;

    // It ends with the pool.
    let handle = layer.handle();
    drop((spawns, layer));
    until("no thread", || handle.threads() == 0).await;
    until("no tick in a while", || {
        let before = ticks.load(Ordering::SeqCst);
        std::thread::park_timeout(20 * MS);
        before == ticks.load(Ordering::SeqCst)
    })
    .await;
}

#[tokio::test]
async fn a_task_that_a_call_spawns_before_it_blocks_does_not_wait_for_it() {
    let layer = pool("iso-spawn2", 1);
    let (done, ended) = oneshot::channel();
    let gate = Gate::default();
    let inner = gate.clone();
    let svc = layer.layer(service_fn(move |done: oneshot::Sender<()>| {
        let gate = inner.clone();
        async move {
            tokio::spawn(async move {
                sleep(MS).await;
                let _ = done.send(());
            });
            gate.wait();
            Ok::<_, Fails>(())
        }
    }));
    let call = tokio::spawn(svc.oneshot(done));
    soon("the task", ended).await.unwrap();
    assert!(!call.is_finished());
    gate.open();
    soon("the call", call).await.unwrap().unwrap();
}

#[tokio::test]
async fn closures_on_blocking_threads_neither_stall_nor_are_stalled() {
    let layer = pool("iso-closures", 2);
    let gate = Gate::default();
    let inner = gate.clone();
    let svc = layer.layer(service_fn(move |blocks: bool| {
        let gate = inner.clone();
        async move {
            let closure = move || {
                if blocks {
                    gate.wait();
                }
            };
            spawn_blocking(closure).await.expect("no panic");
            Ok::<_, Fails>(())
        }
    }));
    let waits: Vec<_> = (0..8)
        .map(|_| tokio::spawn(svc.clone().oneshot(true)))
        .collect();
    let blocked = Blocked::by(&layer, 1).await;
    soon("closure", svc.oneshot(false)).await.unwrap();
    assert!(waits.iter().all(|call| !call.is_finished()));
    gate.open();
    for call in waits {
        soon("closure", call).await.unwrap().unwrap();
    }
    blocked.release().await;
}

#[tokio::test]
async fn a_call_may_block_in_place() {
    let layer = pool("iso-place", 2);
    let gate = Gate::default();
    let inner = gate.clone();
    let svc = layer.layer(service_fn(move |blocks: bool| {
        let gate = inner.clone();
        async move {
            sleep(MS).await;
            if blocks {
                block_in_place(|| gate.wait());
            }
            sleep(MS).await;
            Ok::<_, Fails>(())
        }
    }));
    let blocks = tokio::spawn(svc.clone().oneshot(true));
    sleep(20 * MS).await;
    soon("sleeps", svc.oneshot(false)).await.unwrap();
    assert!(!blocks.is_finished());
    gate.open();
    soon("released", blocks).await.unwrap().unwrap();
}

#[tokio::test]
async fn with_all_threads_blocked_calls_wait_and_go_on_with_the_first_that_is_free() {
    let layer = pool("iso-all", 2);
    let sleeps = |n: u32| {
        let svc = layer.layer(service_fn(move |()| async move {
            sleep(n * MS).await;
            Ok::<_, Fails>(())
        }));
        tokio::spawn(svc.oneshot(()))
    };
    let begun_before = sleeps(60);
    let (one, two) = (Blocked::by(&layer, 1).await, Blocked::by(&layer, 1).await);
    let begun_after = sleeps(1);
    sleep(80 * MS).await;
    assert!(!begun_before.is_finished() && !begun_after.is_finished());
    one.release().await;
    soon("its sleep is over", begun_before)
        .await
        .unwrap()
        .unwrap();
    soon("it sleeps", begun_after).await.unwrap().unwrap();
    two.release().await;
}

#[tokio::test]
async fn no_more_threads_poll_than_there_are() {
    for threads in 1..=3 {
        let layer = pool("iso-bound", threads);
        let peak = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let seen = Arc::clone(&peak);
        let svc = layer.layer(service_fn(move |()| {
            let seen = Arc::clone(&seen);
            async move {
                for _ in 0..20 {
                    let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.1.fetch_max(now, Ordering::SeqCst);
                    std::thread::park_timeout(MS / 10);
                    seen.0.fetch_sub(1, Ordering::SeqCst);
                    yield_now().await;
                }
                Ok::<_, Fails>(())
            }
        }));
        let calls: Vec<_> = (0..32)
            .map(|_| tokio::spawn(svc.clone().oneshot(())))
            .collect();
        for call in calls {
            soon("a call", call).await.unwrap().unwrap();
        }
        assert!(peak.1.load(Ordering::SeqCst) <= threads);
        assert_eq!(layer.handle().threads(), threads);
    }
}

/// Tokio's budget holds on the pool, too.
#[tokio::test]
async fn a_call_that_is_always_ready_lets_others_have_its_thread() {
    let layer = pool("iso-budget", 1);
    let (stop, stopped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (flag, end) = (Arc::clone(&stop), Arc::clone(&stopped));
    let svc = layer.layer(service_fn(move |endless: bool| {
        let (stop, stopped) = (Arc::clone(&flag), Arc::clone(&end));
        async move {
            let semaphore = tokio::sync::Semaphore::new(1);
            while endless && stop.load(Ordering::SeqCst) == 0 {
                drop(semaphore.acquire().await);
            }
            stopped.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Fails>(())
        }
    }));
    let endless = tokio::spawn(svc.clone().oneshot(true));
    sleep(20 * MS).await;
    soon("the other", svc.oneshot(false)).await.unwrap();
    assert_eq!(stopped.load(Ordering::SeqCst), 1);
    stop.store(1, Ordering::SeqCst);
    soon("stopped", endless).await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_that_keep_coming_end_while_one_blocks() {
    let layer = pool("iso-traffic", 2);
    let svc = layer.layer(service_fn(|n: u32| async move {
        sleep(n * MS).await;
        Ok::<_, Fails>(n)
    }));
    let blocked = Blocked::by(&layer, 1).await;
    let calls: Vec<_> = (0..60)
        .map(|n| tokio::spawn(svc.clone().oneshot(n % 20)))
        .collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(soon("a call", call).await.unwrap().unwrap(), n % 20);
    }
    blocked.release().await;
}
