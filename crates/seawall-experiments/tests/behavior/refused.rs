//! What may not run here and now.

use seawall_chaos::ChaosConfig;
use seawall_experiments::{Environment, Outcome, Refusal, Runner};

use crate::support::{Desk, Layers, SUNDAY, experiment, game_day, unix};

const FAILS: &str = r#"
    hypothesis = { metric = "success_ratio", at_least = 0.01, tolerated = 0.9 }
    fault = [{ kind = "error_before_sending", intensity = 0.1 }]"#;

async fn refusal(desk: &Desk, environment: Environment, at: u64, text: &str) -> Option<Refusal> {
    let runner = Runner::builder("desk", environment)
        .target(desk.chaos.clone())
        .registry(desk.registry.clone())
        .clock(move || unix(at))
        .build()
        .unwrap();
    let report = runner.run(&experiment(&game_day(text))).await.unwrap();
    assert_eq!(report.refusal.is_some(), report.outcome == Outcome::Refused);
    report.refusal
}

#[tokio::test(start_paused = true)]
async fn production_needs_a_flag_of_the_experiment() {
    let desk = Desk::start(Layers::default());
    let refused = refusal(&desk, Environment::Production, SUNDAY, FAILS).await;
    assert_eq!(refused, Some(Refusal::Production));
    let flagged = format!("production = true\n{FAILS}");
    assert_eq!(
        refusal(&desk, Environment::Production, SUNDAY, &flagged).await,
        None
    );
    assert_eq!(refusal(&desk, Environment::Test, SUNDAY, FAILS).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_market_that_is_open_or_would_open_refuses_unless_that_is_allowed() {
    let desk = Desk::start(Layers::default());
    let monday = SUNDAY + 24 * 3_600;
    // 12:00 in New York, then 15 s and 60 s before 09:30, and 16:00. A run may take 25 s.
    for (at, refused) in [
        (monday, true),
        (monday - 9_000 - 15, true),
        (monday - 9_000 - 60, false),
        (monday + 4 * 3_600, false),
        (SUNDAY, false),
    ] {
        let found = refusal(&desk, Environment::Test, at, FAILS).await;
        assert_eq!(found, refused.then_some(Refusal::MarketOpen), "{at}");
        for allowed in [
            "market = { calendar = 'nyse', allow_open = true }",
            "market = { calendar = 'none' }",
        ] {
            let text = format!("{allowed}\n{FAILS}");
            assert_eq!(
                refusal(&desk, Environment::Test, at, &text).await,
                None,
                "{at}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_of_a_run_is_within_its_hours() {
    let desk = Desk::start(Layers::default());
    // Sunday in New York; a run may take 25 s.
    let hours = |days: &str, from: &str, to: &str| {
        format!(
            "hours = {{ zone = 'America/New_York', days = [{days}], from = '{from}', to = '{to}' }}\n{FAILS}"
        )
    };
    for (days, from, to, at, refused) in [
        ("'sun'", "11:00", "13:00", SUNDAY, false),
        ("'sun'", "12:00", "12:01", SUNDAY, false),
        ("'sun'", "12:00", "12:01", SUNDAY + 40, true),
        ("'sun'", "12:01", "13:00", SUNDAY, true),
        ("'mon', 'sat'", "11:00", "13:00", SUNDAY, true),
        ("'sat'", "22:00", "13:00", SUNDAY, false), // over midnight
    ] {
        let found = refusal(&desk, Environment::Test, at, &hours(days, from, to)).await;
        assert_eq!(
            found,
            refused.then_some(Refusal::OutsideHours),
            "{days} {from} {to}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn orders_are_hit_at_a_simulated_broker_alone() {
    let orders = format!("orders = true\n{FAILS}");
    let desk = Desk::start(Layers::default());
    assert_eq!(
        refusal(&desk, Environment::Test, SUNDAY, &orders).await,
        Some(Refusal::Orders)
    );
    let simulated = ChaosConfig::builder()
        .simulated_upstream(true)
        .build()
        .unwrap();
    let desk = Desk::start_with(Layers::default(), simulated);
    assert_eq!(
        refusal(&desk, Environment::Test, SUNDAY, &orders).await,
        None
    );
}

/// Also where the broker is simulated, only experiments on orders hit what is no read.
#[tokio::test(start_paused = true)]
async fn an_experiment_that_is_none_on_orders_spares_them() {
    use seawall_chaos::ChaosLayer;
    use seawall_core::{ConstMeta, Registry, Replay, RequestMeta, WrapErrorLayer};
    use seawall_telemetry::{TelemetryConfig, TelemetryLayer};
    use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

    let all = [Replay::SafeWithEffect, Replay::SafeWithKey, Replay::Never];
    for (orders, replay) in [false, true]
        .into_iter()
        .flat_map(|orders| all.map(|it| (orders, it)))
    {
        let config = ChaosConfig::builder()
            .simulated_upstream(true)
            .build()
            .unwrap();
        let chaos = ChaosLayer::new("quotes", config).describe(ConstMeta(RequestMeta::new(replay)));
        let telemetry = TelemetryLayer::new("quotes", TelemetryConfig::default());
        let registry = Registry::new("desk");
        registry.register(telemetry.handle()).unwrap();
        let runner = Runner::builder("desk", Environment::Test)
            .target(chaos.handle())
            .registry(registry)
            .clock(|| unix(SUNDAY))
            .build()
            .unwrap();
        let client = ServiceBuilder::new()
            .layer(telemetry)
            .layer(WrapErrorLayer)
            .layer(chaos)
            .service(service_fn(|_: ()| async { Ok::<_, BoxError>(()) }));
        let calls = async {
            loop {
                let _ = client.clone().oneshot(()).await;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let text = game_day(&format!("orders = {orders}\n{FAILS}")).replace("0.1 }", "0.5 }");
        let experiment = experiment(&text);
        let report = tokio::select! {
            report = runner.run(&experiment) => report.unwrap(),
            () = calls => unreachable!(),
        };
        let hit = report.injected() > 0;
        assert_eq!(hit, orders, "{replay:?}: {}", report.to_markdown());
    }
}
