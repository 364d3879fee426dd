//! Against an obvious model: a sorted list of waiters.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seawall_core::{Priority, Replay, RequestMeta};

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(u8),
    Drop(usize),
    Respond(usize),
    Resize(u32),
    Pause,
    Resume,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_u8..3).prop_map(Step::Call),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => any::<usize>().prop_map(Step::Respond),
        1 => (1_u32..5).prop_map(Step::Resize),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
    ];
    prop::collection::vec(step, 1..60)
}

const MAX_WAITING: usize = 5;

#[derive(Default)]
struct Model {
    limit: usize,
    paused: bool,
    /// Priority class, the highest first, and number.
    waiting: Vec<(u8, u32)>,
    running: Vec<u32>,
    departed: Vec<u32>,
}

impl Model {
    fn settle(&mut self) {
        self.waiting.sort_unstable();
        while !self.paused && self.running.len() < self.limit && !self.waiting.is_empty() {
            let (_, call) = self.waiting.remove(0);
            self.running.push(call);
            self.departed.push(call);
        }
    }

    /// Whether it is admitted, to run or to wait.
    fn comes(&mut self, class: u8, call: u32) -> bool {
        let runs = self.running.len() < self.limit && self.waiting.is_empty();
        if self.paused || (!runs && self.waiting.len() >= MAX_WAITING) {
            return false;
        }
        self.waiting.push((2 - class, call));
        true
    }
}

fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = BulkheadConfig::builder()
        .max_concurrent(2)
        .max_waiting(MAX_WAITING as u32)
        .build();
    let layer = BulkheadLayer::new("model", config.expect("valid settings"));
    let handle = layer.handle();
    let layer = layer.describe(|request: &u32| {
        let class = [Priority::LOW, Priority::NORMAL, Priority::HIGH][(request % 3) as usize];
        RequestMeta::new(Replay::Never).with_priority(class)
    });
    let mut svc = layer.layer(inner);
    let mut model = Model {
        limit: 2,
        ..Model::default()
    };
    let mut calls = BTreeMap::new();
    for (n, step) in steps.iter().enumerate() {
        let before_step = model.departed.len();
        match *step {
            Step::Call(class) => {
                let request = n as u32 * 3 + u32::from(class);
                let mut probe = call(&mut svc, request);
                let let_in = model.comes(class, request);
                prop_assert_eq!(probe.poll().is_pending(), let_in);
                if let_in {
                    calls.insert(request, probe);
                }
            }
            Step::Drop(which) => {
                if let Some(which) = which.checked_rem(calls.len()) {
                    let request = *calls.keys().nth(which).expect("it is one of them");
                    calls.remove(&request);
                    model.waiting.retain(|(_, call)| *call != request);
                    model.running.retain(|call| *call != request);
                }
            }
            Step::Respond(which) => {
                if let Some(which) = which.checked_rem(model.running.len()) {
                    let request = model.running.remove(which);
                    let at = model.departed.iter().position(|call| *call == request);
                    mock.respond(at.expect("it runs"), Ok(()));
                    let mut probe = calls.remove(&request).expect("it runs");
                    prop_assert!(probe.poll().is_ready());
                }
            }
            Step::Resize(limit) => {
                handle.set_limit(limit).expect("valid");
                model.limit = limit as usize;
            }
            Step::Pause => {
                handle.pause();
                model.paused = true;
            }
            Step::Resume => {
                handle.resume();
                model.paused = false;
            }
        }
        model.settle();
        // Only woken calls are polled: a lost wake-up would leave one behind.
        loop {
            let before = mock.calls();
            for probe in calls.values_mut() {
                if probe.wakes() > 0 {
                    prop_assert!(probe.poll().is_pending());
                }
            }
            if mock.calls() == before {
                break;
            }
        }
        // Permits that come free at once go to as many waiters, in the order of their polls.
        let departed = mock.requests();
        let mut expected = model.departed.clone();
        let of_this_step = before_step.min(departed.len());
        expected[before_step..].sort_unstable();
        let mut sorted = departed.clone();
        sorted[of_this_step..].sort_unstable();
        prop_assert_eq!(sorted, expected);
        model.departed = departed;
        let snapshot = handle.snapshot();
        prop_assert_eq!(snapshot.in_flight as usize, model.running.len());
        prop_assert_eq!(snapshot.queue_depth, model.waiting.len());
        prop_assert_eq!(snapshot.limit as usize, model.limit);
    }
    drop(calls);
    prop_assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    Ok(())
}

proptest! {
    #[test]
    fn permits_and_order_are_those_of_a_sorted_list(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("valid settings");
        runtime.block_on(async { check(&steps) })?;
    }
}
