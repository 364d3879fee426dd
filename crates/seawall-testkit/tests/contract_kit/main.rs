//! A kit that finds nothing is not trusted: it must find the bugs of tower's own layers and those
//! planted in small broken ones, and must find nothing in layers that are right.

mod mock;
mod planted;
mod right;
mod tower_layers;

use seawall_testkit::contract::{Check, Violation};

/// The right check failed, and the text says how.
#[track_caller]
fn assert_found(result: Result<(), Violation>, check: Check, words: &str) {
    let violation = result.expect_err("the bug is there, and the kit found nothing");
    assert_eq!(violation.check(), check);
    assert!(
        violation.what().contains(words),
        "expected `{words}` in `{violation}`"
    );
}
