//! What an operator commands holds in shadow mode too, and the last command counts.

use seawall_core::{Command, PartitionKey, QuotaSignal, Scope};
use seawall_ratelimit::{
    KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer, RateLimitState,
};
use tower::ServiceBuilder;

use super::keyed::{ByHundreds, by_hundreds, passes};
use super::*;

fn reason<S>(svc: &mut S, n: u32) -> Reason
where
    S: Service<u32, Error = BoxError, Response: std::fmt::Debug>,
{
    rejection(call(svc, n).poll()).reason()
}

fn shadow(burst: u32) -> RateLimitLayer {
    let config = builder(burst).shadow(true).build();
    RateLimitLayer::new("shadow", config.expect("valid settings"))
}

fn keyed(
    per_key: RateLimitConfigBuilder,
    account: Option<&RateLimitHandle>,
) -> (KeyedRateLimitLayer<ByHundreds>, KeyedRateLimitHandle) {
    let config = KeyedRateLimitConfig::new(per_key).expect("valid settings");
    let layer = match account {
        Some(account) => KeyedRateLimitLayer::within_account("keys", config, account),
        None => KeyedRateLimitLayer::new("keys", config),
    };
    let handle = layer.handle();
    (
        layer.describe(by_hundreds as fn(&u32) -> RequestMeta),
        handle,
    )
}

const THROTTLE: QuotaSignal = QuotaSignal::Pause {
    lasts: Some(SECOND),
    scope: Scope::Upstream,
};

#[tokio::test(start_paused = true)]
async fn a_block_ends_a_bypass_and_a_bypass_ends_a_block() {
    let (mut svc, handle, mock) = subject(1, Duration::ZERO);
    handle.control(Command::Bypass).unwrap();
    assert!((0..3).all(|n| passes(&mut svc, n)));
    handle.control(Command::Block).unwrap();
    assert_eq!(handle.snapshot().state, RateLimitState::Paused);
    assert!(!handle.snapshot().shadow);
    assert_eq!(reason(&mut svc, 3), Reason::Paused);
    handle.control(Command::Bypass).unwrap();
    assert!((4..7).all(|n| passes(&mut svc, n)));
    handle.drain();
    assert_eq!(reason(&mut svc, 7), Reason::Draining);
    // The bypass does not come back.
    handle.resume();
    assert_eq!(reason(&mut svc, 8), Reason::RateLimited);
    assert_eq!(mock.requests(), [0, 1, 2, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_bypass_ends_with_the_next_command_and_not_with_new_settings() {
    let (mut svc, handle, _mock) = subject(1, Duration::ZERO);
    handle.control(Command::Bypass).unwrap();
    handle.configure(builder(1).build().unwrap()).unwrap();
    assert!(passes(&mut svc, 0) && passes(&mut svc, 1));
    handle.set_shadow(false);
    assert!(!passes(&mut svc, 2));
    handle.control(Command::Bypass).unwrap();
    handle.pause_for(SECOND);
    assert_eq!(reason(&mut svc, 3), Reason::Paused);
    handle.control(Command::Bypass).unwrap();
    handle.control(Command::Reset).unwrap();
    assert!(!handle.snapshot().shadow);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_a_command_rejects_and_the_upstream_does_not() {
    let layer = shadow(1);
    let (inner, _mock) = mock();
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    assert!(passes(&mut svc, 0) && passes(&mut svc, 1));
    handle.control(Command::Block).unwrap();
    assert_eq!(reason(&mut svc, 2), Reason::Paused);
    assert!(handle.try_reserve(&RequestMeta::default()).is_err());
    // Shadow mode that is turned on later is no command to go on.
    handle.set_shadow(true);
    assert_eq!(reason(&mut svc, 3), Reason::Paused);
    handle.resume();
    assert!(passes(&mut svc, 4));
    handle.drain();
    assert_eq!(reason(&mut svc, 5), Reason::Draining);
    handle.control(Command::Reset).unwrap();
    handle.apply_signal(THROTTLE);
    assert!(passes(&mut svc, 6));
    handle.pause_for(2 * SECOND);
    let rejected = rejection(call(&mut svc, 7).poll());
    assert_eq!(
        (rejected.reason(), rejected.retry_after()),
        (Reason::Paused, Some(2 * SECOND))
    );
    advance(2 * SECOND).await;
    assert!(passes(&mut svc, 8));
    let counts = handle.counts();
    assert_eq!((counts.paused, counts.draining), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn queued_calls_of_a_paused_limit_stay_when_shadow_mode_is_turned_on() {
    let (svc, handle, mock) = subject(1, 60 * SECOND);
    handle
        .try_reserve(&RequestMeta::default())
        .unwrap()
        .commit();
    let waits = tokio::spawn(svc.clone().call(0));
    tokio::task::yield_now().await;
    handle.pause();
    handle.set_shadow(true);
    tokio::time::sleep(SECOND).await;
    assert!(mock.requests().is_empty() && handle.queue_depth() == 1);
    handle.control(Command::Bypass).unwrap();
    assert!(waits.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_are_blocked_in_shadow_mode_and_after_a_bypass() {
    for shadow in [false, true] {
        let (layer, handle) = keyed(builder(1).shadow(shadow), None);
        let (inner, _mock) = mock();
        let mut svc = layer.layer(inner);
        handle.control(Command::Block).unwrap();
        assert_eq!(reason(&mut svc, 100), Reason::Paused);
        let meta = RequestMeta::default();
        assert_eq!(
            handle.try_reserve(&meta).unwrap_err().reason(),
            Reason::Paused
        );
        handle.control(Command::Bypass).unwrap();
        assert!((100..103).all(|n| passes(&mut svc, n)));
        for lasts in [None, Some(SECOND)] {
            match lasts {
                Some(time) => handle.pause_all_for(time),
                None => handle.pause_all(),
            }
            assert_eq!(reason(&mut svc, 103), Reason::Paused);
            handle.control(Command::Bypass).unwrap();
            assert!(passes(&mut svc, 104));
        }
        // A single key, after the bypass of all.
        handle.pause(PartitionKey(1));
        assert_eq!(reason(&mut svc, 105), Reason::Paused);
        assert!(passes(&mut svc, 200));
        handle.control(Command::Bypass).unwrap();
        assert!(passes(&mut svc, 106));
        handle.pause_all_for(SECOND);
        advance(SECOND + ms(100)).await;
        assert_eq!(
            reason(&mut svc, 106),
            Reason::Paused,
            "the pause of the key, which nothing has ended, comes back"
        );
        handle.resume(PartitionKey(1));
        assert!(passes(&mut svc, 107));
        assert_eq!(
            passes(&mut svc, 108),
            shadow,
            "the bypass does not come back"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn keys_in_shadow_mode_pass_what_the_upstream_pauses() {
    let (layer, handle) = keyed(builder(1).shadow(true), None);
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    handle.apply_signal(PartitionKey(1), THROTTLE);
    assert!(passes(&mut svc, 100) && passes(&mut svc, 200));
    assert_eq!(handle.counts().shadowed, 2);
    handle.pause(PartitionKey(1));
    assert_eq!(reason(&mut svc, 101), Reason::Paused);
    assert!(passes(&mut svc, 201));
    handle.pause_all();
    assert_eq!(reason(&mut svc, 202), Reason::Paused);
    let (layer, handle) = keyed(builder(1), None);
    let mut enforced = layer.layer(mock().0);
    handle.apply_signal(PartitionKey(1), THROTTLE);
    assert_eq!(reason(&mut enforced, 200), Reason::Paused);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_blocked_in_shadow_mode_and_under_a_bypass_of_its_keys() {
    for max_wait in [Duration::ZERO, 60 * SECOND] {
        for keys_shadow in [false, true] {
            let account = shadow(5).handle();
            let per_key = builder(1).shadow(keys_shadow);
            let per_key = if max_wait.is_zero() {
                per_key
            } else {
                per_key.max_wait(max_wait)
            };
            let (layer, keys) = keyed(per_key, Some(&account));
            let (inner, _mock) = mock();
            let mut svc = layer.layer(inner);
            assert!(passes(&mut svc, 100));
            account.control(Command::Block).unwrap();
            assert_eq!(reason(&mut svc, 200), Reason::Paused);
            assert_eq!(reason(&mut svc, 101), Reason::Paused, "of a used up key");
            keys.control(Command::Bypass).unwrap();
            assert_eq!(reason(&mut svc, 201), Reason::Paused);
            account.control(Command::Bypass).unwrap();
            assert!(passes(&mut svc, 202) && passes(&mut svc, 203));
            account.drain();
            assert_eq!(reason(&mut svc, 204), Reason::Draining);
            account.resume();
            assert!(passes(&mut svc, 205));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_stack_the_last_command_counts() {
    let (outer, inner) = (shadow(1), layer(1, Duration::ZERO));
    let mut svc = ServiceBuilder::new()
        .layer(outer.clone())
        .layer(inner.clone())
        .service(mock().0);
    let all = |command| {
        outer.handle().control(command).unwrap();
        inner.handle().control(command).unwrap();
    };
    all(Command::Bypass);
    assert!((0..3).all(|n| passes(&mut svc, n)));
    all(Command::Block);
    let rejected = rejection(call(&mut svc, 3).poll());
    assert_eq!(
        (rejected.reason(), rejected.name().as_str()),
        (Reason::Paused, "shadow")
    );
    all(Command::Bypass);
    assert!((4..7).all(|n| passes(&mut svc, n)));
    all(Command::Reset);
    assert_eq!(reason(&mut svc, 7), Reason::RateLimited);
}
