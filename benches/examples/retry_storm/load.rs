//! The same load for every client.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::BoxError;
use crate::clients::Client;
use crate::upstream::{END, OUTAGE, Upstream};

/// How many clients call once per second.
const MANY: u64 = 200;

/// How one library fared.
pub(crate) struct Fared {
    pub(crate) name: &'static str,
    /// Requests that the upstream saw, by second.
    pub(crate) per_second: Vec<u32>,
    /// Calls that were made while the upstream was well, and how many of them succeeded.
    well: u32,
    answered: u32,
}

impl Fared {
    pub(crate) fn sent(&self) -> u32 {
        self.per_second.iter().sum()
    }

    fn in_outage(&self) -> impl Iterator<Item = u32> + '_ {
        let all = self.per_second.iter().copied();
        all.skip(OUTAGE.start as usize)
            .take((OUTAGE.end - OUTAGE.start) as usize)
    }

    pub(crate) fn sent_in_outage(&self) -> u32 {
        self.in_outage().sum()
    }

    pub(crate) fn per_call_in_outage(&self) -> f64 {
        let calls = MANY * (OUTAGE.end - OUTAGE.start);
        f64::from(self.sent_in_outage()) / calls as f64
    }

    pub(crate) fn peak_in_outage(&self) -> u32 {
        self.in_outage().max().unwrap_or_default()
    }

    /// The share of calls that succeeded, of those that were made while the upstream was well.
    pub(crate) fn success(&self) -> f64 {
        f64::from(self.answered) / f64::from(self.well)
    }
}

pub(crate) async fn run(client: &'static Client) -> Result<Fared, BoxError> {
    let zero = Instant::now();
    let upstream = Upstream::start(zero);
    let call = (client.make)(upstream.clone())?;
    let mut calls = JoinSet::new();
    for second in 0..END {
        for n in 0..MANY {
            // Spread over the second.
            let at = Duration::from_secs(second) + Duration::from_secs(1) * n as u32 / MANY as u32;
            let call = Arc::clone(&call);
            calls.spawn(async move {
                sleep_until(zero + at).await;
                (OUTAGE.contains(&second), call(second * MANY + n).await)
            });
        }
    }
    let (mut well, mut answered) = (0, 0);
    while let Some(done) = calls.join_next().await {
        let (in_outage, success) = done?;
        if !in_outage {
            well += 1;
            answered += u32::from(success);
        }
    }
    Ok(Fared {
        name: client.name,
        per_second: upstream.per_second(),
        well,
        answered,
    })
}
