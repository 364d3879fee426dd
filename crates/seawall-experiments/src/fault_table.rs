//! A fault as it is written in a file.

use std::time::Duration;

use seawall_chaos::{ClockSkew, Delay, Fault, FaultKind, Reach, StatusResponse};
use seawall_core::InvalidConfig;

use crate::raw::{RawDelay, RawFault};
use crate::times::length;

/// The fault, with the intensity that it has in the part of the traffic that may be hit.
pub(crate) fn fault(raw: &RawFault, reach: Reach, traffic: f64) -> Result<Fault, InvalidConfig> {
    let kind = FaultKind::from_word(&raw.kind)?;
    has_no_effect(raw, kind)?;
    let fault = match kind {
        FaultKind::Delay => Fault::delay(delay(raw)?),
        FaultKind::Hang => Fault::hang(),
        FaultKind::ErrorBeforeSending => Fault::error_before_sending(),
        FaultKind::LostResponse => Fault::lost_response(),
        FaultKind::RefusedConnection => Fault::refused_connection(),
        FaultKind::Status => Fault::status(status(raw)?),
        FaultKind::TruncatedBody => Fault::truncated_body(),
        FaultKind::CorruptedBody => Fault::corrupted_body(),
        FaultKind::SlowBody => Fault::slow_body(delay(raw)?),
        FaultKind::StaleResponse => Fault::stale_response(),
        FaultKind::DuplicatedRequest => Fault::duplicated_request(),
        FaultKind::ClockSkew => Fault::clock_skew(skew(raw)?),
        other => {
            let accepted = "a kind that a file can describe";
            return Err(InvalidConfig::new("kind", other.as_str(), accepted));
        }
    };
    // Each is judged by itself first, so that an error shows what was written.
    const ACCEPTED: &str = "a number above 0, up to 1";
    let share = raw.intensity;
    let share = share.ok_or_else(|| missing("intensity", ACCEPTED))?;
    let fault = fault.with_intensity(share)?;
    let intensity = share * traffic;
    hits_some("intensity", intensity)?;
    Ok(fault.with_intensity(intensity)?.with_reach(reach))
}

/// Rejects a share that is so small that no run has a call of it.
pub(crate) fn hits_some(field: &'static str, share: f64) -> Result<(), InvalidConfig> {
    if share < Fault::LEAST_INTENSITY {
        // All of its digits would be hundreds.
        let value = format!("{share:e}");
        let accepted =
            "at least one in a million, of an intensity as the share of `traffic` that it is";
        return Err(InvalidConfig::new(field, value, accepted));
    }
    Ok(())
}

/// Rejects a field that another kind has.
fn has_no_effect(raw: &RawFault, kind: FaultKind) -> Result<(), InvalidConfig> {
    let is_status = kind == FaultKind::Status;
    let is_slow = matches!(kind, FaultKind::Delay | FaultKind::SlowBody);
    let is_skew = kind == FaultKind::ClockSkew;
    for (field, is_set, belongs) in [
        ("delay", raw.delay.is_some(), is_slow),
        ("status", raw.status.is_some(), is_status),
        ("headers", raw.headers.is_some(), is_status),
        ("body", raw.body.is_some(), is_status),
        ("ahead", raw.ahead.is_some(), is_skew),
        ("behind", raw.behind.is_some(), is_skew),
    ] {
        if is_set && !belongs {
            let accepted = format!("nothing: it has no effect on the kind `{}`", kind.as_str());
            return Err(InvalidConfig::new(field, "set", accepted));
        }
    }
    Ok(())
}

fn missing(field: &'static str, accepted: &'static str) -> InvalidConfig {
    InvalidConfig::new(field, "missing", accepted)
}

fn status(raw: &RawFault) -> Result<StatusResponse, InvalidConfig> {
    const ACCEPTED: &str = "an error status from 400 to 599";
    let status = raw.status.ok_or_else(|| missing("status", ACCEPTED))?;
    let number = u16::try_from(status).ok();
    let number = number.ok_or_else(|| InvalidConfig::new("status", status, ACCEPTED))?;
    let mut response = StatusResponse::new(number)?;
    if raw
        .headers
        .as_ref()
        .is_some_and(std::collections::BTreeMap::is_empty)
    {
        return Err(InvalidConfig::new("headers", "{}", "at least one header"));
    }
    for (name, value) in raw.headers.iter().flatten() {
        response = response.header(name, value)?;
    }
    Ok(match &raw.body {
        Some(body) => response.body(body),
        None => response,
    })
}

fn skew(raw: &RawFault) -> Result<ClockSkew, InvalidConfig> {
    match (&raw.ahead, &raw.behind) {
        (Some(by), None) => ClockSkew::ahead(length("ahead", by)?),
        (None, Some(by)) => ClockSkew::behind(length("behind", by)?),
        (Some(_), Some(by)) => {
            let accepted = "nothing beside `ahead`: one of them";
            Err(InvalidConfig::new("behind", format!("{by:?}"), accepted))
        }
        (None, None) => Err(missing("ahead", "one of `ahead` and `behind`")),
    }
}

fn delay(raw: &RawFault) -> Result<Delay, InvalidConfig> {
    const ACCEPTED: &str = "`constant`, `from` and `to`, `mean` and `deviation`, `median` and `sigma`, or `least` and \
        `shape`, and `at_most`";
    let raw = raw.delay.as_ref();
    let raw = raw.ok_or_else(|| missing("delay", ACCEPTED))?;
    let time = |field: &str, text: &str| -> Result<Duration, InvalidConfig> {
        length(&format!("delay.{field}"), text)
    };
    let RawDelay {
        constant,
        from,
        to,
        mean,
        deviation,
        median,
        sigma,
        least,
        shape,
        at_most,
    } = raw;
    // Exactly the fields of one distribution.
    let is_set = [
        constant.is_some(),
        from.is_some(),
        to.is_some(),
        mean.is_some(),
        deviation.is_some(),
        median.is_some(),
        sigma.is_some(),
        least.is_some(),
        shape.is_some(),
    ];
    let number = is_set.iter().filter(|is_set| **is_set).count();
    let delay = match (
        constant,
        (from, to),
        (mean, deviation),
        (median, sigma),
        (least, shape),
    ) {
        (Some(constant), ..) if number == 1 => Delay::constant(time("constant", constant)?),
        (_, (Some(from), Some(to)), ..) if number == 2 => {
            let from = if from == "0s" {
                Duration::ZERO
            } else {
                time("from", from)?
            };
            Delay::uniform(from, time("to", to)?)
        }
        (_, _, (Some(mean), Some(deviation)), ..) if number == 2 => {
            Delay::normal(time("mean", mean)?, time("deviation", deviation)?)
        }
        (.., (Some(median), Some(sigma)), _) if number == 2 => {
            Delay::log_normal(time("median", median)?, *sigma)
        }
        (.., (Some(least), Some(shape))) if number == 2 => {
            Delay::pareto(time("least", least)?, *shape)
        }
        _ => Err(InvalidConfig::new("delay", "no distribution", ACCEPTED)),
    }?;
    if let (Some(longest), Some(_)) = (at_most, constant) {
        let accepted = "nothing beside `constant`, which is the longest already";
        let value = format!("{longest:?}");
        return Err(InvalidConfig::new("delay.at_most", value, accepted));
    }
    match at_most {
        Some(longest) => delay.at_most(time("at_most", longest)?),
        None => Ok(delay),
    }
}
