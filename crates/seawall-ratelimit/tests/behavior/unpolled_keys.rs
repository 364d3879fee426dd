//! Waiters of keys, of accounts and of reservations that nobody polls any more.

use seawall_core::PartitionKey;
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer};

use super::keyed::{ByHundreds, MINUTE, by_hundreds, passes};
use super::unpolled::{GRACE_MS, limit, stuck};
use super::*;

pub(super) type Keyed = KeyedRateLimitLayer<ByHundreds>;

pub(super) fn per_key(config: RateLimitConfigBuilder, account: Option<&RateLimitLayer>) -> Keyed {
    let config = KeyedRateLimitConfig::new(config).expect("valid settings");
    let layer = match account {
        Some(account) => KeyedRateLimitLayer::within_account("keys", config, &account.handle()),
        None => KeyedRateLimitLayer::new("keys", config),
    };
    layer.describe(by_hundreds as fn(&u32) -> RequestMeta)
}

#[tokio::test(start_paused = true)]
async fn in_the_queue_of_a_key_it_delays_that_key_by_the_grace_and_no_other() {
    for account in [None, Some(limit(builder(1_000).max_wait(MINUTE)))] {
        let layer = per_key(builder(1).max_wait(MINUTE), account.as_ref());
        let inner = Departures::new();
        let svc = layer.layer(inner.clone());
        for n in [100, 200] {
            svc.clone().call(n).await.unwrap();
        }
        let kept = stuck(&svc, 101);
        let same = tokio::spawn(svc.clone().call(102));
        let other = tokio::spawn(svc.clone().call(201));
        assert_eq!(other.await.unwrap(), Ok(100));
        assert_eq!(same.await.unwrap(), Ok(100 + GRACE_MS));
        let handle = layer.handle();
        assert_eq!(handle.queue_depth_of(PartitionKey(1)), 1);
        drop(kept);
        assert_eq!(handle.queue_depth(), 0);
    }
}

/// It waits for the account, and has a claim on the only token of its key.
#[tokio::test(start_paused = true)]
async fn in_the_queue_of_the_account_it_keeps_neither_the_token_of_its_key_nor_that_of_others() {
    let account = limit(builder(1).max_wait(MINUTE));
    let layer = per_key(
        RateLimitConfig::builder()
            .rate(1, MINUTE)
            .burst(1)
            .max_wait(MINUTE),
        Some(&account),
    );
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    let of_account = account.layer(inner.clone());
    of_account.clone().call(0).await.unwrap();
    let mut kept = stuck(&svc, 100);
    assert_eq!(account.handle().queue_depth(), 1);
    let mut behind = Vec::new();
    for n in [101, 200, 300] {
        behind.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    behind.push(tokio::spawn(of_account.clone().call(1)));
    for task in behind {
        task.await.unwrap().unwrap();
    }
    // The account's next token is for the next in its queue, and the key's for the next of the key.
    let log = inner.log();
    let mut order: Vec<_> = log.iter().map(|(n, _)| *n).collect();
    let times: Vec<_> = log.iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [0, 105, 205, 305, 405]);
    assert_eq!(order[..3], [0, 200, 300], "{log:?}");
    order.sort_unstable();
    assert_eq!(order, [0, 1, 101, 200, 300]);
    // Its key has nothing left; it waits on, and leaves nothing behind.
    assert!(kept.poll().is_pending());
    assert_eq!(account.handle().queue_depth(), 0);
    assert_eq!(layer.handle().queue_depth(), 1);
    drop(kept);
    assert_eq!(layer.handle().queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_not_polled_delays_no_other() {
    let account = limit(builder(1).max_wait(MINUTE));
    let keys = per_key(builder(1).max_wait(MINUTE), Some(&account)).handle();
    let (plain, of_key) = (
        account.handle(),
        RequestMeta::default().with_key(PartitionKey(7)),
    );
    let one = RequestMeta::default();
    plain.try_reserve(&one).unwrap().commit();
    let start = Instant::now();
    let mut kept = PolledFuture::new(plain.reserve(&one));
    let mut kept_of_key = PolledFuture::new(keys.reserve(&of_key));
    assert!(kept.poll().is_pending() && kept_of_key.poll().is_pending());
    plain.reserve(&one).await.unwrap().commit();
    assert_eq!(Instant::now() - start, ms(100 + 2 * GRACE_MS));
    keys.reserve(&of_key).await.unwrap().commit();
    assert_eq!(Instant::now() - start, ms(200 + 2 * GRACE_MS));
    tokio::time::sleep(ms(100)).await;
    plain.try_reserve(&one).unwrap().commit();
    drop((kept, kept_of_key));
    assert_eq!((plain.queue_depth(), keys.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_with_such_waiters_pass_beside_them() {
    let layer = per_key(builder(2).max_wait(SECOND), None);
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100) && passes(&mut svc, 101));
    let kept = stuck(&svc, 102);
    advance(2 * SECOND).await;
    assert_eq!(layer.handle().queue_depth(), 0);
    assert!(passes(&mut svc, 103));
    drop(kept);
    advance(2 * SECOND).await;
    layer.handle().evict_idle();
    assert_eq!(layer.handle().keys_kept(), 0);
}
