//! The contenders and their settings.

use std::time::Duration;

use seawall_adaptive::{
    AdaptiveConfig, AdaptiveLimit, Aimd, Algorithm, Gradient, Knee, SampleKind, Vegas,
};
use tower_resilience::adaptive::{self as peer, ConcurrencyAlgorithm};

use crate::sim::{Fixed, Limit};

type BoxError = Box<dyn std::error::Error>;

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) make: fn() -> Result<Box<dyn Limit>, BoxError>,
    /// Whether it has a panel of the picture.
    pub(crate) drawn: bool,
    pub(crate) held_to_the_bar: bool,
}

impl Contender {
    const fn new(name: &'static str, make: fn() -> Result<Box<dyn Limit>, BoxError>) -> Self {
        Self {
            name,
            make,
            drawn: true,
            held_to_the_bar: false,
        }
    }

    const fn in_the_table_only(mut self) -> Self {
        self.drawn = false;
        self
    }

    const fn held_to_the_bar(mut self) -> Self {
        self.held_to_the_bar = true;
        self
    }
}

/// What the AIMDs are configured to take as too slow: three times the latency of the first phase. They know of
/// queues only that.
const SLOW: Duration = Duration::from_millis(60);

pub(crate) const CONTENDERS: [Contender; 10] = [
    Contender::new("seawall (knee, the default)", || ours(Knee::default())).held_to_the_bar(),
    Contender::new("seawall AIMD, slow 60 ms", || {
        ours(Aimd::default().slow(SLOW))
    }),
    Contender::new("seawall Vegas", || ours(Vegas::default())),
    Contender::new("seawall gradient", || ours(Gradient::default())),
    // Its defaults: from 10, 1 to 100, halves, 100 ms.
    Contender::new("tower-resilience AIMD", || {
        Ok(Box::new(Peer(peer::Aimd::builder().build()?)))
    })
    .in_the_table_only(),
    Contender::new("tower-resilience AIMD, slow 60 ms", || {
        let aimd = peer::Aimd::builder().latency_threshold(SLOW);
        Ok(Box::new(Peer(aimd.build()?)))
    }),
    // Its defaults: from 10, 1 to 100, alpha 3, beta 6.
    Contender::new("tower-resilience Vegas", || {
        Ok(Box::new(Peer(peer::Vegas::builder().build()?)))
    }),
    Contender::new("fixed 10", || Ok(Box::new(Fixed(10)))).in_the_table_only(),
    Contender::new("fixed 40", || Ok(Box::new(Fixed(40)))).in_the_table_only(),
    Contender::new("fixed 80", || Ok(Box::new(Fixed(80)))).in_the_table_only(),
];

fn ours(algorithm: impl Into<Algorithm>) -> Result<Box<dyn Limit>, BoxError> {
    let config = AdaptiveConfig::builder().algorithm(algorithm).build()?;
    Ok(Box::new(Ours(AdaptiveLimit::new(&config))))
}

struct Ours(AdaptiveLimit);

impl Limit for Ours {
    fn limit(&self) -> u32 {
        self.0.limit()
    }

    fn finished(&mut self, now: u64, latency: u64, in_flight: u32, dropped: bool) {
        let seen = if dropped {
            SampleKind::Dropped
        } else {
            SampleKind::Completed
        };
        self.0.finished(now, latency, in_flight, seen);
    }
}

/// Fed as the peer's own layer feeds it: latencies of responses, and errors as failures.
struct Peer<A>(A);

impl<A: ConcurrencyAlgorithm> Limit for Peer<A> {
    fn limit(&self) -> u32 {
        u32::try_from(self.0.limit()).unwrap_or(u32::MAX)
    }

    fn finished(&mut self, _now: u64, latency: u64, _in_flight: u32, dropped: bool) {
        if dropped {
            self.0.record_failure();
        } else {
            self.0.record_success(Duration::from_nanos(latency));
        }
    }
}
