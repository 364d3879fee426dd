//! What the readings of every clock count from.

use std::sync::LazyLock;
use std::time::Duration;

/// What all readings count from: a day before the first one, or as much of it as the platform
/// has instants for, since a runtime that was paused before then stands still at an earlier moment.
pub(super) static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(|| {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let now = os_now();
    (0..17)
        .find_map(|halved| now.checked_sub(DAY / (1 << halved)))
        .unwrap_or(now)
});

/// The operating system's clock, also where tokio's is paused.
#[expect(
    clippy::disallowed_methods,
    reason = "what tokio's clock and the counter are held to"
)]
pub(super) fn os_now() -> std::time::Instant {
    std::time::Instant::now()
}
