//! The algorithm: measures how many permits are held, one window at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::ns;

use super::config::ScalingConfig;
use crate::limit_algorithm::{CallSample, LimitAlgorithm};

/// What the algorithm and its handles share.
#[derive(Clone, Debug)]
pub(crate) struct Scaler {
    window: Arc<Mutex<Window>>,
}

#[derive(Debug)]
pub(crate) struct Window {
    config: ScalingConfig,
    /// When it began; `None` before the first call.
    since_ns: Option<u64>,
    last_ns: u64,
    /// Permits times nanoseconds.
    held: f64,
    /// The share of held permits in the last whole window.
    utilization: Option<f64>,
}

impl Scaler {
    pub(crate) fn new(config: ScalingConfig) -> Self {
        let window = Arc::new(Mutex::new(Window::new(config)));
        Self { window }
    }

    pub(crate) fn config(&self) -> ScalingConfig {
        self.lock().config
    }

    pub(crate) fn configure(&self, config: ScalingConfig) {
        self.lock().config = config;
    }

    pub(crate) fn utilization(&self) -> Option<f64> {
        self.lock().utilization
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimitAlgorithm for Scaler {
    fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
        self.lock().sample(sample)
    }

    fn uses_outcomes(&self) -> bool {
        false
    }

    fn start(&mut self, max_concurrent: u32) -> u32 {
        let mut window = self.lock();
        *window = Window::new(window.config);
        window.config.within(max_concurrent)
    }
}

impl Window {
    pub(crate) const fn new(config: ScalingConfig) -> Self {
        Self {
            config,
            since_ns: None,
            last_ns: 0,
            held: 0.0,
            utilization: None,
        }
    }

    fn sample(&mut self, sample: &CallSample) -> Option<u32> {
        let Some(since) = self.since_ns else {
            self.since_ns = Some(sample.now_ns);
            self.last_ns = sample.now_ns;
            return None;
        };
        // Weighted by time: of calls that end together, the first has found the others, and the
        // last has found none.
        let weight = sample.now_ns.saturating_sub(self.last_ns) as f64;
        self.held += f64::from(sample.in_flight) * weight;
        self.last_ns = self.last_ns.max(sample.now_ns);
        let span = self.last_ns.saturating_sub(since);
        if span < ns(self.config.window()) {
            return None;
        }
        let held = self.held / span as f64;
        self.held = 0.0;
        self.since_ns = Some(self.last_ns);
        self.utilization = Some(held / f64::from(sample.limit.max(1)));
        Some(self.config.next(sample.limit, held))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::config::ScalingConfigBuilder;
    use super::*;

    fn scaling() -> ScalingConfig {
        let scaling = ScalingConfig::builder().min(4).max(40).step(4).build();
        scaling.expect("valid settings")
    }

    /// Ten calls a second find so many permits held, for so many seconds.
    fn run(scaler: &mut Window, limit: &mut u32, from_s: u64, seconds: u64, held: u32) -> u32 {
        let mut changes = 0;
        for tick in from_s * 10..(from_s + seconds) * 10 {
            let sample = CallSample::new(tick * 100_000_000, 1, held.min(*limit), *limit);
            if let Some(next) = scaler.sample(&sample) {
                changes += u32::from(next != *limit);
                *limit = next;
            }
        }
        changes
    }

    #[test]
    fn the_limit_follows_the_load_within_its_bounds_and_stays_under_a_steady_one() {
        let (mut scaler, mut limit) = (Window::new(scaling()), 8);
        run(&mut scaler, &mut limit, 0, 60, 1_000);
        assert_eq!(limit, 40, "full at every limit");
        run(&mut scaler, &mut limit, 60, 60, 20);
        assert_eq!(limit, 40, "half used: between the two shares");
        run(&mut scaler, &mut limit, 120, 60, 6);
        assert_eq!(limit, 16, "6 of 20 are 0.3");
        assert_eq!(run(&mut scaler, &mut limit, 180, 600, 6), 0);
        run(&mut scaler, &mut limit, 780, 60, 0);
        assert_eq!(limit, 4);
    }

    #[test]
    fn a_window_changes_the_limit_by_one_step() {
        let (mut scaler, mut limit) = (Window::new(scaling()), 8);
        assert_eq!(run(&mut scaler, &mut limit, 0, 4, 1_000), 3);
        assert_eq!(limit, 20);
    }

    #[test]
    fn calls_that_end_together_count_for_all_their_permits() {
        let (mut scaler, mut limit) = (Window::new(scaling()), 8);
        for second in 0..4 {
            for held in (1..=limit).rev() {
                let sample = CallSample::new(second * 1_000_000_000, 1, held, limit);
                limit = scaler.sample(&sample).unwrap_or(limit);
            }
        }
        assert_eq!(limit, 20);
    }

    #[test]
    fn a_step_down_that_would_lead_to_a_step_up_is_not_made() {
        let scaling = ScalingConfig::builder()
            .min(1)
            .max(40)
            .step(6)
            .build()
            .expect("valid");
        // 3 of 10 are 0.3, and would be 0.75 of 4; 4 of 14 are 0.29.
        assert_eq!(scaling.next(10, 3.0), 4);
        // 2 of 7 are 0.29, and would be 2 of 1.
        assert_eq!(scaling.next(7, 2.0), 7);
        assert_eq!(
            scaling.next(100, 50.0),
            40,
            "the bounds hold for limits from outside"
        );
    }

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let field = |builder: ScalingConfigBuilder| builder.build().unwrap_err().field().to_owned();
        let builder = ScalingConfig::builder().min(1).max(10);
        assert_eq!(field(ScalingConfig::builder().min(0).max(1)), "min");
        assert_eq!(field(ScalingConfig::builder().min(2).max(1)), "max");
        assert_eq!(field(builder.step(0)), "step");
        assert_eq!(field(builder.window(Duration::ZERO)), "window");
        assert_eq!(field(builder.up_at(1.5)), "up_at");
        assert_eq!(field(builder.up_at(f64::NAN)), "up_at");
        assert_eq!(field(builder.down_at(-0.1)), "down_at");
        assert_eq!(field(builder.down_at(0.8)), "down_at");
    }
}
