//! A stack of what the file of a provider says.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode};
use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{
    Backoff, FailureKind, InvalidConfig, Jitter, Outcome, PartitionKey, Priority, Ratio, Replay,
    RequestMeta, Scope, Unit,
};
use seawall_http::body_timeout::BodyTimeoutConfig;
use seawall_http::inspect::{BodyRule, BodyRules};
use seawall_http::quota::{LimitHeaders, RateLimitHeaders, ResetFormat};
use seawall_http::{HttpClassifier, Routes};
use seawall_ratelimit::{KeyedRateLimitConfig, Limit, RateLimitConfig, RateLimitConfigBuilder};
use seawall_retry::RetryConfig;
use seawall_telemetry::TelemetryConfig;
use seawall_timeout::{AttemptTimeoutConfig, DeadlineConfig};

use super::data::{
    BodyData, BreakerData, BulkheadData, Enforcement, JitterName, LimitData, LimitHeadersData,
    LimitScope, Meaning, PriorityName, ProviderData, QueueData, ReplayName, ResetName, RetryData,
    RouteData, ScopeName, SignalData, TierData, TimingData, UnitName,
};
use crate::preset::{BodyTimes, HttpParts, LONGEST_BAN, LONGEST_PAUSE};
use crate::settings::Settings;

/// The share of what a provider allows that is used unless it is set.
pub(crate) const UTILIZATION: f64 = 0.8;

/// Whether a tier makes a stack.
pub(super) fn check(data: &ProviderData, tier: &TierData) -> Result<(), InvalidConfig> {
    let share = Ratio::new(UTILIZATION)?;
    for limit in &tier.limits {
        let alone = LimitData {
            burst: None,
            ..limit.clone()
        };
        let most = self::limit(&alone, unit(limit.unit), share)?.capacity();
        match (limit.enforcement, limit.burst) {
            (Enforcement::Quota, Some(burst)) => {
                let accepted = "nothing: a quota may be used at once";
                return Err(InvalidConfig::new("burst", burst, accepted));
            }
            (Enforcement::Rate, Some(burst)) if burst > most => {
                let accepted = format!("at most {most}, what the share leaves of the limit");
                return Err(InvalidConfig::new("burst", burst, accepted));
            }
            _ => {}
        }
    }
    let settings = settings(data, tier, share)?;
    settings.check()?;
    check_waiting(tier, &settings)?;
    if is_per_model(tier) {
        check_permits(&settings, MODELS, || format!("each of {MODELS} models"))?;
    }
    per_key(data, tier, share, &settings.rate_limit)?;
    http_parts(data)?;
    Ok(())
}

/// The settings of a tier's layers, at this share of its limits.
pub(super) fn settings(
    data: &ProviderData,
    tier: &TierData,
    share: Ratio,
) -> Result<Settings, InvalidConfig> {
    let timing = timing(data, tier);
    Ok(Settings {
        telemetry: TelemetryConfig::default(),
        deadline: DeadlineConfig::new(timing.deadline.0).map_err(|e| e.in_field("deadline"))?,
        retry: retry(tier.retry.as_ref().unwrap_or(&data.retry))?,
        bulkhead: bulkhead(tier.bulkhead.as_ref().unwrap_or(&data.bulkhead))?,
        rate_limit: rate_limit(data, tier, share)?,
        breaker: breaker(tier.breaker.as_ref().unwrap_or(&data.breaker))?,
        attempt_timeout: AttemptTimeoutConfig::fixed(timing.attempt_timeout.0)
            .map_err(|e| e.in_field("attempt_timeout"))?,
        body_timeout: body_timeout(timing)?,
    })
}

/// Calls that wait for a token have a permit: a class whose limit is used up must not take those of
/// the other classes.
pub(super) fn check_waiting(tier: &TierData, settings: &Settings) -> Result<(), InvalidConfig> {
    let classes = classes(tier).len() as u64;
    check_permits(settings, classes, || format!("each of {classes} classes"))
}

/// How many models of which the limits are used up leave permits to others. A user's own settings may
/// leave none: they may be for one model.
const MODELS: u64 = 3;

fn check_permits(
    settings: &Settings,
    count: u64,
    of: impl FnOnce() -> String,
) -> Result<(), InvalidConfig> {
    let max_concurrent = settings.bulkhead.max_concurrent();
    let waiting = count * u64::from(settings.rate_limit.max_waiting());
    if u64::from(max_concurrent) > waiting {
        return Ok(());
    }
    let accepted = format!("more than {waiting}: `max_waiting` calls of {}", of());
    Err(InvalidConfig::new(
        "max_concurrent",
        max_concurrent,
        accepted,
    ))
}

/// The calls that a limit counts together.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Counted<'a> {
    All,
    /// Those of each model, or of each group of models.
    Model,
    Class(&'a str),
}

impl LimitData {
    pub(super) fn counted(&self) -> Counted<'_> {
        match &self.class {
            Some(class) => Counted::Class(class),
            None if self.scope == LimitScope::OrganizationModel => Counted::Model,
            None => Counted::All,
        }
    }
}

fn has_limit_of(tier: &TierData, counted: Counted<'_>) -> bool {
    tier.limits.iter().any(|limit| limit.counted() == counted)
}

/// Whether a tier limits each model.
pub(super) fn is_per_model(tier: &TierData) -> bool {
    has_limit_of(tier, Counted::Model)
}

/// Whether a tier limits all calls together.
pub(super) fn is_for_all(tier: &TierData) -> bool {
    has_limit_of(tier, Counted::All)
}

/// The names of the classes that have limits.
fn classes(tier: &TierData) -> BTreeSet<&str> {
    let limits = tier.limits.iter();
    limits.filter_map(|limit| limit.class.as_deref()).collect()
}

/// The limits of each class of routes or of each model, with the queue and the pauses of `total`. What
/// has no class is limited as all calls together are. Where no limit is of all calls, `total` is that of
/// a model.
pub(super) fn per_key(
    data: &ProviderData,
    tier: &TierData,
    share: Ratio,
    total: &RateLimitConfig,
) -> Result<KeyedRateLimitConfig, InvalidConfig> {
    let queue = || RateLimitConfigBuilder::from(total.clone()).without_limits();
    let others = if is_per_model(tier) {
        match is_for_all(tier) {
            true => limits(queue(), data, tier, Counted::Model, share)?,
            false => total.clone().into(),
        }
    } else {
        // Limits that are kept in a file cannot be those of a key.
        match KeyedRateLimitConfig::new(total.clone()) {
            Ok(_) => total.clone().into(),
            Err(_) => limits(queue(), data, tier, Counted::All, share)?,
        }
    };
    let mut config = KeyedRateLimitConfig::builder(others);
    for class in classes(tier) {
        let own = limits(queue(), data, tier, Counted::Class(class), share)?;
        config = config.key(PartitionKey::of(class), own);
    }
    config.build()
}

/// What is particular to HTTP.
pub(super) fn http_parts(data: &ProviderData) -> Result<HttpParts, InvalidConfig> {
    Ok(HttpParts {
        headers: headers(data)?,
        classifier: classifier(data)?,
        body_rules: body_rules(data)?,
        routes: routes(data)?,
    })
}

pub(super) fn timing<'a>(data: &'a ProviderData, tier: &'a TierData) -> &'a TimingData {
    tier.timing.as_ref().unwrap_or(&data.timing)
}

fn retry(data: &RetryData) -> Result<RetryConfig, InvalidConfig> {
    let jitter = match data.jitter {
        JitterName::Full => Jitter::Full,
        JitterName::Equal => Jitter::Equal,
        JitterName::None => Jitter::None,
    };
    let backoff = Backoff::exponential(data.first_wait.0, data.longest_wait.0)?;
    RetryConfig::builder()
        .attempts(data.attempts)
        .backoff(backoff.with_jitter(jitter))
        .max_retry_after(data.max_retry_after.0)
        .build()
}

fn bulkhead(data: &BulkheadData) -> Result<BulkheadConfig, InvalidConfig> {
    BulkheadConfig::builder()
        .max_concurrent(data.max_concurrent)
        .max_waiting(data.max_waiting)
        .max_wait(data.max_wait.0)
        .build()
}

fn breaker(data: &BreakerData) -> Result<BreakerConfig, InvalidConfig> {
    let mut config = BreakerConfig::builder()
        .open_for(data.open_for.0)
        .probes(data.probes)
        .successes_to_close(data.successes_to_close)
        .open_on_ban(LONGEST_BAN);
    if let Some(failures) = data.consecutive_failures {
        config = config.consecutive_failures(failures);
    }
    match (data.failure_rate, data.calls, data.min_calls) {
        (None, None, None) => config.build(),
        (Some(share), Some(calls), Some(min_calls)) => config
            .failure_rate(share, calls)
            .min_calls(min_calls)
            .build(),
        _ => Err(InvalidConfig::new(
            "failure_rate",
            "incomplete",
            "`failure_rate`, `calls` and `min_calls`, or none of them",
        )),
    }
}

fn body_timeout(data: &TimingData) -> Result<BodyTimeoutConfig, InvalidConfig> {
    let times = BodyTimes {
        first_byte: data.first_byte.map(|time| time.0),
        idle: data.idle.0,
    };
    times.config()
}

fn rate_limit(
    data: &ProviderData,
    tier: &TierData,
    share: Ratio,
) -> Result<RateLimitConfig, InvalidConfig> {
    let queue: &QueueData = tier.queue.as_ref().unwrap_or(&data.queue);
    let pause = queue.default_pause.0;
    let config = RateLimitConfig::builder()
        .max_wait(queue.max_wait.0)
        .max_waiting(queue.max_waiting)
        .default_pause(pause)
        .max_pause(pause.max(LONGEST_PAUSE))
        .max_ban(LONGEST_BAN);
    let counted = match is_for_all(tier) {
        true => Counted::All,
        false => Counted::Model,
    };
    limits(config, data, tier, counted, share)?.build()
}

/// Adds the limits of these calls.
fn limits(
    mut config: RateLimitConfigBuilder,
    data: &ProviderData,
    tier: &TierData,
    counted: Counted<'_>,
    share: Ratio,
) -> Result<RateLimitConfigBuilder, InvalidConfig> {
    for limit in &tier.limits {
        if limit.counted() == counted {
            let unit = counted_unit(data, limit.unit);
            config = config.limit(self::limit(limit, unit, share)?);
        }
    }
    Ok(config)
}

/// Where nothing has a weight, a request is one of the unit that limits count unless they name
/// another: so a limit of a user's own replaces it while calls run.
fn counted_unit(data: &ProviderData, name: UnitName) -> Unit {
    let has_weights = data.routes.iter().any(|route| route.cost.is_some());
    match name {
        UnitName::Requests if !has_weights => Unit::Cost,
        name => unit(name),
    }
}

fn limit(data: &LimitData, unit: Unit, share: Ratio) -> Result<Limit, InvalidConfig> {
    Ok(match data.enforcement {
        Enforcement::Rate => {
            let safe = Limit::quota(data.count, data.per.0).utilization(share);
            // A greater share leaves less to the burst.
            let most = Limit::from(safe.clone()).capacity();
            let burst = data.burst.unwrap_or(most).min(most);
            safe.burst(burst).with_unit(unit).into()
        }
        Enforcement::Quota => {
            let count = (f64::from(data.count) * share.get() + 1e-9).floor() as u32;
            Limit::strict(count, data.per.0).with_unit(unit).into()
        }
    })
}

pub(super) const fn unit(unit: UnitName) -> Unit {
    match unit {
        UnitName::Requests => Unit::Requests,
        UnitName::Cost => Unit::Cost,
        UnitName::Tokens => Unit::Tokens,
        UnitName::InputTokens => Unit::InputTokens,
        UnitName::OutputTokens => Unit::OutputTokens,
    }
}

pub(super) fn routes(data: &ProviderData) -> Result<Routes, InvalidConfig> {
    let add = |routes: Routes, route: &RouteData| {
        let meta = meta(route);
        match &route.method {
            Some(method) => routes.route(method_of(method)?, &route.path, meta),
            None => routes.any(&route.path, meta),
        }
    };
    data.routes.iter().try_fold(Routes::reads_only(), add)
}

fn method_of(name: &str) -> Result<Method, InvalidConfig> {
    // Methods are compared as they are written: one in small letters would match no request.
    let is_capital = !name.chars().any(char::is_lowercase);
    let method = is_capital.then(|| name.parse().ok()).flatten();
    method.ok_or_else(|| InvalidConfig::new("method", name, "a method of HTTP in capitals"))
}

pub(super) fn meta(route: &RouteData) -> RequestMeta {
    let replay = match route.replay {
        ReplayName::Safe => Replay::Safe,
        ReplayName::SafeWithEffect => Replay::SafeWithEffect,
        ReplayName::Never => Replay::Never,
    };
    let priority = match route.priority {
        Some(PriorityName::Low) => Priority::LOW,
        Some(PriorityName::High) => Priority::HIGH,
        Some(PriorityName::Normal) | None => Priority::NORMAL,
    };
    let meta = RequestMeta::new(replay)
        .with_cost(route.cost.unwrap_or(1))
        .with_priority(priority);
    match &route.class {
        Some(class) => meta.with_key(PartitionKey::of(class.as_str())),
        None => meta,
    }
}

fn headers(data: &ProviderData) -> Result<RateLimitHeaders, InvalidConfig> {
    let mut limits = data.limit_headers.iter();
    let headers = limits.try_fold(RateLimitHeaders::new(), |all, one| {
        all.and(limit_headers(one)?)
    })?;
    data.used_headers.iter().try_fold(headers, |all, used| {
        all.and_used_per_window(&used.prefix, unit(used.unit))
    })
}

fn limit_headers(data: &LimitHeadersData) -> Result<LimitHeaders, InvalidConfig> {
    let mut headers = LimitHeaders::new(unit(data.unit));
    if let Some(name) = &data.limit {
        headers = headers.limit(name);
    }
    if let Some(name) = &data.used {
        headers = headers.used(name);
    }
    if let Some(name) = &data.remaining {
        headers = headers.remaining(name);
    }
    if let Some(window) = data.window {
        headers = headers.window(window.0);
    }
    match (&data.reset, data.reset_format) {
        (Some(name), format) => Ok(headers.reset(name, reset_format(format))),
        (None, None) => Ok(headers),
        (None, Some(_)) => Err(InvalidConfig::new(
            "reset_format",
            "set",
            "nothing where there is no `reset`",
        )),
    }
}

const fn reset_format(name: Option<ResetName>) -> ResetFormat {
    match name {
        Some(ResetName::Auto) | None => ResetFormat::Auto,
        Some(ResetName::EpochSeconds) => ResetFormat::EpochSeconds,
        Some(ResetName::EpochMillis) => ResetFormat::EpochMillis,
        Some(ResetName::SecondsLeft) => ResetFormat::SecondsLeft,
        Some(ResetName::GoDuration) => ResetFormat::GoDuration,
        Some(ResetName::Rfc3339) => ResetFormat::Rfc3339,
        Some(ResetName::HttpDate) => ResetFormat::HttpDate,
    }
}

/// What the statuses mean by themselves.
fn classifier(data: &ProviderData) -> Result<HttpClassifier, InvalidConfig> {
    let mut classifier = HttpClassifier::new();
    let longest = data
        .signals
        .iter()
        .filter_map(|signal| signal.longest)
        .max();
    if let Some(longest) = longest {
        classifier = classifier.with_longest_ban(longest.0)?;
    }
    for signal in data.signals.iter().filter(|signal| signal.body.is_none()) {
        if signal.statuses.is_empty() {
            return Err(InvalidConfig::new(
                "statuses",
                "empty",
                "at least one where a signal has no `body`",
            ));
        }
        for status in statuses(signal)? {
            classifier = match signal.means {
                // The wait that the response asks for counts.
                Meaning::Ban => {
                    let wait = signal.wait.map_or(Duration::ZERO, |wait| wait.0);
                    classifier.ban_on(status, wait)
                }
                Meaning::QuotaExhausted => {
                    let least = signal.wait.map_or(Duration::ZERO, |wait| wait.0);
                    classifier.quota_on(status, least)
                }
                Meaning::Throttle => {
                    let wait = signal.wait.map(|wait| wait.0);
                    classifier.throttle_on(status, wait, scope(signal))
                }
                _ => classifier.status(status, outcome(signal)),
            };
        }
    }
    Ok(classifier)
}

fn statuses(signal: &SignalData) -> Result<Vec<StatusCode>, InvalidConfig> {
    let status = |code: &u16| {
        let accepted = "statuses from 100 to 999";
        let status = StatusCode::from_u16(*code).ok();
        status.ok_or_else(|| InvalidConfig::new("statuses", code, accepted))
    };
    signal.statuses.iter().map(status).collect()
}

const fn outcome(signal: &SignalData) -> Outcome {
    let wait = match signal.wait {
        Some(wait) => Some(wait.0),
        None => None,
    };
    match signal.means {
        Meaning::Throttle => Outcome::Throttled {
            retry_after: wait,
            scope: scope(signal),
        },
        Meaning::Ban => Outcome::Banned { lasts: wait },
        Meaning::QuotaExhausted => Outcome::QuotaExhausted { renews_in: wait },
        Meaning::Overloaded => Outcome::Failure(FailureKind::Overloaded),
        Meaning::Ignored => Outcome::Ignored,
    }
}

const fn scope(signal: &SignalData) -> Scope {
    match signal.scope {
        Some(ScopeName::Endpoint) => Scope::Endpoint,
        Some(ScopeName::Account) | None => Scope::Account,
    }
}

fn body_rules(data: &ProviderData) -> Result<BodyRules, InvalidConfig> {
    let rule = |signal: &SignalData| {
        let body = signal.body.as_ref()?;
        Some(body_rule(signal, body))
    };
    data.signals.iter().filter_map(rule).collect()
}

fn body_rule(signal: &SignalData, body: &BodyData) -> Result<BodyRule, InvalidConfig> {
    let mut rule = BodyRule::new(outcome(signal));
    for status in statuses(signal)? {
        rule = rule.status(status);
    }
    if body.html {
        rule = rule.html();
    }
    if body.wait_in_words {
        rule = rule.wait_in_words();
    }
    if let Some(end) = &body.before {
        rule = rule.before(end);
    }
    rule = body.first_key.iter().fold(rule, BodyRule::first_key);
    rule = body.begins_with.iter().fold(rule, BodyRule::begins_with);
    Ok(body.contains.iter().fold(rule, BodyRule::contains))
}
