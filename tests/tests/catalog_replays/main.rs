//! What each provider of the catalogue sends when it throttles, bans, has no more quota or is down, as
//! its documents and clients describe it, through the stack of its default tier: without any help of
//! the user. `docs/providers.md` has the sources.

mod brokers;
mod market_data;
#[path = "../support/replay.rs"]
mod replay;
mod services;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use replay::{Effect, Reply, replay_through};
use seawall::catalog::{Catalog, Provider};
use seawall::{CircuitState, Reason};

/// A read whose path is no route of any provider.
const READ: &str = "GET /unlisted";

/// What a reply means.
#[derive(Clone, Copy, Debug)]
enum Means {
    /// Nothing is sent for so many milliseconds, by this call or the next one.
    Throttle(u64),
    /// The circuit opens for so many seconds.
    Ban(u64),
    /// No wait of a call helps: one attempt, and nothing is sent for so many seconds.
    Quota(u64),
    /// The upstream has failed, at every attempt.
    Failure,
    /// Nothing: it is about the request, or as it should be.
    Nothing,
}
use Means::{Ban, Failure, Nothing, Quota, Throttle};

/// A request, the reply to each of its attempts, what it means, and how many attempts are made.
type Case = (&'static str, Reply, Means, u32);

const PROVIDERS: [(&str, &[Case]); 18] = [
    ("alpaca", brokers::ALPACA),
    ("alpaca-data", market_data::ALPACA_DATA),
    ("alpha-vantage", market_data::ALPHA_VANTAGE),
    ("anthropic", services::ANTHROPIC),
    ("binance", brokers::BINANCE),
    ("coinbase", brokers::COINBASE),
    ("finnhub", market_data::FINNHUB),
    ("ibkr", brokers::IBKR),
    ("kite", brokers::KITE),
    ("kraken", brokers::KRAKEN),
    ("newsapi", services::NEWSAPI),
    ("oanda", brokers::OANDA),
    ("openai", services::OPENAI),
    ("polygon", market_data::POLYGON),
    ("reddit", services::REDDIT),
    ("sec-edgar", services::SEC_EDGAR),
    ("tradier", brokers::TRADIER),
    ("yahoo-finance", market_data::YAHOO_FINANCE),
];

fn known(name: &str) -> Provider {
    seawall::provider(name).expect("it is in the catalogue")
}

async fn send(provider: &Provider, requests: [&str; 2], reply: Reply) -> Effect {
    let stack = provider.build().expect("valid");
    let breaker = stack.handles().breaker;
    replay_through(&stack, &breaker, requests, reply).await
}

/// The cases that a stack treats as something else.
async fn mistaken(provider: &Provider, cases: &[Case]) -> Vec<String> {
    let mut mistaken = Vec::new();
    for (request, reply, means, attempts) in cases {
        let seen = send(provider, [request; 2], *reply).await;
        let passed_on = seen.result.as_ref().is_ok_and(|status| *status == reply.0);
        if !passed_on || seen.sends != *attempts || !means.is_seen_in(&seen) {
            let name = provider.name();
            mistaken.push(format!(
                "{name}: {request} {reply:?}: not {means:?}: {seen:?}"
            ));
        }
    }
    mistaken
}

impl Means {
    /// Whether a stack has treated a reply as this.
    fn is_seen_in(self, seen: &Effect) -> bool {
        let (failures, circuit) = match self {
            Failure => (u64::from(seen.sends), CircuitState::Closed),
            Ban(_) => (1, CircuitState::Open),
            _ => (0, CircuitState::Closed),
        };
        let next_after = seen.next_after.unwrap_or(Duration::MAX);
        let as_meant = match self {
            Throttle(millis) => {
                let wait = Duration::from_millis(millis);
                let longest = wait + Duration::from_secs(20);
                let mut waits = seen.gaps.iter().chain([&next_after]);
                waits.all(|gap| (wait..longest).contains(gap))
            }
            Ban(seconds) => {
                let lasts = Some(Duration::from_secs(seconds));
                seen.reason == Some(Reason::CircuitOpen) && seen.rejected_for == lasts
            }
            Quota(seconds) => {
                let lasts = Duration::from_secs(seconds);
                (lasts..lasts + Duration::from_secs(300)).contains(&next_after)
            }
            // Those of the next call may open the circuit.
            Failure => return seen.failures == failures,
            Nothing => seen.reason.is_none(),
        };
        as_meant && (seen.failures, seen.circuit) == (failures, circuit)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_sends_is_known_by_its_stack() {
    for (name, cases) in PROVIDERS {
        let mistaken = mistaken(&known(name), cases).await;
        assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
    }
}

#[test]
fn every_provider_of_the_catalogue_is_replayed() {
    let catalog = Catalog::embedded().expect("valid");
    let known: BTreeSet<_> = catalog.providers().map(|p| p.name().to_owned()).collect();
    let with_cases = PROVIDERS.iter().filter(|(_, cases)| !cases.is_empty());
    let replayed: BTreeSet<_> = with_cases.map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(known, replayed);
}

/// A throttle is of the class of the route that was called, or of the account.
#[tokio::test(start_paused = true)]
async fn a_throttle_of_a_class_of_routes_leaves_the_others_alone() {
    const WAIT: Reply = (429, &[("retry-after", "300")], "");
    const WAITS: Duration = Duration::from_secs(300);
    for (provider, throttled, other, waits) in [
        ("kite", "GET /quote", "GET /orders", false),
        (
            "tradier",
            "GET /v1/markets/quotes",
            "GET /v1/user/profile",
            false,
        ),
        (
            "coinbase",
            "GET /api/v3/brokerage/time",
            "GET /api/v3/brokerage/accounts",
            true,
        ),
        ("binance", "GET /api/v3/depth", "POST /api/v3/order", true),
    ] {
        let stack = known(provider);
        let seen = send(&stack, [throttled; 2], WAIT).await;
        assert!(seen.rejected_for >= Some(WAITS), "{provider}: {seen:?}");
        let seen = send(&stack, [throttled, other], WAIT).await;
        assert_eq!(
            seen.rejected_for >= Some(WAITS),
            waits,
            "{provider}: {seen:?}"
        );
    }
}

/// The texts of a file in each of which one signal means something else.
fn with_a_wrong_signal(text: &str) -> Vec<String> {
    let signals = text.match_indices("[[signals]]").map(|(at, _)| at);
    let changed = signals.map(|at| {
        let (before, signal) = text.split_at(at);
        let (head, rest) = signal.split_once("means = \"").expect("a meaning");
        let (means, rest) = rest.split_once('"').expect("in quotes");
        let other = match means {
            "ignored" => "overloaded",
            _ => "ignored",
        };
        format!("{before}{head}means = \"{other}\"{rest}")
    });
    changed.collect()
}

/// Where a signal of a file is wrong, a reply is mistaken.
#[tokio::test(start_paused = true)]
async fn every_signal_of_the_catalogue_is_replayed() {
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/seawall/catalog");
    let folder = std::env::temp_dir().join(format!("seawall-signals-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("writable");
    let mut signals = 0;
    let mut unseen = Vec::new();
    for (name, cases) in PROVIDERS {
        let text = fs::read_to_string(catalog.join(name).with_extension("toml")).expect("there");
        for (nth, wrong) in with_a_wrong_signal(&text).iter().enumerate() {
            fs::write(folder.join("wrong.toml"), wrong).expect("writable");
            let known = Catalog::embedded().expect("valid").clone();
            let wrong = known.with_folder(&folder).expect("valid").provider(name);
            if mistaken(&wrong.expect("known"), cases).await.is_empty() {
                unseen.push(format!("{name}: signal {nth}"));
            }
            signals += 1;
        }
    }
    fs::remove_dir_all(&folder).expect("there");
    assert!(unseen.is_empty(), "no reply shows {unseen:?}");
    assert!(signals > PROVIDERS.len(), "{signals}");
}
