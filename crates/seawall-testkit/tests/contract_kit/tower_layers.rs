//! Tower 0.5 under the kit.

use seawall_testkit::contract::{Check, Mock, MockHandle, assert_check, checks, occupy};
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

/// B7: the rejected clone's `PollSemaphore` stays in the queue and is given the next permit.
#[tokio::test(start_paused = true)]
async fn rejected_clone_of_a_shedding_limit_keeps_its_place() {
    assert_found(
        checks::rejected_clone_keeps_no_place(shedding_limit).await,
        Check::RejectedCloneKeepsNoPlace,
        "while a rejected clone lives",
    );
}

/// B10: the permit is taken first, then the inner service is waited for.
#[tokio::test(start_paused = true)]
async fn global_limit_is_starved_by_one_dead_inner_service() {
    assert_found(
        checks::keeps_no_permit_while_inner_is_not_ready(global).await,
        Check::KeepsNoPermitWhileInnerIsNotReady,
        "poll_ready pends for ever while the other inner service is not ready",
    );
}

/// B11: the permit is a field of the future and goes when that is dropped.
#[tokio::test(start_paused = true)]
async fn limit_keeps_the_permit_of_a_finished_future() {
    assert_found(
        checks::finished_future_holds_nothing(limit).await,
        Check::FinishedFutureHoldsNothing,
        "poll_ready pends for ever while a finished future is kept",
    );
    assert_found(
        checks::finished_future_has_dropped_the_inner_future(limit).await,
        Check::FinishedFutureHasDroppedTheInnerFuture,
        "1 inner futures",
    );
}

/// B8, by design: a limit that reserves in `poll_ready` is held by whoever was told "ready".
#[tokio::test(start_paused = true)]
async fn limit_is_blocked_by_an_idle_ready_clone() {
    assert_found(
        checks::idle_ready_clone_blocks_nobody(limit).await,
        Check::IdleReadyCloneBlocksNobody,
        "while another clone is ready and idle",
    );
}

#[tokio::test(start_paused = true)]
async fn shed_does_not_wait_and_is_told_so() {
    assert_found(
        checks::pending_has_registered_the_waker(LoadShed::new).await,
        Check::PendingHasRegisteredTheWaker,
        "did not wait",
    );
    assert_found(
        checks::dropped_waiter_gives_its_place_back(shedding_limit).await,
        Check::DroppedWaiterGivesItsPlaceBack,
        "nobody waits",
    );
}

#[tokio::test(start_paused = true)]
async fn limit_does_not_reject_and_is_told_so() {
    assert_found(
        checks::rejected_clone_keeps_no_place(limit).await,
        Check::RejectedCloneKeepsNoPlace,
        "not ready to reject",
    );
    assert_found(
        checks::rejects_in_call(limit, occupy).await,
        Check::RejectsInCall,
        "there is no rejection",
    );
}

#[tokio::test(start_paused = true)]
async fn limits_per_service_do_not_share() {
    let two = |one: Mock, two: Mock| (limit(one), limit(two));
    assert_found(
        checks::two_services_of_one_layer_share(two, occupy).await,
        Check::TwoServicesOfOneLayerShare,
        "let a request through",
    );
}

#[tokio::test(start_paused = true)]
async fn limit_of_one_or_none_too_many_is_found() {
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

/// What tower's limit does keep: the kit does not cry wolf.
#[tokio::test(start_paused = true)]
async fn limit_keeps_the_other_laws() {
    assert_check(checks::calls_the_ready_instance(limit).await);
    assert_check(checks::one_request_needs_one_reservation(limit).await);
    assert_check(checks::reserves_once_when_polled_again(limit).await);
    assert_check(checks::dropped_service_releases_its_reservation(limit).await);
    assert_check(checks::dropped_future_releases_everything(limit).await);
    assert_check(checks::dropped_waiter_gives_its_place_back(limit).await);
    assert_check(checks::pending_has_registered_the_waker(limit).await);
    assert_check(checks::call_does_not_poll_readiness(limit).await);
    assert_check(checks::spawns_no_task(limit).await);
    assert_check(checks::asks_again_before_claiming_ready(limit).await);
    assert_check(checks::passes_errors_through(limit).await);
    assert_check(checks::survives_a_panic(limit).await);
    assert_check(checks::clone_resets_readiness(|inner| ConcurrencyLimit::new(inner, 3)).await);
    assert_check(checks::never_exceeds_its_limit(limit, 1).await);
    assert_check(checks::never_exceeds_its_limit(|inner| ConcurrencyLimit::new(inner, 4), 4).await);
    assert_check(checks::two_services_of_one_layer_share(global, occupy).await);
    assert_check(checks::clones_share(limit, occupy).await);
}

#[tokio::test(start_paused = true)]
async fn shedding_limit_rejects_in_the_call() {
    assert_check(checks::rejects_in_call(shedding_limit, occupy).await);
    assert_check(checks::clones_share(shedding_limit, occupy).await);
    // A closure does as well as the function.
    let fill = async |service: &mut _, mock: &MockHandle| occupy(service, mock).await;
    assert_check(checks::rejects_in_call(shedding_limit, fill).await);
}

/// A shed must ask the inner service to know: it is not a gate, and does not pass for one.
#[tokio::test(start_paused = true)]
async fn shed_asks_the_inner_service_before_it_rejects() {
    assert_found(
        checks::rejects_without_asking_the_inner_service(LoadShed::new, occupy).await,
        Check::RejectsWithoutAskingTheInnerService,
        "polled the inner service 1 times",
    );
}
