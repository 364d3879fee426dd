//! Quotes through a rush, an outage, and a restart in the middle of it.
//!
//! `cargo run --release --example kept_quotes`
//!
//! A thousand callers ask for one quote at once: one call. The exchange goes down: the last quote is given, and
//! says how old it is. The program is started again while the exchange is still down: it begins with what it
//! had kept in a file.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use seawall_cache::{
    Cache, CacheConfig, CacheHandle, CacheLayer, ConstMeta, Degraded, ErrorIsFailure, Hooks,
    MarkInValue, Policy, SnapshotCodec, SnapshotFile, StoreClone, WrapErrorLayer,
};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Quote = Degraded<u64>;
type Failure = seawall_cache::Error<io::Error>;
type Client = Cache<
    BoxCloneSyncService<&'static str, Quote, Failure>,
    Policy<ErrorIsFailure, ConstMeta>,
    &'static str,
    Quote,
    Hooks<fn(&&'static str) -> Option<&'static str>, StoreClone, MarkInValue>,
>;
type Handle = CacheHandle<&'static str, Quote>;

const SYMBOLS: [&str; 2] = ["SPY", "QQQ"];

/// What is asked for, and whether anybody answers.
#[derive(Default)]
struct Exchange {
    calls: AtomicU64,
    is_down: AtomicBool,
}

/// Quotes in a file, as bytes: the price, and the symbol behind it.
struct Plain;

impl SnapshotCodec<&'static str, Quote> for Plain {
    fn encode(&self, symbol: &&'static str, quote: &Quote, out: &mut Vec<u8>) -> bool {
        out.extend(quote.value().to_le_bytes());
        out.extend(symbol.as_bytes());
        true
    }

    fn decode(&self, bytes: &[u8]) -> Option<(&'static str, Quote)> {
        let (price, symbol) = bytes.split_first_chunk()?;
        let known = SYMBOLS
            .into_iter()
            .find(|known| known.as_bytes() == symbol)?;
        Some((known, Degraded::fresh(u64::from_le_bytes(*price))))
    }
}

fn symbol(symbol: &&'static str) -> Option<&'static str> {
    Some(*symbol)
}

/// The program, as it is after each start.
fn start(exchange: &Arc<Exchange>) -> Result<(Client, Handle), Box<dyn Error>> {
    let config = CacheConfig::builder(Duration::from_millis(200))
        .stale_on_failure(Duration::from_secs(24 * 3600))
        .build()?;
    let layer = CacheLayer::new("quotes", config)
        .assume_idempotent()
        .key(symbol as fn(&&'static str) -> Option<&'static str>)
        .mark(MarkInValue);
    let handle = layer.handle();
    let exchange = Arc::clone(exchange);
    let ask = service_fn(move |_: &'static str| {
        let exchange = Arc::clone(&exchange);
        async move {
            let call = exchange.calls.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            match exchange.is_down.load(Ordering::Relaxed) {
                true => Err(io::Error::other("the exchange is down")),
                false => Ok(Degraded::fresh(100 + call)),
            }
        }
    });
    let ask = ServiceBuilder::new().layer(WrapErrorLayer).service(ask);
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(BoxCloneSyncService::new(ask));
    Ok((client, handle))
}

fn show(symbol: &str, quote: &Quote) {
    match quote.degradation() {
        None => println!("  {symbol} {}", quote.value()),
        Some(degraded) => println!("  {symbol} {} ({degraded})", quote.value()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let exchange = Arc::new(Exchange::default());
    let path = std::env::temp_dir().join(format!("kept_quotes-{}", std::process::id()));
    let file = SnapshotFile::new(&path, Plain);
    let (client, handle) = start(&exchange)?;

    println!("a rush: 1,000 callers ask for SPY");
    let callers: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(client.clone().oneshot("SPY")))
        .collect();
    for caller in callers {
        caller.await??;
    }
    let calls = handle.counts().calls;
    println!(
        "  {} call, {} joined it",
        exchange.calls.load(Ordering::Relaxed),
        calls.joined
    );
    assert_eq!((calls.miss, calls.joined), (1, 999));
    client.clone().oneshot("QQQ").await?;

    println!("the exchange goes down");
    exchange.is_down.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    for symbol in SYMBOLS {
        let quote = client.clone().oneshot(symbol).await?;
        show(symbol, &quote);
        assert!(quote.is_degraded());
    }
    println!(
        "  {} quotes are written to a file",
        handle.save(&file)?.written
    );
    drop((client, handle));

    println!("the program is started again, the exchange is still down");
    let (client, handle) = start(&exchange)?;
    println!("  {} quotes are read", handle.load(&file)?.restored);
    for symbol in SYMBOLS {
        let quote = client.clone().oneshot(symbol).await?;
        show(symbol, &quote);
        assert!(
            quote.degradation().and_then(|degraded| degraded.age) > Some(Duration::from_secs(1))
        );
    }

    println!("the exchange is back");
    exchange.is_down.store(false, Ordering::Relaxed);
    for symbol in SYMBOLS {
        let quote = client.clone().oneshot(symbol).await?;
        show(symbol, &quote);
        assert!(!quote.is_degraded());
    }
    std::fs::remove_file(path)?;
    Ok(())
}
