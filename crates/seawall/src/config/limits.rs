//! The rate limit, with what is set.

use seawall_core::{InvalidConfig, Ratio, Unit};
use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitConfigBuilder};

use super::set::{Set, set_each};
use super::table::{counts_calls, is_rate};
use super::value::Rate;

pub(super) fn rate_limit(
    base: &RateLimitConfig,
    set: &Set<'_>,
    share: Ratio,
) -> Result<RateLimitConfig, InvalidConfig> {
    let mut limits = base.limits().to_vec();
    change_rate(&mut limits, set, share)?;
    if let Some(quotas) = set.rates("quotas") {
        limits.retain(|limit| !counts_calls(limit) || is_rate(limit));
        for quota in quotas {
            limits.push(strict("quotas", *quota, Unit::Cost)?);
        }
    }
    for (key, unit) in [
        ("tokens", Unit::Tokens),
        ("input_tokens", Unit::InputTokens),
        ("output_tokens", Unit::OutputTokens),
    ] {
        if let Some(rate) = set.rate(key) {
            limits.retain(|limit| limit.unit() != unit);
            limits.push(strict(key, rate, unit)?);
        }
    }
    if limits.is_empty() {
        let accepted = "at least one, where there is no rate";
        return Err(InvalidConfig::new("quotas", "empty", accepted));
    }
    let mut config = RateLimitConfigBuilder::from(base.clone()).without_limits();
    for limit in limits {
        config = config.limit(limit);
    }
    set_each!(config, set:
        time max_wait,
        count max_waiting,
        time priority_aging,
        time default_pause,
        time max_pause,
        time max_ban,
        count max_debt,
        switch shadow,
    );
    if let Some(share) = set.number("reserved_share") {
        config = config.reserved_share(Ratio::new(share)?);
    } else if set.is_off("reserved_share") {
        config = config.reserved_share(None);
    }
    config.build()
}

/// A limit that counts every call in any period of that length.
fn strict(key: &'static str, rate: Rate, unit: Unit) -> Result<Limit, InvalidConfig> {
    let limit = Limit::strict(rate.count, rate.per).with_unit(unit);
    checked(key, rate, limit.into())
}

/// That limit, if it can be one; what is wrong with it is about `key`.
fn checked(key: &'static str, rate: Rate, limit: Limit) -> Result<Limit, InvalidConfig> {
    let alone = RateLimitConfig::builder().limit(limit.clone()).build();
    match alone {
        Ok(_) => Ok(limit),
        Err(error) if error.field() == "rate" => {
            Err(InvalidConfig::new(key, rate, error.accepted().to_owned()))
        }
        Err(error) if error.field() == "period" => {
            let accepted = format!("a period {}", error.accepted());
            Err(InvalidConfig::new(key, rate, accepted))
        }
        Err(error) => Err(error),
    }
}

/// Changes the rate of calls, or its burst.
fn change_rate(limits: &mut Vec<Limit>, set: &Set<'_>, share: Ratio) -> Result<(), InvalidConfig> {
    let at = limits.iter().position(is_rate);
    let burst = set.count("burst");
    let (key, rate, mut limit) = match (set.rate("rate"), set.rate("limit")) {
        (Some(_), Some(limit)) => {
            let accepted = "either `rate` or `limit`";
            return Err(InvalidConfig::new("limit", limit, accepted));
        }
        (Some(rate), None) => ("rate", rate, Limit::bucket(rate.count, rate.per)),
        (None, Some(rate)) => {
            let safe = Limit::quota(rate.count, rate.per).utilization(share);
            let most = Limit::from(safe.clone()).capacity();
            if let Some(burst) = burst.filter(|burst| *burst > most) {
                let accepted = format!("at most {most}, what the share leaves of the limit");
                return Err(InvalidConfig::new("burst", burst, accepted));
            }
            ("limit", rate, safe)
        }
        (None, None) => {
            let Some(burst) = burst else { return Ok(()) };
            let Some(own) = at.and_then(|at| limits.get(at)) else {
                let accepted = "nothing where no limit of calls is a rate";
                return Err(InvalidConfig::new("burst", burst, accepted));
            };
            let (count, per) = (own.count(), own.period());
            ("burst", Rate { count, per }, Limit::bucket(count, per))
        }
    };
    if let Some(burst) = burst {
        limit = limit.burst(burst);
    }
    let unit = at
        .and_then(|at| limits.get(at))
        .map_or(Unit::Cost, Limit::unit);
    let limit = limit.with_unit(unit).into();
    let limit = checked(key, rate, limit).map_err(|error| match set.rate("limit") {
        // The share has made it too long.
        Some(limit) if strict("limit", limit, unit).is_ok() && error.field() == "limit" => {
            let accepted = "a share that leaves at least one per 366 days";
            InvalidConfig::new("utilization", share.get(), accepted)
        }
        _ => error,
    })?;
    match at.and_then(|at| limits.get_mut(at)) {
        Some(own) => *own = limit,
        None => limits.insert(0, limit),
    }
    Ok(())
}
