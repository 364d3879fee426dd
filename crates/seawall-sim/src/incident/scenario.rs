//! A script that has every dangerous failure once.

/// The script that demonstrations run when they are given none: a bad day in percent of the run.
///
/// Written for 12 s or more; [`Incidents::scaled`](super::Incidents::scaled) fits it to any run.
pub const DEFAULT_SCENARIO: &str = r#"# A bad trading day, in percent of the run.
length = "12s"

# All day: the AI API is as slow as such services are.
[[incident]]
provider = "ai_api"
from = "0%"
to = "100%"
fault = "latency"
distribution = "lognormal"
median = "25ms"
sigma = 0.6

# The dangerous one: the order is placed, the response is lost.
[[incident]]
provider = "broker"
route = "orders.create"
from = "8%"
to = "30%"
fault = "reset_after_execute"
probability = 0.2

# A vendor that is slow now and then, with a heavy tail.
[[incident]]
provider = "market_data"
from = "12%"
to = "24%"
fault = "latency"
distribution = "pareto"
min = "10ms"
shape = 1.2
probability = 0.3

# A throttle that looks like success.
[[incident]]
provider = "market_data"
route = "quotes"
from = "26%"
to = "34%"
fault = "hidden_throttle"
probability = 0.3

# Throttled by the provider although the caller kept to the limit, with a time to come back.
[[incident]]
provider = "ai_api"
from = "30%"
to = "38%"
fault = "throttle"
retry_after = "1s"
probability = 0.4

# A gateway that reports "failed" for orders that went through.
[[incident]]
provider = "broker"
route = "orders.create"
from = "34%"
to = "42%"
fault = "status"
code = 504
execute = true
probability = 0.25

# The broker is gone, and takes its time to come back.
[[incident]]
provider = "broker"
from = "45%"
to = "57%"
fault = "outage"

[[incident]]
provider = "broker"
from = "57%"
to = "68%"
fault = "slow_recovery"
latency = "300ms"
errors = 0.6

# Half of the opinions end in the middle of a sentence.
[[incident]]
provider = "ai_api"
from = "60%"
to = "70%"
fault = "truncate_body"
probability = 0.5

# The market-data vendor takes requests and never responds.
[[incident]]
provider = "market_data"
from = "66%"
to = "76%"
fault = "stall"
probability = 0.4

# Orders are placed, and the confirmation never comes.
[[incident]]
provider = "broker"
route = "orders.create"
from = "72%"
to = "82%"
fault = "stall"
execute = true
probability = 0.2

# Overloaded.
[[incident]]
provider = "ai_api"
from = "78%"
to = "88%"
fault = "status"
code = 529
probability = 0.7

# Confirmations that break off, and connections cut before the order was read.
[[incident]]
provider = "broker"
route = "orders.create"
from = "84%"
to = "94%"
fault = "reset_during_body"
probability = 0.15

[[incident]]
provider = "broker"
from = "84%"
to = "94%"
fault = "reset_before_read"
probability = 0.15
"#;

#[cfg(test)]
mod tests {
    use crate::incident::{Incidents, ProviderKind};
    use std::time::Duration;

    #[test]
    fn the_default_scenario_is_valid_and_has_an_outage() {
        let script = Incidents::from_toml(super::DEFAULT_SCENARIO).expect("valid");
        assert_eq!(script, Incidents::default_scenario());
        assert!(script.iter().count() >= 10);
        assert!(script.is_outage(ProviderKind::Broker, Duration::from_secs(6)));
    }
}
