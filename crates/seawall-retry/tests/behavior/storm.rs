//! An outage, and what two hundred clients make of it.

use super::*;

/// Retries tripled the load of an upstream that was down, which kept it down. With the default
/// budget they add what it grants and no more, and the calls made when it is well succeed.
#[tokio::test(start_paused = true)]
async fn two_hundred_clients_add_no_more_than_the_budget_to_an_outage() {
    const CLIENTS: u32 = 200;
    let start = Instant::now();
    let is_down = move |at: Instant| (10 * SECOND..40 * SECOND).contains(&(at - start));
    let in_outage = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&in_outage);
    let upstream = service_fn(move |n: u32| {
        let down = is_down(Instant::now());
        counted.fetch_add(usize::from(down), Ordering::Relaxed);
        async move {
            sleep(SECOND / 50).await;
            if down { Err(SERVER) } else { Ok(n) }
        }
    });
    let layer = layer(RetryConfig::default(), Replay::Safe).seed(1);
    let mut calls = tokio::task::JoinSet::new();
    for second in 0..60 {
        for client in 0..CLIENTS {
            let at = start + second * SECOND + SECOND / CLIENTS * client;
            let service = layer.layer(upstream.clone());
            calls.spawn(async move {
                tokio::time::sleep_until(at).await;
                (is_down(at), service.oneshot(client).await)
            });
        }
    }
    while let Some(call) = calls.join_next().await {
        let (down, result) = call.unwrap();
        assert!(down || result.is_ok(), "the upstream was well");
    }
    let calls = 30 * CLIENTS as usize;
    let budget = BudgetConfig::default();
    let extra = budget.capacity() as usize + 30 * budget.floor_per_second() as usize;
    let sent = in_outage.load(Ordering::Relaxed);
    assert!(sent <= calls + extra, "{sent} for {calls} calls");
    assert!(sent > calls, "and the budget was spent");
    assert!(layer.handle().counts().give_ups.budget_exhausted > 0);
}
