//! What panics on a pool ends its call, and no thread.

use std::future::pending;
use std::pin::pin;
use std::task::{Context, Wake, Waker};

use seawall_core::{Reason, Rejectable};
use tower_service::Service;

use super::*;

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum How {
    Polled,
    DroppedAtItsEnd,
    DroppedWhileItHangs,
    DroppedAsPayload,
    Aborted,
    Spawned,
    Good,
}

async fn work(how: How) -> Result<u32, Fails> {
    match how {
        How::Polled => panic!("polled"),
        How::DroppedAtItsEnd => {
            let _bomb = Bomb;
            sleep(MS).await;
        }
        How::DroppedWhileItHangs => {
            let _bomb = Bomb;
            pending::<()>().await;
        }
        How::DroppedAsPayload => std::panic::panic_any(Bomb),
        How::Aborted => pending().await,
        How::Spawned => {
            let spawned = tokio::spawn(async { panic!("spawned") });
            assert!(spawned.await.is_err());
        }
        How::Good => sleep(MS).await,
    }
    Ok(7)
}

#[tokio::test]
async fn panics_of_every_kind_leave_every_thread_alive() {
    let layer = pool("iso-panics", 2);
    let svc = layer.layer(service_fn(work));
    let handle = layer.handle();
    for _ in 0..5 {
        for how in [How::Polled, How::DroppedAtItsEnd, How::DroppedAsPayload] {
            let error = soon("it panics", svc.clone().oneshot(how))
                .await
                .unwrap_err();
            let reason = error.rejection().expect("of the pool").reason();
            assert_eq!(reason, Reason::Panicked, "{how:?}");
        }
        for how in [How::DroppedWhileItHangs, How::Aborted] {
            let call = timeout(5 * MS, svc.clone().oneshot(how)).await;
            assert!(call.is_err(), "{how:?}");
        }
        for how in [How::Spawned, How::Good] {
            let call = soon("it ends", svc.clone().oneshot(how)).await;
            assert_eq!(call.unwrap(), 7, "{how:?}");
        }
    }
    until("nothing is in flight", || handle.in_flight() == 0).await;
    let counts = handle.counts();
    assert_eq!((counts.panicked, counts.abandoned), (15, 10));
    assert_eq!((counts.success, handle.threads()), (10, 2));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

#[tokio::test]
async fn a_caller_whose_waker_panics_ends_no_thread() {
    let layer = pool("iso-waker", 1);
    let mut svc = layer.layer(service_fn(work));
    for _ in 0..3 {
        let mut call = pin!(svc.call(How::Good));
        let waker = Waker::from(Arc::new(Panics));
        assert!(
            call.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        until("it has ended", || layer.handle().in_flight() == 0).await;
        assert_eq!(
            soon("the next", svc.clone().oneshot(How::Good))
                .await
                .unwrap(),
            7
        );
        assert_eq!(soon("it is there", call).await.unwrap(), 7);
    }
    assert_eq!(layer.handle().threads(), 1);
}
