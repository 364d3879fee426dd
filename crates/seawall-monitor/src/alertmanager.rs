//! Alerts as Alertmanager takes them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::alert_view::{AlertState, AlertView};
use crate::time_text::rfc3339;

/// An alert in the form of `postableAlert` in Alertmanager's `api/v2/openapi.yaml`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Postable<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
}

/// Alerts as JSON for `POST /api/v2/alerts` of Alertmanager.
///
/// `alertname`, `severity`, `program`, `service`, `registry` and what else distinguishes an alert are labels; what
/// changes is in the annotations `summary` and `runbook_url`. What is firing ends `valid_for` after `now`, in
/// milliseconds since the Unix epoch, unless it is sent again, so that no alert outlives this process.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(seawall_monitor::alertmanager_json(&[], 0, Duration::from_secs(240)), "[]");
/// ```
pub fn alertmanager_json(alerts: &[AlertView], now_unix_ms: u64, valid_for: Duration) -> String {
    let valid = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
    let postable = |alert| postable(alert, now_unix_ms.saturating_add(valid));
    let all: Vec<_> = alerts.iter().map(postable).collect();
    // Strings always have a form in JSON.
    serde_json::to_string(&all).unwrap_or_default()
}

fn postable(alert: &AlertView, valid_until: u64) -> Postable<'_> {
    let mut labels: BTreeMap<_, _> = alert
        .labels
        .iter()
        .map(|(label, value)| (*label, value.as_str()))
        .collect();
    labels.insert("alertname", alert.name);
    labels.insert("severity", alert.severity.as_str());
    let ends = match alert.state {
        AlertState::Firing => valid_until.max(alert.raised_at_unix_ms),
        AlertState::Resolved => alert.resolved_at_unix_ms.unwrap_or(alert.raised_at_unix_ms),
    };
    Postable {
        labels,
        annotations: BTreeMap::from([
            ("summary", alert.words.as_str()),
            ("runbook_url", alert.runbook.as_str()),
        ]),
        starts_at: rfc3339(alert.raised_at_unix_ms),
        ends_at: rfc3339(ends),
    }
}
