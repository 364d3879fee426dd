//! The process that sends orders, and is killed.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::time::sleep;

use crate::contender::{Contender, Name, OrderResult};
use crate::guarded::Guarded;
use crate::plain::{NoRetry, PlainRetry};
use crate::plan::{Order, Plan};
use crate::resilience::TowerResilience;
use crate::wire::{Setup, Task};

type Lines = tokio::io::Lines<BufReader<tokio::io::Stdin>>;

/// Works until its input ends.
pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(stdin()).lines();
    let first = lines.next_line().await?.ok_or("no first line")?;
    let setup: Setup = serde_json::from_str(&first)?;
    let (plan, urls) = (setup.plan, setup.urls);
    match setup.contender {
        Name::Seawall => {
            let guarded = Guarded::open(urls, &setup.directory).await?;
            serve(guarded, plan, lines).await
        }
        Name::PlainRetry => serve(PlainRetry::new(urls), plan, lines).await,
        Name::NoRetry => serve(NoRetry::new(urls), plan, lines).await,
        Name::TowerResilience => serve(TowerResilience::new(urls), plan, lines).await,
    }
}

async fn serve<C: Contender>(
    contender: C,
    plan: Plan,
    mut lines: Lines,
) -> Result<(), Box<dyn Error>> {
    let contender = Arc::new(contender);
    while let Some(line) = lines.next_line().await? {
        let task = Task::read(&line).ok_or_else(|| format!("{line:?} is no task"))?;
        tokio::spawn(work(Arc::clone(&contender), plan, task));
    }
    Ok(())
}

async fn work<C: Contender>(contender: Arc<C>, plan: Plan, task: Task) {
    let (number, result) = match task {
        Task::Place(number) => {
            let order = plan.order(number);
            if let Some(after) = order.cancel_after {
                tokio::spawn(cancel(Arc::clone(&contender), order.clone(), after));
            }
            (number, contender.place(&order).await)
        }
        Task::Recover(number) => (number, contender.recover(&plan.order(number)).await),
        Task::Settle(number) => (number, contender.settle(&plan.order(number)).await),
    };
    report(number, result);
}

async fn cancel<C: Contender>(contender: Arc<C>, order: Order, after: Duration) {
    sleep(after).await;
    contender.cancel(&order).await;
}

fn report(number: u32, result: OrderResult) {
    let mut out = std::io::stdout().lock();
    // A reader that is gone has no use for it.
    let _ = out
        .write_all(result.line(number).as_bytes())
        .and_then(|()| out.flush());
}
