//! Shadow mode of one limiter changes neither what another decides nor what is counted.

use seawall_core::{Command, PartitionKey};
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer, Limit};

use super::operator::{HOUR, of};
use super::*;

fn bucket(count: u32) -> RateLimitConfigBuilder {
    of(&[Limit::bucket(count, HOUR).burst(count).into()])
}

fn by_request(key: &u32) -> RequestMeta {
    RequestMeta::new(Replay::Safe).with_key(PartitionKey::of(key))
}

fn two_levels(
    account: RateLimitConfigBuilder,
    key: RateLimitConfigBuilder,
) -> (
    RateLimitHandle,
    KeyedRateLimitHandle,
    impl Service<u32, Response = u32, Error = BoxError, Future: Send + 'static> + Clone + Send + 'static,
) {
    let account = RateLimitLayer::new("account", account.build().expect("valid settings"));
    let config = KeyedRateLimitConfig::new(key).expect("valid settings");
    let keys = KeyedRateLimitLayer::within_account("keys", config, &account.handle());
    let handle = keys.handle();
    let keys = keys.describe(by_request as fn(&u32) -> RequestMeta);
    (account.handle(), handle, keys.layer(mock().0))
}

fn passing<S>(svc: &mut S, n: u32) -> u32
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    (0..n)
        .map(|_| u32::from(matches!(call(svc, 1).poll(), Poll::Ready(Ok(_)))))
        .sum()
}

#[tokio::test(start_paused = true)]
async fn an_account_in_shadow_mode_does_not_switch_the_limits_of_keys_off() {
    for max_wait in [Duration::ZERO, SECOND] {
        let (account, keys, mut svc) =
            two_levels(bucket(1).shadow(true), bucket(2).max_wait(max_wait));
        assert_eq!(passing(&mut svc, 100), 2, "the key has two");
        let counts = keys.counts();
        assert_eq!((counts.granted, counts.shadowed), (2, 1));
        assert_eq!(account.counts().granted, 0, "counted by the keys alone");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_in_shadow_mode_rejects_nothing() {
    let account = bucket(1).shadow(true);
    let (_, keys, svc) = two_levels(account, builder(1).max_wait(10 * SECOND));
    let tasks: Vec<_> = (0..5)
        .map(|_| tokio::spawn(tower::ServiceExt::oneshot(svc.clone(), 1)))
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(keys.counts().granted, 5);
}

#[tokio::test(start_paused = true)]
async fn keys_in_shadow_mode_do_not_switch_the_limit_of_the_account_off() {
    for max_wait in [Duration::ZERO, 2 * HOUR] {
        for of_key in [1, 5] {
            let key = bucket(of_key).max_wait(max_wait).shadow(true);
            let (account, keys, mut svc) = two_levels(bucket(2).max_wait(max_wait), key);
            assert_eq!(
                passing(&mut svc, 20),
                2,
                "the account has two ({max_wait:?}, {of_key})"
            );
            assert_eq!(account.tokens(), 0.0);
            assert_eq!(keys.counts().granted, 2);
        }
    }
}

/// A bypass is a shadow mode that an operator commands.
#[tokio::test(start_paused = true)]
async fn a_bypass_of_keys_leaves_the_account_and_one_of_the_account_leaves_the_keys() {
    let (account, keys, mut svc) = two_levels(bucket(3), bucket(2));
    keys.control(Command::Bypass).unwrap();
    assert_eq!(passing(&mut svc, 20), 3, "the account has three");
    let (account2, keys2, mut svc) = two_levels(bucket(1), bucket(2));
    account2.control(Command::Bypass).unwrap();
    assert_eq!(passing(&mut svc, 20), 2, "the key has two");
    for handle in [account, account2] {
        handle.reset();
    }
    keys.reset();
    keys2.reset();
    assert_eq!(passing(&mut svc, 20), 0);
}

/// One key in shadow mode changes nothing for the others.
#[tokio::test(start_paused = true)]
async fn one_key_in_shadow_mode_is_no_matter_of_another() {
    let (account, keys, mut svc) = two_levels(bucket(4), bucket(1));
    let shadow = bucket(1).shadow(true).build().unwrap();
    keys.configure_key(PartitionKey::of(&7_u32), shadow)
        .unwrap();
    let mut pass = |n| matches!(call(&mut svc, n).poll(), Poll::Ready(Ok(_)));
    assert!(pass(1) && !pass(1));
    assert!(
        pass(7) && pass(7) && pass(7),
        "three are left of the account"
    );
    assert!(!pass(7) && !pass(2), "none is");
    assert_eq!(account.tokens(), 0.0);
    assert_eq!(keys.tokens(PartitionKey::of(&2_u32)), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_passed_in_shadow_mode_gives_nothing_back_that_it_did_not_take() {
    for limit in [
        Limit::from(Limit::bucket(2, HOUR).burst(2)),
        Limit::strict(2, HOUR).into(),
        Limit::window(2, HOUR).into(),
    ] {
        let config = of(std::slice::from_ref(&limit))
            .shadow(true)
            .build()
            .unwrap();
        let handle = RateLimitLayer::new("desk", config).handle();
        let meta = RequestMeta::default();
        for _ in 0..2 {
            handle.try_reserve(&meta).unwrap().commit();
        }
        for _ in 0..3 {
            drop(handle.try_reserve(&meta).unwrap());
        }
        assert_eq!(handle.counts().shadowed, 3);
        assert_eq!(handle.tokens(), 0.0, "{limit}");
    }
}
