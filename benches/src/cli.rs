//! The command line.

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Seawall's layers beside their peers, per call.

Usage: seawall-benches [--json] [FILTER]
       seawall-benches --list
       seawall-benches --one SUBJECT [--calls N]

  FILTER         only subjects whose name contains this, e.g. breaker or seawall/stack
  --json         print an array with one object per subject; the bars go to stderr
  --list         print the names of all subjects, <crate>/<pattern>/<case>
  --one SUBJECT  run this subject only and measure nothing, for a profiler
  --calls N      how many calls --one makes, from 1 (default: 1000)
  --help         print this

Columns: nanoseconds per call (median and least), allocations and allocated bytes per call, size
of the service and of its future in bytes, and the throughput of two threads that share the state
over the throughput of one (2 is ideal).
";

const DEFAULT_CALLS: u64 = 1_000;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Help,
    List,
    One { subject: String, calls: u64 },
    Compare { json: bool, filter: String },
}

/// Reads the arguments, without the program's name. An error is one line for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Job, String> {
    let mut args = args.into_iter();
    let (mut json, mut list) = (false, false);
    let (mut one, mut calls, mut filter) = (None, None, None);
    while let Some(arg) = args.next() {
        let mut value = |what: &str| args.next().ok_or_else(|| format!("{arg} needs {what}"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Job::Help),
            "--json" => json = true,
            "--list" => list = true,
            "--one" => one = Some(value("the name of a subject")?),
            "--calls" => {
                let text = value("a number of calls")?;
                let number = text.parse().ok().filter(|&calls: &u64| calls > 0);
                calls =
                    Some(number.ok_or_else(|| {
                        format!("--calls takes a whole number from 1, not {text:?}")
                    })?);
            }
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ if filter.is_some() => return Err(format!("a second filter: {arg:?}")),
            _ => filter = Some(arg),
        }
    }
    if calls.is_some() && one.is_none() {
        return Err("--calls goes with --one".to_owned());
    }
    match one {
        Some(_) if json || list || filter.is_some() => {
            Err("--one goes with --calls and nothing else".to_owned())
        }
        Some(subject) => Ok(Job::One {
            subject,
            calls: calls.unwrap_or(DEFAULT_CALLS),
        }),
        None if list => Ok(Job::List),
        None => Ok(Job::Compare {
            json,
            filter: filter.unwrap_or_default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Job, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_arguments_everything_is_compared() {
        let all = Job::Compare {
            json: false,
            filter: String::new(),
        };
        assert_eq!(parsed(""), Ok(all));
    }

    #[test]
    fn json_and_a_filter_go_together_in_any_order() {
        let wanted = || Job::Compare {
            json: true,
            filter: "breaker".to_owned(),
        };
        assert_eq!(parsed("--json breaker"), Ok(wanted()));
        assert_eq!(parsed("breaker --json"), Ok(wanted()));
    }

    #[test]
    fn one_subject_takes_a_number_of_calls() {
        let one = |calls| Job::One {
            subject: "a/b/c".to_owned(),
            calls,
        };
        assert_eq!(parsed("--one a/b/c --calls 7"), Ok(one(7)));
        assert_eq!(parsed("--one a/b/c"), Ok(one(DEFAULT_CALLS)));
    }

    #[test]
    fn a_bad_option_is_named_in_the_complaint() {
        for (line, named) in [
            ("--jsno", "--jsno"),
            ("--calls 0 --one a", "\"0\""),
            ("--one", "--one"),
            ("--calls 3", "--calls"),
            ("a b", "\"b\""),
            ("--one a b", "--one"),
        ] {
            let complaint = parsed(line).expect_err(line);
            assert!(complaint.contains(named), "{line}: {complaint}");
        }
    }
}
