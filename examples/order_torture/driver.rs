//! The run of one contender: orders are handed out, its process is killed and started again.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cli::CHILD;
use crate::contender::{Name, OrderResult};
use crate::plan::{Class, Plan};
use crate::progress::Counts;
use crate::score::{self, Score};
use crate::stops::Stops;
use crate::trace::{EVERY, Trace};
use crate::wire::{Setup, Task};
use crate::world::World;

type Failure = Box<dyn Error>;

/// How many orders a process is asked for at once.
const AT_ONCE: usize = 64;
/// About so many orders are reported between two kills, fewer in a small run.
const PER_KILL: usize = 400;
/// A process that says nothing for so long is stuck.
const SILENCE: Duration = Duration::from_secs(60);

/// One contender's run.
pub(crate) struct Run<'a> {
    pub(crate) name: Name,
    pub(crate) plan: Plan,
    pub(crate) orders: u32,
    pub(crate) directory: &'a Path,
    pub(crate) trace: Arc<Trace>,
    /// Whether processes are stopped at random moments.
    pub(crate) standstills: bool,
    pub(crate) counts: Arc<Counts>,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) score: Score,
    /// What happened to the orders of Seawall that are not as they were reported.
    pub(crate) stories: String,
    /// How many orders the brokers came to too late.
    pub(crate) out_of_date: u64,
}

/// A process that sends orders.
struct Sender {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Sender {
    async fn start(setup: &Setup) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(CHILD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a process without pipes".into());
        };
        let lines = BufReader::new(stdout).lines();
        let mut sender = Self {
            child,
            stdin,
            lines,
        };
        let setup = serde_json::to_string(setup)?;
        sender.write(&format!("{setup}\n")).await?;
        Ok(sender)
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.stdin.write_all(text.as_bytes()).await?)
    }

    /// The next result; `None` at the end of the process.
    async fn next(&mut self) -> Result<Option<(u32, OrderResult)>, Failure> {
        // The last line of a killed process may be half of one: it was not reported.
        let line = timeout(SILENCE, self.lines.next_line());
        let line = line.await.map_err(|_late| "the process is stuck")??;
        Ok(line.as_deref().and_then(OrderResult::read))
    }
}

/// What is known of the orders where they were asked for.
struct Desk {
    results: Vec<Option<OrderResult>>,
    /// Asked for, and nothing was reported.
    outstanding: BTreeSet<u32>,
    next: u32,
    reported: usize,
}

impl Desk {
    fn new(orders: u32) -> Self {
        Self {
            results: vec![None; orders as usize],
            outstanding: BTreeSet::new(),
            next: 0,
            reported: 0,
        }
    }

    /// What else the process is to do now.
    fn hand_out(&mut self) -> String {
        let mut tasks = String::new();
        while self.outstanding.len() < AT_ONCE && (self.next as usize) < self.results.len() {
            tasks.push_str(&Task::Place(self.next).line());
            self.outstanding.insert(self.next);
            self.next += 1;
        }
        tasks
    }

    fn note(&mut self, number: u32, result: OrderResult, counts: &Counts) {
        if self.outstanding.remove(&number) {
            self.reported += 1;
            counts.add(result);
        }
        if let Some(known) = self.results.get_mut(number as usize) {
            *known = Some(result);
        }
    }

    fn is_done(&self) -> bool {
        self.outstanding.is_empty() && self.next as usize == self.results.len()
    }

    fn in_doubt(&self) -> BTreeSet<u32> {
        let numbered = (0..).zip(&self.results);
        let in_doubt = numbered.filter(|(_, result)| **result == Some(OrderResult::InDoubt));
        in_doubt.map(|(number, _)| number).collect()
    }
}

impl Run<'_> {
    pub(crate) async fn run(&self) -> Result<Ended, Failure> {
        let world = World::start(self.plan).await?;
        let setup = Setup {
            contender: self.name,
            plan: self.plan,
            urls: world.urls(),
            directory: self.directory.to_owned(),
        };
        let mut desk = Desk::new(self.orders);
        let mut draw = fastrand::Rng::with_seed(self.plan.seed);
        let mut kills = 0;
        let per_kill = (self.orders as usize / 3).clamp(20, PER_KILL);
        let mut kill_at = draw.usize(per_kill / 4..per_kill / 2);
        let stops = self
            .standstills
            .then(|| Stops::begin(self.plan.seed, Arc::clone(&self.trace)));
        let sends = |pid| {
            if let Some(stops) = &stops {
                stops.sender_is(pid);
            }
        };
        loop {
            let mut sender = Sender::start(&setup).await?;
            let pid = sender.child.id();
            sends(pid);
            let begun = pid.unwrap_or_default();
            self.trace
                .note(EVERY, format_args!("process {begun} begins"));
            let tasks = desk.outstanding.iter();
            let tasks: String = tasks.map(|number| Task::Recover(*number).line()).collect();
            self.ask(&mut sender, &tasks).await?;
            // A moment later than the number of results, which would be a moment of its own.
            let moment = Duration::from_micros(draw.u64(0..30_000));
            if !self
                .session(&mut sender, &mut desk, (kill_at, moment))
                .await?
            {
                self.settle(&mut sender, &mut desk).await?;
                drop(sender.stdin);
                timeout(SILENCE, sender.child.wait()).await??;
                break;
            }
            sends(None);
            kills += 1;
            self.counts.kill();
            kill_at = desk.reported + draw.usize(per_kill / 2..per_kill * 3 / 2);
        }
        drop(stops);
        world.wait_until_idle().await;
        let ended = self.judge(&world, &desk, kills)?;
        world.shutdown().await;
        Ok(ended)
    }

    /// Compares what was reported with what the brokers executed.
    fn judge(&self, world: &World, desk: &Desk, kills: usize) -> Result<Ended, Failure> {
        let executions = world.executions();
        let id = |number| self.plan.order(number).id;
        let ids: BTreeSet<_> = (0..self.orders).map(id).collect();
        if let Some(other) = executions.keys().find(|id| !ids.contains(*id)) {
            return Err(format!("the brokers have an order {other:?} that nobody intended").into());
        }
        let results = (0..).zip(&desk.results);
        let results = results.map(|(number, result)| (id(number), *result));
        let score = Score::new(results.clone(), &executions, kills);
        let mut wrong = Vec::new();
        for (number, (id, result)) in (0..).zip(results) {
            let count = executions.get(&id).copied().unwrap_or_default();
            if let Some(what) = score::wrong(result, count) {
                wrong.push((number, id, what));
            }
        }
        Ok(Ended {
            score,
            stories: self.stories(world, &wrong)?,
            out_of_date: world.out_of_date(),
        })
    }

    /// What happened to orders that are not as they were reported.
    fn stories(&self, world: &World, wrong: &[(u32, String, &str)]) -> Result<String, Failure> {
        let ids: Vec<_> = wrong.iter().map(|(_, id, _)| id.clone()).collect();
        let mut text = String::new();
        if ids.is_empty() || self.name != Name::Seawall {
            return Ok(text);
        }
        let mut stories = Trace::read(self.directory, &ids)?;
        world.add_executions(&mut stories);
        for (number, id, what) in wrong {
            let class = self.plan.order(*number).class;
            let story = stories.of(id, class == Class::ListsOnly);
            let class = class.name();
            writeln!(text, "\n{what}: {id}, at the broker {class}\n{story}")?;
        }
        Ok(text)
    }

    /// Hands tasks to a process.
    async fn ask(&self, sender: &mut Sender, tasks: &str) -> Result<(), Failure> {
        for line in tasks.lines() {
            if let Some((what, number)) = line.split_once(' ')
                && let Ok(number) = number.parse()
            {
                let id = self.plan.order(number).id;
                self.trace.note(&id, format_args!("is asked: {what}"));
            }
        }
        sender.write(tasks).await
    }

    fn note(&self, desk: &mut Desk, (number, result): (u32, OrderResult)) {
        let id = self.plan.order(number).id;
        self.trace
            .note(&id, format_args!("is reported: {result:?}"));
        desk.note(number, result, &self.counts);
    }

    /// Hands orders out until all are reported, or the process is killed: that is `true`.
    async fn session(
        &self,
        sender: &mut Sender,
        desk: &mut Desk,
        (kill_at, moment): (usize, Duration),
    ) -> Result<bool, Failure> {
        let mut kill: Option<Instant> = None;
        while !desk.is_done() {
            let tasks = desk.hand_out();
            if !tasks.is_empty() {
                self.ask(sender, &tasks).await?;
            }
            if kill.is_none() && desk.reported >= kill_at {
                kill = Some(Instant::now() + moment);
            }
            tokio::select! {
                () = sleep_until(kill.unwrap_or_else(Instant::now)), if kill.is_some() => {
                    // SIGKILL.
                    sender.child.start_kill()?;
                    while let Some(reported) = sender.next().await? {
                        self.note(desk, reported);
                    }
                    sender.child.wait().await?;
                    self.trace.note(EVERY, format_args!("the process is killed"));
                    return Ok(true);
                }
                result = sender.next() => {
                    let Some(reported) = result? else {
                        let status = sender.child.wait().await?;
                        return Err(format!("the process ended by itself: {status}").into());
                    };
                    self.note(desk, reported);
                }
            }
        }
        Ok(false)
    }

    /// The last reconciliation: asks for the orders that are in doubt once more.
    async fn settle(&self, sender: &mut Sender, desk: &mut Desk) -> Result<(), Failure> {
        let mut asked = desk.in_doubt();
        let tasks = asked.iter();
        let tasks: String = tasks.map(|number| Task::Settle(*number).line()).collect();
        self.ask(sender, &tasks).await?;
        while !asked.is_empty() {
            let Some(reported) = sender.next().await? else {
                return Err("the process ended in its last reconciliation".into());
            };
            asked.remove(&reported.0);
            self.note(desk, reported);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_handed_out_once_and_recovered_until_it_is_reported() {
        let counts = Counts::default();
        let mut desk = Desk::new(100);
        assert_eq!(desk.hand_out().lines().count(), AT_ONCE);
        assert_eq!(desk.hand_out(), "");
        desk.note(3, OrderResult::InDoubt, &counts);
        assert_eq!(desk.hand_out(), "place 64\n");
        assert!(!desk.outstanding.contains(&3) && desk.outstanding.contains(&4));
        for number in 0..64 {
            desk.note(number, OrderResult::Executed, &counts);
        }
        desk.hand_out();
        assert!(!desk.is_done());
        for number in 64..100 {
            desk.note(number, OrderResult::InDoubt, &counts);
        }
        assert!(desk.is_done());
        assert_eq!(desk.reported, 100);
        // The last word counts.
        assert_eq!(desk.results[3], Some(OrderResult::Executed));
        assert_eq!(desk.in_doubt(), (64..100).collect());
    }
}
