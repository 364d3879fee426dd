//! How long a file of 50 services takes to load, and how long a stack of it to build.
//!
//! ```text
//! cargo run --release -p seawall-benches --example config_speed
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "the wall clock is what is measured"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use seawall::config::Config;

const SERVICES: usize = 50;
const PROVIDERS: [&str; 5] = ["alpaca", "binance", "kraken", "openai", "alpha-vantage"];
const KINDS: [&str; 5] = ["broker", "market-data", "news", "ai-api", "database"];

/// Services of providers and of kinds by turns, each with a table of every layer.
fn file() -> Result<String, std::fmt::Error> {
    let mut text = "[resilience]\nutilization = 0.7\n[resilience.retry]\nattempts = 4\n".to_owned();
    for at in 0..SERVICES {
        let base = match at % 2 {
            0 => format!("provider = \"{}\"", PROVIDERS[at / 2 % PROVIDERS.len()]),
            _ => format!("kind = \"{}\"", KINDS[at / 2 % KINDS.len()]),
        };
        write!(
            text,
            "[resilience.service-{at}]\n{base}\ndeadline = \"10m\"\n\
             [resilience.service-{at}.retry]\nfirst_wait = \"250ms\"\njitter = \"equal\"\n\
             [resilience.service-{at}.bulkhead]\nmax_wait = \"4s\"\n\
             [resilience.service-{at}.rate_limit]\nrate = \"200/min\"\nburst = 12\n\
             [resilience.service-{at}.breaker]\nfailure_rate = 0.4\ncalls = 50\nopen_for = \"45s\"\n\
             [resilience.service-{at}.body_timeout]\nidle = \"20s\"\n"
        )?;
    }
    Ok(text)
}

/// The least and the median time of many runs.
fn measure(runs: u32, mut run: impl FnMut()) -> (Duration, Duration) {
    let mut times: Vec<_> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    (times[0], times[times.len() / 2])
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = file()?;
    let load = || Config::loader().text("bench.toml", text.as_str()).load();
    let first = Instant::now();
    let config = load()?;
    println!("first load, catalogue included  {:?}", first.elapsed());
    println!(
        "{} services, {} lines",
        config.services().len(),
        text.lines().count()
    );
    let (least, median) = measure(200, || {
        let _ = black_box(load());
    });
    println!("load        least {least:?}, median {median:?}");
    for service in config.services().take(10) {
        let name = service.provider().unwrap_or(service.kind().as_str());
        let (least, median) = measure(2_000, || {
            let _ = black_box(service.build());
        });
        println!("build {name:13} least {least:?}, median {median:?}");
    }
    Ok(())
}
