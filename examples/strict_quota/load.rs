//! Full load on one client of a provider that counts, in virtual time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use seawall::{
    DailyReset, Error, InvalidConfig, Limit, RateLimitConfig, RateLimitHandle, RateLimitLayer,
    Ratio, Rejectable, Replay, RequestMeta, WrapErrorLayer,
};
use seawall_sim::provider::{Counting, Measure, Rejected, SimulatedQuota, Usage};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceBuilder, ServiceExt};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Callers that wait for every response, and callers that give up after a random time.
const PATIENT_CALLERS: u32 = 40;
const IMPATIENT_CALLERS: u32 = 8;

/// What a provider allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) name: &'static str,
    /// So much per so many seconds, all at once, the shortest first.
    pub(crate) all: &'static [(u32, Duration)],
    /// What the heaviest request weighs; the lightest weighs 1.
    pub(crate) heaviest: u32,
    /// How long a caller that gives up waits: at most twice as long and mostly less.
    pub(crate) wait_limit: Duration,
}

/// The rules that the limit is checked against.
pub(crate) const RULES: [Rules; 5] = [
    Rules {
        name: "1/s",
        all: &[(1, SECOND)],
        heaviest: 1,
        wait_limit: Duration::from_secs(48),
    },
    Rules {
        name: "5/min",
        all: &[(5, MINUTE)],
        heaviest: 1,
        wait_limit: Duration::from_secs(600),
    },
    Rules {
        name: "200/min",
        all: &[(200, MINUTE)],
        heaviest: 1,
        wait_limit: Duration::from_secs(15),
    },
    // Orders at Zerodha Kite.
    Rules {
        name: "10/s + 400/min + 5,000/day",
        all: &[(10, SECOND), (400, MINUTE), (5_000, DAY)],
        heaviest: 1,
        wait_limit: Duration::from_secs(300),
    },
    // The weights of Binance, of requests that weigh 1 to 20.
    Rules {
        name: "6,000 weight/min",
        all: &[(6_000, MINUTE)],
        heaviest: 20,
        wait_limit: Duration::from_secs(5),
    },
];

impl Rules {
    /// Whether one of them is counted by the day.
    pub(crate) fn daily(&self) -> bool {
        self.all.iter().any(|(_, per)| *per == DAY)
    }
}

/// How the client keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`Limit::strict`].
    Strict,
    /// A bucket at 80 % of the limit.
    Share,
    /// [`Limit::window`] and [`Limit::daily`].
    Window,
    /// A bucket with the whole limit as its rate and again as its burst: wrong where the provider
    /// counts in windows.
    Greedy,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Share => "bucket at 80 %",
            Self::Window => "window",
            Self::Greedy => "bucket, burst = rate",
        }
    }

    /// The counters that it must not exceed.
    pub(crate) const fn counters(self) -> &'static [Counting] {
        match self {
            Self::Strict | Self::Share => &[Counting::Sliding, Counting::Fixed, Counting::Bucket],
            Self::Window => &[Counting::Fixed],
            Self::Greedy => &[Counting::Sliding],
        }
    }

    fn limit(
        self,
        (count, per): (u32, Duration),
        margin: Duration,
    ) -> Result<Limit, InvalidConfig> {
        Ok(match self {
            Self::Strict => Limit::strict(count, per).margin(margin).into(),
            Self::Share => Limit::quota(count, per)
                .utilization(Ratio::new(0.8)?)
                .into(),
            Self::Window if per == DAY => Limit::daily(count, DailyReset::offset(EAST)?).into(),
            Self::Window => Limit::window(count, per).into(),
            Self::Greedy => Limit::bucket(count, per).burst(count).into(),
        })
    }

    /// What a client of this kind may use in so long a time: what the provider allows, and of a
    /// bucket at 80 % that rate, and its burst once.
    fn allowed(self, rules: &Rules, length: Duration) -> f64 {
        if self != Self::Share {
            return most(rules.all, length);
        }
        let of = |(count, per): &(u32, Duration)| {
            let count = f64::from(*count);
            let windows = length.as_secs_f64() / per.as_secs_f64();
            0.8 * count * windows + count - (0.8 * count).floor()
        };
        rules.all.iter().map(of).fold(f64::INFINITY, f64::min)
    }
}

/// The most that rules, the shortest first, allow together: each window as early as it can be.
fn most(rules: &[(u32, Duration)], length: Duration) -> f64 {
    let Some(((count, per), shorter)) = rules.split_last() else {
        return f64::INFINITY;
    };
    if length.is_zero() {
        return 0.0;
    }
    let within = |time| most(shorter, time).min(f64::from(*count));
    let whole = length.as_secs() / per.as_secs();
    let rest = Duration::from_secs(length.as_secs() % per.as_secs());
    let rest = if rest.is_zero() { 0.0 } else { within(rest) };
    whole as f64 * within(*per) + rest
}

/// India is so many seconds ahead of UTC.
const EAST: i32 = 19_800;

/// A midnight in India, when a minute begins too.
fn midnight() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(47_482 * 24 * 3600 - 19_800)
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) kind: Kind,
    pub(crate) counters: &'a [Counting],
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    /// How long after a midnight the client starts; the provider's windows begin when it starts.
    pub(crate) phase: Duration,
    /// Of strict limits.
    pub(crate) margin: Duration,
}

/// The result of a run.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Calls that were made.
    pub(crate) offered: u64,
    /// Calls that gave up while they waited.
    pub(crate) left: u64,
    /// Calls that the limit rejected, and one of the reasons.
    pub(crate) rejected: u64,
    pub(crate) reason: Option<String>,
    /// Calls that reached the provider.
    pub(crate) granted: u64,
    /// Violations of each counter, all rules together.
    pub(crate) violations: Vec<(Counting, u64)>,
    /// What those calls weighed, and what was allowed.
    pub(crate) used: u64,
    pub(crate) allowed: f64,
}

impl Outcome {
    pub(crate) fn violated(&self) -> u64 {
        self.violations
            .iter()
            .map(|(_, violations)| violations)
            .sum()
    }

    pub(crate) fn share(&self) -> f64 {
        self.used as f64 / self.allowed
    }
}

#[derive(Debug, Default)]
struct Counts {
    offered: u64,
    left: u64,
    rejected: u64,
    reason: Option<String>,
}

type CallResult = Result<(), Error<Rejected>>;

/// Runs it; with a paused clock on a `current_thread` runtime it takes little time.
///
/// # Errors
///
/// The rules allow no limit of this kind.
pub(crate) async fn run(run: Run<'_>) -> Result<Outcome, InvalidConfig> {
    let provider = run
        .rules
        .all
        .iter()
        .flat_map(|rule| run.counters.iter().map(move |counting| (*rule, *counting)))
        .fold(
            SimulatedQuota::new(),
            |provider, ((count, per), counting)| {
                let limit = seawall_sim::provider::Limit::new(count, per);
                provider.limit(Measure::Weight, limit.expect("no rule is zero"), counting)
            },
        );
    let mut config = RateLimitConfig::builder().max_wait(30 * DAY);
    for rule in run.rules.all {
        config = config.limit(run.kind.limit(*rule, run.margin)?);
    }
    let layer = RateLimitLayer::new("provider", config.build()?)
        .describe(|usage: &Usage| RequestMeta::new(Replay::Safe).with_cost(usage.weight));
    let handle: RateLimitHandle = layer.handle();
    handle.set_wall_clock(midnight() + run.phase);
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(provider.clone());

    let counts = Rc::new(RefCell::new(Counts::default()));
    // All calls that depart before the end: one that departs at the end is in the next window.
    let end = Instant::now() + run.length - MS;
    let callers = LocalSet::new();
    let mut random = fastrand::Rng::with_seed(run.seed);
    for caller in 0..PATIENT_CALLERS + IMPATIENT_CALLERS {
        let random = random.fork();
        let (service, counts) = (service.clone(), Rc::clone(&counts));
        if caller < PATIENT_CALLERS {
            callers.spawn_local(call_until_done(service, random, run.rules.heaviest, counts));
        } else {
            callers.spawn_local(call_and_give_up(service, random, *run.rules, counts));
        }
    }
    callers.run_until(sleep_until(end)).await;
    drop(callers);

    let stats = provider.stats();
    let violations = run.counters.iter().map(|counting| {
        let limits = stats.limits.iter().filter(|l| l.counting == *counting);
        (*counting, limits.map(|limit| limit.violations).sum())
    });
    let counts = counts.borrow();
    Ok(Outcome {
        offered: counts.offered,
        left: counts.left,
        rejected: counts.rejected,
        reason: counts.reason.clone(),
        granted: stats.accepted + stats.rejected,
        violations: violations.collect(),
        used: stats.limits.first().map_or(0, |limit| limit.used),
        allowed: run.kind.allowed(run.rules, run.length),
    })
}

/// Calls again as soon as a call has completed.
async fn call_until_done<S>(
    service: S,
    mut random: fastrand::Rng,
    heaviest: u32,
    counts: Rc<RefCell<Counts>>,
) where
    S: Service<Usage, Response = (), Error = Error<Rejected>> + Clone,
{
    loop {
        let usage = Usage::weight(random.u32(1..=heaviest));
        counts.borrow_mut().offered += 1;
        let result = service.clone().oneshot(usage).await;
        note(&result, &counts).await;
    }
}

/// Each of its calls is a task that is aborted after a random time.
async fn call_and_give_up<S>(
    service: S,
    mut random: fastrand::Rng,
    rules: Rules,
    counts: Rc<RefCell<Counts>>,
) where
    S: Service<Usage, Response = (), Error = Error<Rejected>> + Clone + Send + 'static,
    S::Future: Send,
{
    loop {
        let usage = Usage::weight(random.u32(1..=rules.heaviest));
        counts.borrow_mut().offered += 1;
        let mut call = JoinSet::new();
        call.spawn(service.clone().oneshot(usage));
        sleep(rules.wait_limit.mul_f64(2.0 * random.f64().powi(3))).await;
        call.abort_all();
        match call.join_next().await {
            Some(Ok(result)) => note(&result, &counts).await,
            _ => counts.borrow_mut().left += 1,
        }
    }
}

async fn note(result: &CallResult, counts: &RefCell<Counts>) {
    let Err(error) = result else { return };
    if let Some(rejection) = error.rejection() {
        let mut counts = counts.borrow_mut();
        counts.rejected += 1;
        counts.reason.get_or_insert_with(|| rejection.to_string());
    }
    // Not in an endless loop at the same instant.
    sleep(100 * MS).await;
}
