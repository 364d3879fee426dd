//! One function for each law; see the [contract kit](super) for how they are used.

mod attempts;
mod cancel;
mod inner;
mod limits;
mod readiness;
mod rejections;

pub use self::attempts::{every_attempt_polls_readiness, holds_nothing_while_it_backs_off};
pub use self::cancel::{
    dropped_future_releases_everything, dropped_service_releases_its_reservation,
    dropped_waiter_gives_its_place_back, finished_future_has_dropped_the_inner_future,
    finished_future_holds_nothing, survives_a_panic,
};
pub use self::inner::{
    call_does_not_poll_readiness, calls_the_ready_instance, one_request_needs_one_reservation,
    passes_errors_through, spawns_no_task,
};
pub use self::limits::{
    clones_share, idle_ready_clone_blocks_nobody, keeps_no_permit_while_inner_is_not_ready,
    never_exceeds_its_limit, rejected_clone_keeps_no_place, two_services_of_one_layer_share,
};
pub use self::readiness::{
    asks_again_before_claiming_ready, clone_resets_readiness, pending_has_registered_the_waker,
    reserves_once_when_polled_again,
};
pub use self::rejections::{
    parked_task_is_woken_by_the_gate, rejects_in_call, rejects_without_asking_the_inner_service,
};
