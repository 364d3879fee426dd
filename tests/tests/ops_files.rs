//! Rules, dashboards and runbooks in `ops/` and `docs/runbooks` name what exists: metrics with their labels,
//! alerts, pages, routes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/ops.rs"]
mod ops;

use std::collections::{BTreeMap, BTreeSet};

use ops::{Rule, dashboards, queries, read, root, rules};
use seawall_core::{METRIC_LABELS, METRICS, MetricKind, metric};
use seawall_monitor::{AlertKind, AlertRule};
use serde_json::Value;

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];
/// The alert that no program can raise itself.
const OURS_ALONE: &str = "TargetDown";

/// The next word of a query, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// The labels that a metric can have in a query; `None` where there is no such metric.
fn labels_of(name: &str, recorded: &BTreeSet<String>) -> Option<BTreeSet<&'static str>> {
    let everywhere = ["service", "name"].into_iter().chain(OF_PROMETHEUS);
    if name == "up" {
        return Some(OF_PROMETHEUS.into());
    }
    if name == "ALERTS" {
        return Some(everywhere.chain(["alertname", "alertstate"]).collect());
    }
    if recorded.contains(name) {
        let all = METRIC_LABELS.iter().map(|label| label.name);
        return Some(all.chain(OF_PROMETHEUS).collect());
    }
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    let histogram = base
        .and_then(metric)
        .filter(|metric| metric.kind == MetricKind::Histogram);
    let simple = metric(name).filter(|metric| metric.kind != MetricKind::Histogram);
    let found = histogram.or(simple)?;
    let le = name.ends_with("_bucket").then_some("le");
    Some(
        everywhere
            .chain(found.labels.iter().copied())
            .chain(le)
            .collect(),
    )
}

/// What is wrong with the names of a query.
fn mistakes(query: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    names(query, recorded).0
}

/// What is wrong with the names of a query, and its labels with the values that they are compared with.
fn names<'a>(
    query: &'a str,
    recorded: &BTreeSet<String>,
) -> (Vec<String>, Vec<(&'a str, &'a str)>) {
    let mut compared = Vec::new();
    let mut wrong = Vec::new();
    let grouping: BTreeSet<_> = METRIC_LABELS
        .iter()
        .map(|label| label.name)
        .chain(OF_PROMETHEUS)
        .chain(["le"])
        .collect();
    let mut rest = query;
    let mut before = "";
    while let Some(begin) =
        rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '"' | '('))
    {
        rest = &rest[begin..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').map_or("", |(_, after)| after);
            continue;
        }
        if let Some(text) = rest.strip_prefix('(') {
            rest = text;
            // Labels that series are grouped or matched by.
            if ["by", "on", "without", "ignoring", "group_left"].contains(&before) {
                let (labels, after) = text.split_once(')').unwrap_or((text, ""));
                for label in labels.split(',').map(str::trim).filter(|it| !it.is_empty()) {
                    if !grouping.contains(label) {
                        wrong.push(format!("by {label}"));
                    }
                }
                rest = after;
            }
            before = "";
            continue;
        }
        let (name, after) = word(rest);
        (before, rest) = (name, after);
        let is_metric =
            name.starts_with("seawall_") || name.contains(':') || ["up", "ALERTS"].contains(&name);
        if !is_metric {
            continue;
        }
        let Some(known) = labels_of(name, recorded) else {
            wrong.push(name.to_owned());
            continue;
        };
        if let Some(selector) = after.strip_prefix('{') {
            let mut selector = selector;
            while !selector.starts_with('}') && !selector.is_empty() {
                selector = selector.trim_start_matches([',', ' ']);
                let (label, value) = word(selector);
                if !known.contains(label) {
                    wrong.push(format!("{name}{{{label}}}"));
                }
                let value = value.split_once('"').map_or("", |(_, value)| value);
                let (value, after) = value.split_once('"').unwrap_or((value, ""));
                compared.push((label, value));
                selector = after;
            }
            rest = selector;
        }
    }
    (wrong, compared)
}

fn recorded() -> BTreeSet<String> {
    let rules = rules().into_iter().filter(|rule| !rule.is_alert);
    rules.map(|rule| rule.name).collect()
}

fn alerts() -> BTreeMap<String, Rule> {
    let rules = rules().into_iter().filter(|rule| rule.is_alert);
    rules.map(|rule| (rule.name.clone(), rule)).collect()
}

#[test]
fn mistakes_are_found() {
    let recorded = BTreeSet::from(["name:a:b".to_owned()]);
    let of = |query: &str| mistakes(query, &recorded);
    let good = r#"sum by (job, le) (rate(seawall_call_duration_seconds_bucket{outcome!="{x}", name=~"$name"}[1m]))
        or name:a:b{limit="0"} or on (service) up"#;
    assert_eq!(of(good), [""; 0]);
    for (query, wrong) in [
        ("rate(seawall_cals_total[1m])", "seawall_cals_total"),
        ("seawall_calls_total_bucket", "seawall_calls_total_bucket"),
        (
            "seawall_call_duration_seconds",
            "seawall_call_duration_seconds",
        ),
        (
            r#"seawall_breaker_state{state="open"}"#,
            "seawall_breaker_state{state}",
        ),
        (
            r#"seawall_calls_total{layer="retry", le="1"}"#,
            "seawall_calls_total{le}",
        ),
        ("sum by (sevice) (up)", "by sevice"),
        ("name:b:c > 1", "name:b:c"),
    ] {
        assert_eq!(of(query), [wrong], "{query}");
    }
}

#[test]
fn rules_and_dashboards_name_metrics_and_labels_that_exist() {
    let recorded = recorded();
    let rules = rules();
    assert!(rules.len() > 25 && rules.iter().all(|rule| !rule.expression.is_empty()));
    let of_rules = rules
        .iter()
        .map(|rule| (rule.name.clone(), rule.expression.clone()));
    let dashboards = dashboards();
    let of_dashboards = dashboards.iter().flat_map(|dashboard| {
        let title = dashboard["title"].as_str().unwrap().to_owned();
        queries(dashboard)
            .into_iter()
            .map(move |query| (title.clone(), query))
    });
    let all: Vec<_> = of_rules.chain(of_dashboards).collect();
    assert!(all.len() > 100, "{}", all.len());
    for (of, query) in &all {
        assert_eq!(mistakes(query, &recorded), [""; 0], "{of}: {query}");
    }
    // What is recorded is used.
    for name in &recorded {
        let used = all
            .iter()
            .any(|(of, query)| of != name && query.contains(name.as_str()));
        assert!(used, "nothing reads {name}");
    }
}

/// A word that no layer writes would select nothing, or everything.
#[test]
fn what_labels_are_compared_with_is_a_word_of_the_sources() {
    let mut sources = String::new();
    let mut directories = vec![root().join("crates")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.ends_with("tests");
            if path.is_dir() && !is_test {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let recorded = recorded();
    let of_rules = rules().into_iter().map(|rule| rule.expression);
    let of_dashboards = dashboards();
    let of_dashboards = of_dashboards.iter().flat_map(queries);
    let mut found = 0;
    for query in of_rules.chain(of_dashboards) {
        for (label, value) in names(&query, &recorded).1 {
            if ["job", "alertstate"].contains(&label) || value.starts_with('$') {
                continue;
            }
            for word in value.split('|') {
                let word = format!("\"{word}\"");
                assert!(sources.contains(&word), "{label}={word} in {query}");
                found += 1;
            }
        }
    }
    assert!(found > 40, "{found}");
}

#[test]
fn every_kind_of_alert_has_a_rule_of_its_severity_and_a_page() {
    let alerts = alerts();
    let kinds = AlertKind::ALL.iter().map(|kind| kind.as_str());
    let expected: BTreeSet<_> = kinds.chain([OURS_ALONE]).collect();
    assert_eq!(
        alerts.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
    for kind in AlertKind::ALL {
        let rule = &alerts[kind.as_str()];
        let severity = format!("severity: {}", AlertRule::of(kind).severity().as_str());
        assert!(
            rule.value("labels").unwrap().contains(&severity),
            "{rule:?}"
        );
    }
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("docs/runbooks")).unwrap() {
        pages.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    assert!(pages.remove("README.md"));
    assert_eq!(
        pages,
        alerts.keys().map(|name| format!("{name}.md")).collect()
    );
    for (name, rule) in &alerts {
        let page = format!("docs/runbooks/{name}.md");
        assert_eq!(rule.value("runbook_url"), Some(&*page));
        assert!(rule.value("summary").is_some() && rule.value("description").is_some());
        let text = read(&page);
        let title = format!("# {name}\n");
        assert!(text.starts_with(&title), "{page}");
        let parts: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        let expected = [
            "## What it means",
            "## What callers see",
            "## Look",
            "## Do",
            "## Undo",
        ];
        assert_eq!(parts, expected, "{page}");
    }
}

#[test]
fn texts_of_alerts_name_labels_that_exist() {
    let labels: BTreeSet<_> = METRIC_LABELS
        .iter()
        .map(|label| label.name)
        .chain(OF_PROMETHEUS)
        .collect();
    let mut found = 0;
    for rule in alerts().values() {
        for (_, rest) in rule
            .text
            .match_indices("$labels.")
            .map(|(at, it)| rule.text.split_at(at + it.len()))
        {
            let (label, _) = word(rest);
            assert!(labels.contains(label), "{}: {label}", rule.name);
            found += 1;
        }
    }
    assert!(found > 40, "{found}");
}

/// The paths of the description of the admin interface, each as what stands between its parameters.
fn routes() -> Vec<Vec<String>> {
    let described: Value = serde_json::from_str(&read("docs/openapi.json")).unwrap();
    let paths = described["paths"].as_object().unwrap().keys();
    let split = |path: &String| {
        let parts = path.split('/');
        parts
            .map(|part| {
                if part.starts_with('{') {
                    String::new()
                } else {
                    part.to_owned()
                }
            })
            .collect()
    };
    paths.map(split).collect()
}

#[test]
fn runbooks_name_metrics_routes_and_pages_that_exist() {
    let routes = routes();
    let is_route = |path: &str| {
        let parts: Vec<_> = path.split('/').collect();
        routes.iter().any(|route| {
            let same =
                |(part, is): (&String, &&str)| part.is_empty() && !is.is_empty() || part == is;
            route.len() == parts.len() && route.iter().zip(&parts).all(same)
        })
    };
    let recorded = recorded();
    let (mut metrics, mut paths) = (0, 0);
    let names = alerts().into_keys().chain(["README".to_owned()]);
    for page in names.map(|name| format!("docs/runbooks/{name}.md")) {
        let text = read(&page);
        // Queries stand in blocks of their own.
        let blocks = text.split("```promql\n").skip(1);
        for block in blocks.map(|rest| rest.split_once("```").unwrap().0) {
            for query in block.lines() {
                assert_eq!(mistakes(query, &recorded), [""; 0], "{page}: {query}");
                metrics += 1;
            }
        }
        for (at, _) in text.match_indices("$ADMIN/") {
            let path = &text[at + "$ADMIN".len()..];
            let end =
                path.find(|c: char| c.is_whitespace() || matches!(c, '`' | '?' | '\'' | '"' | ')'));
            let path = &path[..end.unwrap_or(path.len())];
            assert!(is_route(path), "{page}: {path}");
            paths += 1;
        }
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split_once(')').unwrap().0;
            let target = root().join("docs/runbooks").join(link);
            assert!(target.exists(), "{page}: {link}");
        }
    }
    assert!(
        metrics > 25 && paths > 25,
        "{metrics} queries, {paths} routes"
    );
}

#[test]
fn panels_have_their_place_and_their_source() {
    for dashboard in dashboards() {
        let mut taken = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variables: BTreeSet<_> = variables
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{title}");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{title}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{title} lies on another panel");
                }
            }
            let has_queries = !panel["targets"].as_array().is_none_or(Vec::is_empty);
            assert_eq!(has_queries, panel["type"] != "row", "{title}");
            if has_queries {
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            }
        }
        for query in queries(&dashboard) {
            for (_, rest) in query
                .match_indices('$')
                .map(|(at, _)| query.split_at(at + 1))
            {
                let (variable, _) = word(rest);
                assert!(
                    variables.contains(variable) || variable == "__rate_interval",
                    "{query}"
                );
            }
        }
    }
}

#[test]
fn what_a_scrape_can_have_is_in_some_panel() {
    let mut text: String = dashboards().iter().flat_map(queries).collect();
    text.extend(rules().into_iter().map(|rule| rule.expression));
    let mut shown = METRICS.iter().filter(|metric| text.contains(metric.name));
    // Not each, but of each part of a stack something.
    for part in [
        "breaker",
        "bulkhead",
        "ratelimit",
        "retry",
        "hedge",
        "orders",
        "health",
        "monitor",
        "alerts",
        "config",
    ] {
        let part = format!("seawall_{part}");
        assert!(
            shown.clone().any(|metric| metric.name.starts_with(&part)),
            "nothing of {part}"
        );
    }
    assert!(shown.by_ref().count() > 40);
}
