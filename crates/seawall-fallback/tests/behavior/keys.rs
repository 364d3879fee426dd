//! Keys are dropped outside of locks.

use std::hash::{Hash, Hasher};
use std::sync::{OnceLock, mpsc};
use std::thread;

use super::*;

type Later = Arc<OnceLock<FallbackHandle>>;

/// Resets the layer when it is dropped: it waits for itself where that is under one of the layer's locks.
#[derive(Clone)]
struct Key(&'static str, Later);

impl Drop for Key {
    fn drop(&mut self) {
        if let Some(handle) = self.1.get() {
            handle.reset();
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

fn kept_of(later: &Later) -> Step<Ask, Res> {
    let config = LastGoodConfig::builder().max_keys(1).build().unwrap();
    let later = Arc::clone(later);
    let key = move |ask: &Ask| Some(Key(ask.symbol, Arc::clone(&later)));
    Step::last_good(LastGood::new(config, key))
}

fn order_of(later: &Later) -> NeverOlder<Ask, Res> {
    let by_time = |answer: &Res| Some(answer.value().at);
    let later = Arc::clone(later);
    let key = move |ask: &Ask| Some(Key(ask.symbol, Arc::clone(&later)));
    NeverOlder::new(1, key, by_time).unwrap()
}

/// A call of one key succeeds; then keys begin to reset when they are dropped, and `then` must end.
fn ends(layer: &Layered, later: &Later, then: fn(&mut Subject, &FallbackHandle)) {
    let handle = layer.handle();
    let mut service = layer.layer(Upstream::new([Ok(Price::at(1))]));
    run(call(&mut service, Ask::of("SPY"))).unwrap();
    assert!(later.set(handle.clone()).is_ok());
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        then(&mut service, &handle);
        done.send(()).unwrap();
    });
    let ended = is_done.recv_timeout(10 * SECOND);
    assert!(ended.is_ok(), "a key is dropped under a lock");
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn another_key(service: &mut Subject, _: &FallbackHandle) {
    run(call(service, Ask::of("QQQ"))).unwrap();
}

fn reset(_: &mut Subject, handle: &FallbackHandle) {
    handle.reset();
}

#[test]
fn that_of_an_answer_that_has_to_go() {
    let later = Later::default();
    let layer = layer([kept_of(&later)]);
    ends(&layer, &later, another_key);
}

#[test]
fn that_of_a_time_that_has_to_go() {
    let later = Later::default();
    let layer = layer([value("default")]).never_older(order_of(&later));
    ends(&layer, &later, another_key);
}

#[test]
fn that_of_a_time_that_is_forgotten() {
    let later = Later::default();
    let layer = layer([value("default")]).never_older(order_of(&later));
    ends(&layer, &later, reset);
}
