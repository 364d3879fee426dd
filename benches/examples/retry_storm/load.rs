//! The same load for every library.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::BoxError;
use crate::clients::{Run, Subject};
use crate::upstream::{END, Excess, OUTAGE, Upstream};

/// The load goes on beyond what is measured, so that the last calls fare like those before.
const BEYOND: u64 = 10;
/// The calls of a second that may fail when all is normal: so many, or 5 % of them if that is more.
/// Accidents alone are 1 %.
const FEW: u32 = 10;

pub(crate) const BEFORE: Range<u64> = 0..OUTAGE.start;
pub(crate) const AFTER: Range<u64> = OUTAGE.end..END;

/// How one library score in one run, by second.
pub(crate) struct Score {
    /// Requests that the upstream saw.
    pub(crate) sent: Vec<u32>,
    /// Calls begun in that second that succeeded in the end.
    pub(crate) succeeded: Vec<u32>,
    clients: u32,
}

impl Score {
    pub(crate) fn sent_in(&self, seconds: Range<u64>) -> u64 {
        total(&self.sent, seconds)
    }

    pub(crate) fn succeeded_in(&self, seconds: Range<u64>) -> u64 {
        total(&self.succeeded, seconds)
    }

    /// The most requests in one second of the outage.
    pub(crate) fn peak(&self) -> u64 {
        let seconds = OUTAGE.start as usize..OUTAGE.end as usize;
        let most = self.sent[seconds].iter().max();
        u64::from(most.copied().unwrap_or_default())
    }

    /// Seconds from the end of the outage until every later second was normal; none if the last
    /// was not.
    pub(crate) fn normal_after(&self) -> Option<u64> {
        let enough = self.clients - FEW.max(self.clients / 20);
        let normal = |second: &u64| self.succeeded[*second as usize] >= enough;
        let bad = AFTER.rev().find(|second| !normal(second));
        match bad {
            None => Some(0),
            Some(last) => (last + 1 < END).then(|| last + 1 - OUTAGE.end),
        }
    }
}

fn total(per_second: &[u32], seconds: Range<u64>) -> u64 {
    let seconds = seconds.start as usize..seconds.end as usize;
    per_second[seconds].iter().copied().map(u64::from).sum()
}

pub(crate) async fn run(
    subject: &Subject,
    excess: Excess,
    clients: u32,
    seed: u64,
) -> Result<Score, BoxError> {
    let zero = Instant::now();
    let run = Run {
        upstream: Upstream::start(excess, clients, seed),
        clients,
        seed,
    };
    let services = (subject.make)(&run)?;
    let mut calls = JoinSet::new();
    for second in 0..END + BEYOND {
        for client in 0..clients {
            // Spread over the second.
            let at = Duration::from_secs(second) + Duration::from_secs(1) * client / clients;
            let call = Arc::clone(&services[client as usize % services.len()]);
            calls.spawn(async move {
                sleep_until(zero + at).await;
                let number = second * u64::from(clients) + u64::from(client);
                (second, call(number).await)
            });
        }
    }
    let mut succeeded = vec![0; (END + BEYOND) as usize];
    while let Some(done) = calls.join_next().await {
        let (second, success) = done?;
        succeeded[second as usize] += u32::from(success);
    }
    let mut sent = run.upstream.per_second();
    // Nothing may have come in the last seconds.
    sent.resize(succeeded.len().max(sent.len()), 0);
    Ok(Score {
        sent,
        succeeded,
        clients,
    })
}
