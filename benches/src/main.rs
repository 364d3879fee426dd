//! Seawall's layers beside their peers: what one call costs, and what a second thread adds.
//!
//! `cargo run --release -p seawall-benches` measures every subject and says which of the
//! project's bars are reached; `-- --help` lists the options. Every subject does the work of its
//! pattern around a service that is always ready and responds immediately, so the figures are what the
//! layer itself costs.
//!
//! Absolute figures belong to the machine. Ratios between rows of one run hold across machines,
//! and the bars are made of those.

mod bars;
mod cli;
mod crowd;
mod harness;
mod leaf;
mod pair;
mod report;
mod subjects;
mod tail;
#[cfg(feature = "telemetry")]
mod telemetry;

use std::process::ExitCode;

use cli::Job;
use subjects::Subject;

fn main() -> ExitCode {
    #[cfg(feature = "telemetry")]
    if let Err(complaint) = telemetry::install() {
        eprintln!("seawall-benches: {complaint}");
        return ExitCode::FAILURE;
    }
    let done = match cli::parse(std::env::args().skip(1)) {
        Ok(Job::Help) => {
            print!("{}", cli::HELP);
            Ok(())
        }
        Ok(Job::List) => {
            for subject in subjects::all() {
                println!("{}", subject.name);
            }
            Ok(())
        }
        Ok(Job::One { subject, calls }) => one(&subject, calls),
        Ok(Job::Compare { json, filter }) => compare(json, &filter),
        Err(complaint) => Err(Failed::Usage(complaint)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Usage(complaint)) => {
            eprintln!("seawall-benches: {complaint}; --help lists the options");
            ExitCode::from(2)
        }
        Err(Failed::Run(complaint)) => {
            eprintln!("seawall-benches: {complaint}");
            ExitCode::FAILURE
        }
    }
}

enum Failed {
    Usage(String),
    Run(String),
}

/// Runs one subject and nothing else, for a profiler.
fn one(name: &str, calls: u64) -> Result<(), Failed> {
    let subject = subjects::all()
        .into_iter()
        .find(|subject| subject.name == name)
        .ok_or_else(|| Failed::Usage(format!("no subject is named {name:?}")))?;
    let runtime = runtime()?;
    let _entered = runtime.enter();
    harness::run_one(&subject, calls).map_err(Failed::Run)
}

fn compare(json: bool, filter: &str) -> Result<(), Failed> {
    let subjects: Vec<Subject> = subjects::all()
        .into_iter()
        .filter(|subject| subject.name.contains(filter))
        .collect();
    let extras = subjects::Extra::ALL.iter().copied();
    let extras: Vec<_> = extras
        .filter(|extra| extra.name().contains(filter))
        .collect();
    let crowds: Vec<_> = subjects::crowds()
        .into_iter()
        .filter(|crowd| crowd.name.contains(filter))
        .collect();
    if subjects.is_empty() && extras.is_empty() && crowds.is_empty() {
        return Err(Failed::Usage(format!(
            "no subject's name contains {filter:?}"
        )));
    }

    let runtime = runtime()?;
    let entered = runtime.enter();
    eprintln!(
        "measuring {} subjects, for up to two minutes",
        subjects.len()
    );
    let rows = harness::measure(&subjects, runtime.handle()).map_err(Failed::Run)?;
    let extras = extras
        .into_iter()
        .map(|extra| Ok((extra, extra.measure()?)))
        .collect::<Result<Vec<_>, String>>()
        .map_err(Failed::Run)?;
    drop(entered);
    let crowds = crowd::measure(&crowds).map_err(Failed::Run)?;

    let disturbed = rows.iter().filter(|row| row.disturbed).count();
    if disturbed > 0 {
        eprintln!("the machine was busy: {disturbed} subjects have doubtful or missing figures");
    }
    let mut bars = bars::judge(&bars::Figures::new(&rows, &extras, &crowds));
    if !filter.is_empty() {
        bars = bars.of_measured();
    }
    if json {
        println!("{}", report::json(&rows).map_err(Failed::Run)?);
        eprint!("{}{bars}", report::crowds(&crowds));
    } else {
        let crowds = report::crowds(&crowds);
        print!("{}\n{crowds}{bars}", report::table(&rows));
    }
    Ok(())
}

/// Some services ask for a runtime when they are made or called. It is entered and never driven:
/// no subject has to wait for a timer.
fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Failed::Run(format!("no Tokio runtime: {e}")))
}
