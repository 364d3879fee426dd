//! What it costs to be looked at: scrapes, reports, and viewers of the dashboard.

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use rustix::time::{ClockId, clock_gettime};
use seawall_admin::serve::AdminServer;
use seawall_admin::{Admin, AdminBuilder};
use seawall_core::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use super::{health, monitor, operations};
use crate::harness::{median, nanoseconds};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long a phase is measured.
const PHASE: Duration = Duration::from_secs(3);
const VIEWERS: usize = 100;
const STALLED: usize = 10;

fn admin() -> AdminBuilder {
    Admin::builder("desk")
        .requests_per_second(1_000_000)
        .max_streams_per_caller(256)
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// The median time of a request, the body of its response included, in nanoseconds.
fn request(admin: AdminBuilder, path: &str) -> Result<f64> {
    let router = admin.build()?.router();
    runtime()?.block_on(async {
        let mut times = Vec::new();
        for _ in 0..51 {
            let request = Request::get(path).header("host", "localhost");
            let request = request.body(Empty::<Bytes>::new())?;
            let began = Instant::now();
            let response = router.clone().oneshot(request).await?;
            if response.status() != StatusCode::OK {
                return Err(format!("{path}: {}", response.status()).into());
            }
            black_box(response.into_body().collect().await?);
            times.push(nanoseconds(began, Instant::now()));
        }
        Ok(median(times))
    })
}

/// A scrape of 1,000 components by the route, in nanoseconds.
pub(super) fn scrape() -> Result<f64> {
    let admin = admin().registry(operations::registry()?);
    request(admin, "/health/prometheus")
}

/// A list of 1,000 components with figures and settings by the route, in nanoseconds.
pub(super) fn components() -> Result<f64> {
    let admin = admin().registry(operations::registry()?);
    request(admin, "/api/v1/components")
}

/// A comprehensive report of 100 checks, with score, by the route, in nanoseconds.
pub(super) fn comprehensive() -> Result<f64> {
    let admin = admin().registry(Registry::new("desk"));
    let path = "/api/v1/system/health/comprehensive";
    request(admin.health(health::monitor()?), path)
}

/// The overview of 100 services by the route, in nanoseconds.
pub(super) fn overview() -> Result<f64> {
    let (mut call, monitor) = monitor::desk();
    for number in 0..130 {
        call(number);
        monitor.sample();
    }
    let admin = admin().registry(Registry::new("desk")).monitor(monitor);
    request(admin, "/api/v1/resilience/dashboard")
}

/// A viewer, after the head and the first bytes of the first event.
fn viewer(at: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(at)?;
    stream.write_all(
        b"GET /api/v1/resilience/dashboard/stream HTTP/1.1\r\nhost: localhost\r\n\r\n",
    )?;
    let mut first = [0; 512];
    let read = stream.read(&mut first)?;
    if !first[..read].starts_with(b"HTTP/1.1 200 ") {
        return Err("no stream".into());
    }
    Ok(stream)
}

/// A thread that reads streams until they end.
fn read_all(streams: Vec<TcpStream>) -> Result<thread::JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    for stream in &streams {
        stream.set_nonblocking(true)?;
    }
    Ok(thread::spawn(move || {
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for stream in streams {
                tasks.spawn(async move {
                    let Ok(mut stream) = tokio::net::TcpStream::from_std(stream) else {
                        return;
                    };
                    let mut bytes = vec![0; 64 << 10];
                    use tokio::io::AsyncReadExt;
                    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
                });
            }
            tasks.join_all().await;
        });
    }))
}

/// Lets time pass.
fn pass(runtime: &Runtime, time: Duration) {
    // In this runtime: there may be another one around it.
    runtime.block_on(async { sleep(time).await });
}

/// The processor time of this process, in seconds.
fn processor() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The share of a core in percent that the first viewer of 100 services costs at a sample per second, its reading
/// included.
pub(super) fn first_viewer() -> Result<f64> {
    const FRAMES: u32 = 5;
    let (mut call, monitor) = monitor::desk_every(Duration::from_secs(1) / FRAMES);
    for number in 0..130 {
        call(number);
        monitor.sample();
    }
    let admin = admin().registry(Registry::new("desk"));
    let admin = admin.monitor(monitor.clone()).build()?;
    let runtime = runtime()?;
    let (server, _guard) = runtime.block_on(async {
        let server = AdminServer::bind("127.0.0.1:0", admin.clone()).await?;
        tokio::spawn(async move {
            loop {
                call(0);
                sleep(Duration::from_millis(20)).await;
            }
        });
        Ok::<_, Box<dyn Error>>((server, monitor.start()))
    })?;
    let phase = || {
        let before = (processor(), admin.stream_counts().frames_sent);
        pass(&runtime, PHASE);
        let after = (processor(), admin.stream_counts().frames_sent);
        (after.0 - before.0, after.1 - before.1)
    };
    let mut shares = Vec::new();
    for _ in 0..3 {
        let (without, _) = phase();
        let stream = viewer(server.local_addr())?;
        let ended = stream.try_clone()?;
        let reading = read_all(vec![stream])?;
        // Everything, which comes first, is not what a second costs.
        pass(&runtime, Duration::from_millis(500));
        let (with, frames) = phase();
        ended.shutdown(std::net::Shutdown::Both)?;
        reading.join().map_err(|_panicked| "the reader panicked")?;
        if frames == 0 {
            return Err("no frame was sent".into());
        }
        shares.push(100.0 * (with - without) / frames as f64);
    }
    Ok(median(shares))
}

/// What 99 of 100 calls do not exceed from when they could be made, in nanoseconds: without viewers, and with 100
/// viewers of which 10 take nothing. Calls, the server and the monitor of 100 services share two threads.
pub(super) fn calls_beside_viewers() -> Result<[f64; 2]> {
    let (mut call, monitor) = monitor::desk();
    for number in 0..130 {
        call(number);
        monitor.sample();
    }
    let admin = admin().registry(Registry::new("desk"));
    let admin = admin.monitor(monitor.clone()).build()?;
    let runtime = runtime()?;
    let (server, _guard) = runtime.block_on(async {
        let server = AdminServer::bind("127.0.0.1:0", admin.clone()).await?;
        Ok::<_, Box<dyn Error>>((server, monitor.start()))
    })?;
    let without = calls(&runtime);
    let viewers = (0..VIEWERS).map(|_| viewer(server.local_addr()));
    let mut viewers = viewers.collect::<Result<Vec<_>>>()?;
    let stalled = viewers.split_off(VIEWERS - STALLED);
    let ends: Vec<_> = viewers
        .iter()
        .map(TcpStream::try_clone)
        .collect::<std::io::Result<_>>()?;
    let reading = read_all(viewers)?;
    pass(&runtime, Duration::from_secs(1));
    let with = calls(&runtime);
    for stream in ends.iter().chain(&stalled) {
        stream.shutdown(std::net::Shutdown::Both)?;
    }
    reading.join().map_err(|_panicked| "a reader panicked")?;
    Ok([without, with])
}

/// The p99 of calls that eight tasks make every millisecond.
fn calls(runtime: &Runtime) -> f64 {
    use crate::leaf::{Leaf, call_once};
    use seawall_core::WrapError;
    use tower_layer::Layer;

    let over = Arc::new(AtomicBool::new(false));
    let mut all = runtime.block_on(async {
        let breaker = super::seawall::breaker();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (over, mut service) = (Arc::clone(&over), breaker.layer(WrapError::new(Leaf)));
            tasks.spawn(async move {
                let mut took = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(1)).await;
                    let began = Instant::now();
                    tokio::task::yield_now().await;
                    black_box(call_once(&mut service, 0).is_ok());
                    took.push(nanoseconds(began, Instant::now()));
                }
                took
            });
        }
        sleep(2 * PHASE).await;
        over.store(true, Ordering::Relaxed);
        tasks.join_all().await.concat()
    });
    all.sort_by(f64::total_cmp);
    all[all.len() - 1 - all.len() / 100]
}
