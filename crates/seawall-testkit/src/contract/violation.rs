//! What the kit reports: which check, and what the subject did.

use std::error::Error;
use std::fmt;

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $name:ident = $rules:literal, $sentence:literal;)+) => {
        /// A rule that every Tower layer must keep, one variant for each function in
        /// [`checks`](super::checks).
        ///
        /// The identifiers in [`rules`](Check::rules) are explained in the
        /// [module documentation](super#the-rules).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Check {
            /// Identifiers of the rules (`C1`) and of the known bugs (`B1`) that stand behind this
            /// check, separated by spaces.
            #[must_use]
            pub fn rules(self) -> &'static str {
                match self { $(Check::$name => $rules,)+ }
            }

            /// The rule in one sentence, without a full stop.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Check::$name => $sentence,)+ }
            }
        }
    };
}

checks! {
    /// See [`calls_the_ready_instance`](super::checks::calls_the_ready_instance).
    CallsTheReadyInstance = "C1 C8 B1",
        "the instance that was polled ready is the one that is called";
    /// See [`one_request_needs_one_reservation`](super::checks::one_request_needs_one_reservation).
    OneRequestNeedsOneReservation = "C8 B9",
        "one request gets through an inner service with a capacity of one";
    /// See [`reserves_once_when_polled_again`](super::checks::reserves_once_when_polled_again).
    ReservesOnceWhenPolledAgain = "C2 B4",
        "poll_ready may be called again and reserves once";
    /// See [`dropped_service_releases_its_reservation`](super::checks::dropped_service_releases_its_reservation).
    DroppedServiceReleasesItsReservation = "C3",
        "what poll_ready reserved is released when the service is dropped";
    /// See [`dropped_future_releases_everything`](super::checks::dropped_future_releases_everything).
    DroppedFutureReleasesEverything = "C3 C11 B22",
        "a dropped future releases everything, at each stage of its life";
    /// See [`dropped_waiter_returns_its_permit`](super::checks::dropped_waiter_returns_its_permit).
    DroppedWaiterReturnsItsPermit = "C3 B6",
        "a waiter that is dropped returns its permit, or leaves the queue";
    /// See [`rejects_in_call`](super::checks::rejects_in_call).
    RejectsInCall = "C4 B16",
        "a rejection is an error of call, never of poll_ready";
    /// See [`rejects_without_polling_inner`](super::checks::rejects_without_polling_inner).
    RejectsWithoutPollingInner = "C9 B15",
        "a gate rejects immediately, also when the inner service is stuck";
    /// See [`pending_has_registered_the_waker`](super::checks::pending_has_registered_the_waker).
    PendingHasRegisteredTheWaker = "C5 B6",
        "a waiter is woken when the inner service becomes ready, and not before";
    /// See [`parked_task_is_woken_by_the_gate`](super::checks::parked_task_is_woken_by_the_gate).
    ParkedTaskIsWokenByTheGate = "C5 B6 B15",
        "a task that waits for the inner service is woken when the gate closes";
    /// See [`call_does_not_poll_readiness`](super::checks::call_does_not_poll_readiness).
    CallDoesNotPollReadiness = "C6",
        "call does not poll the readiness of the inner service";
    /// See [`spawns_no_task`](super::checks::spawns_no_task).
    SpawnsNoTask = "C6 B19",
        "a request spawns no task";
    /// See [`clone_resets_readiness`](super::checks::clone_resets_readiness).
    CloneResetsReadiness = "C7",
        "a clone of a ready service is not ready until it was polled itself";
    /// See [`every_attempt_polls_readiness`](super::checks::every_attempt_polls_readiness).
    EveryAttemptPollsReadiness = "C7 C8 B2",
        "each attempt polls the readiness of what it calls";
    /// See [`holds_nothing_during_backoff`](super::checks::holds_nothing_during_backoff).
    HoldsNothingDuringBackoff = "C10",
        "nothing of the inner service is held during a backoff";
    /// See [`polls_inner_again_before_ready`](super::checks::polls_inner_again_before_ready).
    PollsInnerAgainBeforeReady = "C9 B5",
        "the inner service is polled again before readiness is reported again";
    /// See [`keeps_no_permit_while_inner_is_not_ready`](super::checks::keeps_no_permit_while_inner_is_not_ready).
    KeepsNoPermitWhileInnerIsNotReady = "C10 B10",
        "no shared permit is held while the inner service is not ready";
    /// See [`finished_future_holds_nothing`](super::checks::finished_future_holds_nothing).
    FinishedFutureHoldsNothing = "C11 B11",
        "a completed future holds no permit, also before it is dropped";
    /// See [`finished_future_has_dropped_the_inner_future`](super::checks::finished_future_has_dropped_the_inner_future).
    FinishedFutureHasDroppedTheInnerFuture = "C11 B22",
        "a completed future has dropped the inner future";
    /// See [`never_exceeds_its_limit`](super::checks::never_exceeds_its_limit).
    NeverExceedsItsLimit = "B3 B29",
        "clones that are ready at the same time never exceed the limit, and reach it";
    /// See [`rejected_clone_leaves_the_queue`](super::checks::rejected_clone_leaves_the_queue).
    RejectedCloneLeavesTheQueue = "B7",
        "a rejected clone leaves the queue";
    /// See [`idle_ready_clone_blocks_no_other`](super::checks::idle_ready_clone_blocks_no_other).
    IdleReadyCloneBlocksNoOther = "B8",
        "a clone that is ready and idle blocks no other";
    /// See [`services_of_one_layer_share_state`](super::checks::services_of_one_layer_share_state).
    ServicesOfOneLayerShareState = "C7 B24",
        "two services made by one layer share its state";
    /// See [`clones_share_state`](super::checks::clones_share_state).
    ClonesShareState = "C7 B24",
        "clones of one service share its state";
    /// See [`passes_errors_through`](super::checks::passes_errors_through).
    PassesErrorsThrough = "C14",
        "an error of the inner service reaches the caller as it is";
    /// See [`survives_a_panic`](super::checks::survives_a_panic).
    SurvivesAPanic = "C3 C11",
        "a panic of the inner service leaks nothing and later requests get through";
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sentence(), self.rules())
    }
}

/// The subject failed a check, or never reached the point that the check is about.
///
/// Its `Display` names the check, its rules and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    check: Check,
    what: String,
}

impl Violation {
    /// Records that `check` failed, with what was seen.
    ///
    /// For checks of your own; the functions in [`checks`](super::checks) make theirs themselves.
    pub fn new(check: Check, what: impl Into<String>) -> Self {
        Self {
            check,
            what: what.into(),
        }
    }

    /// The check that failed.
    #[must_use]
    pub fn check(&self) -> Check {
        self.check
    }

    /// What the subject did.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check failed: {}: {}", self.check, self.what)
    }
}

impl Error for Violation {}
