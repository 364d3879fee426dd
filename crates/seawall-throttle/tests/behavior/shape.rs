//! Auto traits, sizes and allocations.

use super::*;

/// Responds at once.
#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_allocates_whether_it_passes_or_is_rejected() {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = |service: &mut ScriptedThrottle, result| {
        assert!(Service::<Request>::poll_ready(service, cx).is_ready());
        let mut future = std::pin::pin!(service.call(request(result, Priority::NORMAL)));
        assert!(future.as_mut().poll(cx).is_ready());
    };
    let (mut service, handle, _) = scripted(builder());
    once(&mut service, Ok(()));
    let happy = alloc::count(|| {
        for _ in 0..100 {
            once(&mut service, Ok(()));
            once(&mut service.clone(), Ok(()));
        }
    });
    assert_eq!(happy.allocations, 0);
    advance(WINDOW * 2).await;
    let rejected = alloc::count(|| {
        for _ in 0..100 {
            once(&mut service, Err(BUSY));
        }
    });
    assert_eq!(rejected.allocations, 0);
    assert!(handle.counts().rejected > 50);
}

#[test]
fn the_future_is_small() {
    type Inner = Ready<Result<u32, Error<()>>>;
    let size = size_of::<ResponseFuture<Inner, seawall_core::ErrorIsFailure>>();
    assert!(
        size <= size_of::<Inner>() + 3 * size_of::<usize>(),
        "{size}"
    );
}

/// Neither `Send` nor `Sync`, as is what is made of it.
#[derive(Clone)]
struct Local(#[expect(dead_code, reason = "it is here for its auto traits")] Rc<Cell<u32>>);

impl Service<u32> for Local {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        Box::pin(ready(Ok(request)))
    }
}

type Fut<S> = <AdaptiveThrottle<S> as Service<u32>>::Future;
assert_impl_all!(AdaptiveThrottle<Echo>: Send, Sync, Unpin, Clone);
assert_impl_all!(Fut<Echo>: Send, Sync, Unpin);
assert_impl_all!(AdaptiveThrottle<Local>: Unpin, Clone);
assert_not_impl_any!(AdaptiveThrottle<Local>: Send, Sync);
assert_not_impl_any!(Fut<Local>: Send, Sync);
assert_impl_all!(AdaptiveThrottleLayer: Send, Sync, Clone);
assert_impl_all!(AdaptiveThrottleHandle: Send, Sync, Clone, InstanceHandle);

#[test]
fn a_service_that_is_not_send_works() {
    let vip = ConstMeta(RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH));
    let layer = layer_of(builder()).describe(vip);
    let mut service = layer.layer(Local(Rc::default()));
    assert!(matches!(call(&mut service, 3).poll(), Poll::Ready(Ok(3))));
}
