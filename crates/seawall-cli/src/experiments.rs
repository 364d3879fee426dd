//! The experiments of a file, and when each is due next.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use seawall_experiments::ExperimentSet;

use crate::WRONG;

/// How many of its next runs are shown.
const RUNS: usize = 3;

/// Reads the file, and shows each experiment with its next runs.
pub(crate) fn check(
    path: &Path,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<u8, Box<dyn Error>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let set = match ExperimentSet::from_toml(&text) {
        Ok(set) => set,
        Err(error) => {
            writeln!(errors, "{shown}: {error}")?;
            return Ok(WRONG);
        }
    };
    for experiment in set.experiments() {
        writeln!(out, "{}: {}", experiment.name(), experiment.hypothesis())?;
        let schedule = experiment.schedule();
        if schedule.is_game_day() {
            writeln!(out, "  on a game day")?;
        }
        let first = schedule.next_after(SystemTime::now());
        let runs = std::iter::successors(first, |run| schedule.next_after(*run));
        for run in runs.take(RUNS) {
            writeln!(out, "  {}", seawall_experiments::rfc3339(run))?;
        }
    }
    let count = set.experiments().len();
    let experiments = if count == 1 {
        "experiment"
    } else {
        "experiments"
    };
    writeln!(out, "{shown}: {count} {experiments}, no mistake")?;
    Ok(0)
}
