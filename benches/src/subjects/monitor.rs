//! What monitoring costs: not what a call does, but what a second does.

use std::hint::black_box;
use std::time::Duration;

use seawall_core::{ConstMeta, Policy, Registry, RequestMeta, WrapError};
use seawall_monitor::{Monitor, MonitorConfig};
use seawall_ratelimit::{Limit, RateLimitConfig};
use tower_layer::Layer;

use super::Subject;
use crate::leaf::{Leaf, call_once};

/// How many services are monitored: a stack each.
const SERVICES: usize = 100;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        Subject::function("seawall/monitor/calls-100", || {
            let (mut call, _) = desk();
            move |request| call(request)
        }),
        // The same, and a sample of all.
        Subject::function("seawall/monitor/sample-100", || {
            let (mut call, monitor) = desk();
            move |request| {
                let is_done = call(request);
                monitor.sample();
                is_done
            }
        }),
        // The same, and what one frame of a dashboard is.
        Subject::function("seawall/monitor/frame-100", || {
            let (mut call, monitor) = desk();
            move |request| {
                let is_done = call(request);
                monitor.sample();
                let frame = serde_json::to_string(&*monitor.overview());
                black_box(frame).is_ok() && is_done
            }
        }),
    ]
}

/// A function that calls each service once, and the monitor of all.
pub(super) fn desk() -> (impl FnMut(u64) -> bool + Clone + Send, Monitor) {
    desk_every(MonitorConfig::default().interval())
}

/// The same with samples at an interval.
pub(super) fn desk_every(interval: Duration) -> (impl FnMut(u64) -> bool + Clone + Send, Monitor) {
    let registry = Registry::new("bench");
    let stack = |number: usize| {
        let name = format!("upstream{number}");
        let limit = Limit::bucket(1_000_000_000, Duration::from_secs(1));
        let limit = RateLimitConfig::builder().limit(limit).build();
        let stack = seawall::broker(name.as_str())
            .rate_limit(limit.expect("a valid limit"))
            .build_generic(Policy::new().describe(ConstMeta(RequestMeta::idempotent())));
        let stack = stack.expect("valid settings");
        stack.register(&registry).expect("a name of its own");
        stack.layer(WrapError::new(Leaf))
    };
    let mut services: Vec<_> = (0..SERVICES).map(stack).collect();
    let config = MonitorConfig::builder().interval(interval).build();
    let monitor = Monitor::builder("bench").registry(registry);
    let monitor = monitor.config(config.expect("a valid interval")).build();
    let call = move |request| {
        let calls = services.iter_mut();
        calls.filter_map(|it| call_once(it, request).ok()).count() == SERVICES
    };
    (call, monitor.expect("a valid monitor"))
}
