//! The labels of metrics.

/// A label of metrics, what its values are, and why there are only so many.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricLabel {
    /// The label.
    pub name: &'static str,
    /// What its values are.
    pub values: &'static str,
    /// Whether the values are names that a program was configured with; otherwise they are words of
    /// a fixed set.
    pub from_configuration: bool,
}

const fn words(name: &'static str, values: &'static str) -> MetricLabel {
    MetricLabel {
        name,
        values,
        from_configuration: false,
    }
}

const fn configured(name: &'static str, values: &'static str) -> MetricLabel {
    MetricLabel {
        name,
        values,
        from_configuration: true,
    }
}

/// Every label, by name. No value comes from a request: so the number of series is bounded.
pub const METRIC_LABELS: &[MetricLabel] = &[
    words("cause", "why it came to that"),
    configured("check", "the name of a health check"),
    configured("deployment", "the name of a deployment of a router"),
    words("depth", "how deep a health check goes"),
    words("error_type", "the sort of an error"),
    words("fault", "the sort of an injected fault"),
    words("from", "the state before"),
    words("header", "the sort of header"),
    words("kind", "the sort of failure"),
    words("layer", "the layer that counts"),
    words(
        "limit",
        "the number of the limit in its layer, from 0 to 7; of a body, which time was over",
    ),
    configured("name", "the name of the layer instance"),
    words("of", "what is compared with the lists of the broker"),
    configured(
        "operation",
        "the name of an operation, or `other` beyond their bound",
    ),
    words("outcome", "how it ended"),
    words("part", "a part of the health score"),
    words("period", "the period of a spend limit"),
    words("priority", "the class of priority"),
    words("reason", "why it was rejected"),
    words(
        "result",
        "what became of a configuration that was read, of an alert, of a call that failed, or of an experiment",
    ),
    configured("service", "the name of the registry"),
    words("severity", "how urgent an alert is"),
    configured("sink", "the name of a sink of alerts"),
    configured("source", "the name of a step of a fallback"),
    words("state", "the state of a circuit"),
    configured("symbol", "the symbol of a position that differs"),
    words("to", "the state after"),
    words("unit", "what the limit counts"),
    words("value", "which value of the upstream"),
    words("window", "the window of the breaker"),
];
