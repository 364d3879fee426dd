//! What a recovery holds, and when it lets it go.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_core::{
    Backoff, Command, EventKind, EventSource, Events, InstanceHandle, InstanceName, Received,
    Samples, Subscription, Unsupported,
};
use seawall_health::{
    CheckConfig, CheckResult, HealthMonitor, Recovery, RecoveryConfig, RecoveryReport,
    RecoveryState,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A layer of which only its state is known.
#[derive(Clone, Default)]
struct Plain(Arc<Mutex<Option<&'static str>>>);

impl Plain {
    fn set(&self, state: Option<&'static str>) {
        *self.0.lock().unwrap() = state;
    }
}

impl InstanceHandle for Plain {
    fn pattern(&self) -> &'static str {
        "layer"
    }
    fn name(&self) -> InstanceName {
        InstanceName::new("held")
    }
    fn state(&self) -> &'static str {
        self.0.lock().unwrap().unwrap_or("ok")
    }
    fn samples(&self, _: &mut Samples<'_>) {}
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn attach(&self, _: &Events) {}
    fn commands(&self) -> &'static [Command] {
        &[Command::Block, Command::Bypass, Command::Resume]
    }
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        self.set(match command {
            Command::Block => Some("paused"),
            Command::Bypass => Some("bypassed"),
            _ => None,
        });
        Ok(())
    }
}

/// A layer as ours are: it counts its commands and emits them.
#[derive(Clone)]
struct Layer {
    plain: Plain,
    source: Arc<EventSource>,
}

impl Layer {
    fn new() -> Self {
        Self {
            plain: Plain::default(),
            source: Arc::new(EventSource::new("layer", "held")),
        }
    }
    fn name(&self) -> InstanceName {
        self.source.name()
    }
    fn pause(&self) {
        self.plain.set(Some("paused"));
        self.source.commanded("pause");
    }
    fn bypass(&self) {
        self.plain.set(Some("bypassed"));
        self.source.commanded("bypass");
    }
    fn resume(&self) {
        self.plain.set(None);
        self.source.commanded("resume");
    }
    fn set_shadow(&self, on: bool) {
        self.source.commanded_shadow(on);
    }
}

impl InstanceHandle for Layer {
    seawall_core::handle_methods! { |this|
        pattern: "layer",
        state: this.plain.state(),
        attach: this.source,
        commands: [Block => pause, Bypass => bypass, Resume => resume, ShadowOn => set_shadow(true)],
    }
    fn samples(&self, _: &mut Samples<'_>) {}
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// A check of each name, every second, and whether it is up.
struct Desk {
    monitor: HealthMonitor,
    up: Arc<AtomicU64>,
}

const NAMES: [&str; 2] = ["quotes", "orders"];

impl Desk {
    fn new() -> Self {
        let (monitor, up) = (HealthMonitor::new("desk"), Arc::new(AtomicU64::new(0)));
        let config = CheckConfig::builder().interval(SECOND).jitter(0.0);
        let config = config.failures_to_unhealthy(1).successes_to_recover(1);
        let config = config.max_error_rate(1.0).build().unwrap();
        for (at, name) in NAMES.into_iter().enumerate() {
            let up = Arc::clone(&up);
            let check = move || ready(up.load(Ordering::Relaxed) & (1 << at) != 0);
            monitor.register(name, config, check).unwrap();
        }
        Self { monitor, up }
    }

    fn set_up(&self, name: &str, up: bool) {
        let bit = 1 << NAMES.iter().position(|known| *known == name).unwrap();
        match up {
            true => self.up.fetch_or(bit, Ordering::Relaxed),
            false => self.up.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    /// Three attempts, 2 s apart, of one validation.
    fn recover(&self, name: &str, plan: Recovery) {
        let config = RecoveryConfig::builder().max_attempts(3).validations(1);
        let config = config.backoff(Backoff::constant(2 * SECOND).unwrap());
        let config = config.build().unwrap();
        self.monitor.set_recovery(name, config, plan).unwrap();
    }

    fn report(&self, name: &str) -> RecoveryReport {
        self.monitor.report().recovery(name).unwrap().clone()
    }
}

fn commands(feed: &mut Subscription) -> Vec<&'static str> {
    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = feed.try_next() {
        if let EventKind::Commanded { command } = event.kind {
            seen.push(command);
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_where_the_check_is_healthy_and_restoring_fails() {
    let (desk, layer) = (Desk::new(), Layer::new());
    let (restores, counted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counts = Arc::clone(&restores);
    let works = Arc::clone(&counted);
    let plan = Recovery::new().hold(layer.clone()).restore(move || {
        counts.fetch_add(1, Ordering::Relaxed);
        ready(works.load(Ordering::Relaxed) > 0)
    });
    desk.recover("quotes", plan);
    let _guard = desk.monitor.start();
    sleep(2 * SECOND).await;
    assert_eq!(layer.state(), "paused");
    desk.set_up("quotes", true);
    sleep(3_600 * SECOND).await;
    let report = desk.report("quotes");
    assert_eq!(restores.load(Ordering::Relaxed), 3);
    assert_eq!((report.state, report.gave_up), (RecoveryState::GaveUp, 1));
    assert_eq!(layer.state(), "ok", "what is healthy is not held");

    // An operator asks: three more, and nothing is held meanwhile.
    desk.monitor.recover_now("quotes");
    sleep(3 * SECOND).await;
    assert_eq!(layer.state(), "ok");
    sleep(3_600 * SECOND).await;
    assert_eq!(restores.load(Ordering::Relaxed), 6);
    assert_eq!(desk.report("quotes").gave_up, 2);

    // It fails again, and that is another outage.
    desk.set_up("quotes", false);
    sleep(2 * SECOND).await;
    assert_eq!(layer.state(), "paused");
    counted.store(1, Ordering::Relaxed);
    desk.set_up("quotes", true);
    sleep(10 * SECOND).await;
    let report = desk.report("quotes");
    assert_eq!((report.state, report.restored), (RecoveryState::Idle, 1));
    assert_eq!((restores.load(Ordering::Relaxed), layer.state()), (7, "ok"));
}

#[tokio::test(start_paused = true)]
async fn a_healthy_check_is_let_go_where_no_validation_is_conclusive() {
    let (desk, layer) = (Desk::new(), Layer::new());
    let plan = Recovery::new().hold(layer.clone());
    let plan = plan.validate(|| ready(CheckResult::inconclusive("a limit of our own")));
    desk.recover("quotes", plan);
    let _guard = desk.monitor.start();
    sleep(2 * SECOND).await;
    desk.set_up("quotes", true);
    sleep(1_000 * SECOND).await;
    let report = desk.report("quotes");
    assert_eq!((report.failed, report.gave_up), (3, 1));
    assert_eq!(layer.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn what_is_down_after_the_last_attempt_stays_held_until_it_is_better() {
    let (desk, layer) = (Desk::new(), Layer::new());
    let plan = Recovery::new()
        .hold(layer.clone())
        .heal(|_| ready(false))
        .restore(|| ready(true));
    desk.recover("quotes", plan);
    let _guard = desk.monitor.start();
    sleep(1_000 * SECOND).await;
    assert_eq!(desk.report("quotes").state, RecoveryState::GaveUp);
    assert_eq!(layer.state(), "paused");
    desk.set_up("quotes", true);
    sleep(10 * SECOND).await;
    assert_eq!(desk.report("quotes").restored, 1);
    assert_eq!(layer.state(), "ok");
}

async fn two_recoveries_share(held: impl InstanceHandle + Clone + 'static) {
    let desk = Desk::new();
    for name in NAMES {
        desk.recover(name, Recovery::new().hold(held.clone()));
    }
    let _guard = desk.monitor.start();
    sleep(2 * SECOND).await;
    assert_eq!(held.state(), "paused");
    desk.set_up("quotes", true);
    sleep(100 * SECOND).await;
    assert_eq!(desk.report("quotes").restored, 1);
    assert_eq!(held.state(), "paused", "the other one is still down");
    desk.set_up("orders", true);
    sleep(10 * SECOND).await;
    assert_eq!(held.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn the_last_of_two_recoveries_lets_go() {
    two_recoveries_share(Layer::new()).await;
    two_recoveries_share(Plain::default()).await;
}

#[tokio::test(start_paused = true)]
async fn recoveries_of_two_monitors_share_and_layers_of_one_name_do_not() {
    let (first, second) = (Desk::new(), Desk::new());
    let (shared, other) = (Layer::new(), Layer::new());
    first.recover("quotes", Recovery::new().hold(shared.clone()));
    second.recover("quotes", Recovery::new().hold(shared.clone()));
    second.recover("orders", Recovery::new().hold(other.clone()));
    let _guards = (first.monitor.start(), second.monitor.start());
    sleep(2 * SECOND).await;
    first.set_up("quotes", true);
    second.set_up("orders", true);
    sleep(10 * SECOND).await;
    assert_eq!((shared.state(), other.state()), ("paused", "ok"));
    second.set_up("quotes", true);
    sleep(10 * SECOND).await;
    assert_eq!(shared.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_commands_while_it_is_held_stays() {
    type Case = (&'static str, fn(&Layer), &'static str);
    let cases: [Case; 4] = [
        ("blocked once more", Layer::pause, "paused"),
        ("let pass", Layer::bypass, "bypassed"),
        ("let go", Layer::resume, "ok"),
        (
            "in shadow mode, which is no such command",
            |layer| layer.set_shadow(true),
            "ok",
        ),
    ];
    for (case, command, expected) in cases {
        let (desk, layer) = (Desk::new(), Layer::new());
        let restores = AtomicU32::new(0);
        // The first attempt fails: what was taken over is not held again.
        let plan = Recovery::new().hold(layer.clone());
        let plan = plan.restore(move || ready(restores.fetch_add(1, Ordering::Relaxed) > 0));
        desk.recover("quotes", plan);
        let guard = desk.monitor.start();
        sleep(2 * SECOND).await;
        command(&layer);
        desk.set_up("quotes", true);
        sleep(20 * SECOND).await;
        assert_eq!(desk.report("quotes").restored, 1, "{case}");
        assert_eq!(layer.state(), expected, "{case}");
        drop(guard);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_commands_stays_where_the_recovery_is_stopped() {
    let (desk, layer, plain) = (Desk::new(), Layer::new(), Plain::default());
    let plan = Recovery::new().hold(layer.clone()).hold(plain.clone());
    desk.recover("quotes", plan);
    let guard = desk.monitor.start();
    sleep(2 * SECOND).await;
    layer.bypass();
    plain.control(Command::Bypass).unwrap();
    sleep(60 * SECOND).await;
    drop(guard);
    sleep(SECOND).await;
    assert_eq!((layer.state(), plain.state()), ("bypassed", "bypassed"));
}

#[tokio::test(start_paused = true)]
async fn commands_of_a_recovery_have_words_of_their_own() {
    let (desk, layer, events) = (Desk::new(), Layer::new(), Events::default());
    let mut feed = events.subscribe();
    InstanceHandle::attach(&layer, &events);
    desk.recover("quotes", Recovery::new().hold(layer.clone()));
    let _guard = desk.monitor.start();
    sleep(2 * SECOND).await;
    desk.set_up("quotes", true);
    sleep(10 * SECOND).await;
    assert_eq!(commands(&mut feed), ["recovery_hold", "recovery_release"]);
    layer.pause();
    assert_eq!(commands(&mut feed), ["pause"]);
}
