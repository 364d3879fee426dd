//! What every service, layer and handle of one instance shares.

use std::time::SystemTime;

use seawall_core::striped::{Anchor, Local, Shared, Stripes};
use seawall_core::{
    Clock, EventKind, EventSource, InstanceName, PartitionKey, QuotaSignal, ReadFor, Scope,
    SharedReadings, Unit,
};

use crate::bounds::Applied;
use crate::config::RateLimitConfig;
use crate::costs::{Costs, Granted};
use crate::counts::{Counters, applied};
use crate::keyed::KeyedRateLimitConfig;
use crate::keyed::keys::Keys;
use crate::limit::Limit;
use crate::limiter::Limiter;
use crate::meter::WallClock;
use crate::watch::Watch;

pub(crate) type SharedState = Shared<State, Counters>;
pub(crate) type StateAnchor = Anchor<State, Counters>;
pub(crate) type LocalState = Local<State, Counters>;

/// What every service, layer and handle of one instance shares.
#[derive(Debug)]
pub(crate) struct State {
    /// The limits of all calls; none in a layer with keys.
    pub(crate) limiter: Limiter,
    pub(crate) clock: Clock,
    pub(crate) events: EventSource,
    /// The limits of each key, in a layer with keys.
    pub(crate) keys: Option<Keys>,
    /// The instance whose limits its keys share, with other instances too.
    pub(crate) account: Option<SharedState>,
    pub(crate) watch: Watch,
}

impl State {
    pub(crate) fn new(name: impl Into<InstanceName>, config: RateLimitConfig) -> SharedState {
        let clock = Clock::start();
        let now = clock.now();
        let wall = WallClock::now(now);
        let is_needed = config.limits().iter().any(Limit::is_by_wall_clock);
        share(Self {
            watch: Watch::new(now, wall, is_needed),
            limiter: Limiter::new(config, now, wall).reserved(),
            clock,
            events: EventSource::new("ratelimit", name),
            keys: None,
            account: None,
        })
    }

    pub(crate) fn with_keys(
        name: impl Into<InstanceName>,
        config: KeyedRateLimitConfig,
        account: Option<SharedState>,
    ) -> SharedState {
        // Of the account, if there is one: times of one are compared with those of the other.
        let clock = match &account {
            Some(account) => account.common().clock,
            None => Clock::start(),
        };
        let now = clock.now();
        let wall = WallClock::now(now);
        share(Self {
            limiter: Limiter::new(RateLimitConfig::unlimited(), now, wall),
            clock,
            events: EventSource::new("ratelimit_per_key", name),
            keys: Some(Keys::new(config, account.is_some(), wall)),
            account,
            // Keys of any kind may come.
            watch: Watch::new(now, wall, true),
        })
    }

    /// The limiter of the account that the keys are within, if there is one.
    pub(crate) fn account(&self) -> Option<&Limiter> {
        let account = self.account.as_ref()?;
        Some(&account.common().limiter)
    }

    /// Looks after the wall clock and files, once per second.
    #[inline]
    pub(crate) fn watch(&self, now_ns: u64, counters: &Counters) {
        if self.watch.is_due(now_ns) {
            SharedReadings::apart(|| self.look(counters));
        }
        if let Some(account) = &self.account {
            let (state, counters) = (account.common(), account.here());
            if state.watch.is_due(now_ns) {
                SharedReadings::apart(|| state.look(counters));
            }
        }
    }

    #[cold]
    fn look(&self, counters: &Counters) {
        let news = self.watch.look(&self.clock, self.limiter.write_errors());
        if let Some(wall) = news.wall {
            self.apply_wall_clock(wall);
        }
        if let Some(jump) = news.jump {
            counters.clock_jumps.add();
            self.events.emit(|| jump);
        }
        if news.write_errors > 0 {
            counters.files_not_written.add_n(news.write_errors);
            self.events.emit(|| EventKind::FileNotWritten);
        }
    }

    /// Sets the time for limits that count by the wall clock, which is not read any more.
    pub(crate) fn set_wall_clock(&self, time: SystemTime) {
        let wall = WallClock::at(self.clock.now(), time);
        self.watch.set_wall_clock(wall);
        self.apply_wall_clock(wall);
    }

    /// The clock of the system counts again.
    pub(crate) fn follow_system_clock(&self) {
        self.watch.follow_system();
    }

    fn apply_wall_clock(&self, wall: WallClock) {
        let now = self.clock.now();
        self.limiter.set_wall_clock(now, wall);
        if let Some(keys) = &self.keys {
            keys.set_wall_clock(now, wall);
        }
    }

    /// A call that departs now, of which `cost` is the cost per unit.
    pub(crate) fn departed(
        &self,
        key: PartitionKey,
        mut cost: impl FnMut(Unit) -> u32,
    ) -> Departed {
        // The time for which its tokens were taken, where that was just now.
        let at_ns = self.clock.shared_now(ReadFor::Departure);
        let of_all = self.account().unwrap_or(&self.limiter);
        let all = Costs::of(of_all.units().iter().copied(), &mut cost);
        let own = self.keys.as_ref().map(|keys| Granted {
            costs: keys.costs_of(key, cost),
            at_ns,
        });
        let all = Granted { costs: all, at_ns };
        Departed { key, all, own }
    }

    /// Applies what the result of a call has reported.
    pub(crate) fn apply_signal(
        &self,
        counters: &Counters,
        now_ns: u64,
        signal: QuotaSignal,
        departed: &Departed,
    ) {
        let Departed { key, all, own } = *departed;
        match &self.keys {
            Some(keys) => self.apply_to_key(counters, keys, key, now_ns, signal, own, Some(all)),
            None => self.apply_to_all(counters, now_ns, signal, Some(all)),
        }
    }

    /// Applies what the upstream has reported to the limits of all calls.
    pub(crate) fn apply_to_all(
        &self,
        counters: &Counters,
        now_ns: u64,
        signal: QuotaSignal,
        all: Option<Granted>,
    ) {
        let result = self.limiter.apply_signal(now_ns, signal, all);
        applied(&self.events, counters, result);
    }

    /// Applies what the upstream has reported about a key.
    #[allow(clippy::too_many_arguments, reason = "of one call each")]
    pub(crate) fn apply_to_key(
        &self,
        counters: &Counters,
        keys: &Keys,
        key: PartitionKey,
        now_ns: u64,
        signal: QuotaSignal,
        own: Option<Granted>,
        all: Option<Granted>,
    ) {
        let account = self.account();
        let result = match signal {
            QuotaSignal::Pause { scope, .. } | QuotaSignal::Ban { scope, .. }
                if scope != Scope::Endpoint =>
            {
                match account {
                    Some(account) => account.apply_signal(now_ns, signal, all),
                    None => keys.pause_for_upstream(key, now_ns, signal),
                }
            }
            QuotaSignal::Used { unit, amount } => {
                let nothing = Granted::nothing(now_ns);
                let (own, all) = (own.unwrap_or(nothing), all.unwrap_or(nothing));
                self.correct_key(keys, key, now_ns, own, all, &[(unit, amount)])
            }
            // The state of a limit may be that of the key or of the account, so it goes to the key, if
            // that has a limit of the unit.
            _ => {
                let own = keys.limiter(key, now_ns).apply_signal(now_ns, signal, own);
                match account {
                    Some(account) if own.unplaced => account.apply_signal(now_ns, signal, all),
                    _ => own,
                }
            }
        };
        applied(&self.events, counters, result);
    }

    /// Replaces the estimates of a call by what it really used.
    pub(crate) fn correct_usage(
        &self,
        counters: &Counters,
        departed: &Departed,
        used: &[(Unit, u64)],
    ) {
        let now = self.clock.now();
        let Departed { key, all, own } = *departed;
        let result = match (&self.keys, own) {
            (Some(keys), Some(own)) => self.correct_key(keys, key, now, own, all, used),
            _ => self.limiter.correct_usage(now, all, used),
        };
        applied(&self.events, counters, result);
    }

    /// Usage counts at the key and at the account.
    fn correct_key(
        &self,
        keys: &Keys,
        key: PartitionKey,
        now_ns: u64,
        own: Granted,
        all: Granted,
        used: &[(Unit, u64)],
    ) -> Applied {
        let own = keys.correct_usage(key, now_ns, own, used);
        let account = self.account();
        let account = account.map(|account| account.correct_usage(now_ns, all, used));
        own.and(account.unwrap_or_default())
    }
}

fn share(state: State) -> SharedState {
    Shared::new(state, Stripes::auto(), Counters::default)
}

/// A call in flight: whose tokens it was granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departed {
    key: PartitionKey,
    /// Of the limits of all calls, or of the account.
    all: Granted,
    /// Of the limits of its key, in a layer with keys.
    own: Option<Granted>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use seawall_core::Events;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A limit whose wall clock was set back by an hour since it was made.
    fn set_back() -> SharedState {
        let clock = Clock::start();
        let now = clock.now();
        let wall = WallClock::at(now, SystemTime::now() + HOUR);
        let config = RateLimitConfig::builder().limit(Limit::window(5, HOUR));
        let config = config.build().expect("valid");
        share(State {
            watch: Watch::new(now, wall, true),
            limiter: Limiter::new(config, now, wall).reserved(),
            clock,
            events: EventSource::new("ratelimit", "set_back"),
            keys: None,
            account: None,
        })
    }

    #[test]
    fn a_clock_that_was_set_is_counted_and_emitted_once() {
        let events = Events::default();
        let emitted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&emitted);
        let listener = events.listen(move |event| {
            let EventKind::ClockJumped { by, back: true } = event.kind else {
                panic!("{event:?}");
            };
            assert!(by.abs_diff(HOUR) < Duration::from_secs(1), "{by:?}");
            count.fetch_add(1, Ordering::Relaxed);
        });
        // Again where the thread was preempted between two readings.
        for _ in 0..100 {
            let shared = set_back();
            let (state, counters) = (shared.common(), shared.here());
            state.events.attach(&events);
            state.watch(state.clock.now(), counters);
            let counted = counters.clock_jumps.get();
            assert_eq!(counted, emitted.load(Ordering::Relaxed), "both or neither");
            if counted == 1 {
                state.watch(state.clock.now(), counters);
                assert_eq!(counters.clock_jumps.get(), 1);
                assert_eq!(emitted.load(Ordering::Relaxed), 1);
                assert_eq!(events.listener_panics(), 0);
                drop(listener);
                return;
            }
        }
        panic!("no jump was seen");
    }
}
