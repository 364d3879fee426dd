//! One symbol is all over the news: it calls a hundred times as often as each of the others.
//!
//! An upstream that serves 20 calls at once responds in 25 to 75 ms, 400 calls a second in all. Nine
//! symbols call 10 times a second, one calls 1,000 times. Behind a plain bulkhead, the one that calls
//! most has most of the queue; with a share for each, the nine are served as if the tenth was not there.
//!
//! `cargo run -p seawall-bulkhead --example fair_share` (20 seconds of virtual time)

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare, PartitionedBulkheadLayer};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{Error, InvalidConfig, PartitionKey, Reason, Rejectable, Rejection};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service};

const PERMITS: u32 = 20;
const RESPONSE_TIME: Duration = Duration::from_millis(50);
const RUN: Duration = Duration::from_secs(20);
const GREEDY: u32 = 0;
const SYMBOLS: u32 = 10;

#[derive(Clone, Copy)]
struct Order {
    symbol: u32,
    came: Instant,
    responds_in: Duration,
}

/// What became of the calls of one symbol.
#[derive(Default)]
struct Tally {
    waits: Vec<Duration>,
    full: u32,
    late: u32,
}

impl Tally {
    fn wait(&self, share: f64) -> String {
        let at = (self.waits.len() as f64 * share) as usize;
        let wait = self.waits.get(at).or(self.waits.last());
        wait.map_or("-".into(), |wait| format!("{} ms", wait.as_millis()))
    }
}

type Tallies = Rc<RefCell<BTreeMap<u32, Tally>>>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), InvalidConfig> {
    let plain = BulkheadConfig::builder()
        .max_concurrent(PERMITS)
        .max_waiting(200)
        .max_wait(Duration::from_secs(1))
        .build()?;
    report(
        "plain: one queue of 200 for all",
        &run(BulkheadLayer::new("plain", plain)).await,
    );

    let fair = |share: PartitionShare| {
        let config = PartitionConfig::builder()
            .max_concurrent(PERMITS)
            .max_wait(Duration::from_secs(1))
            .default_share(share.max_waiting(20))
            .build()?;
        let layer = PartitionedBulkheadLayer::new("fair", config);
        Ok(layer.key_by(|order: &Order| PartitionKey(u64::from(order.symbol))))
    };
    report(
        "partitions: a queue of 20 for each, all permits are lent",
        &run(fair(PartitionShare::new())?).await,
    );
    report(
        "partitions: as before, and no symbol has more than 12 of the 20",
        &run(fair(PartitionShare::new().max(12))?).await,
    );
    Ok(())
}

/// Sends the orders of all symbols through `layer`.
async fn run<L, S>(layer: L) -> BTreeMap<u32, Tally>
where
    L: Layer<Upstream, Service = S>,
    S: Service<Order, Error = Error<()>> + Clone + 'static,
{
    let tallies = Tallies::default();
    let service = layer.layer(Upstream(Rc::clone(&tallies)));
    let local = tokio::task::LocalSet::new();
    let start = Instant::now();
    local
        .run_until(async {
            let senders: Vec<_> = (0..SYMBOLS)
                .map(|symbol| {
                    let (service, tallies) = (service.clone(), Rc::clone(&tallies));
                    tokio::task::spawn_local(send(service, symbol, start, tallies))
                })
                .collect();
            for sender in senders {
                let _ = sender.await;
            }
            // Calls that are still in flight.
            sleep(Duration::from_secs(5)).await;
        })
        .await;
    drop((local, service));
    let mut tallies = tallies.take();
    tallies
        .values_mut()
        .for_each(|tally| tally.waits.sort_unstable());
    tallies
}

async fn send<S>(service: S, symbol: u32, start: Instant, tallies: Tallies)
where
    S: Service<Order, Error = Error<()>> + Clone + 'static,
{
    let every = if symbol == GREEDY { 0.001 } else { 0.1 };
    let mut dice = Dice(u64::from(symbol) + 1);
    let mut at = start;
    loop {
        // Independent arrivals.
        at += Duration::from_secs_f64(-every * (1.0 - dice.roll()).ln());
        if at >= start + RUN {
            return;
        }
        sleep_until(at).await;
        let responds_in = RESPONSE_TIME.mul_f64(0.5 + dice.roll());
        let order = Order {
            symbol,
            came: Instant::now(),
            responds_in,
        };
        let (mut service, tallies) = (service.clone(), Rc::clone(&tallies));
        tokio::task::spawn_local(async move {
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            let response = match ready {
                Ok(()) => service.call(order).await,
                Err(error) => Err(error),
            };
            let rejected = response
                .err()
                .and_then(|e| e.rejection().map(Rejection::reason));
            let mut tallies = tallies.borrow_mut();
            let tally = tallies.entry(symbol).or_default();
            match rejected {
                Some(Reason::BulkheadFull) => tally.full += 1,
                Some(_) => tally.late += 1,
                None => {}
            }
        });
    }
}

/// The same numbers in every run: xorshift, after Marsaglia (2003).
struct Dice(u64);

impl Dice {
    /// From 0, below 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Records how long each order has waited to come here.
#[derive(Clone)]
struct Upstream(Tallies);

impl Service<Order> for Upstream {
    type Response = ();
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<(), Error<()>>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, order: Order) -> Self::Future {
        let waited = Instant::now().saturating_duration_since(order.came);
        let mut tallies = self.0.borrow_mut();
        tallies.entry(order.symbol).or_default().waits.push(waited);
        Box::pin(async move {
            sleep(order.responds_in).await;
            Ok(())
        })
    }
}

fn report(title: &str, tallies: &BTreeMap<u32, Tally>) {
    let served: usize = tallies.values().map(|tally| tally.waits.len()).sum();
    println!("{title}");
    println!(
        "{:<8} {:>8} {:>8} {:>8} {:>12} {:>12} {:>9} {:>9}",
        "symbol", "calls", "served", "of all", "queue full", "too late", "wait p50", "wait p99"
    );
    for (symbol, tally) in tallies {
        let count = tally.waits.len();
        println!(
            "{:<8} {:>8} {:>8} {:>7.1}% {:>12} {:>12} {:>9} {:>9}",
            if *symbol == GREEDY {
                "NEWS".into()
            } else {
                format!("SYM{symbol}")
            },
            count + (tally.full + tally.late) as usize,
            count,
            100.0 * count as f64 / served as f64,
            tally.full,
            tally.late,
            tally.wait(0.5),
            tally.wait(0.99),
        );
    }
    println!();
}
