//! Which setting would have helped, by what was counted.

use serde::Serialize;

use crate::evidence::{Counted, Evidence};
use crate::outcome::{Outcome, Phase};

/// A setting that would have helped, and what was counted that says so.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// The service.
    pub service: String,
    /// The layer: `breaker`.
    pub layer: &'static str,
    /// The setting, or `missing` where there is no such layer.
    pub setting: &'static str,
    /// What to do, in words.
    pub words: String,
    /// What was counted.
    pub evidence: String,
}

/// From this share of failed calls on, a circuit is worth its while.
const MANY_FAILURES: f64 = 0.2;
/// Fewer calls than this say nothing about a share.
const FEW_CALLS: u64 = 20;

/// What follows for these services from what was counted while the faults were on; nothing where the hypothesis held.
pub(crate) fn recommendations<'a>(
    outcome: Outcome,
    has_recovered: bool,
    services: impl Iterator<Item = &'a str>,
    evidence: &Evidence,
) -> Vec<Recommendation> {
    let did_not_hold = matches!(
        outcome,
        Outcome::Refuted | Outcome::NotRecovered | Outcome::GuardTripped
    );
    let mut all = Vec::new();
    for service in services.filter(|_| did_not_hold) {
        let Some(counted) = evidence.of(service) else {
            continue;
        };
        let rules = [
            breaker, bulkhead, rate_limit, retries, timeout, fallback, recovery,
        ];
        let found = rules.iter().filter_map(|rule| rule(counted, has_recovered));
        all.extend(
            found.map(|(layer, setting, words, evidence)| Recommendation {
                service: service.to_owned(),
                layer,
                setting,
                words,
                evidence,
            }),
        );
    }
    all
}

type Found = Option<(&'static str, &'static str, String, String)>;

/// Calls or attempts of a phase.
#[derive(Clone, Copy, Default)]
struct Calls {
    /// Rejected ones included.
    all: u64,
    succeeded: u64,
    failed: u64,
}

impl Calls {
    /// The share of those that failed among those that succeeded or failed.
    fn failures(&self) -> f64 {
        share(self.failed, self.sent())
    }

    fn sent(&self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }
}

/// Calls as the outermost layer that counts them does.
fn calls(counted: &Counted, phase: Phase) -> Calls {
    let metric = "seawall_calls_total";
    let of = |layer| {
        let sum = |labels: &[_]| counted.sum(phase, metric, None, labels);
        let with = |outcome| sum(&[("layer", layer), ("outcome", outcome)]);
        Calls {
            all: sum(&[("layer", layer)]),
            succeeded: with("success"),
            failed: with("failure").saturating_add(with("unknown")),
        }
    };
    let layers = ["telemetry", "retry", "breaker", "bulkhead"];
    layers
        .into_iter()
        .map(of)
        .find(|calls| calls.all > 0)
        .unwrap_or_default()
}

/// Attempts: what a circuit sees.
fn attempts(counted: &Counted, phase: Phase) -> Calls {
    let of = |metric, pattern| {
        let with = |outcome| counted.sum(phase, metric, pattern, &[("outcome", outcome)]);
        let (succeeded, failed) = (
            with("success"),
            with("failure").saturating_add(with("unknown")),
        );
        Calls {
            all: succeeded.saturating_add(failed),
            succeeded,
            failed,
        }
    };
    let by_breaker = of("seawall_calls_total", Some("breaker"));
    let by_retry = of("seawall_retry_attempts_total", None);
    match (by_breaker.all, by_retry.all) {
        (0, 0) => calls(counted, phase),
        (0, _) => by_retry,
        _ => by_breaker,
    }
}

fn share(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Many attempts failed, and no circuit opened.
fn breaker(counted: &Counted, _: bool) -> Found {
    let attempts = attempts(counted, Phase::During);
    let (failures, sent) = (attempts.failures(), attempts.sent());
    if sent < FEW_CALLS || failures < MANY_FAILURES {
        return None;
    }
    let failed = attempts.failed;
    let seen = format!("{failed} of {sent} attempts failed ({})", percent(failures));
    if !counted.has("breaker") {
        let words =
            "put a circuit breaker around it: calls to an upstream that fails are rejected at once"
                .to_owned();
        return Some((
            "breaker",
            "missing",
            words,
            format!("{seen}, and no layer counts circuits"),
        ));
    }
    if counted.state("breaker") == Some("forced_closed") {
        let words = "let the circuit open: it is switched off".to_owned();
        return Some((
            "breaker",
            "enabled",
            words,
            format!("{seen}, and the circuit is forced closed"),
        ));
    }
    let opened = [("to", "open")];
    let openings = counted.sum(
        Phase::During,
        "seawall_breaker_transitions_total",
        None,
        &opened,
    );
    if openings > 0 {
        return None;
    }
    let threshold = counted.gauge(Phase::During, "seawall_breaker_failure_threshold_ratio");
    let threshold = threshold.map_or_else(String::new, |at| {
        format!(", whose threshold is {}", percent(at))
    });
    let words = "let the circuit open earlier: a lower threshold, or fewer calls from which on it is judged".to_owned();
    let evidence = format!("{seen}, and no circuit opened{threshold}");
    Some(("breaker", "failure_rate", words, evidence))
}

/// The share of calls that a layer rejected, and that before.
fn rejected(
    counted: &Counted,
    layer: &'static str,
    reasons: &[&'static str],
) -> (u64, u64, f64, f64) {
    let of = |phase| {
        let sum = |reason: &&'static str| {
            let labels = [("layer", layer), ("reason", *reason)];
            counted.sum(phase, "seawall_rejections_total", None, &labels)
        };
        let rejected = reasons.iter().map(sum).fold(0, u64::saturating_add);
        let all = calls(counted, phase).all.max(rejected);
        (rejected, all, share(rejected, all))
    };
    let (during, all, now) = of(Phase::During);
    (during, all, now, of(Phase::Before).2)
}

fn bulkhead(counted: &Counted, _: bool) -> Found {
    let reasons = ["bulkhead_full", "queue_timeout", "deadline_exceeded"];
    let (rejected, all, now, before) = rejected(counted, "bulkhead", &reasons);
    if now < 0.01 || now <= before {
        return None;
    }
    let words = "slow calls hold their permits: a shorter attempt timeout frees them, or allow more calls at once";
    let evidence = format!(
        "the bulkhead rejected {rejected} of {all} calls ({}), and {} before",
        percent(now),
        percent(before)
    );
    Some(("bulkhead", "max_concurrent", words.to_owned(), evidence))
}

fn rate_limit(counted: &Counted, _: bool) -> Found {
    let reasons = [
        "rate_limited",
        "quota_exhausted",
        "paused",
        "deadline_exceeded",
    ];
    let (rejected, all, now, before) = rejected(counted, "ratelimit", &reasons);
    if now < 0.01 || now <= before {
        return None;
    }
    let words =
        "further attempts use up the rate limit: fewer of them, or a longer wait for tokens";
    let evidence = format!(
        "the rate limit rejected {rejected} of {all} calls ({}), and {} before",
        percent(now),
        percent(before)
    );
    Some(("ratelimit", "max_wait", words.to_owned(), evidence))
}

/// Failures that nothing tried again, or so many further attempts that they were a load of their own.
fn retries(counted: &Counted, _: bool) -> Found {
    let calls = calls(counted, Phase::During);
    let (all, sent, failed, failures) = (calls.all, calls.sent(), calls.failed, calls.failures());
    if sent < FEW_CALLS {
        return None;
    }
    if !counted.has("retry") {
        // Where most calls fail, another attempt fails as well.
        if !(0.02..MANY_FAILURES).contains(&failures) {
            return None;
        }
        let words = "try again what may be sent twice: most further attempts would have succeeded"
            .to_owned();
        let evidence = format!(
            "{failed} of {sent} calls failed ({}), and no layer retries",
            percent(failures)
        );
        return Some(("retry", "missing", words, evidence));
    }
    let retried = counted.sum(Phase::During, "seawall_retry_retries_total", None, &[]);
    let retries = share(retried, all);
    if retries < 0.5 || failures < MANY_FAILURES {
        return None;
    }
    let words = "try less often again: further attempts were a load, and did not help".to_owned();
    let evidence = format!(
        "{retried} further attempts for {all} calls ({}), of which {failed} failed all the same",
        percent(retries)
    );
    Some(("retry", "budget", words, evidence))
}

/// Attempts took much longer, and none was ended.
fn timeout(counted: &Counted, _: bool) -> Found {
    let before = counted.quantile(Phase::Before, 0.99)?;
    let during = counted.quantile(Phase::During, 0.99)?;
    let ended = counted.sum(Phase::During, "seawall_timeouts_total", None, &[]);
    if ended > 0 || during < before * 3.0 || during < 0.1 {
        return None;
    }
    let words = format!(
        "end attempts earlier: 99 of 100 need {before:.3} s in steady state, and an attempt timeout of some times that frees the caller"
    );
    let evidence = format!(
        "99 of 100 attempts took up to {before:.3} s before and {during:.3} s with the faults, and none was ended"
    );
    let setting = if counted.has("attempt_timeout") {
        "timeout"
    } else {
        "missing"
    };
    Some(("attempt_timeout", setting, words, evidence))
}

/// An open circuit rejected many calls, and nothing answers in its place.
fn fallback(counted: &Counted, _: bool) -> Found {
    let reasons = ["circuit_open", "not_ready"];
    let by_gate = rejected(counted, "gate", &reasons);
    let by_breaker = rejected(counted, "breaker", &reasons);
    let (rejected, all, now, _) = if by_gate.0 > by_breaker.0 {
        by_gate
    } else {
        by_breaker
    };
    if now < 0.1 || counted.has("router") {
        return None;
    }
    let words = "answer without the upstream while its circuit is open: from a cache, or from another provider";
    let evidence = format!(
        "an open circuit rejected {rejected} of {all} calls ({})",
        percent(now)
    );
    Some(("fallback", "missing", words.to_owned(), evidence))
}

/// The circuit was still open when it should have recovered.
fn recovery(counted: &Counted, has_recovered: bool) -> Found {
    let state = counted.gauge(Phase::After, "seawall_breaker_state")?;
    if has_recovered || state < 1.0 {
        return None;
    }
    let words =
        "probe earlier: a shorter open time, or one that grows less with each opening".to_owned();
    let evidence = match counted.gauge(Phase::After, "seawall_breaker_next_probe_seconds") {
        Some(wait) if wait > 0.0 => {
            format!("the circuit was still open at the end, and would probe in {wait:.1} s")
        }
        _ => "the circuit was not closed at the end".to_owned(),
    };
    Some(("breaker", "open_time", words, evidence))
}
