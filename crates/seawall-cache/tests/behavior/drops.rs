//! What is kept may do anything when it is dropped, and the layer can be used then.

use super::*;
use std::sync::{OnceLock, mpsc};
use std::thread;

type LoudHandle = CacheHandle<&'static str, Loud>;

/// Reads all of its cache when it is dropped.
#[derive(Clone)]
struct Loud {
    weight: u64,
    cache: Arc<OnceLock<LoudHandle>>,
}

impl Drop for Loud {
    fn drop(&mut self) {
        if let Some(handle) = self.cache.get() {
            let _ = (handle.config(), handle.snapshot());
            handle.invalidate(&"nothing");
        }
    }
}

/// Symbols are the weights of their answers.
fn loud(config: CacheConfigBuilder, run: impl FnOnce(&LoudHandle, &dyn Fn(&'static str))) {
    let layer = CacheLayer::new("loud", config.build().unwrap())
        .assume_idempotent()
        .key(|symbol: &&'static str| symbol.get(..1))
        .store(StoreClone::new().weigh(|loud: &Loud| loud.weight));
    let handle: LoudHandle = layer.handle();
    let cache = Arc::new(OnceLock::new());
    let used = Arc::clone(&cache);
    let service = layer.layer(tower::service_fn(move |symbol: &'static str| {
        let weight = symbol[1..].parse().unwrap();
        let cache = Arc::clone(&used);
        std::future::ready(Ok::<_, Failed>(Loud { weight, cache }))
    }));
    assert!(cache.set(handle.clone()).is_ok());
    run(&handle, &|symbol| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            assert!(service.clone().oneshot(symbol).await.is_ok());
            tokio::time::sleep(2 * MS).await;
        });
    });
}

/// Fails where `run` does not end.
fn ends(run: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        run();
        let _ = sender.send(());
    });
    let ended = receiver.recv_timeout(10 * SECOND);
    assert!(ended.is_ok(), "it waits for itself, or has panicked");
}

const LIGHT: [&str; 8] = ["a9", "b9", "c9", "d9", "e9", "f9", "g9", "h9"];

#[test]
fn what_a_smaller_capacity_evicts_is_dropped_outside_of_every_lock() {
    ends(|| {
        loud(one_second().max_entries(100), |handle, ask| {
            LIGHT.into_iter().for_each(ask);
            handle
                .configure(one_second().max_entries(1).build().unwrap())
                .unwrap();
            assert!(handle.snapshot().entries < LIGHT.len());
        });
    });
}

#[test]
fn what_a_heavy_answer_evicts_is_dropped_outside_of_every_lock() {
    ends(|| {
        // Parts of a hundred: each has some light ones once these are kept.
        loud(one_second().max_weight(400), |handle, ask| {
            for _ in 0..4 {
                LIGHT.into_iter().for_each(ask);
                ["i80", "j80", "k80", "l80", "m80", "n80", "o80", "p80"]
                    .into_iter()
                    .for_each(ask);
                handle.clear();
            }
        });
    });
}

#[test]
fn what_is_replaced_or_not_kept_is_dropped_outside_of_every_lock() {
    ends(|| {
        loud(CacheConfig::builder(MS).max_weight(400), |handle, ask| {
            ["a9", "a9", "a300", "a9"].into_iter().for_each(ask);
            let stores = handle.counts().stores;
            assert_eq!((stores.stored, stores.too_heavy), (3, 1));
        });
    });
}

#[test]
fn what_is_invalidated_is_asked_for_and_dropped_outside_of_every_lock() {
    ends(|| {
        loud(one_second(), |handle, ask| {
            LIGHT.into_iter().for_each(ask);
            handle.invalidate(&"a");
            handle.invalidate_where(|key| {
                assert!(handle.snapshot().entries < 8);
                *key < "e"
            });
            assert_eq!(handle.snapshot().entries, 4);
            handle.clear();
            assert_eq!(handle.snapshot().entries, 0);
        });
    });
}
