//! A budget, shared by all calls that are paid from it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_core::{Clock, EventKind, EventSource, InstanceName, Reason, Rejection};

use super::account::{Account, Short};
use super::config::SpendConfig;
use super::counts::SpendCounters;
use super::money::Money;

/// Money for calls, per hour, day and month.
///
/// A clone is the same budget. Several layers, and several clients, can share one.
///
/// ```
/// use seawall_ai::spend::{Money, SpendBudget, SpendConfig};
///
/// let config = SpendConfig::builder().per_day(Money::whole(50)).build()?;
/// let team = SpendBudget::new("research", config);
/// assert_eq!(team.handle().snapshot().periods[0].left, Money::whole(50));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct SpendBudget {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// In the order of their making: the order in which several are locked.
    id: u64,
    pub(super) events: EventSource,
    pub(super) counters: SpendCounters,
    pub(super) shadow: AtomicBool,
    account: Mutex<Account>,
    clock: Clock,
    /// The wall clock when the running clock showed zero, in nanoseconds after 1970.
    wall: Mutex<i128>,
}

static IDS: AtomicU64 = AtomicU64::new(0);

impl SpendBudget {
    /// A budget of which nothing is spent. `name` is in its rejections, events and metrics.
    pub fn new(name: impl Into<InstanceName>, config: SpendConfig) -> Self {
        let clock = Clock::start();
        let wall = unix_ns(SystemTime::now()).saturating_sub(clock.now().into());
        let shadow = AtomicBool::new(config.shadow());
        let account = Account::new(config, wall.saturating_add(clock.now().into()));
        Self {
            shared: Arc::new(Shared {
                id: IDS.fetch_add(1, Ordering::Relaxed),
                events: EventSource::new("spend", name),
                counters: SpendCounters::default(),
                shadow,
                account: Mutex::new(account),
                clock,
                wall: Mutex::new(wall),
            }),
        }
    }
}

fn unix_ns(time: SystemTime) -> i128 {
    let ns = |of: Duration| i128::try_from(of.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => ns(since),
        Err(before) => -ns(before.duration()),
    }
}

impl Shared {
    /// Now by the wall clock, in nanoseconds after 1970.
    pub(super) fn now(&self) -> i128 {
        let wall = *self.wall.lock().unwrap_or_else(PoisonError::into_inner);
        wall.saturating_add(self.clock.now().into())
    }

    pub(super) fn set_wall_clock(&self, time: SystemTime) {
        // The account first, as everywhere.
        let mut account = self.account();
        let mut wall = self.wall.lock().unwrap_or_else(PoisonError::into_inner);
        *wall = unix_ns(time).saturating_sub(self.clock.now().into());
        account.set_clock(unix_ns(time));
    }

    /// The account, in the periods of now.
    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.advance(self.now());
        account
    }

    fn rejection(&self, amount: Money, short: Short) -> Rejection {
        match short {
            Short::Never { limit } => {
                let rejection = self.events.rejection(Reason::TooExpensive);
                rejection.with_cost(amount.hundredths(), limit.hundredths())
            }
            Short::Held => self.events.rejection(Reason::QuotaExhausted),
            Short::Until { unix_ns } => {
                let wait = unix_ns.saturating_sub(self.now()).max(0);
                let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
                let rejection = self.events.rejection(Reason::QuotaExhausted);
                rejection.with_retry_after(wait)
            }
        }
    }
}

/// The budgets that pay for one call, each once, in the order in which they are locked.
#[derive(Clone)]
pub(super) struct Budgets(Arc<[SpendBudget]>);

impl Budgets {
    pub(super) fn new(mut budgets: Vec<SpendBudget>) -> Self {
        budgets.sort_by_key(|budget| budget.shared.id);
        budgets.dedup_by_key(|budget| budget.shared.id);
        Self(budgets.into())
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Shared> {
        self.0.iter().map(|budget| &*budget.shared)
    }

    /// Reserves so much from all of them, or from none.
    pub(super) fn reserve(&self, amount: Money) -> Result<(), Rejection> {
        let mut shadowed = Vec::new();
        let rejected = {
            let mut accounts: Vec<_> = self.each().map(|of| (of, of.account())).collect();
            let short = accounts.iter().find_map(|(of, account)| {
                let rejection = of.rejection(amount, account.check(amount).err()?);
                if !of.shadow.load(Ordering::Relaxed) {
                    return Some((*of, rejection));
                }
                shadowed.push((*of, rejection));
                None
            });
            if short.is_none() {
                for (_, account) in &mut accounts {
                    account.reserve(amount);
                }
            }
            short
        };
        if let Some((of, rejection)) = rejected {
            of.counters.rejected.add();
            of.events.emit_call(|| EventKind::Rejected(rejection));
            return Err(rejection);
        }
        for (of, rejection) in shadowed {
            of.counters.shadowed.add();
            of.events.emit_call(|| EventKind::Shadowed(rejection));
        }
        Ok(())
    }

    pub(super) fn settle(&self, reserved: Money, cost: Money) {
        for budget in self.each() {
            budget.account().settle(reserved, cost);
            if cost > reserved {
                budget.counters.overruns.add();
            }
        }
    }
}

seawall_core::impl_debug!(SpendBudget: |this| name = this.shared.events.name());
