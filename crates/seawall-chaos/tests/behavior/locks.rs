//! What is kept is dropped outside of locks.

use std::sync::{OnceLock, mpsc};
use std::thread;

use super::*;
use seawall_chaos::{FaultHooks, Keeper, MakeFault};

type Later = Arc<OnceLock<ChaosHandle>>;

/// Keeps what starts and stops faults when it is dropped: that waits for itself under a lock of the layer.
#[derive(Clone, Default)]
struct Keeping(Later);

struct Kept(Later);

impl Drop for Kept {
    fn drop(&mut self) {
        let handle = self.0.get().unwrap();
        handle.start(Fault::hang()).unwrap().stop();
    }
}

impl FaultHooks for Keeping {
    type Kept = Kept;

    fn makes(&self, _: FaultKind) -> bool {
        true
    }
}

impl MakeFault<u32, u32, BoxError> for Keeping {
    type Response = u32;

    fn pass(&self, response: u32) -> u32 {
        response
    }

    fn error(&self, injected: InjectedError) -> BoxError {
        injected.into()
    }

    fn identity(&self, _: &u32) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn keep(&self, response: u32, keeper: Keeper<Kept>) -> u32 {
        keeper.keep(Kept(Arc::clone(&self.0)));
        response
    }
}

type Subject = Chaos<Mock, Reads, Keeping>;

/// `then` ends, with a layer that has the fault of stale responses on.
fn ends(then: impl AsyncFnOnce(Subject, ChaosHandle) + Send + 'static) {
    let hooks = Keeping::default();
    let layer = reads().faults(hooks.clone());
    assert!(hooks.0.set(layer.handle()).is_ok());
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let injection = layer.handle().start(Fault::stale_response()).unwrap();
        let (inner, _mock) = mock();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        { runtime.unwrap() }.block_on(then(layer.layer(inner), layer.handle()));
        injection.stop();
        done.send(()).unwrap();
    });
    let ended = is_done.recv_timeout(10_000 * MS);
    assert!(ended.is_ok(), "it is dropped under a lock");
}

#[test]
fn a_response_to_a_request_of_which_one_is_kept() {
    ends(async |service: Subject, _| {
        let (mut one, mut two) = (service.clone(), service);
        one.ready().await.unwrap();
        two.ready().await.unwrap();
        let (first, second) = (one.call(3), two.call(3));
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (3, 3));
    });
}

#[test]
fn what_was_kept_for_a_fault_that_ends() {
    ends(async |mut service: Subject, handle: ChaosHandle| {
        assert_eq!(call(&mut service).await.0.unwrap(), 3);
        assert_eq!(handle.stop_all(), 1);
    });
}
