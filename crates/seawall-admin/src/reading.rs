//! Reading much at once: beside the threads that calls run on.

use http::StatusCode;

use crate::problem::Problem;

/// Runs what takes milliseconds where there are many components, or reads files: calls of the program, which run
/// on the same runtime, do not wait for it.
pub(crate) async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|_panicked| {
        let detail = "reading the components panicked";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })
}
