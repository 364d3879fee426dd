//! Everything at once: calls of all kinds, cancels, commands, refunds, signals of the provider.

use proptest::prelude::*;
use seawall_core::{PartitionKey, Priority, QuotaSignal, Scope, ServerLimit, Unit};
use seawall_ratelimit::{KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// One thing that happens, so many milliseconds after the last.
#[derive(Clone, Debug)]
enum Step {
    Call {
        cost: u32,
        priority: u8,
        max_wait_ms: u64,
        key: u64,
    },
    /// The nth call is dropped, wherever it is.
    Drop(usize),
    Reserve {
        cost: u32,
        keep: bool,
    },
    PauseFor(u64),
    Pause,
    Resume,
    Left(u64, u64),
    Rate(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_u32..4, any::<u8>(), 1_u64..3_000, 0_u64..3).prop_map(|(cost, priority, max_wait_ms, key)| {
            Step::Call { cost, priority, max_wait_ms, key }
        }),
        4 => (0_usize..80).prop_map(Step::Drop),
        2 => (1_u32..3, any::<bool>()).prop_map(|(cost, keep)| Step::Reserve { cost, keep }),
        1 => (1_u64..500).prop_map(Step::PauseFor),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => (0_u64..5, 1_u64..800).prop_map(|(left, resets)| Step::Left(left, resets)),
        1 => (5_u32..40).prop_map(Step::Rate),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    prop::collection::vec((0_u64..60, step()), 1..80)
}

/// A call as the describer sees it.
#[derive(Clone, Copy, Debug)]
struct Request {
    cost: u32,
    priority: u8,
    deadline: Instant,
    key: u64,
}

fn describe(request: &Request) -> RequestMeta {
    RequestMeta::new(Replay::Safe)
        .with_cost(request.cost)
        .with_priority(Priority(request.priority))
        .with_deadline(request.deadline)
        .with_key(PartitionKey(request.key))
}

/// Logs departures; every third time it is not ready at once.
#[derive(Clone)]
struct Upstream {
    start: Instant,
    log: Arc<Mutex<Vec<(u64, u32)>>>,
    polled: u32,
}

impl Service<Request> for Upstream {
    type Response = ();
    type Error = Error<()>;
    type Future = Ready<Result<(), Error<()>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
        self.polled += 1;
        if self.polled % 3 == 1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let at = (Instant::now() - self.start).as_nanos();
        let at = u64::try_from(at).expect("not for centuries");
        self.log
            .lock()
            .expect("no panic under it")
            .push((at, request.cost));
        ready(Ok(()))
    }
}

/// Runs the same steps against any of the services.
async fn play<S>(steps: Vec<(u64, Step)>, service: S, command: impl Fn(&Step)) -> (u64, u64)
where
    S: Service<Request, Response = (), Error = Error<()>, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    use tower::ServiceExt;

    let mut tasks: Vec<tokio::task::JoinHandle<Result<(), Error<()>>>> = Vec::new();
    for (gap, step) in steps {
        tokio::time::sleep(ms(gap)).await;
        match step {
            Step::Call {
                cost,
                priority,
                max_wait_ms,
                key,
            } => {
                let deadline = Instant::now() + ms(max_wait_ms);
                let request = Request {
                    cost,
                    priority,
                    deadline,
                    key,
                };
                tasks.push(tokio::spawn(service.clone().oneshot(request)));
            }
            Step::Drop(nth) => {
                if let Some(task) = tasks.get(nth) {
                    task.abort();
                }
            }
            other => command(&other),
        }
    }
    command(&Step::Resume);
    let (mut passed, mut rejected) = (0, 0);
    for task in tasks {
        // Every call ends by itself: none is forgotten in a queue.
        let ended = tokio::time::timeout(MINUTE, task).await.expect("it ends");
        match ended {
            Ok(Ok(())) => passed += 1,
            Ok(Err(_)) => rejected += 1,
            Err(_aborted) => {}
        }
    }
    (passed, rejected)
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("valid settings").block_on(future)
}

fn upstream() -> Upstream {
    Upstream {
        start: Instant::now(),
        log: Arc::default(),
        polled: 0,
    }
}

/// The most within any stretch of `per`.
fn busiest(log: &[(u64, u32)], per: Duration) -> u32 {
    let per = u64::try_from(per.as_nanos()).expect("short");
    let from = |start: u64| -> u32 {
        let within = log
            .iter()
            .filter(|(at, _)| (start..start + per).contains(at));
        within.map(|(_, cost)| cost).sum()
    };
    log.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
}

fn control(handle: &RateLimitHandle, step: &Step, limits: impl Fn(u32) -> RateLimitConfig) {
    match step {
        Step::Reserve { cost, keep } => {
            let meta = RequestMeta::new(Replay::Safe).with_cost(*cost);
            if let Ok(reserved) = handle.try_reserve(&meta)
                && *keep
            {
                reserved.commit();
            }
        }
        Step::PauseFor(time) => handle.apply_signal(QuotaSignal::Pause {
            lasts: Some(ms(*time)),
            scope: Scope::Upstream,
        }),
        Step::Pause => handle.pause(),
        Step::Resume => handle.resume(),
        Step::Left(left, resets) => handle.apply_signal(QuotaSignal::Limit(
            ServerLimit::new(Unit::Cost)
                .with_remaining(*left)
                .with_resets_in(ms(*resets)),
        )),
        Step::Rate(rate) => handle.configure(limits(*rate)).expect("of the same shape"),
        Step::Call { .. } | Step::Drop(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn strict_limits_always_hold(steps in steps()) {
        run(async {
            let config = |_rate| {
                let strict = RateLimitConfig::builder()
                    .limit(Limit::strict(6, SECOND))
                    .limit(Limit::strict(25, 10 * SECOND))
                    .max_wait(2 * SECOND);
                strict.build().expect("valid settings")
            };
            let layer = RateLimitLayer::new("chaos", config(0)).describe(describe);
            let (handle, inner) = (layer.handle(), upstream());
            let calls = steps.iter().filter(|(_, s)| matches!(s, Step::Call { .. })).count() as u64;
            let command = |step: &Step| control(&handle, step, config);
            let (passed, rejected) = play(steps, layer.layer(inner.clone()), command).await;
            let log = inner.log.lock().expect("no panic under it").clone();
            prop_assert!(busiest(&log, SECOND) <= 6, "{:?}", log);
            prop_assert!(busiest(&log, 10 * SECOND) <= 25, "{:?}", log);
            prop_assert_eq!(handle.queue_depth(), 0);
            prop_assert!(passed <= log.len() as u64 && passed + rejected <= calls);
            Ok(())
        })?;
    }

    #[test]
    fn a_bucket_whose_rate_changes_always_holds(steps in steps()) {
        run(async {
            let config = |rate| {
                let bucket = RateLimitConfig::builder().rate(rate, SECOND).burst(5);
                bucket.max_wait(2 * SECOND).build().expect("valid settings")
            };
            let layer = RateLimitLayer::new("chaos", config(20)).describe(describe);
            let (handle, inner) = (layer.handle(), upstream());
            let command = |step: &Step| control(&handle, step, config);
            play(steps, layer.layer(inner.clone()), command).await;
            let log = inner.log.lock().expect("no panic under it").clone();
            // The highest rate that there was.
            for stretch in [SECOND / 10, SECOND / 2, SECOND] {
                let bound = 5.0 + 40.0 * stretch.as_secs_f64();
                prop_assert!(f64::from(busiest(&log, stretch)) <= bound, "{:?}", log);
            }
            prop_assert_eq!(handle.queue_depth(), 0);
            // It is fully replenished in the end.
            tokio::time::sleep(MINUTE).await;
            prop_assert!((handle.tokens() - 5.0).abs() < 1e-6, "{}", handle.tokens());
            Ok(())
        })?;
    }

    #[test]
    fn keys_within_an_account_always_hold(steps in steps()) {
        run(async {
            let config = |count, per| {
                let strict = RateLimitConfig::builder().limit(Limit::strict(count, per));
                strict.max_wait(2 * SECOND).build().expect("valid settings")
            };
            let handle = RateLimitLayer::new("account", config(8, SECOND)).handle();
            let limits = KeyedRateLimitConfig::new(config(4, SECOND)).expect("no file");
            let layer = KeyedRateLimitLayer::within_account("keys", limits, &handle);
            let (keys, inner) = (layer.handle(), upstream());
            let svc: KeyedRateLimit<_, _> = layer.describe(describe).layer(inner.clone());
            let command = |step: &Step| {
                if !matches!(step, Step::Rate(_)) {
                    control(&handle, step, |_| config(8, SECOND));
                }
            };
            play(steps, svc, command).await;
            let log = inner.log.lock().expect("no panic under it").clone();
            prop_assert!(busiest(&log, SECOND) <= 8, "{:?}", log);
            let waiting = keys.queue_depth();
            prop_assert_eq!((handle.queue_depth(), waiting), (0, 0));
            tokio::time::sleep(MINUTE).await;
            prop_assert_eq!(handle.tokens(), 8.0);
            prop_assert_eq!((0..3).map(|key| keys.tokens(PartitionKey(key))).sum::<f64>(), 12.0);
            Ok(())
        })?;
    }
}
