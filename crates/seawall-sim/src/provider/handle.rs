//! A running provider: its listener, and the view that tests have of it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::app::App;
use super::clock::Clock;
use super::connection::{self, reset_on_drop};
use super::limits::Limiter;
use super::meter::{Counting, Kind, Meter};
use super::profile::Profile;
use super::server::{Shared, stop_of};
use super::settings::{BanPolicy, Limit};
use super::stats::{Order, Stats};
use crate::incident::{Incidents, Injector, ListenerMode, ProviderKind};

/// What all builders have in common.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: Option<u64>,
    pub(crate) incidents: Incidents,
    pub(crate) limits: Vec<(Kind, Limit, Counting)>,
    pub(crate) ban: Option<BanPolicy>,
    pub(crate) held: bool,
}

impl Setup {
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            seed: None,
            incidents: Incidents::none(),
            limits: profile.limits(),
            ban: None,
            held: false,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(self.incidents.seed())
    }

    pub(crate) fn set_limit(&mut self, kind: Kind, limit: Limit, counting: Counting) {
        self.limits.retain(|(other, ..)| *other != kind);
        self.limits.push((kind, limit, counting));
    }

    pub(crate) async fn start(self, app: App) -> io::Result<Handle> {
        // Bound for the whole life and never listening: while the listener is shut, the port
        // cannot become another socket's, nor a client's own source port (on loopback that client
        // would connect to itself).
        let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let addr = reservation.local_addr()?;
        let listener = bind(addr)?.listen(BACKLOG)?;

        let (stop, stopped) = watch::channel(false);
        let start = Instant::now();
        let meters = self.limits.iter();
        let meters =
            meters.map(|(kind, limit, counting)| Meter::new(*kind, *limit, *counting, start));
        let limiter = Limiter {
            meters: meters.collect(),
        };
        let injector = Injector::new(&self.incidents, app.provider());
        let clock = Clock::new(self.held);
        let shared = Arc::new(Shared::new(
            app,
            injector,
            clock,
            limiter,
            self.ban,
            stopped.clone(),
        ));
        let moved = Arc::new(Notify::new());
        let supervisor = Supervisor {
            shared: Arc::clone(&shared),
            addr,
            moved: Arc::clone(&moved),
            stopped,
            _reservation: reservation,
        };
        let task = tokio::spawn(supervisor.run(listener));
        Ok(Handle {
            shared,
            addr,
            stop,
            moved,
            task: Some(task),
        })
    }
}

const BACKLOG: u32 = 1024;

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Lets the listener share the port with its reservation.
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

#[derive(Debug)]
struct Supervisor {
    shared: Arc<Shared>,
    addr: SocketAddr,
    moved: Arc<Notify>,
    stopped: watch::Receiver<bool>,
    _reservation: TcpSocket,
}

impl Supervisor {
    async fn run(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        let (modes, watched) = watch::channel(ListenerMode::Open);
        // Dropped at the end, which aborts the connections.
        let mut connections = JoinSet::new();
        loop {
            let now = Instant::now();
            let at = self.shared.clock.at(now);
            let mode = at.map_or(ListenerMode::Open, |at| self.shared.injector.mode(at));
            let edge = at.and_then(|at| {
                self.shared
                    .injector
                    .next_change(at)
                    .map(|next| now + (next - at))
            });
            if !mode.accepts() {
                listener = None;
            } else if listener.is_none() {
                // The port is reserved, so this fails only when the system is out of sockets.
                listener = bind(self.addr)
                    .and_then(|socket| socket.listen(BACKLOG))
                    .ok();
            }
            // After the listener: a client that is disconnected and connects again finds it closed.
            modes.send_if_modified(|old| std::mem::replace(old, mode) != mode);
            // Look again soon when the port could not be opened.
            let edge = if mode.accepts() && listener.is_none() {
                Some(now + Duration::from_millis(10))
            } else {
                edge
            };
            tokio::select! {
                biased;
                () = stop_of(&mut self.stopped) => return,
                () = self.moved.notified() => {}
                () = sleep_until(edge.unwrap_or(now)), if edge.is_some() => {}
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok(stream) => {
                        let cut = mode == ListenerMode::Reset;
                        self.shared.note_connection(cut);
                        if cut {
                            reset_on_drop(&stream);
                        } else {
                            let shared = Arc::clone(&self.shared);
                            connections.spawn(connection::serve(stream, shared, watched.clone()));
                        }
                    }
                    // Out of descriptors: without a pause this would spin.
                    Err(_) => sleep(Duration::from_millis(5)).await,
                },
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// A running provider; dropping it stops the server and closes its connections.
///
/// Made by [`Broker`](super::Broker), [`MarketData`](super::MarketData) and
/// [`AiApi`](super::AiApi).
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    moved: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl Handle {
    /// The address on loopback; the port stays the same through outages.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as the beginning of a URL, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Which provider this is.
    #[must_use]
    pub fn provider(&self) -> ProviderKind {
        self.shared.app.provider()
    }

    /// Which real provider it imitates.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.shared.app.profile()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.state().stats.clone();
        if let App::Broker(book) = &self.shared.app {
            stats.duplicate_ids = book.duplicates();
            stats.out_of_date = book.out_of_date();
        }
        stats
    }

    /// Every order that was executed, as often as it was, oldest first; nothing unless this is a
    /// broker. Each has the broker's own id, shown by queries or not.
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        match &self.shared.app {
            App::Broker(book) => book.orders(),
            _ => Vec::new(),
        }
    }

    /// How often an order was executed: 0 means lost, more than 1 means duplicated.
    #[must_use]
    pub fn executions(&self, client_order_id: &str) -> usize {
        let orders = self.orders();
        orders
            .iter()
            .filter(|order| order.client_order_id == client_order_id)
            .count()
    }

    /// How often each order was executed, by client order id.
    #[must_use]
    pub fn executions_by_id(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for order in self.orders() {
            *counts.entry(order.client_order_id).or_default() += 1;
        }
        counts
    }

    /// Makes this instant the zero of the incident clock, also if it was running.
    ///
    /// A provider whose builder has `hold_clock` performs no incident before this.
    pub fn start_clock(&self) {
        self.start_clock_at(Instant::now());
    }

    /// Like [`start_clock`](Self::start_clock), with a zero that several providers can share.
    pub fn start_clock_at(&self, zero: Instant) {
        self.shared.clock.start(zero);
        // The supervisor sleeps towards an edge of the old timeline.
        self.moved.notify_one();
    }

    /// The time on the timeline of incidents; `None` while the clock has not started.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        self.shared.clock.at(Instant::now())
    }

    /// Whether the script has this provider down now.
    #[must_use]
    pub fn in_outage(&self) -> bool {
        self.elapsed()
            .is_some_and(|at| self.shared.injector.is_outage(at))
    }

    /// Stops the server, closes its connections, and waits until the listener is closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // An error is a panic of the supervisor or the end of the runtime: stopped either way.
            let _ = task.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
