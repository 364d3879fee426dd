//! Modes and guards in one object.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::admission::{Admission, OrderRejection};
use super::hooks::Hooks;
use super::snapshot::TradingSnapshot;
use crate::broker::OrderRequest;
use crate::protocol::{
    Caps, Conditions, Decimal, GuardedOrder, Guards, ModeChange, ModePolicy, ModeRequest,
    Operation, TradingMode, TradingModes,
};

/// What lies before the moment from which the caller counts: orders of an earlier process.
const BEFORE: Duration = Duration::from_secs(1 << 32);

type Listener = Box<dyn Fn(ModeChange) + Send + Sync>;

struct State {
    conditions: Conditions,
    modes: TradingModes,
    guards: Guards,
}

/// Admits order requests by the trading mode and by caps; the layer and its handle share it.
///
/// `now` is a duration since any moment that stays the same for the life of the process, the wall day
/// what [`wall_day`](Self::wall_day) says. One lock is taken for each call; closures and the listener are
/// called outside of it.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::Operation;
/// use seawall_orders::broker::OrderRequest;
/// use seawall_orders::protocol::{Caps, Decimal, Side, TradingMode};
/// use seawall_orders::safety::TradingControl;
///
/// let caps = Caps::builder()
///     .orders_per_minute(100)
///     .notional_per_order(Decimal::from(25_000))
///     .build()?;
/// let control = TradingControl::builder().caps(caps).build();
///
/// let mut order = OrderRequest::default();
/// order.symbol = Some("AAPL".into());
/// order.side = Some(Side::Buy);
/// order.quantity = Some(Decimal::from(100));
/// order.price = Some(Decimal::from(280));
/// let (now, day) = (Duration::ZERO, 20_787);
/// let rejected = control.admit(now, day, &order, Operation::Create, false).unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "the order is worth 28000 of at most 25000; nothing was sent",
/// );
///
/// control.set_mode(Some(TradingMode::CancelOnly));
/// order.quantity = Some(Decimal::from(1));
/// assert!(control.admit(now, day, &order, Operation::Create, false).is_err());
/// assert!(control.admit(now, day, &order, Operation::Cancel, false).is_ok());
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
pub struct TradingControl {
    state: Mutex<State>,
    hooks: Hooks,
    listener: OnceLock<Listener>,
}

impl TradingControl {
    pub(super) fn new(policy: ModePolicy, caps: Caps, hooks: Hooks) -> Self {
        let conditions = hooks.pull().put(Conditions::default());
        Self {
            state: Mutex::new(State {
                conditions,
                modes: TradingModes::new(policy, conditions),
                guards: Guards::new(caps),
            }),
            hooks,
            listener: OnceLock::new(),
        }
    }

    /// Calls `listener` for each change of the mode from now on, outside of the lock; `false` where there is
    /// one already. A change is an [`EventKind`](seawall_core::EventKind) as well.
    pub fn listen(&self, listener: impl Fn(ModeChange) + Send + Sync + 'static) -> bool {
        self.listener.set(Box::new(listener)).is_ok()
    }

    /// Admits an order request, or rejects it. To be called before anything is written to the journal.
    ///
    /// A cancel is always admitted. A replace counts as one more order, with its whole value, and is not
    /// compared with others. `intended_again` marks an order that is meant to look like an earlier one.
    ///
    /// # Errors
    ///
    /// [`OrderRejection`]: the request must not leave, and is not counted.
    pub fn admit(
        &self,
        now: Duration,
        wall_day: u64,
        order: &OrderRequest,
        operation: Operation,
        intended_again: bool,
    ) -> Result<Admission, OrderRejection> {
        let Some((request, guarded)) = self.guarded(order, operation, intended_again) else {
            return Ok(Admission { counted: None });
        };
        let pulled = self.hooks.pull();
        self.change(|state| {
            state.conditions = pulled.put(state.conditions);
            let change = state.modes.update(state.conditions);
            let admit = || {
                state.modes.admit(request)?;
                let admitted = state.guards.admit(moment(now), wall_day, guarded)?;
                Ok(Admission {
                    counted: Some(admitted),
                })
            };
            (change, { admit }())
        })
    }

    /// Takes back what was counted for an order that was certainly not executed.
    pub fn give_back(&self, admission: Admission) {
        if let Some(admitted) = admission.counted {
            self.lock().guards.give_back(&admitted);
        }
    }

    /// Counts an order of an earlier process that may have been executed, made at a moment of the calendar:
    /// to be called at start, for each entry of the journal of the last day. `wall` is now.
    ///
    /// Entries that are known not to have been executed are left out; of one that is looked up later, keep
    /// the admission and [give it back](Self::give_back). An entry of the future, which a clock that was
    /// set back makes, counts as of now.
    pub fn restore(
        &self,
        now: Duration,
        wall: SystemTime,
        order: &OrderRequest,
        operation: Operation,
        at: SystemTime,
    ) -> Admission {
        let Some((_, guarded)) = self.guarded(order, operation, false) else {
            return Admission { counted: None };
        };
        let at = at.min(wall);
        let age = wall.duration_since(at).unwrap_or_default();
        let day = self.wall_day(at);
        let mut state = self.lock();
        Admission {
            counted: Some(state.guards.restore(moment(now), age, day, guarded)),
        }
    }

    /// The number of the account's day at a moment of the calendar.
    pub fn wall_day(&self, at: SystemTime) -> u64 {
        (self.hooks.day)(at)
    }

    /// Whether a person has stopped a request that was admitted before: by the kill switch, or by a mode.
    /// Asked when it is about to leave. The modes that follow from conditions hold back new requests alone.
    pub fn holds_back(&self, order: &OrderRequest, operation: Operation) -> bool {
        if operation == Operation::Cancel {
            return false;
        }
        if (self.hooks.kill_switch)() {
            return true;
        }
        let manual = self.lock().conditions.manual;
        match manual {
            None | Some(TradingMode::Normal) => false,
            Some(TradingMode::ReduceOnly) => !(self.hooks.reduces)(order),
            Some(TradingMode::CancelOnly | TradingMode::Halted) => true,
        }
    }

    /// Asks the closures, and returns the mode. To be called periodically, so that the mode changes while
    /// no order comes.
    pub fn refresh(&self) -> TradingMode {
        let pulled = self.hooks.pull();
        self.update(|conditions| pulled.put(conditions));
        self.mode()
    }

    /// Sets how many intents are in doubt.
    pub fn set_in_doubt(&self, intents: u32) {
        self.update(|conditions| conditions.in_doubt(intents));
    }

    /// Sets how many intents are exhausted.
    pub fn set_exhausted(&self, intents: u32) {
        self.update(|conditions| conditions.exhausted(intents));
    }

    /// Sets how many intents of an earlier process are not reconciled.
    pub fn set_starting(&self, intents: u32) {
        self.update(|conditions| conditions.starting(intents));
    }

    /// Sets whether the last write to the journal failed.
    pub fn set_journal_failed(&self, failed: bool) {
        self.update(|conditions| conditions.journal_failed(failed));
    }

    /// Sets the mode that a person wants at least; `None` leaves it to the conditions.
    pub fn set_mode(&self, mode: Option<TradingMode>) {
        self.update(|mut conditions| {
            conditions.manual = mode;
            conditions
        });
    }

    /// Takes the end of a query to the broker: clean if it succeeded and agrees with our own view.
    pub fn queried(&self, clean: bool) {
        self.change(|state| (state.modes.queried(clean), ()));
    }

    /// Takes the mode that the conditions ask for, without clean queries: for a person that has looked.
    pub fn reset(&self) {
        self.change(|state| (state.modes.reset(state.conditions), ()));
    }

    /// Sets another policy and other caps. What was counted stays.
    pub fn configure(&self, policy: ModePolicy, caps: Caps) {
        self.change(|state| {
            state.guards.set_caps(caps);
            (state.modes.set_policy(policy, state.conditions), ())
        });
    }

    /// The mode.
    pub fn mode(&self) -> TradingMode {
        self.lock().modes.mode()
    }

    /// Whether the kill switch is engaged, as it was last asked.
    pub fn is_kill_switch_engaged(&self) -> bool {
        self.lock().conditions.kill_switch
    }

    /// Whether queries have to succeed before the mode gets better.
    pub fn is_validating(&self) -> bool {
        self.lock().modes.is_validating()
    }

    /// Everything that is known at this moment.
    pub fn snapshot(&self, now: Duration) -> TradingSnapshot {
        let state = self.lock();
        TradingSnapshot {
            mode: state.modes.mode(),
            cause: state.modes.cause(),
            target: state.modes.target(),
            conditions: state.conditions,
            policy: state.modes.policy(),
            caps: state.guards.caps(),
            used: state.guards.used(moment(now)),
        }
    }

    /// What the mode and the guards have to know of a request; `None` for a cancel.
    fn guarded<'a>(
        &self,
        order: &'a OrderRequest,
        operation: Operation,
        intended_again: bool,
    ) -> Option<(ModeRequest, GuardedOrder<'a>)> {
        if operation == Operation::Cancel {
            return None;
        }
        let reduces = (self.hooks.reduces)(order);
        // What can only make a position smaller is not held back since its value is not known.
        let unknown = reduces.then_some(Decimal::ZERO);
        let creates = operation == Operation::Create;
        let guarded = GuardedOrder {
            symbol: order.symbol.as_deref(),
            side: order.side.filter(|_| creates),
            // An order by value has no quantity.
            quantity: order.quantity.or(order.notional),
            notional: (self.hooks.notional)(order).or(unknown),
            intended_again,
        };
        let request = if reduces {
            ModeRequest::Reduce
        } else {
            ModeRequest::Open
        };
        Some((request, guarded))
    }

    fn update(&self, change: impl FnOnce(Conditions) -> Conditions) {
        self.change(|state| {
            state.conditions = change(state.conditions);
            (state.modes.update(state.conditions), ())
        });
    }

    /// Changes the state, and reports a change of the mode outside of the lock.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> (Option<ModeChange>, T)) -> T {
        let (changed, result) = change(&mut self.lock());
        if let (Some(changed), Some(listener)) = (changed, self.listener.get()) {
            listener(changed);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn moment(now: Duration) -> Duration {
    BEFORE.saturating_add(now)
}

seawall_core::impl_debug!(TradingControl: |this|
    mode = this.mode(),
    validating = this.is_validating(),
);
