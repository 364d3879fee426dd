//! Any sequence of responses, pauses and commands, beside plain bookkeeping: what is left alone is not
//! called, the order of models holds, and every end of a cool-down is the latest that was asked for.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use proptest::prelude::*;
use seawall_ai::route::{Deployment, Model, Router};
use tokio::time::{Instant, advance};
use tower::{Service, ServiceExt};

use crate::support::*;

/// Deployment, its model, its provider.
const ALL: [(&str, usize, usize); 5] = [
    ("a1", 0, 0),
    ("a2", 0, 0),
    ("b1", 0, 1),
    ("b2", 1, 1),
    ("c1", 2, 2),
];
const PROVIDERS: [&str; 3] = ["a", "b", "c"];
const COOL: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Success,
    RateLimit(u32),
    Credential,
    Overload(u32),
    Server,
    Invalid,
}

#[derive(Clone, Debug)]
enum Step {
    /// A call, and what its attempts are answered.
    Call(Vec<Answer>),
    Pass(u64),
    Block(usize),
    Resume(usize),
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = || {
        prop_oneof![
            4 => Just(Answer::Success),
            3 => (1_u32..30).prop_map(Answer::RateLimit),
            1 => Just(Answer::Credential),
            2 => (1_u32..30).prop_map(Answer::Overload),
            2 => Just(Answer::Server),
            1 => Just(Answer::Invalid),
        ]
    };
    let step = prop_oneof![
        8 => proptest::collection::vec(answer(), 5).prop_map(Step::Call),
        4 => (1_u64..40).prop_map(Step::Pass),
        1 => (0..ALL.len()).prop_map(Step::Block),
        1 => (0..ALL.len()).prop_map(Step::Resume),
        1 => Just(Step::Reset),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What all deployments share: the answers to come, and who got which.
#[derive(Clone, Default)]
struct Script {
    state: Arc<Mutex<Played>>,
}

type Played = (Vec<Answer>, Vec<(usize, Answer)>);

#[derive(Clone)]
struct Upstream(usize, Script);

impl Service<Request<Body>> for Upstream {
    type Response = http::Response<Body>;
    type Error = Failure;
    type Future = Ready<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut state = self.1.state.lock().unwrap();
        let answer = state.0.pop().unwrap_or(Answer::Success);
        state.1.push((self.0, answer));
        ready(match answer {
            Answer::Success => status(200),
            Answer::RateLimit(seconds) => retry_after(429, seconds),
            Answer::Credential => status(401),
            Answer::Overload(seconds) => retry_after(529, seconds),
            Answer::Server => status(500),
            Answer::Invalid => status(422),
        })
    }
}

/// What is known of the deployments, in plain words.
#[derive(Default)]
struct Plain {
    blocked: [bool; ALL.len()],
    until: [Option<Instant>; ALL.len()],
    provider_until: [Option<Instant>; PROVIDERS.len()],
}

impl Plain {
    fn is_available(&self, index: usize, now: Instant) -> bool {
        let over = |until: Option<Instant>| until.is_none_or(|until| until <= now);
        let provider = ALL[index].2;
        !self.blocked[index] && over(self.until[index]) && over(self.provider_until[provider])
    }

    fn learn(&mut self, index: usize, answer: Answer, now: Instant) {
        let cool = |until: &mut Option<Instant>, time| *until = (*until).max(Some(now + time));
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        match answer {
            Answer::RateLimit(wait) => cool(&mut self.until[index], seconds(wait)),
            Answer::Credential => cool(&mut self.until[index], LONG),
            Answer::Overload(wait) => cool(&mut self.provider_until[ALL[index].2], seconds(wait)),
            Answer::Server => cool(&mut self.provider_until[ALL[index].2], COOL),
            Answer::Success | Answer::Invalid => {}
        }
    }
}

fn check(log: &[(usize, Answer)], plain: &mut Plain, now: Instant) -> Result<(), TestCaseError> {
    let (mut tried, mut failed) = (BTreeSet::new(), BTreeSet::new());
    for (position, (index, answer)) in log.iter().copied().enumerate() {
        prop_assert!(plain.is_available(index, now), "{index} is left alone");
        prop_assert!(tried.insert(index), "{index} twice, without a wait");
        prop_assert!(
            !failed.contains(&ALL[index].2),
            "its provider has failed in this call"
        );
        let is_open = |other: usize| {
            plain.is_available(other, now)
                && !tried.contains(&other)
                && !failed.contains(&ALL[other].2)
        };
        let earlier = (0..ALL.len()).find(|other| ALL[*other].1 < ALL[index].1 && is_open(*other));
        prop_assert_eq!(earlier, None, "a model before it is available");
        plain.learn(index, answer, now);
        if matches!(answer, Answer::Server | Answer::Overload(_)) {
            failed.insert(ALL[index].2);
        }
        let is_last = position + 1 == log.len();
        let ends = matches!(answer, Answer::Success | Answer::Invalid);
        prop_assert!(is_last || !ends, "nothing follows that");
        let others = (0..ALL.len()).any(|other| {
            plain.is_available(other, now)
                && !tried.contains(&other)
                && !failed.contains(&ALL[other].2)
        });
        prop_assert!(
            !is_last || ends || !others,
            "a healthy deployment stays unused"
        );
    }
    Ok(())
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let script = Script::default();
    let model = |number: usize| {
        let own = ALL.iter().enumerate().filter(|(_, all)| all.1 == number);
        own.fold(
            Model::new(format!("model-{number}")),
            |model, (index, (name, _, provider))| {
                let upstream = Upstream(index, script.clone());
                model.deployment(Deployment::new(*name, PROVIDERS[*provider], upstream))
            },
        )
    };
    let free = seawall_core::BudgetHandle::FREE;
    let settings = config(|c| c.max_wait(Duration::ZERO).failure_threshold(1));
    let router = Router::builder("desk", model(0))
        .fallback(model(1))
        .fallback(model(2))
        .config(settings)
        .budget(free)
        .describe(safe())
        .build()
        .unwrap();
    let handle = router.handle();
    let mut plain = Plain::default();
    for step in steps {
        let now = Instant::now();
        match step {
            Step::Call(answers) => {
                script.state.lock().unwrap().0 = answers;
                let reply = router.clone().oneshot(request()).await;
                let log = std::mem::take(&mut script.state.lock().unwrap().1);
                let any = (0..ALL.len()).any(|index| plain.is_available(index, now));
                prop_assert_eq!(log.is_empty(), !any);
                prop_assert_eq!(reply.is_ok(), any, "the last answer is the caller's");
                check(&log, &mut plain, now)?;
            }
            // Beyond the grain of the ends.
            Step::Pass(seconds) => {
                advance(Duration::from_secs(seconds) + Duration::from_micros(1)).await;
            }
            Step::Block(index) => {
                plain.blocked[index] = handle.block(ALL[index].0);
            }
            Step::Resume(index) => {
                assert!(handle.resume(ALL[index].0));
                plain.blocked[index] = false;
                plain.until[index] = None;
                plain.provider_until[ALL[index].2] = None;
            }
            Step::Reset => {
                handle.reset();
                plain = Plain::default();
            }
        }
    }
    let counts = handle.counts();
    prop_assert_eq!(counts.abandoned + counts.rejected_below, 0);
    Ok(())
}

proptest! {
    #[test]
    fn it_does_what_plain_bookkeeping_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps))?;
    }
}
