//! All settings: the one table that the reader, the schema and what shows them are made of.

use std::time::Duration;

use seawall_breaker::{AbandonedPolicy, ClosePolicy, HalfOpenPolicy, PanicPolicy};
use seawall_cache::{CacheConfig, CoalesceConfig};
use seawall_core::{Jitter, Ratio, Scope, Span, Unit};
use seawall_fallback::FallbackConfig;
use seawall_ratelimit::Limit;

use super::answers::Answer;
use super::fallback_value::FallbackValue;
use super::kind::ServiceKind;
use super::numbers::Numbers;
use super::set::Id;
use super::setting::{Level, Setting, Table};
use super::value::{Accepts, Rate};

/// The settings of a table.
pub(super) fn of(table: Table) -> impl Iterator<Item = &'static Setting> + Clone {
    all().filter(move |setting| setting.table == table)
}

/// All of them, table after table.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    NAMES.iter().chain(SETTINGS).chain(&HEALTH)
}

/// The setting of that table and name.
pub(super) fn find(table: Table, key: &str) -> Option<&'static Setting> {
    of(table).find(|setting| setting.key == key)
}

/// The settings that one follows where it is not set itself.
pub(super) fn follows(setting: &'static Setting) -> impl Iterator<Item = Id> + Clone {
    let of_service = match (setting.table, setting.key) {
        (
            Table::RateLimit,
            "rate" | "burst" | "quotas" | "tokens" | "input_tokens" | "output_tokens",
        ) => Some("utilization"),
        (Table::RateLimit, "max_pause") | (Table::Breaker, "max_retry_after") => {
            Some("longest_wait")
        }
        _ => None,
    };
    let own = setting.follows.iter().map(|key| (setting.table, *key));
    own.chain(of_service.map(|key| (Table::Service, key)))
}

const BACKOFFS: &[&str] = &[
    "none",
    "constant",
    "linear",
    "exponential",
    "fibonacci",
    "decorrelated",
];
const JITTERS: &[&str] = &["none", "full", "equal"];
const PANICS: &[&str] = &["failure", "abandoned"];

/// What says which service it is, and what to do about mistakes.
static NAMES: [Setting; 4] = [
    name(
        "provider",
        Accepts::Name,
        Level::Own,
        "A provider of the catalogue, whose numbers are the base.",
    ),
    name(
        "tier",
        Accepts::Name,
        Level::Own,
        "A tier of the provider; the one that most accounts have unless set.",
    ),
    name(
        "kind",
        Accepts::Word(&ServiceKind::NAMES),
        Level::Own,
        "A kind of service, whose numbers are the base; \"api-client\" where there is neither.",
    ),
    name(
        "fail_safe_defaults",
        Accepts::Switch,
        Level::Defaults,
        "A service with mistakes gets the numbers of its kind or provider, and its own where they are tighter, instead of failing the load.",
    ),
];

/// What holds for the health of the program.
static HEALTH: [Setting; 14] = [
    health("enabled", Accepts::Switch, "Whether checks are run."),
    health(
        "interval",
        Accepts::Time,
        "The longest pause between two runs of a check; 30 s unless set.",
    ),
    health(
        "jitter",
        Accepts::Share,
        "By which share of the interval a pause may be shorter, at random; 0.1 unless set.",
    ),
    health(
        "timeout",
        Accepts::Time,
        "How long a run may take before it has failed; 10 s unless set.",
    ),
    health(
        "slow_after",
        Accepts::Time,
        "How long a run may take before its success is degraded; 5 s unless set.",
    ),
    health(
        "failures_to_unhealthy",
        Accepts::Count,
        "How many failures in a row make a check unhealthy; 3 unless set.",
    ),
    health(
        "successes_to_recover",
        Accepts::Count,
        "How many successes in a row bring it back; 2 unless set.",
    ),
    health(
        "max_error_rate",
        Accepts::Share,
        "The share of failed runs above which a success is degraded; 0.1 unless set.",
    ),
    health(
        "auto_recovery",
        Accepts::Switch,
        "Whether recoveries are carried out.",
    ),
    health(
        "score_threshold",
        Accepts::Number,
        "Below which score of 100 the program is reported as low; 80 unless set.",
    ),
    health(
        "resilience_weight",
        Accepts::Number,
        "What the layers weigh in the score; 40 unless set.",
    ),
    health(
        "system_weight",
        Accepts::Number,
        "What the machine weighs in the score; 30 unless set.",
    ),
    health(
        "services_weight",
        Accepts::Number,
        "What the services weigh in the score; 20 unless set.",
    ),
    health(
        "trading_weight",
        Accepts::Number,
        "What trading weighs in the score; 10 unless set.",
    ),
];

const fn health(key: &'static str, accepts: Accepts, about: &'static str) -> Setting {
    Setting {
        table: Table::Health,
        ..name(key, accepts, Level::Defaults, about)
    }
}

const fn name(key: &'static str, accepts: Accepts, level: Level, about: &'static str) -> Setting {
    Setting {
        table: Table::Service,
        key,
        accepts,
        or_false: false,
        level,
        about,
        show: None,
        follows: &[],
    }
}

/// Declares settings: `key: what it accepts, "what it is", |numbers| how it is shown`.
macro_rules! settings {
    ($($Table:ident { $(
        $key:ident: $accepts:expr, $about:literal, |$n:ident| $show:expr
        $(, or $or:tt)? $(, follows $follows:expr)?;
    )* })*) => {
        &[$($(Setting {
            table: Table::$Table,
            key: stringify!($key),
            accepts: $accepts,
            or_false: settings!(@or $($or)?),
            level: Table::$Table.level(),
            about: $about,
            show: Some(|$n| $show),
            follows: settings!(@follows $($follows)?),
        },)*)*]
    };
    (@or) => { false };
    (@or false) => { true };
    (@follows) => { &[] };
    (@follows $follows:expr) => { &$follows };
}

use Accepts::{Count, Number, PartialShare, Rates, Share, Switch, Time, Weight, Word};

static SETTINGS: &[Setting] = settings! {
    Service {
        deadline: Time, "How long one call may take with all its waits and attempts.",
            |n| unless(n.off.deadline, n.settings.deadline.timeout()), or false;
        attempt_timeout: Time, "How long one attempt may take; shorter than the deadline.",
            |n| unless(n.off.attempt_timeout, n.settings.attempt_timeout.timeout()), or false;
        longest_wait: Time, "The longest wait of an upstream that is believed, by `Retry-After` and by headers of limits; a quarter of an hour unless set.",
            |n| time(n.longest_wait_in_force());
        utilization: Share, "Which share of what a provider allows is used.",
            |n| n.utilization.get().to_string();
    }
    Retry {
        enabled: Switch, "Whether calls are tried again.", |n| (!n.off.retry).to_string();
        attempts: Count, "The most attempts of one call, the first one included.",
            |n| n.settings.retry.attempts().to_string();
        backoff: Word(BACKOFFS), "How waits between attempts grow.",
            |n| n.settings.retry.backoff().strategy().to_owned();
        first_wait: Time, "The first wait between attempts.",
            |n| time(n.settings.retry.backoff().base()), follows ["backoff"];
        longest_wait: Time, "The longest wait between attempts.",
            |n| time(n.settings.retry.backoff().cap()), follows ["backoff"];
        factor: Number, "By what an exponential backoff grows each time.",
            |n| option(n.settings.retry.backoff().factor()), follows ["backoff"];
        jitter: Word(JITTERS), "How much of a wait is left to chance.",
            |n| jitter(n.settings.retry.backoff().jitter()).to_owned(), follows ["backoff"];
        throttled_first_wait: Time, "The first wait after a throttled attempt, as after a failure unless set.",
            |n| time(n.settings.retry.throttled_backoff().base()), follows ["first_wait", "backoff"];
        throttled_longest_wait: Time, "The longest wait after a throttled attempt, as after a failure unless set.",
            |n| time(n.settings.retry.throttled_backoff().cap()), follows ["longest_wait", "backoff"];
        overall_timeout: Time, "How long a call may take with all its attempts; shorter than the deadline.",
            |n| Span::or_none(n.settings.retry.overall_timeout());
        max_retry_after: Time, "The longest wait that the upstream may ask for.",
            |n| time(n.settings.retry.max_retry_after());
        retry_after_jitter: Share, "Over which share of a wait that was asked for attempts are spread after it.",
            |n| n.settings.retry.retry_after_jitter().to_string();
        max_rejection_wait: Time, "The longest wait that a layer below may ask for; none with \"0s\".",
            |n| time(n.settings.retry.max_rejection_wait());
        retry_throttled: Switch, "Whether a throttled request is tried again.",
            |n| n.settings.retry.retry_throttled().to_string();
        retry_if_not_sent: Switch, "Whether a request that must not be sent twice is tried again when it was certainly not sent.",
            |n| n.settings.retry.retry_if_not_sent().to_string();
    }
    Bulkhead {
        enabled: Switch, "Whether calls need a permit.", |n| (!n.off.bulkhead).to_string();
        max_concurrent: Count, "How many calls run at once.",
            |n| n.settings.bulkhead.max_concurrent().to_string();
        max_waiting: Count, "How many calls wait for a permit; 0 rejects them at once.",
            |n| n.settings.bulkhead.max_waiting().to_string();
        max_wait: Time, "How long a call waits for a permit.",
            |n| time(n.settings.bulkhead.max_wait());
        priority_aging: Time, "How much waiting makes up for one step of priority.",
            |n| time(n.settings.bulkhead.priority_aging());
        lifo_threshold: Count, "With more than so many queued calls the newest goes first.",
            |n| option(n.settings.bulkhead.lifo_threshold());
        reject_doomed: Switch, "Whether a call is rejected at once when its deadline will pass before its turn comes.",
            |n| n.settings.bulkhead.reject_doomed().to_string();
        shadow: Switch, "Whether calls that would be rejected are only counted.",
            |n| n.settings.bulkhead.shadow().to_string();
    }
    RateLimit {
        enabled: Switch, "Whether calls need tokens.", |n| (!n.off.rate_limit).to_string();
        rate: Accepts::Rate, "How many calls leave per time; it takes the place of the rate of the base.",
            |n| limits(n, is_rate), follows ["limit", "burst"];
        limit: Accepts::Rate, "What the provider allows, of which the share `utilization` is used; in place of `rate`.",
            |n| option(n.limit);
        burst: Count, "How many calls of the rate may leave at once.",
            |n| n.settings.rate_limit.limits().iter().find(|l| is_rate(l)).map_or_else(none, |l| l.capacity().to_string()),
            follows ["rate", "limit"];
        quotas: Rates, "So many calls in any period of that length, beside the rate; in place of the quotas of the base.",
            |n| limits(n, |l| counts_calls(l) && !is_rate(l));
        tokens: Accepts::Rate, "So many tokens of an AI model in any period of that length.",
            |n| limits(n, |l| l.unit() == Unit::Tokens);
        input_tokens: Accepts::Rate, "So many input tokens in any period of that length.",
            |n| limits(n, |l| l.unit() == Unit::InputTokens);
        output_tokens: Accepts::Rate, "So many output tokens in any period of that length.",
            |n| limits(n, |l| l.unit() == Unit::OutputTokens);
        max_wait: Time, "How long a call waits for its tokens; \"0s\" rejects it at once.",
            |n| time(n.settings.rate_limit.max_wait());
        max_waiting: Count, "How many calls wait for tokens.",
            |n| n.settings.rate_limit.max_waiting().to_string();
        priority_aging: Time, "How much waiting makes up for one step of priority.",
            |n| time(n.settings.rate_limit.priority_aging());
        default_pause: Time, "How long a throttle pauses the layer when the upstream reports no time.",
            |n| time(n.settings.rate_limit.default_pause());
        max_pause: Time, "How long a throttle pauses the layer at most.",
            |n| time(n.settings.rate_limit.max_pause());
        max_ban: Time, "How long a ban pauses the layer at most.",
            |n| time(n.settings.rate_limit.max_ban());
        max_debt: Count, "How many periods of a limit may be owed after calls that used more than was estimated.",
            |n| n.settings.rate_limit.max_debt().to_string();
        reserved_share: PartialShare, "Which share of each limit only calls of reserved priority use, such as cancels; unless set a tenth in a stack of orders, else none.",
            |n| match &n.settings.rate_limit {
                limit if limit.is_reserved_share_set() => option(limit.reserved_share().map(Ratio::get)),
                _ => "default".to_owned(),
            }, or false;
        shadow: Switch, "Whether calls that would be rejected are only counted.",
            |n| n.settings.rate_limit.shadow().to_string();
    }
    Breaker {
        enabled: Switch, "Whether the circuit may open.", |n| (!n.off.breaker).to_string();
        consecutive_failures: Count, "So many failures in a row open the circuit.",
            |n| option(n.settings.breaker.consecutive_failures()), or false;
        failure_rate: Share, "So large a share of failures in the window opens the circuit.",
            |n| option(rate_of(n).map(|(share, _)| share)), or false;
        calls: Count, "The window: the last so many calls.",
            |n| option(window(n).0), follows ["period", "failure_rate", "slow_rate"];
        period: Time, "The window: the calls of so long a time; in place of `calls`.",
            |n| Span::or_none(window(n).1), follows ["calls", "failure_rate", "slow_rate"];
        min_calls: Count, "With fewer calls in the window no rate is computed.",
            |n| option(rate_of(n).or_else(|| slow_rate_of(n)).map(|(_, least)| least)),
            follows ["calls", "period", "failure_rate", "slow_rate"];
        slow_after: Time, "From when on a call is slow.",
            |n| Span::or_none(n.settings.breaker.slow_after()), follows ["slow_rate"];
        slow_rate: Share, "So large a share of slow calls in the window opens the circuit.",
            |n| option(slow_rate_of(n).map(|(share, _)| share)), or false;
        max_age: Time, "From which age on a call no longer counts.",
            |n| Span::or_none(n.settings.breaker.max_age()), or false, follows ["consecutive_failures"];
        open_for: Time, "How long the circuit stays open before it probes.",
            |n| time(n.settings.breaker.open_for());
        open_factor: Number, "By what the open time grows each time; with `longest_open`.",
            |n| option(n.settings.breaker.open_growth().map(|(factor, _)| factor));
        longest_open: Time, "How long the open time may grow; with `open_factor`.",
            |n| Span::or_none(n.settings.breaker.open_growth().map(|(_, cap)| cap));
        open_jitter: Share, "By how large a share of itself the open time is lengthened at random.",
            |n| n.settings.breaker.open_jitter().to_string();
        open_decay: Time, "How long the circuit must be closed for one step of the growth to be taken back.",
            |n| time(n.settings.breaker.open_decay()), follows ["open_for"];
        open_on_ban: Time, "For how long at most a ban opens the circuit; an ordinary failure with false.",
            |n| Span::or_none(n.settings.breaker.open_on_ban()), or false;
        open_on_throttle: Time, "For how long at most a throttle opens the circuit.",
            |n| Span::or_none(n.settings.breaker.open_on_throttle(Scope::Upstream));
        max_retry_after: Time, "For how long at most a `Retry-After` keeps the circuit open.",
            |n| Span::or_none(n.settings.breaker.max_retry_after()), or false;
        probes: Count, "How many probes of a half-open circuit run at once.",
            |n| n.settings.breaker.probes().to_string();
        successes_to_close: Count, "So many probes must succeed to close the circuit.",
            |n| option(match n.settings.breaker.close_policy() {
                ClosePolicy::Successes(successes) => Some(successes),
                _ => None,
            }), follows ["close_rate", "close_calls"];
        close_rate: Share, "So large a share of `close_calls` probes must succeed, in place of `successes_to_close`.",
            |n| option(close_rate(n).map(|(share, _)| share));
        close_calls: Count, "Of so many probes; with `close_rate`.",
            |n| option(close_rate(n).map(|(_, calls)| calls));
        probe_timeout: Time, "After how long a probe that has not responded is given up.",
            |n| time(n.settings.breaker.probe_timeout()), follows ["open_for"];
        probe_wait: Time, "How long calls wait while all probes of a half-open circuit run; rejected at once with false.",
            |n| Span::or_none(match n.settings.breaker.half_open_policy() {
                HalfOpenPolicy::Wait { max_wait } => Some(max_wait),
                _ => None,
            }), or false;
        abandoned_after: Time, "From which age on a call that was dropped counts as a failure; never with false.",
            |n| Span::or_none(match n.settings.breaker.abandoned_policy() {
                AbandonedPolicy::FailureAfter(age) => Some(age),
                _ => None,
            }), or false;
        panics: Word(PANICS), "How a call counts that panicked.",
            |n| match n.settings.breaker.panic_policy() {
                PanicPolicy::Abandoned => "abandoned",
                _ => "failure",
            }.to_owned();
        ramp_steps: Count, "In how many steps a recovered circuit lets more calls pass; with `ramp_step`.",
            |n| option(n.settings.breaker.ramp().map(|ramp| ramp.steps));
        ramp_step: Time, "How long each of these steps takes; with `ramp_steps`.",
            |n| Span::or_none(n.settings.breaker.ramp().map(|ramp| ramp.step));
        shadow: Switch, "Whether calls that would be rejected are only counted.",
            |n| n.settings.breaker.shadow().to_string();
    }
    BodyTimeout {
        enabled: Switch, "Whether bodies are timed.", |n| (!n.off.body_timeout).to_string();
        first_byte: Time, "How long a call may take to the first byte of the body.",
            |n| Span::or_none(n.settings.body_timeout.first_byte());
        idle: Time, "How long a reader may find nothing to read.",
            |n| Span::or_none(n.settings.body_timeout.idle()), or false, follows ["total"];
        total: Time, "How long the body may take in total.",
            |n| Span::or_none(n.settings.body_timeout.total());
        within_deadline: Switch, "Whether a body ends at the deadline that its request brings along.",
            |n| n.settings.body_timeout.within_deadline().to_string();
    }
    Telemetry {
        enabled: Switch, "Whether calls and attempts are measured.",
            |n| n.settings.telemetry.enabled().to_string();
        slow_after: Time, "How long a call that succeeds may take before it counts as slow.",
            |n| time(n.settings.telemetry.slow_after());
        overhead_every: Count, "Of about one in how many calls the time of the layers themselves is measured; 0 is of none.",
            |n| n.settings.telemetry.overhead_every().to_string();
        spans: Switch, "Whether each call and each attempt has a `tracing` span; with the feature `tracing`.",
            |n| n.settings.telemetry.spans().to_string();
    }
    Cache {
        enabled: Switch, "Whether answers are kept and given.", |n| is_on(n.answers.cache.as_ref());
        ttl: Time, "How long an answer is fresh; has to be set.", |n| cache(n, |c| time(c.ttl()));
        stale_while_revalidate: Time, "How long after that it is used while a new one is fetched; not at all unless set.",
            |n| cache(n, |c| Span::or_none(c.stale_while_revalidate())), or false;
        stale_on_failure: Time, "Up to which age an answer is used where the upstream fails; not at all unless set.",
            |n| cache(n, |c| Span::or_none(c.stale_on_failure())), or false;
        negative_ttl: Time, "How long an answer is kept that there is no such thing; not at all unless set.",
            |n| cache(n, |c| Span::or_none(c.negative_ttl())), or false;
        max_entries: Count, "The most entries; 10000 unless set.",
            |n| cache(n, |c| c.max_entries().to_string());
        max_weight: Weight, "The most that all entries may weigh together, over HTTP in bytes; no limit unless set.",
            |n| cache(n, |c| option(c.max_weight())), or false;
        coalesce: Switch, "Whether callers of one key share one call; they do unless set.",
            |n| cache(n, |c| c.coalesce().to_string());
        max_wait: Time, "How long a caller waits for the call of another one, and how long a refresh may take; 30 s unless set.",
            |n| cache(n, |c| time(c.max_wait()));
        max_refreshes: Count, "How many answers are refreshed in the background at once; 16 unless set.",
            |n| cache(n, |c| c.max_refreshes().to_string());
    }
    Coalesce {
        enabled: Switch, "Whether callers share calls.", |n| is_on(n.answers.coalesce.as_ref());
        max_wait: Time, "How long a caller waits for the call of another one; 30 s unless set.",
            |n| coalesce(n, |c| time(c.max_wait()));
        share_failures: Switch, "Whether all waiters get what a call has failed with.",
            |n| coalesce(n, |c| c.share_failures().to_string());
    }
    Fallback {
        enabled: Switch, "Whether calls that fail are answered.", |n| is_on(n.answers.fallback.as_ref());
        step_timeout: Time, "How long a step may take that has no timeout of its own; 2 s unless set.",
            |n| fallback(n, |c| time(c.step_timeout()));
        max_running: Count, "How many calls may be in steps that take time at once; 64 unless set.",
            |n| fallback(n, |c| c.max_running().to_string());
        body: Accepts::Text, "A body that calls that fail are answered with over HTTP; none unless set.",
            |n| value(n, |v| format!("{:?}", v.body()));
        content_type: Accepts::Text, "Its `Content-Type`; not named unless set.",
            |n| option(n.answers.value.as_ref().and_then(FallbackValue::content_type));
        status: Count, "The status that it comes with, from 200 to 599; 200 unless set.",
            |n| value(n, |v| v.status().as_u16().to_string());
    }
};

fn time(time: Duration) -> String {
    Span(time).to_string()
}

fn unless(off: bool, limit: Duration) -> String {
    if off { "false".to_owned() } else { time(limit) }
}

fn none() -> String {
    "none".to_owned()
}

fn option<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(none, |value| value.to_string())
}

fn is_on<C>(layer: Option<&Answer<C>>) -> String {
    option(layer.map(|layer| !layer.is_off))
}

fn cache(numbers: &Numbers, show: impl Fn(&CacheConfig) -> String) -> String {
    let cache = numbers.answers.cache.as_ref();
    cache.map_or_else(none, |cache| show(&cache.config))
}

fn coalesce(numbers: &Numbers, show: impl Fn(&CoalesceConfig) -> String) -> String {
    let coalesce = numbers.answers.coalesce.as_ref();
    coalesce.map_or_else(none, |coalesce| show(&coalesce.config))
}

fn fallback(numbers: &Numbers, show: impl Fn(&FallbackConfig) -> String) -> String {
    let fallback = numbers.answers.fallback.as_ref();
    fallback.map_or_else(none, |fallback| show(&fallback.config))
}

fn value(numbers: &Numbers, show: impl Fn(&FallbackValue) -> String) -> String {
    numbers.answers.value.as_ref().map_or_else(none, show)
}

fn jitter(jitter: Jitter) -> &'static str {
    match jitter {
        Jitter::Equal => "equal",
        Jitter::None => "none",
        _ => "full",
    }
}

/// Whether a limit is one of calls, and not of tokens.
pub(super) fn counts_calls(limit: &Limit) -> bool {
    matches!(limit.unit(), Unit::Cost | Unit::Requests)
}

/// Whether a limit of calls is spread over time.
pub(super) fn is_rate(limit: &Limit) -> bool {
    counts_calls(limit) && limit.kind() == "bucket"
}

fn limits(numbers: &Numbers, which: impl Fn(&Limit) -> bool) -> String {
    let limits = numbers.settings.rate_limit.limits().iter();
    let shown: Vec<_> = limits
        .filter(|limit| which(limit))
        .map(|limit| {
            let (count, per) = (limit.count(), limit.period());
            Rate { count, per }.to_string()
        })
        .collect();
    if shown.is_empty() {
        none()
    } else {
        shown.join(", ")
    }
}

/// The share of failures that opens the circuit, and of at least how many calls.
fn rate_of(numbers: &Numbers) -> Option<(f64, u32)> {
    let breaker = &numbers.settings.breaker;
    let of_calls = breaker
        .failure_rate()
        .map(|rule| (rule.share, rule.min_calls));
    let over_time = breaker.failure_rate_over();
    of_calls.or(over_time.map(|rule| (rule.share, rule.min_calls)))
}

fn slow_rate_of(numbers: &Numbers) -> Option<(f64, u32)> {
    let breaker = &numbers.settings.breaker;
    let of_calls = breaker.slow_rate().map(|rule| (rule.share, rule.min_calls));
    let over_time = breaker.slow_rate_over();
    of_calls.or(over_time.map(|rule| (rule.share, rule.min_calls)))
}

/// The window of the rates: of calls, or of time.
fn window(numbers: &Numbers) -> (Option<u32>, Option<Duration>) {
    let breaker = &numbers.settings.breaker;
    let calls = breaker.failure_rate().or(breaker.slow_rate());
    let period = breaker.failure_rate_over().or(breaker.slow_rate_over());
    (calls.map(|rule| rule.over), period.map(|rule| rule.over))
}

fn close_rate(numbers: &Numbers) -> Option<(f64, u32)> {
    match numbers.settings.breaker.close_policy() {
        ClosePolicy::Rate { share, calls } => Some((share, calls)),
        _ => None,
    }
}
