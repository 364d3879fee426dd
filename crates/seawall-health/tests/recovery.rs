//! How an unhealthy upstream is brought back.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_core::{
    Backoff, Command, EventKind, Events, InstanceHandle, InstanceName, Received, Samples,
    Subscription, Unsupported,
};
use seawall_health::{
    CheckConfig, CheckResult, HealthMonitor, Recovery, RecoveryConfig, RecoveryConfigBuilder,
    RecoveryReport, RecoveryState, Status,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// An upstream that is down or up, and what was done to it.
#[derive(Clone, Default)]
struct Upstream {
    down: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

impl Upstream {
    fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// What was done, with the second at which it was.
    fn note(&self, what: &'static str, since: Instant) {
        let at = (Instant::now() - since).as_secs();
        self.done.lock().unwrap().push((what, at));
    }

    fn done(&self) -> Vec<(&'static str, u64)> {
        self.done.lock().unwrap().clone()
    }
}

/// A monitor with one check, every 10 s, that is unhealthy after one failure.
fn monitor(name: &'static str) -> (HealthMonitor, Upstream) {
    let monitor = HealthMonitor::new(name);
    let upstream = Upstream::default();
    let checked = upstream.clone();
    let config = CheckConfig::builder()
        .interval(10 * SECOND)
        .jitter(0.0)
        .failures_to_unhealthy(1)
        .successes_to_recover(1);
    monitor
        .register("broker", config.build().unwrap(), move || {
            ready(if checked.is_down() {
                Err("no route")
            } else {
                Ok(())
            })
        })
        .unwrap();
    (monitor, upstream)
}

/// Attempts after 2, 4, 6, ... seconds; three validations, one a second.
fn config() -> RecoveryConfigBuilder {
    RecoveryConfig::builder().backoff(Backoff::constant(2 * SECOND).unwrap())
}

fn report(monitor: &HealthMonitor) -> RecoveryReport {
    monitor.report().recovery("broker").unwrap().clone()
}

fn steps(feed: &mut Subscription) -> Vec<(&'static str, u32)> {
    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = feed.try_next() {
        if let EventKind::Recovery { step, attempt } = event.kind {
            assert_eq!((event.pattern, event.name.as_str()), ("recovery", "broker"));
            seen.push((step, attempt));
        }
    }
    seen
}

/// A layer that can be blocked, or not.
#[derive(Clone)]
struct Layer {
    blocked: Arc<AtomicBool>,
    commands: &'static [Command],
}

impl Layer {
    fn new() -> Self {
        Self {
            blocked: Arc::default(),
            commands: &[Command::Block, Command::Resume],
        }
    }

    fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }
}

impl InstanceHandle for Layer {
    fn pattern(&self) -> &'static str {
        "layer"
    }
    fn name(&self) -> InstanceName {
        InstanceName::new("held")
    }
    fn state(&self) -> &'static str {
        if self.is_blocked() { "blocked" } else { "ok" }
    }
    fn samples(&self, _: &mut Samples<'_>) {}
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn attach(&self, _: &Events) {}
    fn commands(&self) -> &'static [Command] {
        self.commands
    }
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        self.blocked
            .store(command == Command::Block, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_healed_validated_and_restored_and_every_step_is_an_event() {
    let events = Events::default();
    let mut feed = events.subscribe();
    let (monitor, upstream) = monitor("heals");
    monitor.attach(&events);
    let start = Instant::now();
    let (heals, restores) = (upstream.clone(), upstream.clone());
    let plan = Recovery::new()
        .heal(move |attempt| {
            heals.note("heal", start);
            // The first attempt does not help.
            if attempt == 2 {
                heals.set_down(false);
            }
            ready(())
        })
        .restore(move || {
            restores.note("restore", start);
            ready(())
        });
    let config = config().build().unwrap();
    monitor.set_recovery("broker", config, plan).unwrap();
    assert_eq!(report(&monitor).state, RecoveryState::Idle);

    upstream.set_down(true);
    let guard = monitor.start();
    assert_eq!(guard.tasks(), 2);
    sleep(SECOND).await;
    let down = report(&monitor);
    assert_eq!((down.state, down.attempt), (RecoveryState::Down, 1));
    assert_eq!(down.next_attempt, Some(start + 2 * SECOND));

    sleep(4 * SECOND + SECOND / 2).await;
    let validating = report(&monitor);
    assert_eq!(
        (validating.state, validating.attempt, validating.clean),
        (RecoveryState::Validating, 2, 2)
    );
    assert_eq!(validating.message.as_deref(), Some("no route"));

    sleep(2 * SECOND).await;
    // Failed at 2 s; the next attempt at 4 s, with validations at 4 s, 5 s and 6 s.
    assert_eq!(upstream.done(), [("heal", 2), ("heal", 4), ("restore", 6)]);
    let idle = report(&monitor);
    assert_eq!(
        (idle.state, idle.restored, idle.failed),
        (RecoveryState::Idle, 1, 1)
    );
    assert_eq!((idle.message, idle.attempt), (None, 0));
    assert_eq!(monitor.status(), Status::Healthy);
    let first = [
        ("detected", 0),
        ("healing", 1),
        ("validating", 1),
        ("failed", 1),
    ];
    let second = [
        ("healing", 2),
        ("validating", 2),
        ("restoring", 2),
        ("restored", 2),
    ];
    assert_eq!(steps(&mut feed), [first, second].concat());

    // And again, with attempts from 1.
    upstream.set_down(true);
    sleep(10 * SECOND).await;
    assert_eq!(steps(&mut feed).first(), Some(&("detected", 0)));
}

#[tokio::test(start_paused = true)]
async fn without_a_hook_it_is_validated_when_the_check_is_better() {
    let (monitor, upstream) = monitor("detects");
    let start = Instant::now();
    let restores = upstream.clone();
    let plan = Recovery::new().restore(move || {
        restores.note("restore", start);
        ready(true)
    });
    monitor
        .set_recovery("broker", config().build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(1_000 * SECOND).await;
    let down = report(&monitor);
    assert_eq!(
        (down.state, down.attempt, down.failed),
        (RecoveryState::Down, 1, 0)
    );
    assert_eq!(down.next_attempt, None, "nobody knows");
    upstream.set_down(false);
    sleep(20 * SECOND).await;
    let done = upstream.done();
    assert_eq!(done.len(), 1);
    // The check runs every 10 s; three validations take 2 s more.
    assert!((1_002..1_013).contains(&done[0].1), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_an_operator_or_the_check_begins_again() {
    let events = Events::default();
    let mut feed = events.subscribe();
    let (monitor, upstream) = monitor("gives up");
    monitor.attach(&events);
    let (start, heals) = (Instant::now(), upstream.clone());
    let plan = Recovery::new().heal(move |_| {
        heals.note("heal", start);
        ready(Err::<(), _>("no such host"))
    });
    let config = config().max_attempts(2).build().unwrap();
    monitor.set_recovery("broker", config, plan).unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(100 * SECOND).await;
    assert_eq!(upstream.done(), [("heal", 2), ("heal", 4)]);
    let gave_up = report(&monitor);
    assert_eq!((gave_up.state, gave_up.gave_up), (RecoveryState::GaveUp, 1));
    assert_eq!(gave_up.message.as_deref(), Some("no such host"));
    assert_eq!(steps(&mut feed).last(), Some(&("gave_up", 2)));

    assert!(monitor.recover_now("broker"));
    sleep(3 * SECOND).await;
    assert_eq!(upstream.done().len(), 3);
    // Between attempts it ends the wait.
    assert!(monitor.recover_now("broker"));
    sleep(SECOND / 10).await;
    assert_eq!(report(&monitor).state, RecoveryState::GaveUp);
    assert_eq!(upstream.done().len(), 4);

    upstream.set_down(false);
    sleep(20 * SECOND).await;
    let idle = report(&monitor);
    assert_eq!((idle.state, idle.restored), (RecoveryState::Idle, 1));
    assert_eq!(upstream.done().len(), 4, "what is up is not healed");
    assert!(!monitor.recover_now("none"));
}

#[tokio::test(start_paused = true)]
async fn hooks_that_hang_or_panic_have_failed() {
    let (monitor, upstream) = monitor("bad hooks");
    let plan = Recovery::new().heal(|attempt| async move {
        match attempt {
            1 => pending::<()>().await,
            2 => panic!("boom"),
            _ => {}
        }
    });
    let config = config().hook_timeout(3 * SECOND).max_attempts(3);
    monitor
        .set_recovery("broker", config.build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(5 * SECOND + SECOND / 2).await;
    let message = || report(&monitor).message.unwrap();
    assert_eq!(message(), "no result within 3s");
    sleep(2 * SECOND).await;
    assert_eq!(message(), "the check panicked: boom");
    sleep(3 * SECOND).await;
    assert_eq!(message(), "no route");
    assert_eq!(report(&monitor).state, RecoveryState::GaveUp);
}

#[tokio::test(start_paused = true)]
async fn validations_must_be_clean_in_a_row_and_inconclusive_ones_count_nothing() {
    let (monitor, upstream) = monitor("validates");
    let turn = Arc::new(AtomicU64::new(0));
    let (turns, start, restores) = (Arc::clone(&turn), Instant::now(), upstream.clone());
    let plan = Recovery::new()
        .heal(|_| ready(()))
        .validate(move || {
            ready(match turns.fetch_add(1, Ordering::Relaxed) {
                1 => CheckResult::failed("too early"),
                3 | 4 => CheckResult::inconclusive("a limit of our own"),
                n if n < 7 => CheckResult::healthy(),
                _ => CheckResult::inconclusive("for good"),
            })
        })
        .restore(move || {
            restores.note("restore", start);
            restores.set_down(false);
            ready(())
        });
    monitor
        .set_recovery("broker", config().build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let guard = monitor.start();
    // At 2 s clean, at 3 s not; from 5 s on clean, two of no count, clean, clean at 9 s.
    sleep(9 * SECOND + SECOND / 2).await;
    assert_eq!(upstream.done(), [("restore", 9)]);
    assert_eq!(turn.load(Ordering::Relaxed), 7);
    assert_eq!(
        monitor.status(),
        Status::Healthy,
        "it was run, its old results are forgotten"
    );
    assert_eq!(report(&monitor).failed, 1);

    // So many that are inconclusive are a failure, not a wait without end.
    upstream.set_down(true);
    sleep(25 * SECOND).await;
    let message = report(&monitor).message.unwrap();
    assert_eq!(message, "too many validations were inconclusive");
    let turns = turn.load(Ordering::Relaxed);
    assert!(turns >= 7 + 9, "{turns}");
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_let_go_before_restoring_and_wherever_it_is_stopped() {
    let (monitor, upstream) = monitor("holds");
    let layer = Layer::new();
    let set = || {
        let seen = layer.clone();
        let plan = Recovery::new().hold(layer.clone()).restore(move || {
            ready(match seen.is_blocked() {
                true => Err("still blocked"),
                false => Ok(()),
            })
        });
        monitor
            .set_recovery("broker", config().build().unwrap(), plan)
            .unwrap();
    };
    set();
    upstream.set_down(true);
    let guard = monitor.start();
    sleep(SECOND).await;
    assert!(layer.is_blocked());
    // The program stops in the middle.
    drop(guard);
    tokio::task::yield_now().await;
    assert!(!layer.is_blocked());
    assert_eq!(report(&monitor).state, RecoveryState::Idle);

    let _guard = monitor.start();
    sleep(SECOND).await;
    assert!(layer.is_blocked());
    monitor.set_auto_recovery(false);
    sleep(SECOND).await;
    assert!(!layer.is_blocked() && !monitor.auto_recovery());
    monitor.set_auto_recovery(true);
    sleep(SECOND).await;
    assert!(layer.is_blocked());
    monitor.remove_recovery("broker");
    sleep(SECOND).await;
    assert!(!layer.is_blocked());

    set();
    let _guard = monitor.start();
    sleep(SECOND).await;
    assert!(layer.is_blocked());
    upstream.set_down(false);
    sleep(20 * SECOND).await;
    assert!(!layer.is_blocked());
    let restored = report(&monitor);
    assert_eq!((restored.restored, restored.failed), (1, 0));

    upstream.set_down(true);
    sleep(12 * SECOND).await;
    assert!(layer.is_blocked());
    monitor.remove("broker");
    sleep(SECOND).await;
    assert!(!layer.is_blocked());
    assert_eq!(monitor.report().recoveries, []);
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_is_held_again_where_restoring_fails() {
    let (monitor, upstream) = monitor("holds again");
    let layer = Layer::new();
    let restores = AtomicU64::new(0);
    let plan = Recovery::new().hold(layer.clone()).restore(move || {
        let first = restores.fetch_add(1, Ordering::Relaxed) == 0;
        ready(if first { Err("not yet") } else { Ok(()) })
    });
    monitor
        .set_recovery("broker", config().build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(SECOND).await;
    upstream.set_down(false);
    sleep(12 * SECOND).await;
    assert_eq!(report(&monitor).message.as_deref(), Some("not yet"));
    assert!(layer.is_blocked());
    sleep(4 * SECOND).await;
    assert_eq!(report(&monitor).restored, 1);
    assert!(!layer.is_blocked());
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_has_blocked_stays_blocked() {
    let (monitor, upstream) = monitor("operator");
    let layer = Layer::new();
    layer.control(Command::Block).unwrap();
    let plan = Recovery::new().hold(layer.clone());
    monitor
        .set_recovery("broker", config().build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(SECOND).await;
    upstream.set_down(false);
    sleep(20 * SECOND).await;
    assert_eq!(report(&monitor).restored, 1);
    assert!(layer.is_blocked());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_healed_while_something_below_is_unhealthy() {
    let (monitor, upstream) = monitor("below");
    let network = Arc::new(AtomicBool::new(true));
    let works = Arc::clone(&network);
    let config_of_check = monitor.check_config("broker").unwrap();
    monitor
        .register("network", config_of_check, move || {
            ready(works.load(Ordering::Relaxed))
        })
        .unwrap();
    monitor.set_dependencies("broker", &["network"]).unwrap();
    let (start, heals) = (Instant::now(), upstream.clone());
    let plan = Recovery::new().heal(move |_| {
        heals.note("heal", start);
        heals.set_down(false);
        ready(())
    });
    monitor
        .set_recovery("broker", config().build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(SECOND).await;
    network.store(false, Ordering::Relaxed);
    monitor.run_check("network").await;
    sleep(60 * SECOND).await;
    assert_eq!(upstream.done(), []);
    network.store(true, Ordering::Relaxed);
    sleep(20 * SECOND).await;
    assert_eq!(upstream.done().len(), 1);
    assert_eq!(monitor.status(), Status::Healthy);
}

#[test]
fn impossible_recoveries_are_rejected_by_name() {
    let (monitor, _) = monitor("impossible");
    let default = RecoveryConfig::default;
    let unknown = monitor.set_recovery("none", default(), Recovery::new());
    let unknown = unknown.unwrap_err();
    assert_eq!((unknown.field(), unknown.value()), ("check", "none"));
    let unfit = Layer {
        commands: &[Command::Reset],
        ..Layer::new()
    };
    let plan = Recovery::new().hold(unfit);
    let unfit = monitor.set_recovery("broker", default(), plan).unwrap_err();
    assert_eq!((unfit.field(), unfit.value()), ("hold", "layer"));
    let field = |b: RecoveryConfigBuilder| b.build().unwrap_err().field().to_owned();
    let zero = Duration::ZERO;
    assert_eq!(
        field(RecoveryConfig::builder().validations(0)),
        "validations"
    );
    assert_eq!(
        field(RecoveryConfig::builder().max_attempts(0)),
        "max_attempts"
    );
    assert_eq!(
        field(RecoveryConfig::builder().hook_timeout(zero)),
        "hook_timeout"
    );
    let every = RecoveryConfig::builder().validate_every(zero);
    assert_eq!(field(every), "validate_every");
    assert_eq!(RecoveryConfig::builder().build(), Ok(default()));
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_recovery_is_serialized_with_times_as_seconds() {
    let (monitor, upstream) = monitor("serialized");
    let plan = Recovery::new().heal(|_| ready(()));
    monitor
        .set_recovery("broker", config().build().unwrap(), plan)
        .unwrap();
    upstream.set_down(true);
    let _guard = monitor.start();
    sleep(SECOND / 2).await;
    assert_eq!(
        serde_json::to_string(&report(&monitor)).unwrap(),
        concat!(
            r#"{"check":"broker","state":"down","since_seconds":0.5,"attempt":1,"#,
            r#""max_attempts":10,"next_attempt_seconds":1.5,"clean":0,"validations":3,"#,
            r#""message":null,"restored":0,"failed":0,"gave_up":0}"#,
        )
    );
}
