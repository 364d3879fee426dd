//! Random callers beside an obvious model.

use super::*;
use proptest::prelude::*;
use seawall_cache::{CoalesceConfig, CoalesceLayer};
use tokio::task::JoinHandle;

#[derive(Clone, Debug)]
enum Step {
    Arrive,
    /// One of those that are there is dropped.
    Cancel(usize),
    /// The call under way is answered, or fails.
    Answer(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Arrive),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => any::<bool>().prop_map(Step::Answer),
    ]
}

/// The callers of one key in order of their arrival: the first one leads.
#[derive(Default)]
struct Model {
    callers: Vec<JoinHandle<Reply>>,
    calls: usize,
    /// Which of the calls that the upstream holds is under way; those before were dropped.
    dropped: usize,
}

async fn run(steps: Vec<Step>) {
    let layer = CoalesceLayer::new("prices", CoalesceConfig::default())
        .classify(ByPrice)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .key(key as Key);
    let (upstream, handle) = (Upstream::default(), layer.handle());
    upstream.hold();
    let service = layer.layer(upstream.clone());
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Arrive => {
                model.calls += usize::from(model.callers.is_empty());
                model
                    .callers
                    .push(tokio::spawn(service.clone().oneshot("SPY")));
            }
            Step::Cancel(index) if !model.callers.is_empty() => {
                let index = index % model.callers.len();
                model.callers.remove(index).abort();
                if index == 0 {
                    model.dropped += 1;
                    model.calls += usize::from(!model.callers.is_empty());
                }
            }
            Step::Answer(good) if !model.callers.is_empty() => {
                let first = model.callers.remove(0);
                if good {
                    upstream.answer(model.dropped, Ok(Degraded::fresh(1)));
                    assert_eq!(first.await.unwrap(), Ok(Degraded::fresh(1)));
                    for waiter in model.callers.drain(..) {
                        assert_eq!(waiter.await.unwrap(), Ok(Degraded::fresh(1)));
                    }
                } else {
                    upstream.answer(model.dropped, Err(Failed::Down));
                    assert_eq!(first.await.unwrap(), Err(Failed::Down));
                    model.calls += usize::from(!model.callers.is_empty());
                }
            }
            Step::Cancel(_) | Step::Answer(_) => {}
        }
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        let waiting = model.callers.len().saturating_sub(1);
        assert_eq!(upstream.calls(), model.calls);
        assert_eq!(handle.snapshot().waiting, waiting);
        assert_eq!(
            handle.snapshot().under_way,
            usize::from(!model.callers.is_empty())
        );
    }
}

proptest! {
    #[test]
    fn callers_come_leave_and_fail_in_any_order(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }

    /// Whatever happens, what is given is as fresh as the settings say, and no newer answer was given before.
    #[test]
    fn what_a_cache_gives_is_never_older_than_before(
        steps in prop::collection::vec((0_u64..400, 0..4_u32), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let config = one_second().stale_on_failure(2 * SECOND);
            let (cache, upstream, handle) = cache(config);
            let mut newest = 0;
            // When the newest answer was made.
            let mut made = tokio::time::Instant::now();
            for (wait, what) in steps {
                advance(wait as u32 * MS).await;
                if what == 0 {
                    upstream.script([Err(Failed::Down)]);
                }
                if what == 1 {
                    handle.invalidate(&"SPY");
                }
                let before = upstream.calls();
                let reply = cache.clone().oneshot("SPY").await;
                upstream.0.script.lock().unwrap().clear();
                let age = tokio::time::Instant::now() - made;
                match reply {
                    Ok(price) if price.is_degraded() => {
                        assert!(what == 0 && age < 2 * SECOND, "{age:?}");
                        assert_eq!(*price.value(), newest);
                    }
                    Ok(price) if upstream.calls() == before => {
                        assert!(what != 1 && age < SECOND, "{age:?}");
                        assert_eq!(*price.value(), newest);
                    }
                    Ok(price) => {
                        assert!(*price.value() > newest);
                        (newest, made) = (*price.value(), tokio::time::Instant::now());
                    }
                    Err(error) => assert_eq!(error, Failed::Down),
                }
            }
        });
    }
}
