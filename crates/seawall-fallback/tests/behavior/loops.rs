//! A step that leads back to its own layer ends.

use std::sync::OnceLock;

use super::*;

type Lazy = Arc<OnceLock<Subject>>;

/// Asks a service that is made later.
fn through(lazy: &Lazy, name: &str) -> Step<Ask, Res> {
    let lazy = Arc::clone(lazy);
    Step::async_function(name, move |_, ask: Ask| {
        let service = lazy.get().unwrap().clone();
        async move { service.oneshot(ask).await.ok() }
    })
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_the_layer_itself_is_rejected_once() {
    let lazy = Lazy::default();
    let layer = layer([through(&lazy, "itself")]);
    let upstream = Upstream::down();
    let service = layer.layer(upstream.clone());
    assert!(lazy.set(service.clone()).is_ok());
    let error = service.oneshot(Ask::of("SPY")).await.unwrap_err();
    assert_eq!(error, DOWN, "the original error");
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().counts().looped, 1);
}

#[tokio::test(start_paused = true)]
async fn two_layers_that_back_each_other_up_end() {
    let (one, two) = (Lazy::default(), Lazy::default());
    let first = layer([through(&two, "two")]);
    let second = layer([through(&one, "one")]);
    let (a, b) = (Upstream::down().slow(MS), Upstream::down().slow(MS));
    assert!(one.set(first.layer(a.clone())).is_ok());
    assert!(two.set(second.layer(b.clone())).is_ok());
    let service = one.get().unwrap().clone();
    let error = service.oneshot(Ask::of("SPY")).await.unwrap_err();
    assert_eq!(error, DOWN);
    assert_eq!((a.calls(), b.calls()), (1, 1));
    assert_eq!(first.handle().counts().looped, 1);
    // A call that is not made by a step passes.
    b.set(Ok(Price::from("two", 1)));
    let service = one.get().unwrap().clone();
    let answer = service.oneshot(Ask::of("SPY")).await.unwrap();
    assert_eq!(answer.value().from, "two");
    assert_eq!(first.handle().counts().looped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_panics_leaves_nothing_behind() {
    let panics = Step::async_function("panics", |_, _: Ask| async {
        tokio::task::yield_now().await;
        if true {
            panic!("a step");
        }
        None::<Res>
    });
    let layer = layer([panics]);
    let service = layer.layer(Upstream::down());
    let call = tokio::spawn(service.clone().oneshot(Ask::of("SPY")));
    assert!(call.await.unwrap_err().is_panic());
    assert_eq!(layer.handle().snapshot().running, 0);
    let call = tokio::spawn(service.oneshot(Ask::of("SPY")));
    assert!(call.await.unwrap_err().is_panic(), "no loop is seen");
    assert_eq!(layer.handle().counts().looped, 0);
}
