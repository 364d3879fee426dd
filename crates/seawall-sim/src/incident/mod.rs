//! Incidents: a script of faults that simulated providers perform over time.
//!
//! Resilience code is tested by failures, and failures do not come when a test runs. Mocks that
//! return an error cover the easy half: the costly failures are orders that were executed though
//! the connection broke, throttles that look like success, providers that recover halfway. An
//! incident file scripts them over a run, and the same seed always hits the same requests.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_sim::incident::{Incidents, ProviderKind};
//!
//! let script = Incidents::from_toml(
//!     r#"
//!     seed = 7            # of every random draw; default 0
//!     length = "12s"      # what percentages refer to; default 12s
//!
//!     [[incident]]
//!     provider = "broker"
//!     route = "orders.create"
//!     from = "3s"
//!     to = "8s"
//!     fault = "reset_after_execute"
//!     probability = 0.3
//!
//!     [[incident]]
//!     provider = "*"
//!     from = "50%"
//!     for = "10%"
//!     fault = "outage"
//!     "#,
//! )?;
//! assert_eq!(script.iter().count(), 2);
//! assert!(script.is_outage(ProviderKind::AiApi, Duration::from_millis(6_500)));
//!
//! // The same script in a run of one minute: what is in percent moves.
//! let script = script.scaled(Duration::from_secs(60));
//! assert!(script.is_outage(ProviderKind::AiApi, Duration::from_secs(33)));
//!
//! // A mistake is one line that says where it is and what is accepted.
//! let error = Incidents::from_toml("[[incident]]\nfault = \"outrage\"").unwrap_err();
//! assert!(error.to_string().starts_with(
//!     "incidents: line 2: incident[0].fault = \"outrage\": expected one of \"latency\", "
//! ));
//! # Ok::<(), seawall_sim::incident::IncidentError>(())
//! ```
//!
//! # The file
//!
//! TOML. Unknown keys and impossible values are errors, also keys that another fault has.
//!
//! At the top:
//!
//! | key | value | default |
//! |---|---|---|
//! | `seed` | whole number from 0 | 0 |
//! | `length` | duration: the run that percentages refer to | `"12s"` |
//! | `incident` | any number of `[[incident]]` tables | none |
//!
//! In each `[[incident]]`:
//!
//! | key | value | default |
//! |---|---|---|
//! | `provider` | `"broker"`, `"market_data"`, `"ai_api"`, or `"*"` for all | required |
//! | `route` | `"orders.create"`, `"orders.query"`, `"orders.cancel"`, `"orders.replace"`, `"fills"`, `"positions"` (broker), `"quotes"`, `"bars"` (market data), `"completions"` (AI), `"other"` | all |
//! | `from` | offset from the start of the run | required |
//! | `to` or `for` | end, or length; `to` in the form that `from` has | one is required |
//! | `fault` | see below | required |
//! | `probability` | share of requests that are affected, 0 to 1 | 1 |
//!
//! A duration is a string: `"500us"`, `"250ms"`, `"1.5s"`, `"2m"`, `"1h"`, at most 24 hours. `from`,
//! `to`, `for` and `lasts` also take a share of the run, `"0%"` to `"100%"`.
//!
//! | `fault` | its own keys (default) | what the caller sees | executed |
//! |---|---|---|---|
//! | `latency` | `distribution` (`"constant"`), see below | the response, later | yes |
//! | `status` | `code` 400-599 (required), `retry_after` (none), `execute` (`false`) | that status in the provider's own body | if `execute` |
//! | `throttle` | `retry_after` (none), `retry_after_form` `"seconds"` or `"date"` (`"seconds"`) | the provider's 429 | no |
//! | `hidden_throttle` | | 200 with a throttle in the body, or as an event of a stream | no |
//! | `quota_exhausted` | | the response after which no retry helps | no |
//! | `stall` | `execute` (`false`) | nothing, ever | if `execute` |
//! | `reset_before_read` | | connection reset | no |
//! | `reset_after_execute` | | connection reset | **yes** |
//! | `execute_late` | the keys of a `distribution`, `response` `"stall"`, `"reset"` or `"status"` (`"stall"`), `code` 400-599 with `"status"` (504) | nothing, a reset or that status | **yes, after that delay** |
//! | `reset_during_body` | `share` of the body that is sent (0.5) | head, some body, reset | **yes** |
//! | `truncate_body` | `share` (0.5) | head, some body, end of the connection | **yes** |
//! | `slow_body` | `pause` (`"200ms"`), `pieces` 1-10000 (8) | the body in pieces, a pause before each | yes |
//! | `refuse` | | new connections are refused; those that exist go on | no |
//! | `ban` | `status` 400-599 (403), `lasts` (to the end of the incident) | that status for everything while the ban lasts, also beyond the incident | no |
//! | `outage` | `mode` (`"refuse"`) | `"refuse"`: connects refused, connections reset; `"reset"`: connects succeed, all is reset; `"unavailable"`: 503 | no |
//! | `slow_recovery` | `latency` (`"1s"`), `errors` (0.5), `code` (503) | delays and a share of errors that fall linearly to nothing | unless in error |
//!
//! `refuse` and `outage` affect all of a provider: they take neither `route` nor `probability`. The
//! faults of a body need a body: a response without one (204) stays whole.
//!
//! | `distribution` | keys, all required |
//! |---|---|
//! | `"constant"` | `delay` |
//! | `"uniform"` | `min`, `max` |
//! | `"normal"` | `mean`, `deviation` |
//! | `"lognormal"` | `median`, `sigma` (above 0) |
//! | `"exponential"` | `mean` |
//! | `"pareto"` | `min`, `shape` (above 0) |
//!
//! # How it works
//!
//! A request that arrives while several incidents are active is delayed by all that delay, and
//! meets the first other fault, in the order of the file, whose draw hits it. Limits and bans of
//! the provider come first: a request over the limit is a violation whatever the script says.
//! Only `reset_before_read` comes before them, since the request has not been read.
//!
//! Each draw is a hash of the seed, the provider, the route, the incident, and the number of the
//! request within that incident and route. The interleaving of other routes, and how many requests
//! came before the incident, change nothing.
//!
//! The caller may leave at any time; a request that was read is executed all the same, after its
//! delay, as real servers do.

mod error;
mod fault;
mod format;
mod injector;
mod reader;
mod route;
mod scenario;
mod split_mix;
mod timeline;

pub use error::IncidentError;
pub use fault::{Fault, LateResponse, Latency, OutageMode, RetryAfterForm};
pub(crate) use injector::{Injection, Injector, ListenerMode};
pub use route::{ProviderKind, Route};
pub use scenario::DEFAULT_SCENARIO;
pub(crate) use split_mix::SplitMix64;
pub use timeline::{Incident, Incidents};
