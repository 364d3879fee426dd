//! A desk that trades until it is stopped, with a dashboard: the incidents repeat.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seawall::orders::protocol::TradingMode;
use seawall::orders::switch::KillSwitch;
use seawall::orders::{OrderHandle, OrdersSnapshot};
use seawall::{CheckConfig, HealthMonitor, Registry};
use seawall_admin::serve::AdminServer;
use seawall_admin::{Admin, Role, Tokens};
use seawall_health::{Connectivity, HealthScore, ScoreConfig, SystemProbe, TradingFigures};
use seawall_monitor::Monitor;
use seawall_sim::incident::Incidents;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::Meter;
use crate::guarded::Guarded;
use crate::upstream::upstream;
use crate::world::World;
use crate::{desk, plan, print, recorder};

/// Who may use the dashboard, in lines of `role name token` or separated by `;`.
const TOKENS: &str = "SEAWALL_ADMIN_TOKENS";

/// A day is longer here, and somebody watches: a circuit is open for a time that one can see.
const SLOWER: [(&str, &str); 1] = [("SEAWALL__BREAKER__OPEN_FOR", "4s")];

/// Trades behind Seawall and serves the dashboard until it is stopped.
pub(crate) async fn serve(address: SocketAddr, incidents: Incidents) -> Result<(), Box<dyn Error>> {
    let world = World::start(&incidents).await?;
    let registry = Registry::new("trading-desk");
    let kill_switch = KillSwitch::in_memory();
    let meter = Meter::new(incidents.clone(), Instant::now());
    let client = Guarded::registered(upstream(&meter), &registry, kill_switch.clone(), &SLOWER)?;
    let orders = client.orders();

    let health = health(&world, &registry, &orders)?;
    let monitor = Monitor::builder("trading-desk")
        .registry(registry.clone())
        .health(health.clone())
        .critical("broker")
        .build()?;
    let (tokens, made) = tokens()?;
    let admin = Admin::builder("trading-desk")
        .registry(registry)
        .health(health.clone())
        .monitor(monitor.clone())
        .trading(orders, Some(kill_switch))
        .tokens(tokens)
        .build()?;
    let running = (health.start(), monitor.start());
    let server = AdminServer::bind(address, admin.clone()).await?;
    print(&format!("http://{}/dashboard\n", server.local_addr()));
    if let Some(token) = made {
        print(&format!("token of the role admin, for this run: {token}\n"));
    }

    tokio::select! {
        () = trade(client, &world, &incidents) => {}
        stopped = stopped() => stopped?,
    }
    print("stopping\n");
    admin.set_ready(false);
    server.stop().await;
    drop(running);
    world.shutdown().await;
    print("stopped\n");
    Ok(())
}

/// A day after the other, each with its own orders and the same incidents. The calls of a day may end in
/// the next one.
async fn trade(client: Guarded, world: &World, incidents: &Incidents) {
    let mut days = JoinSet::new();
    for seed in incidents.seed().. {
        let zero = Instant::now();
        world.start_clock_at(zero);
        let addresses = desk::Addresses::of(world);
        let client = client.clone();
        let plan = plan::plan(seed, incidents.length());
        days.spawn(async move {
            let recorder = Arc::new(recorder::Recorder::default());
            desk::trade(client, addresses, (seed, &plan), zero, &recorder).await;
        });
        sleep_until(zero + incidents.length()).await;
        while days.try_join_next().is_some() {}
    }
}

/// Whether the providers can be reached, and a score of what works.
fn health(
    world: &World,
    registry: &Registry,
    orders: &OrderHandle,
) -> Result<HealthMonitor, Box<dyn Error>> {
    let health = HealthMonitor::new("trading-desk");
    let check = CheckConfig::builder()
        .interval(Duration::from_secs(5))
        .timeout(Duration::from_secs(1))
        .critical(false)
        .build()?;
    for (name, provider) in [
        ("broker", &world.broker),
        ("market-data", &world.market_data),
        ("ai", &world.ai_api),
    ] {
        let reach = Connectivity::new(&format!("tcp://{}", provider.addr()))?;
        health.register(name, check, reach.into_check()?)?;
    }
    let orders = orders.clone();
    let score = HealthScore::new(ScoreConfig::default())
        .registry(registry)
        .critical("broker")
        .system(SystemProbe::new())
        .trading(move || figures(orders.snapshot()));
    health.set_score(score);
    Ok(health)
}

fn figures(orders: OrdersSnapshot) -> TradingFigures {
    let (opens, closes) = match orders.mode {
        TradingMode::Normal => (true, true),
        TradingMode::ReduceOnly => (false, true),
        _ => (false, false),
    };
    TradingFigures::new(opens, closes)
        .in_doubt(orders.in_doubt)
        .exhausted(orders.exhausted)
}

/// The tokens of the environment, or one that is made for this run.
fn tokens() -> Result<(Tokens, Option<String>), Box<dyn Error>> {
    let given = Tokens::from_env(TOKENS)?;
    if !given.is_empty() {
        return Ok((given, None));
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens = Tokens::new().with(Role::Admin, "operator", &token)?;
    Ok((tokens, Some(token)))
}

/// Ends at Ctrl-C, and where a supervisor ends the program.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
