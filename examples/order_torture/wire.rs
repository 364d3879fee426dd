//! What the two processes say to each other: lines of text over pipes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::contender::Name;
use crate::plan::{Class, Plan};

/// The first line to a process that sends orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) contender: Name,
    pub(crate) plan: Plan,
    pub(crate) urls: BTreeMap<Class, String>,
    /// A directory that outlives the process.
    pub(crate) directory: PathBuf,
}

/// Every further line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Place an order that no process was asked for.
    Place(u32),
    /// Answer for an order that an earlier process did not answer for.
    Recover(u32),
    /// Answer for an order that is in doubt.
    Settle(u32),
}

impl Task {
    pub(crate) fn line(self) -> String {
        match self {
            Self::Place(number) => format!("place {number}\n"),
            Self::Recover(number) => format!("recover {number}\n"),
            Self::Settle(number) => format!("settle {number}\n"),
        }
    }

    pub(crate) fn read(line: &str) -> Option<Self> {
        let (what, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match what {
            "place" => Some(Self::Place(number)),
            "recover" => Some(Self::Recover(number)),
            "settle" => Some(Self::Settle(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_as_it_is_written() {
        for task in [Task::Place(1), Task::Recover(2), Task::Settle(3)] {
            assert_eq!(Task::read(task.line().trim_end()), Some(task));
        }
        assert_eq!(Task::read("place"), None);
        assert_eq!(Task::read("forget 3"), None);
    }
}
