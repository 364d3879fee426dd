//! Tower 0.5 under the kit.

use seawall_testkit::contract::{Check, Mock, MockHandle, assert_check, checks, hold_call};
use tower::ServiceBuilder;
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShed;

use super::assert_found;

fn limit(inner: Mock) -> ConcurrencyLimit<Mock> {
    ConcurrencyLimit::new(inner, 1)
}

fn shedding_limit(inner: Mock) -> LoadShed<ConcurrencyLimit<Mock>> {
    LoadShed::new(limit(inner))
}

fn global(one: Mock, two: Mock) -> (ConcurrencyLimit<Mock>, ConcurrencyLimit<Mock>) {
    let layer = GlobalConcurrencyLimitLayer::new(1);
    let build = |inner| ServiceBuilder::new().layer(layer.clone()).service(inner);
    (build(one), build(two))
}

/// B7: the rejected clone's `PollSemaphore` stays queued and is granted the next permit.
#[tokio::test(start_paused = true)]
async fn rejected_clone_of_a_shedding_limit_stays_queued() {
    assert_found(
        checks::rejected_clone_leaves_the_queue(shedding_limit).await,
        Check::RejectedCloneLeavesTheQueue,
        "while a rejected clone is alive",
    );
}

/// B10: the permit is taken first, then the inner service is waited for.
#[tokio::test(start_paused = true)]
async fn global_limit_is_starved_by_one_dead_inner_service() {
    assert_found(
        checks::keeps_no_permit_while_inner_is_not_ready(global).await,
        Check::KeepsNoPermitWhileInnerIsNotReady,
        "poll_ready pends forever while the other inner service is not ready",
    );
}

/// B11: the permit is a field of the future and goes when that is dropped.
#[tokio::test(start_paused = true)]
async fn limit_keeps_the_permit_of_a_completed_future() {
    assert_found(
        checks::finished_future_holds_nothing(limit).await,
        Check::FinishedFutureHoldsNothing,
        "poll_ready pends forever while a completed future is kept",
    );
    assert_found(
        checks::finished_future_has_dropped_the_inner_future(limit).await,
        Check::FinishedFutureHasDroppedTheInnerFuture,
        "1 inner futures",
    );
}

/// B8, by design: a limit that reserves in `poll_ready` is held by each clone that reported ready.
#[tokio::test(start_paused = true)]
async fn limit_is_blocked_by_an_idle_ready_clone() {
    assert_found(
        checks::idle_ready_clone_blocks_no_other(limit).await,
        Check::IdleReadyCloneBlocksNoOther,
        "while another clone is ready and idle",
    );
}

#[tokio::test(start_paused = true)]
async fn shed_that_does_not_wait_fails() {
    assert_found(
        checks::pending_has_registered_the_waker(LoadShed::new).await,
        Check::PendingHasRegisteredTheWaker,
        "did not wait",
    );
    assert_found(
        checks::dropped_waiter_returns_its_permit(shedding_limit).await,
        Check::DroppedWaiterReturnsItsPermit,
        "does not wait",
    );
}

#[tokio::test(start_paused = true)]
async fn limit_that_does_not_reject_fails() {
    assert_found(
        checks::rejected_clone_leaves_the_queue(limit).await,
        Check::RejectedCloneLeavesTheQueue,
        "not ready to reject",
    );
    assert_found(
        checks::rejects_in_call(limit, hold_call).await,
        Check::RejectsInCall,
        "there is no rejection",
    );
}

#[tokio::test(start_paused = true)]
async fn limits_per_service_do_not_share() {
    let two = |one: Mock, two: Mock| (limit(one), limit(two));
    assert_found(
        checks::services_of_one_layer_share_state(two, hold_call).await,
        Check::ServicesOfOneLayerShareState,
        "let a request through",
    );
}

#[tokio::test(start_paused = true)]
async fn limit_too_high_or_too_low_is_found() {
    let three = |inner| ConcurrencyLimit::new(inner, 3);
    assert_found(
        checks::never_exceeds_its_limit(three, 2).await,
        Check::NeverExceedsItsLimit,
        "3 calls were open",
    );
    assert_found(
        checks::never_exceeds_its_limit(three, 4).await,
        Check::NeverExceedsItsLimit,
        "only 3 calls",
    );
}

/// What tower's limit does right: the kit reports no false violation.
#[tokio::test(start_paused = true)]
async fn limit_passes_the_other_checks() {
    assert_check(checks::calls_the_ready_instance(limit).await);
    assert_check(checks::one_request_needs_one_reservation(limit).await);
    assert_check(checks::reserves_once_when_polled_again(limit).await);
    assert_check(checks::dropped_service_releases_its_reservation(limit).await);
    assert_check(checks::dropped_future_releases_everything(limit).await);
    assert_check(checks::dropped_waiter_returns_its_permit(limit).await);
    assert_check(checks::pending_has_registered_the_waker(limit).await);
    assert_check(checks::call_does_not_poll_readiness(limit).await);
    assert_check(checks::spawns_no_task(limit).await);
    assert_check(checks::polls_inner_again_before_ready(limit).await);
    assert_check(checks::passes_errors_through(limit).await);
    assert_check(checks::survives_a_panic(limit).await);
    assert_check(checks::clone_resets_readiness(|inner| ConcurrencyLimit::new(inner, 3)).await);
    assert_check(checks::never_exceeds_its_limit(limit, 1).await);
    assert_check(checks::never_exceeds_its_limit(|inner| ConcurrencyLimit::new(inner, 4), 4).await);
    assert_check(checks::services_of_one_layer_share_state(global, hold_call).await);
    assert_check(checks::clones_share_state(limit, hold_call).await);
}

#[tokio::test(start_paused = true)]
async fn shedding_limit_rejects_in_the_call() {
    assert_check(checks::rejects_in_call(shedding_limit, hold_call).await);
    assert_check(checks::clones_share_state(shedding_limit, hold_call).await);
    // A closure does as well as the function.
    let fill = async |service: &mut _, mock: &MockHandle| hold_call(service, mock).await;
    assert_check(checks::rejects_in_call(shedding_limit, fill).await);
}

/// A shed must poll the inner service to decide: it is not a gate.
#[tokio::test(start_paused = true)]
async fn shed_polls_the_inner_service_before_it_rejects() {
    assert_found(
        checks::rejects_without_polling_inner(LoadShed::new, hold_call).await,
        Check::RejectsWithoutPollingInner,
        "polled the inner service 1 times",
    );
}
