//! Random waiters, some of which are not polled any more, and commands: whatever the others do, one
//! that is polled ends in time, in order, and does not wait beside tokens.

use proptest::prelude::*;
use seawall_core::{Command, PartitionKey};
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer};

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(Kind),
    /// The nth call is not polled any more.
    Stick(usize),
    /// It is polled again.
    Unstick(usize),
    Drop(usize),
    Reserve,
    Pause,
    PauseFor(u64),
    Resume,
    Drain,
    Shadow(bool),
    Bypass,
    Refill,
    Rate(u32),
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    cost: u32,
    key: u64,
    polls: Polls,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Polls {
    Never,
    Once,
    /// Whenever it is woken.
    WhenWoken,
}

const BURST: u32 = 4;
const MAX_WAIT: Duration = Duration::from_secs(2);

fn call_step() -> impl Strategy<Value = Step> {
    let polls = prop_oneof![
        1 => Just(Polls::Never),
        2 => Just(Polls::Once),
        4 => Just(Polls::WhenWoken),
    ];
    (1..=BURST, 0_u64..3, polls)
        .prop_map(|(cost, key, polls)| Step::Call(Kind { cost, key, polls }))
}

fn calls() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => call_step(),
        2 => (0_usize..40).prop_map(Step::Stick),
        1 => (0_usize..40).prop_map(Step::Drop),
        1 => Just(Step::Reserve),
    ]
}

fn commands() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => calls(),
        1 => (0_usize..40).prop_map(Step::Unstick),
        1 => Just(Step::Pause),
        1 => (1_u64..300).prop_map(Step::PauseFor),
        2 => Just(Step::Resume),
        1 => Just(Step::Drain),
        1 => any::<bool>().prop_map(Step::Shadow),
        1 => Just(Step::Bypass),
        1 => Just(Step::Refill),
        1 => (5_u32..60).prop_map(Step::Rate),
    ]
}

/// So many milliseconds after the last.
fn steps(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<(u64, Step)>> {
    prop::collection::vec((0_u64..80, step), 1..60)
}

#[derive(Clone, Copy, Debug)]
struct Request {
    n: u32,
    kind: Kind,
}

fn describe(request: &Request) -> RequestMeta {
    RequestMeta::new(Replay::Safe)
        .with_cost(request.kind.cost)
        .with_key(PartitionKey(request.kind.key))
}

/// When which call departed.
type Log = Vec<(u32, Instant)>;

#[derive(Clone)]
struct Upstream(Arc<Mutex<Log>>);

impl Service<Request> for Upstream {
    type Response = ();
    type Error = Error<()>;
    type Future = Ready<Result<(), Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut log = self.0.lock().expect("no panic under it");
        log.push((request.n, Instant::now()));
        ready(Ok(()))
    }
}

struct Call<F> {
    future: PolledFuture<F>,
    n: u32,
    polls: Polls,
    seen: usize,
    until: Instant,
}

/// The calls, and how long tokens have been there beside a waiter that is polled.
struct Play<S: Service<Request>> {
    service: S,
    calls: Vec<Call<S::Future>>,
    made: u32,
    ended: u32,
    dropped: u32,
    /// Calls that were not polled at some time: their order is not that of the others.
    stuck: Vec<u32>,
    idle_ms: u64,
}

impl<S: Service<Request, Response = (), Error = Error<()>>> Play<S> {
    fn new(service: S) -> Self {
        Self {
            service,
            calls: Vec::new(),
            made: 0,
            ended: 0,
            dropped: 0,
            stuck: Vec::new(),
            idle_ms: 0,
        }
    }

    fn call(&mut self, kind: Kind) {
        let n = self.made;
        self.made += 1;
        let mut call = Call {
            future: PolledFuture::new(self.service.call(Request { n, kind })),
            n,
            polls: kind.polls,
            seen: 0,
            until: Instant::now() + MAX_WAIT,
        };
        if kind.polls != Polls::WhenWoken {
            self.stuck.push(n);
        }
        if kind.polls != Polls::Never && call.future.poll().is_ready() {
            self.ended += 1;
        } else {
            self.calls.push(call);
        }
    }

    fn change(&mut self, step: Step) {
        match step {
            Step::Call(kind) => self.call(kind),
            Step::Stick(nth) => {
                if let Some(call) = self.calls.get_mut(nth) {
                    call.polls = Polls::Once;
                    self.stuck.push(call.n);
                }
            }
            Step::Unstick(nth) => {
                if let Some(call) = self.calls.get_mut(nth) {
                    // At its first poll it may have to wait.
                    if call.polls == Polls::Never {
                        call.until = Instant::now() + MAX_WAIT;
                    }
                    call.polls = Polls::WhenWoken;
                    call.seen = usize::MAX;
                }
            }
            Step::Drop(nth) if nth < self.calls.len() => {
                self.calls.remove(nth);
                self.dropped += 1;
            }
            _ => {}
        }
        self.poll_woken();
    }

    /// Polls those that were woken, until none is.
    fn poll_woken(&mut self) {
        let woken = |call: &Call<S::Future>| {
            call.polls == Polls::WhenWoken && call.seen != call.future.wakes()
        };
        while let Some(at) = self.calls.iter().position(woken) {
            let call = &mut self.calls[at];
            call.seen = call.future.wakes();
            if call.future.poll().is_ready() {
                self.calls.remove(at);
                self.ended += 1;
            }
        }
    }

    async fn pass(&mut self, time_ms: u64, is_free: &impl Fn() -> bool, grace_ms: u64) {
        for _ in 0..time_ms {
            advance(ms(1)).await;
            self.poll_woken();
            let live = |call: &&Call<S::Future>| call.polls == Polls::WhenWoken;
            let waits = self.calls.iter().filter(live).count();
            for call in self.calls.iter().filter(live) {
                let late = Instant::now().saturating_duration_since(call.until);
                assert!(late <= ms(1), "{} is {late:?} late", call.n);
            }
            self.idle_ms = if waits > 0 && is_free() {
                self.idle_ms + 1
            } else {
                0
            };
            let stuck = (self.calls.len() - waits) as u64;
            // The watchdog looks once per grace at most, so it may be late by another.
            let bound = 2 + 2 * grace_ms * (1 + stuck);
            assert!(
                self.idle_ms <= bound,
                "{} ms beside tokens, {stuck} stuck",
                self.idle_ms
            );
        }
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("valid settings").block_on(future)
}

fn settings(rate: u32) -> RateLimitConfigBuilder {
    RateLimitConfig::builder()
        .rate(rate, SECOND)
        .burst(BURST)
        .max_wait(MAX_WAIT)
        .max_waiting(1_000)
}

fn limit() -> RateLimitLayer {
    RateLimitLayer::new("model", settings(20).build().expect("valid settings"))
}

fn upstream() -> (Upstream, impl Fn() -> Log) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let upstream = Upstream(Arc::clone(&log));
    (upstream, move || {
        log.lock().expect("no panic under it").clone()
    })
}

fn command(handle: &RateLimitHandle, step: Step) {
    match step {
        Step::Reserve => {
            if let Ok(reserved) = handle.try_reserve(&RequestMeta::default()) {
                reserved.commit();
            }
        }
        Step::Pause => handle.pause(),
        Step::PauseFor(time) => handle.pause_for(ms(time)),
        Step::Resume => handle.resume(),
        Step::Drain => handle.drain(),
        Step::Shadow(on) => handle.set_shadow(on),
        Step::Bypass => handle.control(Command::Bypass).expect("it can"),
        Step::Refill => handle.refill(),
        Step::Rate(rate) => handle
            .configure(settings(rate).build().expect("valid settings"))
            .expect("the same limits"),
        _ => {}
    }
}

/// Whether those that were polled whenever they were woken departed in the order of their calls. A
/// new call may pass a waiter that is woken at the same instant, where there are tokens for both.
fn in_order(mut log: Log, stuck: &[u32]) -> bool {
    log.retain(|(n, _)| !stuck.contains(n));
    log.sort_unstable();
    log.is_sorted_by_key(|(_, at)| *at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_that_is_polled_departs_in_order_and_not_beside_tokens(steps in steps(calls())) {
        run(async {
            let (layer, (inner, log)) = (limit(), upstream());
            let handle = layer.handle();
            let mut play = Play::new(layer.describe(describe).layer(inner));
            let is_free = || handle.tokens() >= f64::from(BURST);
            for (gap, step) in steps {
                play.pass(gap, &is_free, 5).await;
                command(&handle, step);
                play.change(step);
            }
            play.pass(2_001, &is_free, 5).await;
            prop_assert!(in_order(log(), &play.stuck));
            prop_assert_eq!(handle.queue_depth(), 0);
            let counts = handle.counts();
            let all = counts.granted + counts.rejected + counts.abandoned;
            let waiting = play.calls.len() as u64;
            prop_assert!(all + waiting >= u64::from(play.made));
            drop(play.calls);
            prop_assert!(handle.counts().abandoned <= waiting + u64::from(play.dropped));
            Ok(())
        })?;
    }

    #[test]
    fn commands_lose_no_waiter(steps in steps(commands())) {
        run(async {
            let (layer, (inner, _)) = (limit(), upstream());
            let handle = layer.handle();
            let mut play = Play::new(layer.describe(describe).layer(inner));
            let is_free = || {
                let paused = handle.state() == "paused";
                !paused && handle.tokens() >= f64::from(BURST)
            };
            for (gap, step) in steps {
                // Waiters that come back late make the grace longer.
                play.pass(gap, &is_free, 320).await;
                command(&handle, step);
                play.change(step);
            }
            handle.resume();
            play.pass(2_001, &is_free, 320).await;
            prop_assert_eq!(handle.queue_depth(), 0);
            prop_assert!(handle.reserve(&RequestMeta::default()).await.is_ok());
            Ok(())
        })?;
    }

    #[test]
    fn of_keys_within_an_account_none_waits_beside_tokens_of_both(steps in steps(calls())) {
        run(async {
            let (account, (inner, _)) = (limit(), upstream());
            let config = KeyedRateLimitConfig::new(settings(10)).expect("valid settings");
            let layer = KeyedRateLimitLayer::within_account("keys", config, &account.handle());
            let (handle, account) = (layer.handle(), account.handle());
            let mut play = Play::new(layer.describe(describe).layer(inner));
            let is_free = || {
                let key_is_full = |key| handle.tokens(PartitionKey(key)) >= f64::from(BURST);
                account.tokens() >= f64::from(BURST) && (0..3).all(key_is_full)
            };
            for (gap, step) in steps {
                play.pass(gap, &is_free, 10).await;
                command(&account, step);
                play.change(step);
            }
            play.pass(2_001, &is_free, 10).await;
            prop_assert_eq!((handle.queue_depth(), account.queue_depth()), (0, 0));
            drop(play.calls);
            advance(2 * SECOND).await;
            handle.evict_idle();
            prop_assert_eq!(handle.keys_kept(), 0);
            Ok(())
        })?;
    }
}
