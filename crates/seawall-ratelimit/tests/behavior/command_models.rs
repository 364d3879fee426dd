//! Random sequences against obvious models: commands and their inverses, and the figures of
//! rejections.

use proptest::prelude::*;
use seawall_core::{Command, PartitionKey, QuotaSignal, Scope, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer, Limit,
};

use super::operator::{left, of, throttle};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("valid settings").block_on(future)
}

/// So large that nothing but a command or a report rejects a call.
fn large() -> Vec<Vec<Limit>> {
    let many = 100_000_000;
    let bucket = |per| Limit::from(Limit::bucket(many, per).burst(many));
    vec![
        vec![bucket(SECOND)],
        vec![Limit::strict(many, SECOND).into()],
        vec![Limit::window(many, SECOND).into()],
        vec![Limit::daily(many * 10, DailyReset::utc()).into()],
        vec![bucket(SECOND), Limit::strict(many, MINUTE).into()],
    ]
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pause,
    PauseFor(u64),
    Resume,
    Drain,
    Shadow(bool),
    Refill,
    Block,
    Bypass,
    Reset,
    Configure { shadow: bool },
    Throttle(u64),
    Left(u64),
    Pass(u64),
}

/// Pauses end between two readings of the clock, so that it does not matter in which order things
/// happen at one reading.
fn step() -> impl Strategy<Value = Step> {
    let lasts = || (0_u64..30).prop_map(|tens| tens * 10 + 5);
    prop_oneof![
        1 => Just(Step::Pause),
        1 => lasts().prop_map(Step::PauseFor),
        1 => Just(Step::Resume),
        1 => Just(Step::Drain),
        1 => any::<bool>().prop_map(Step::Shadow),
        1 => Just(Step::Refill),
        1 => Just(Step::Block),
        1 => Just(Step::Bypass),
        1 => Just(Step::Reset),
        1 => any::<bool>().prop_map(|shadow| Step::Configure { shadow }),
        1 => lasts().prop_map(Step::Throttle),
        1 => lasts().prop_map(Step::Left),
        3 => (1_u64..20).prop_map(|tens| Step::Pass(tens * 10)),
    ]
}

/// What an operator and an upstream have asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    now: u64,
    commanded_until: u64,
    upstream_until: u64,
    capped_until: u64,
    draining: bool,
    bypass: bool,
    shadow: bool,
    configured_shadow: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Passes,
    Draining,
    Paused,
    /// For one reason or another.
    Rejected,
}

impl Model {
    fn command(&mut self, step: Step) {
        match step {
            Step::Pause | Step::Block => (self.commanded_until, self.bypass) = (u64::MAX, false),
            Step::PauseFor(lasts) => {
                self.commanded_until = self.commanded_until.max(self.now + lasts);
                self.bypass = false;
            }
            Step::Resume | Step::Refill => self.resume(),
            Step::Drain => (self.draining, self.bypass) = (true, false),
            Step::Shadow(on) => (self.shadow, self.bypass) = (on, false),
            Step::Bypass => {
                self.resume();
                self.bypass = true;
            }
            Step::Reset => {
                self.resume();
                self.shadow = self.configured_shadow;
            }
            Step::Configure { shadow } => {
                (self.shadow, self.configured_shadow) = (shadow, shadow);
            }
            Step::Throttle(lasts) => {
                self.upstream_until = self.upstream_until.max(self.now + lasts);
            }
            Step::Left(lasts) => self.capped_until = self.capped_until.max(self.now + lasts),
            Step::Pass(time) => self.now += time,
        }
    }

    fn resume(&mut self) {
        *self = Self {
            now: self.now,
            shadow: self.shadow,
            configured_shadow: self.configured_shadow,
            ..Self::default()
        };
    }

    fn expected(&self) -> Expected {
        if self.draining {
            Expected::Draining
        } else if self.now < self.commanded_until {
            // The longer wait is the reason.
            let capped = self.now < self.capped_until && !(self.bypass || self.shadow);
            if capped {
                Expected::Rejected
            } else {
                Expected::Paused
            }
        } else if self.bypass || self.shadow {
            Expected::Passes
        } else if self.now < self.upstream_until.max(self.capped_until) {
            Expected::Rejected
        } else {
            Expected::Passes
        }
    }
}

fn matches(expected: &Expected, result: Result<(), Reason>) -> bool {
    match (expected, result) {
        (Expected::Passes, Ok(())) | (Expected::Rejected, Err(_)) => true,
        (Expected::Draining, Err(reason)) => reason == Reason::Draining,
        (Expected::Paused, Err(reason)) => reason == Reason::Paused,
        _ => false,
    }
}

fn result<S>(svc: &mut S, request: u32) -> Result<(), Reason>
where
    S: Service<u32, Error = BoxError>,
{
    match call(svc, request).poll() {
        Poll::Ready(Ok(_)) => Ok(()),
        Poll::Ready(Err(error)) => Err(error.rejection().expect("of the limit").reason()),
        Poll::Pending => panic!("calls may not wait"),
    }
}

async fn command(handle: &RateLimitHandle, limits: &[Limit], step: Step) {
    match step {
        Step::Pause => handle.pause(),
        Step::PauseFor(lasts) => handle.pause_for(ms(lasts)),
        Step::Resume => handle.resume(),
        Step::Drain => handle.drain(),
        Step::Shadow(on) => handle.set_shadow(on),
        Step::Refill => handle.refill(),
        Step::Block => handle.control(Command::Block).expect("known"),
        Step::Bypass => handle.control(Command::Bypass).expect("known"),
        Step::Reset => handle.control(Command::Reset).expect("known"),
        Step::Configure { shadow } => {
            let config = of(limits).shadow(shadow).build().expect("valid settings");
            handle.configure(config).expect("of the same shape");
        }
        Step::Throttle(lasts) => handle.apply_signal(throttle(ms(lasts))),
        Step::Left(lasts) => handle.apply_signal(left(Unit::Cost, 0, ms(lasts))),
        Step::Pass(time) => advance(ms(time)).await,
    }
}

/// Of all keys and of one of them.
async fn command_keys(handle: &KeyedRateLimitHandle, key: PartitionKey, step: Step, of_all: bool) {
    let signal = |lasts, scope| QuotaSignal::Pause {
        lasts: Some(ms(lasts)),
        scope,
    };
    match (step, of_all) {
        (Step::Pause | Step::Block, true) => handle.pause_all(),
        (Step::Pause | Step::Block, false) => handle.pause(key),
        (Step::PauseFor(lasts), true) => handle.pause_all_for(ms(lasts)),
        (Step::PauseFor(lasts), false) => handle.pause_for(key, ms(lasts)),
        (Step::Drain, true) => handle.drain_all(),
        (Step::Refill, false) => handle.refill(key),
        (Step::Resume, true) => handle.resume_all(),
        (Step::Resume, false) => handle.resume(key),
        (Step::Reset, _) => handle.reset(),
        (Step::Throttle(lasts), true) => handle.apply_signal(key, signal(lasts, Scope::Upstream)),
        (Step::Throttle(lasts), false) => handle.apply_signal(key, signal(lasts, Scope::Endpoint)),
        (Step::Left(lasts), _) => handle.apply_signal(key, left(Unit::Cost, 0, ms(lasts))),
        (Step::Pass(time), _) => advance(ms(time)).await,
        _ => {}
    }
}

proptest! {
    #[test]
    fn commands_and_their_inverses_do_what_an_obvious_model_does(
        kind in 0..large().len(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(async {
            let limits = &large()[kind];
            let config = of(limits).build().expect("valid settings");
            let layer = RateLimitLayer::new("desk", config);
            let (handle, mut svc) = (layer.handle(), layer.layer(mock().0));
            let mut model = Model::default();
            for step in steps {
                command(&handle, limits, step).await;
                model.command(step);
                let expected = model.expected();
                let got = result(&mut svc, 0);
                prop_assert!(matches(&expected, got), "{expected:?}, {got:?} after {step:?}: {model:?}");
                let reserved = handle.try_reserve(&RequestMeta::default());
                prop_assert!(matches(&expected, reserved.map(drop).map_err(|r| r.reason())));
                let next = handle.time_to_next(&RequestMeta::default());
                match expected {
                    Expected::Passes => prop_assert_eq!(next, Some(Duration::ZERO)),
                    Expected::Draining => prop_assert_eq!(next, None),
                    _ => prop_assert!(next != Some(Duration::ZERO)),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn commands_of_keys_do_what_an_obvious_model_does(
        kind in 0..large().len(),
        steps in prop::collection::vec((step(), any::<bool>(), 0_u32..2), 1..60),
    ) {
        run(async {
            let config = KeyedRateLimitConfig::new(of(&large()[kind])).expect("valid settings");
            let by_key = |key: &u32| RequestMeta::new(Replay::Safe).with_key(PartitionKey::of(key));
            let layer = KeyedRateLimitLayer::new("keys", config).describe(by_key);
            let (handle, mut svc) = (layer.handle(), layer.layer(mock().0));
            // Of all keys, and of each.
            let (mut all, mut each) = (Model::default(), [Model::default(); 2]);
            for (step, of_all, key) in steps {
                let reset = matches!(step, Step::Reset);
                let known = match step {
                    Step::Drain => of_all,
                    Step::Refill => !of_all,
                    Step::Shadow(_) | Step::Bypass | Step::Configure { .. } => false,
                    _ => true,
                };
                if !known {
                    continue;
                }
                let partition = PartitionKey::of(&key);
                command_keys(&handle, partition, step, of_all).await;
                let time = matches!(step, Step::Pass(_));
                if time || reset || (of_all && !matches!(step, Step::Left(_))) {
                    all.command(step);
                }
                for (index, model) in each.iter_mut().enumerate() {
                    let only_one = !of_all || matches!(step, Step::Left(_));
                    if time || reset || (only_one && index == key as usize) {
                        model.command(step);
                    }
                }
                for key in 0..2 {
                    let (one, both) = (each[key as usize].expected(), all.expected());
                    let expected = match (one, both) {
                        (_, Expected::Draining) => Expected::Draining,
                        (Expected::Passes, both) => both,
                        (Expected::Paused, _) => Expected::Paused,
                        _ => Expected::Rejected,
                    };
                    let got = result(&mut svc, key);
                    prop_assert!(matches(&expected, got), "{expected:?}, {got:?} after {step:?}");
                    let meta = RequestMeta::default().with_key(PartitionKey::of(&key));
                    let reserved = handle.try_reserve(&meta).map(drop).map_err(|r| r.reason());
                    prop_assert!(matches(&expected, reserved));
                }
            }
            Ok(())
        })?;
    }
}

// ---- The figure of a rejection

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let limit = (1_u32..12, 1_u64..90, 0_u32..5).prop_map(|(count, secs, kind)| {
        let per = SECOND * u32::try_from(secs).expect("small");
        match kind {
            0 => Limit::bucket(count, per).burst(count).into(),
            1 => Limit::bucket(1, per).burst(count).into(),
            2 => Limit::strict(count, per).into(),
            3 => Limit::window(count, per).into(),
            _ => Limit::strict(count * 1_000, per).into(),
        }
    });
    prop::collection::vec(limit, 1..4)
}

#[derive(Clone, Copy, Debug)]
enum Before {
    Take(u32),
    Pass(u64),
    PauseFor(u64),
    Throttle(u64),
    Left(u64, u64),
}

fn before() -> impl Strategy<Value = Vec<Before>> {
    let one = prop_oneof![
        6 => (1_u32..9).prop_map(Before::Take),
        3 => (1_u64..20_000).prop_map(Before::Pass),
        1 => (1_u64..40_000).prop_map(Before::PauseFor),
        1 => (1_u64..40_000).prop_map(Before::Throttle),
        1 => (0_u64..9, 1_u64..40_000).prop_map(|(left, resets)| Before::Left(left, resets)),
    ];
    prop::collection::vec(one, 0..25)
}

/// The two handles alike.
trait Reserves {
    fn reserve(&self, meta: &RequestMeta) -> Result<(), Rejection>;
    fn time_to(&self, meta: &RequestMeta) -> Option<Duration>;
    fn apply(&self, signal: QuotaSignal);
    fn pause(&self, lasts: Duration);
}

impl Reserves for RateLimitHandle {
    fn reserve(&self, meta: &RequestMeta) -> Result<(), Rejection> {
        self.try_reserve(meta)
            .map(seawall_ratelimit::Reservation::commit)
    }

    fn time_to(&self, meta: &RequestMeta) -> Option<Duration> {
        self.time_to_next(meta)
    }

    fn apply(&self, signal: QuotaSignal) {
        self.apply_signal(signal);
    }

    fn pause(&self, lasts: Duration) {
        self.pause_for(lasts);
    }
}

impl Reserves for KeyedRateLimitHandle {
    fn reserve(&self, meta: &RequestMeta) -> Result<(), Rejection> {
        self.try_reserve(meta)
            .map(seawall_ratelimit::Reservation::commit)
    }

    fn time_to(&self, meta: &RequestMeta) -> Option<Duration> {
        self.time_to_next(meta)
    }

    fn apply(&self, signal: QuotaSignal) {
        self.apply_signal(PartitionKey::default(), signal);
    }

    fn pause(&self, lasts: Duration) {
        self.pause_all_for(lasts);
    }
}

/// A rejection names the first moment at which the same call passes.
async fn names_the_first_moment(
    handle: &impl Reserves,
    before: Vec<Before>,
    cost: u32,
) -> Result<(), TestCaseError> {
    let meta = |cost| RequestMeta::new(Replay::Safe).with_cost(cost);
    for step in before {
        match step {
            Before::Take(cost) => drop(handle.reserve(&meta(cost))),
            Before::Pass(time) => advance(ms(time)).await,
            Before::PauseFor(lasts) => handle.pause(ms(lasts)),
            Before::Throttle(lasts) => handle.apply(throttle(ms(lasts))),
            Before::Left(remaining, resets) => {
                handle.apply(left(Unit::Cost, remaining, ms(resets)));
            }
        }
    }
    let meta = meta(cost);
    let next = handle.time_to(&meta);
    let Err(rejected) = handle.reserve(&meta) else {
        prop_assert_eq!(next, Some(Duration::ZERO));
        return Ok(());
    };
    prop_assert_eq!(rejected.retry_after(), next);
    let Some(wait) = rejected.retry_after() else {
        prop_assert_eq!(rejected.reason(), Reason::TooExpensive);
        return Ok(());
    };
    let nanosecond = Duration::from_nanos(1);
    advance(wait - nanosecond).await;
    let early = handle.reserve(&meta);
    prop_assert_eq!(
        early.map_err(|r| r.retry_after()),
        Err(Some(nanosecond)),
        "after {:?}",
        wait
    );
    advance(nanosecond).await;
    prop_assert!(handle.reserve(&meta).is_ok(), "not after {wait:?}");
    Ok(())
}

proptest! {
    #[test]
    fn a_rejection_names_the_first_moment_at_which_the_call_passes(
        limits in limits(),
        before in before(),
        cost in 1_u32..9,
        waits in any::<bool>(),
        keyed in 0_u8..3,
        account in limits(),
    ) {
        run(async {
            let config = |limits: &[Limit]| {
                let config = of(limits);
                if waits { config.max_wait(SECOND) } else { config }
            };
            let account = RateLimitLayer::new("account", config(&account).build().expect("valid"));
            let account = account.handle();
            account.set_wall_clock(std::time::UNIX_EPOCH + 500_000 * super::operator::HOUR);
            let of_keys = KeyedRateLimitConfig::new(config(&limits)).expect("valid");
            match keyed {
                0 => names_the_first_moment(&account, before, cost).await,
                1 => {
                    let keys = KeyedRateLimitLayer::new("keys", of_keys).handle();
                    names_the_first_moment(&keys, before, cost).await
                }
                _ => {
                    let keys = KeyedRateLimitLayer::within_account("keys", of_keys, &account);
                    names_the_first_moment(&keys.handle(), before, cost).await
                }
            }
        })?;
    }
}
