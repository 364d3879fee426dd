//! The algorithms against vectors and properties, the limit, and both on a simulated upstream.

use std::time::Duration;

use crate::rules::RuleState;
use crate::sim::MS;
use crate::window::Window;
use crate::{AdaptiveConfig, Aimd, Algorithm, Gradient, Knee, Vegas};

mod limit;
mod rules;
mod simulated;

fn adaptive(algorithm: impl Into<Algorithm>) -> AdaptiveConfig {
    AdaptiveConfig::builder()
        .algorithm(algorithm)
        .build()
        .unwrap()
}

fn started_at(limit: u32, algorithm: impl Into<Algorithm>) -> RuleState {
    let config = AdaptiveConfig::builder()
        .initial(limit)
        .max(20_000)
        .algorithm(algorithm);
    RuleState::new(&config.build().unwrap())
}

/// A window of 20 calls in which the whole limit was used.
fn window(ms: u64, max_in_flight: u32) -> Window {
    Window {
        samples: 20,
        mean: ms * MS,
        latency: ms * MS,
        min: ms * MS,
        max_in_flight,
        drops: 0,
        length: Duration::from_millis(100),
    }
}

fn dropping(drops: u32, max_in_flight: u32) -> Window {
    Window {
        drops,
        ..window(10, max_in_flight)
    }
}

fn every_algorithm() -> [Algorithm; 4] {
    [
        Knee::default().into(),
        Aimd::default().into(),
        Vegas::default().into(),
        Gradient::default().into(),
    ]
}
