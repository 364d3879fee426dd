//! A watch that is dropped leaves no task and no thread. Alone in its process, whose threads are
//! counted.

#![cfg(target_os = "linux")]

use std::fs;
use std::time::Duration;

use seawall::config::Config;
use seawall::reload::WatchConfig;

/// The threads of watchers.
fn watchers() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has it");
    let names = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("notify")).count()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

#[test]
fn a_dropped_watch_leaves_nothing() {
    let path = std::env::temp_dir().join(format!("seawall-ends-{}.toml", std::process::id()));
    fs::write(&path, "[resilience.a]\n").expect("written");
    let config = Config::loader()
        .file(&path)
        .load_reloadable()
        .expect("right");
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks = tokio::runtime::Handle::current().metrics();
        for _ in 0..5 {
            let settings = WatchConfig::builder().hangup(true).build().expect("valid");
            let watch = config.watch(settings).expect("watched");
            until("it runs", || {
                watchers() == 1 && tasks.num_alive_tasks() >= 2
            })
            .await;
            drop(watch);
            until("its thread has ended", || watchers() == 0).await;
            until("its tasks have ended", || tasks.num_alive_tasks() == 0).await;
        }
        let settings = WatchConfig::default();
        let watch = config.watch(settings).expect("watched");
        until("it runs", || watchers() == 1).await;
        // With the runtime, too.
        std::mem::drop(tokio::spawn(async move {
            let _watch = watch;
            std::future::pending::<()>().await;
        }));
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(until("its thread has ended", || watchers() == 0));
    fs::remove_file(&path).expect("removed");
}
