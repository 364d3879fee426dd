//! What is in `ops/`.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every dashboard.
pub(crate) fn dashboards() -> Vec<Value> {
    ["overview", "service"]
        .map(|name| {
            let text = read(&format!("ops/grafana/{name}.json"));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
        })
        .into()
}

/// Every query of a dashboard: of its panels and its annotations.
pub(crate) fn queries(dashboard: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let panels = list(&dashboard["panels"]).into_iter();
    let targets = panels.flat_map(|panel| list(&panel["targets"]));
    let annotations = list(&dashboard["annotations"]["list"]);
    let all = targets.chain(annotations);
    all.map(|of| of["expr"].as_str().expect("a query").to_owned())
        .collect()
}

/// A query as Grafana sends it.
pub(crate) fn filled_in(query: &str) -> String {
    let mut query = query.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "1m"),
        ("$job", ".*"),
        ("$instance", ".*"),
        ("$service", ".*"),
        ("$name", ".*"),
    ] {
        query = query.replace(variable, value);
    }
    query
}

pub(crate) fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// A rule of `ops/prometheus/seawall.rules.yml`.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What it records, or the alert that it raises.
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    pub(crate) expression: String,
    /// All of its text.
    pub(crate) text: String,
}

impl Rule {
    /// The value of a key that is written on one line.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let mut lines = self.text.lines().map(str::trim);
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }
}

/// The rules, as far as YAML is used for them: one key per line, blocks by their indentation.
pub(crate) fn rules() -> Vec<Rule> {
    let text = read("ops/prometheus/seawall.rules.yml");
    let mut rules: Vec<Rule> = Vec::new();
    let mut in_expression = false;
    for line in text.lines() {
        let begins = line.trim_start().strip_prefix("- ");
        let named = begins.and_then(|begin| begin.split_once(": "));
        if let Some((key @ ("record" | "alert"), name)) = named {
            rules.push(Rule {
                name: name.to_owned(),
                is_alert: key == "alert",
                expression: String::new(),
                text: String::new(),
            });
        }
        let Some(rule) = rules.last_mut() else {
            continue;
        };
        if line.trim_start().starts_with('#') || line.trim_start().starts_with("- name: ") {
            in_expression = false;
            continue;
        }
        rule.text += line;
        rule.text.push('\n');
        if let Some(rest) = line.strip_prefix("        expr: ") {
            in_expression = rest == "|";
            if !in_expression {
                rest.clone_into(&mut rule.expression);
            }
        } else if in_expression && line.starts_with("          ") {
            rule.expression += line.trim_start();
            rule.expression.push(' ');
        } else {
            in_expression = false;
        }
    }
    rules
}
