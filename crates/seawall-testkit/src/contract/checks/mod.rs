//! One function for each check; see the [contract kit](super) for how they are used.

mod attempts;
mod cancel;
mod inner;
mod limits;
mod readiness;
mod rejections;

pub use self::attempts::{every_attempt_polls_readiness, holds_nothing_during_backoff};
pub use self::cancel::{
    dropped_future_releases_everything, dropped_service_releases_its_reservation,
    dropped_waiter_returns_its_permit, finished_future_has_dropped_the_inner_future,
    finished_future_holds_nothing, survives_a_panic,
};
pub use self::inner::{
    call_does_not_poll_readiness, calls_the_ready_instance, one_request_needs_one_reservation,
    passes_errors_through, spawns_no_task,
};
pub use self::limits::{
    clones_share_state, idle_ready_clone_blocks_no_other, keeps_no_permit_while_inner_is_not_ready,
    never_exceeds_its_limit, rejected_clone_leaves_the_queue, services_of_one_layer_share_state,
};
pub use self::readiness::{
    clone_resets_readiness, pending_has_registered_the_waker, polls_inner_again_before_ready,
    reserves_once_when_polled_again,
};
pub use self::rejections::{
    parked_task_is_woken_by_the_gate, rejects_in_call, rejects_without_polling_inner,
};
