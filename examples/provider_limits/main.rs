//! Every provider of the catalogue at full load, in virtual time, against counters that keep its
//! real limits: no call may exceed them, and hardly anything of the share that a stack takes may
//! be left unused.
//!
//! ```text
//! cargo run --release --example provider_limits -- [--minutes N] [NAME]...
//! ```

mod load;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use seawall::catalog::{Catalog, Provider, Tier};

use load::{Outcome, run};

/// The least part of what a stack allows itself that full load has to use.
const USED: f64 = 0.95;

fn main() -> ExitCode {
    match simulate() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("provider_limits: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every limit was kept and used.
fn simulate() -> Result<bool, Box<dyn Error>> {
    let mut minutes = 60;
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--minutes" => {
                let value = arguments.next().unwrap_or_default();
                let parsed = value.parse().ok();
                minutes = parsed
                    .ok_or_else(|| format!("`--minutes` is `{value}`, accepted is a number"))?;
            }
            name => names.push(name.to_owned()),
        }
    }
    let catalog = Catalog::embedded()?;
    let providers: Vec<Provider> = if names.is_empty() {
        catalog.providers().collect()
    } else {
        let find = |name: &String| catalog.provider(name);
        names.iter().map(find).collect::<Result<_, _>>()?
    };
    let length = Duration::from_secs(60 * minutes);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{minutes} min of virtual time for each tier\n")?;
    let mut kept = true;
    for provider in &providers {
        for tier in provider.tiers() {
            let outcome = simulate_tier(provider, &tier, length)?;
            kept &= report(&mut out, provider, &tier, &outcome)?;
        }
    }
    Ok(kept)
}

fn simulate_tier(
    provider: &Provider,
    tier: &Tier,
    length: Duration,
) -> Result<Outcome, Box<dyn Error>> {
    // Each run has a clock of its own, which starts again.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(run(provider, tier, length))
}

/// A line per tier, and one for each limit that was exceeded or not used; whether there is none.
fn report(
    out: &mut impl Write,
    provider: &Provider,
    tier: &Tier,
    outcome: &Outcome,
) -> std::io::Result<bool> {
    let (name, tier) = (provider.name(), tier.name());
    let Outcome { calls, limits, .. } = outcome;
    let violations: u64 = limits.iter().map(|limit| limit.violations).sum();
    let least = outcome.least_used();
    writeln!(
        out,
        "{name:14} {tier:18} {calls:8} calls, {violations} violations, {:5.1} % used",
        100.0 * least
    )?;
    for limit in limits.iter().filter(|limit| limit.violations > 0) {
        writeln!(
            out,
            "    exceeded {} times: {}",
            limit.violations, limit.name
        )?;
    }
    for limit in limits.iter().filter(|_| least < USED) {
        writeln!(out, "    used {:5.1} %: {}", 100.0 * limit.used, limit.name)?;
    }
    for (reason, count) in &outcome.rejections {
        writeln!(out, "    rejected {count} times: {reason}")?;
    }
    Ok(violations == 0 && least >= USED)
}
