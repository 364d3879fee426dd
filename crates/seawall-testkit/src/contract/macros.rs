//! One test for each check.

/// Makes a test of each check that is named, for the subject that the function before `=>` makes.
///
/// Each is a `#[tokio::test(start_paused = true)]` with the name of the check, so `tokio` with
/// `macros`, `rt` and `test-util` must be a (dev-)dependency. `all` stands for the fifteen checks of
/// a layer that lets requests through; more can follow it. A second argument goes to checks that
/// take one. Two lists with a check in common need a `mod` each.
///
/// ```no_run
/// use seawall_testkit::contract::{Mock, hold_call};
/// use tower::limit::ConcurrencyLimit;
/// use tower::load_shed::LoadShed;
///
/// seawall_testkit::contract_tests! { |inner: Mock| inner => all }
///
/// # fn main() {}
/// mod sheds {
///     use super::*;
///
///     fn subject(inner: Mock) -> LoadShed<ConcurrencyLimit<Mock>> {
///         LoadShed::new(ConcurrencyLimit::new(inner, 1))
///     }
///
///     seawall_testkit::contract_tests! { subject =>
///         calls_the_ready_instance,
///         clone_resets_readiness,
///     }
///     seawall_testkit::contract_tests! { subject, hold_call => rejects_in_call }
/// }
/// ```
#[macro_export]
macro_rules! contract_tests {
    ($make:expr => all $(, $check:ident)* $(,)?) => {
        $crate::contract_tests! { $make =>
            calls_the_ready_instance,
            one_request_needs_one_reservation,
            reserves_once_when_polled_again,
            dropped_service_releases_its_reservation,
            dropped_future_releases_everything,
            pending_has_registered_the_waker,
            call_does_not_poll_readiness,
            spawns_no_task,
            clone_resets_readiness,
            polls_inner_again_before_ready,
            finished_future_holds_nothing,
            finished_future_has_dropped_the_inner_future,
            idle_ready_clone_blocks_no_other,
            passes_errors_through,
            survives_a_panic,
            $($check,)*
        }
    };
    ($make:expr => $($check:ident),+ $(,)?) => {
        $(
            #[::tokio::test(start_paused = true)]
            async fn $check() {
                $crate::contract::assert_check($crate::contract::checks::$check($make).await);
            }
        )+
    };
    ($make:expr, $argument:expr => $($check:ident),+ $(,)?) => {
        $(
            #[::tokio::test(start_paused = true)]
            async fn $check() {
                let result = $crate::contract::checks::$check($make, $argument).await;
                $crate::contract::assert_check(result);
            }
        )+
    };
}
