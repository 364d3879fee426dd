//! The slow end of rejections, with many tasks on one circuit.

use std::hint::black_box;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_service::Service;

use crate::harness::nanoseconds;
use crate::leaf::call_once;

const TASKS: usize = 64;
const CALLS: usize = 4_000;

/// The duration in nanoseconds that one call of a thousand exceeds, while 64 tasks on two threads
/// call clones of a service that responds immediately.
pub(crate) fn p999<S>(service: &S) -> Result<f64, String>
where
    S: Service<u64, Future: Send> + Clone + Send + 'static,
{
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .map_err(|e| format!("no Tokio runtime: {e}"))?;
    let mut all = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            tasks.spawn(timed(service.clone()));
        }
        tasks.join_all().await.concat()
    });
    all.sort_by(f64::total_cmp);
    Ok(all[all.len() - all.len() / 1_000])
}

async fn timed<S: Service<u64>>(mut service: S) -> Vec<f64> {
    let mut took = Vec::with_capacity(CALLS);
    for i in 0..CALLS {
        let start = Instant::now();
        black_box(call_once(&mut service, i as u64).is_ok());
        took.push(nanoseconds(start, Instant::now()));
        // So that the tasks mix.
        if i % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    took
}
