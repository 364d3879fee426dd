//! What any provider sends, through the stacks of a kind of provider; and that each kind is replayed.

#[path = "support/replay.rs"]
mod replay;

use std::time::Duration;

use replay::{Effect, JSON, Reply, SECOND, replay, replay_through};
use seawall::{CircuitState, StackBuilder};

type Preset = fn(&'static str) -> StackBuilder;

/// Each with how often it sends a read.
const KINDS: [(&str, Preset, u32); 8] = [
    ("broker", seawall::broker, 3),
    ("order_execution", seawall::order_execution, 3),
    ("market_data", seawall::market_data, 5),
    ("news", seawall::news, 2),
    ("ai_api", seawall::ai_api, 3),
    ("ai_agents", seawall::ai_agents, 3),
    ("database", seawall::database, 3),
    ("api_client", seawall::api_client, 3),
];

async fn replayed(what: &str, preset: Preset, reply: Reply) -> Effect {
    let effect = replay(preset("any"), reply).await;
    let status = effect.result.as_ref().expect("the provider's own response");
    assert_eq!(*status, reply.0, "{what}");
    effect
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_waited_for_and_counts_as_no_failure() {
    const THROTTLE: Reply = (429, &[JSON, ("retry-after", "3")], "{}");
    for (what, preset, attempts) in KINDS {
        let seen = replayed(what, preset, THROTTLE).await;
        seen.is_throttled();
        assert_eq!(seen.sends, attempts, "{what}");
        let waits = 3 * SECOND * (attempts - 1);
        assert!(
            seen.took >= waits && seen.took < waits * 2,
            "{what}: {:?}",
            seen.took
        );
        // The next call has to wait as long.
        let left = seen.rejected_for;
        assert!(
            left.is_none_or(|left| left <= 4 * SECOND),
            "{what}: {left:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_names_no_time_is_backed_off_from() {
    const THROTTLE: Reply = (429, &[], "Too Many Requests");
    for (what, preset, attempts) in KINDS {
        let seen = replayed(what, preset, THROTTLE).await;
        seen.is_throttled();
        assert_eq!(seen.sends, attempts, "{what}");
        assert!(
            seen.took >= Duration::from_millis(500),
            "{what}: {:?}",
            seen.took
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_upstream_is_tried_again_and_each_attempt_is_a_failure() {
    const DOWN: [Reply; 2] = [
        (503, &[], "Service Unavailable"),
        (503, &[("retry-after", "1")], "Service Unavailable"),
    ];
    for (what, preset, attempts) in KINDS {
        for down in DOWN {
            let seen = replayed(what, preset, down).await;
            assert_eq!(seen.sends, attempts, "{what}");
            assert_eq!(seen.failures, u64::from(attempts), "{what}");
            // As many in a row open the circuit as the preset says, the one of the next call
            // included.
            let stack = preset("any").build().expect("valid");
            let breaker = stack.handles().breaker.config();
            let in_a_row = breaker.consecutive_failures();
            let opens = in_a_row.is_some_and(|failures| failures <= attempts + 1);
            assert_eq!(seen.circuit == CircuitState::Open, opens, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ban_opens_the_circuit_for_as_long_and_is_not_tried_again() {
    const BAN: Reply = (418, &[("retry-after", "600")], "");
    for (what, preset, _) in KINDS {
        replayed(what, preset, BAN)
            .await
            .is_banned_for(600 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_request_says_nothing_of_the_upstream() {
    for (what, preset, _) in KINDS {
        for status in [400, 401, 403, 404, 422] {
            let seen = replayed(what, preset, (status, &[JSON], "{}")).await;
            assert_eq!((seen.sends, seen.failures), (1, 0), "{what}, {status}");
            assert_eq!(seen.circuit, CircuitState::Closed, "{what}, {status}");
            assert_eq!(seen.rejected_for, None, "{what}, {status}");
        }
    }
}

/// Every tier of every provider of the catalogue.
#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_to_wait_is_not_sent_to_meanwhile() {
    const WAIT: Reply = (429, &[("retry-after", "300")], "");
    let catalog = seawall::catalog::Catalog::embedded().expect("valid");
    for provider in catalog.providers() {
        for tier in provider.tiers() {
            let stack = tier.build().expect("valid");
            let breaker = stack.handles().breaker;
            let seen = replay_through(&stack, &breaker, ["GET /v1/x"; 2], WAIT).await;
            let what = format!("{}, {}: {seen:?}", provider.name(), tier.name());
            assert_eq!(seen.sends, 1, "{what}");
            assert!(seen.rejected_for >= Some(300 * SECOND), "{what}");
        }
    }
}

/// The functions of a file that make a preset's builder.
fn presets(source: &str) -> Vec<&str> {
    let signatures = source.split("\npub fn ").skip(1);
    let builders = signatures.filter(|rest| {
        let signature = rest.split('{').next().unwrap_or_default();
        signature.contains("-> StackBuilder")
    });
    builders.filter_map(|rest| rest.split('(').next()).collect()
}

#[test]
fn every_preset_is_replayed() {
    let sources = [
        include_str!("../../crates/seawall/src/preset/ai.rs"),
        include_str!("../../crates/seawall/src/preset/broker.rs"),
        include_str!("../../crates/seawall/src/preset/general.rs"),
        include_str!("../../crates/seawall/src/preset/market_data.rs"),
    ];
    let mut all: Vec<_> = sources.iter().flat_map(|source| presets(source)).collect();
    let mut replayed: Vec<_> = KINDS.iter().map(|(kind, ..)| *kind).collect();
    all.sort_unstable();
    replayed.sort_unstable();
    assert_eq!(all, replayed);
}
