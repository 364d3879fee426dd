//! The table of metrics is what the crates hand out, and what `docs/metrics.md` lists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use seawall_core::{METRIC_LABELS, METRICS, metric};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(directory: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(std::fs::read_to_string(&path).expect("text"));
        }
    }
}

/// The names of metrics that the sources of the crates have, each with the labels beside it where it is
/// declared by `counters!`.
fn handed_out() -> BTreeSet<(String, Vec<String>)> {
    // A cookie, parts of names that a macro makes, and metrics of tests.
    const OTHERS: [&str; 3] = [
        "seawall_session",
        "seawall_test_seconds",
        "seawall_switch_calls_total",
    ];
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("crates") {
        sources(&entry.expect("an entry").path().join("src"), &mut texts);
    }
    let mut found = BTreeSet::new();
    for text in &texts {
        for (_, rest) in text
            .match_indices("\"seawall_")
            .map(|(at, _)| text.split_at(at + 1))
        {
            let Some((name, rest)) = rest.split_once('"') else {
                continue;
            };
            let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if !is_name
                || name.ends_with('_')
                || OTHERS.contains(&name)
                || name.starts_with("seawall__")
            {
                continue;
            }
            let declared = rest
                .strip_prefix(" [")
                .and_then(|rest| rest.split_once(']'));
            let labels = declared.map_or("", |(labels, _)| labels).split(',');
            let labels = labels.filter_map(|label| label.split_once(" = "));
            let labels = labels.map(|(label, _)| label.trim().to_owned());
            found.insert((name.to_owned(), labels.collect()));
        }
    }
    found
}

#[test]
fn the_table_has_what_the_crates_hand_out_and_nothing_else() {
    let found = handed_out();
    assert!(found.len() > 100, "{}", found.len());
    for (name, labels) in &found {
        let metric = metric(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        for label in labels {
            assert!(metric.labels.contains(&label.as_str()), "{name}: {label}");
        }
    }
    for metric in METRICS {
        let is_found = found.iter().any(|(name, _)| name == metric.name);
        assert!(is_found, "no layer hands out {}", metric.name);
        // In OpenMetrics a counter's family has no `_total`: it must not be another metric.
        let family = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let clashes = family != metric.name && seawall_core::metric(family).is_some();
        assert!(!clashes, "{} is two families", metric.name);
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\nEvery metric that the layers hand out: to a registry's snapshot, and to Prometheus and \
         others through the `metrics` facade. A recorder gets these texts, too. Counters of one layer \
         instance start at zero with the program.\n\nEach has the labels `service` and `name` beside \
         its own. Where several layers count the same thing, the label `layer` says which. Labels \
         of a metric may be absent where a layer has no value for them.\n\nHistograms have the \
         buckets of `HISTOGRAM_BOUNDS` in the text of the admin server. An exporter of the facade needs them, \
         too: `PrometheusBuilder::set_buckets(&HISTOGRAM_BOUNDS)`, as in \
         [`examples/examples/prometheus.rs`](../examples/examples/prometheus.rs); otherwise it makes summaries. \
         Rules, alerts and dashboards for these metrics are in [`ops/`](../ops).\n\n\
         | metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind, unit) = (metric.name, metric.kind.as_str(), metric.unit());
        let (labels, help) = (labels.join(", "), metric.help);
        let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    page += "\n## Labels\n\nNo value comes from a request, so the number of series is bounded.\n\n\
             | label | values | how many |\n|---|---|---|\n";
    for label in METRIC_LABELS {
        let bound = match label.from_configuration {
            true => "as many as are configured",
            false => "a fixed set of words",
        };
        let _ = writeln!(page, "| `{}` | {} | {bound} |", label.name, label.values);
    }
    page
}

/// `UPDATE_METRICS=1` writes it.
#[test]
fn the_page_is_that_of_the_table() {
    let path = root().join("docs/metrics.md");
    let page = page();
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(&path, &page).expect("writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "run `UPDATE_METRICS=1 cargo test -p seawall-tests --test metrics_page`"
    );
}
