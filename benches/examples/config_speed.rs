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
/// Far more than a program has: time grows with their number, and no faster.
const MANY: usize = 8_000;
const PROVIDERS: [&str; 5] = ["alpaca", "binance", "kraken", "openai", "alpha-vantage"];
const KINDS: [&str; 5] = ["broker", "market-data", "news", "ai-api", "database"];

/// Services of providers and of kinds by turns, each with a table of every layer.
fn file(services: usize) -> Result<String, std::fmt::Error> {
    let mut text = "[resilience]\nutilization = 0.7\n[resilience.retry]\nattempts = 4\n".to_owned();
    for at in 0..services {
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

/// A change of every service, put on the running stacks of all.
fn reload(text: &str) -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("seawall-bench-{}.toml", std::process::id()));
    std::fs::write(&path, text)?;
    let config = Config::loader().file(&path).load_reloadable()?;
    for service in config.current().services() {
        config.stack(service.name())?;
    }
    let (least, median) = measure(200, || {
        let _ = black_box(config.reload());
    });
    println!("reload, nothing different       least {least:?}, median {median:?}");
    let other = text.replace("max_wait = \"4s\"", "max_wait = \"5s\"");
    let mut at = 0;
    let (least, median) = measure(200, || {
        at += 1;
        let text = if at % 2 == 0 { text } else { other.as_str() };
        let written = std::fs::write(&path, text);
        let changed = config.reload().map_or(0, |reloaded| reloaded.changed.len());
        assert!(
            written.is_ok() && changed == SERVICES,
            "{changed} have changed"
        );
    });
    println!("reload, all services changed    least {least:?}, median {median:?}");
    std::fs::remove_file(&path)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = file(SERVICES)?;
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
    let many = file(MANY)?;
    let (least, median) = measure(3, || {
        let _ = black_box(Config::loader().text("bench.toml", many.as_str()).load());
    });
    println!("load {MANY}   least {least:?}, median {median:?}");
    reload(&text)?;
    for service in config.services().take(10) {
        let name = service.provider().unwrap_or(service.kind().as_str());
        let (least, median) = measure(2_000, || {
            let _ = black_box(service.build());
        });
        println!("build {name:13} least {least:?}, median {median:?}");
    }
    Ok(())
}
