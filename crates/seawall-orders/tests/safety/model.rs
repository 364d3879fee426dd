//! Any sequence of orders, conditions and commands, beside a list of all that was admitted.

use proptest::prelude::*;
use seawall_orders::Operation;
use seawall_orders::broker::OrderRequest;
use seawall_orders::protocol::{
    Caps, Decimal, GuardRejection, ModePolicy, ModeRejection, Side, TradingMode,
};
use seawall_orders::safety::{Admission, OrderRejection, TradingControl};

use super::{at, buy};

const SYMBOLS: [&str; 3] = ["AAPL", "MSFT", "TSLA"];
const WITHIN: u64 = 20;
const CLEAN: u32 = 2;

#[derive(Clone, Debug)]
enum Step {
    Order {
        symbol: usize,
        sells: bool,
        quantity: u32,
        price: u32,
        reduces: bool,
        replaces: bool,
        again: bool,
    },
    GiveBack(prop::sample::Index),
    Wait(u64),
    NextDay,
    /// Caps for each minute, day, symbol and minute, symbol and day, and on the value of a day.
    Caps([Option<u32>; 5]),
    InDoubt(u32),
    Exhausted(bool),
    JournalFailed(bool),
    Manual(Option<TradingMode>),
    Queried(bool),
}

fn cap() -> impl Strategy<Value = Option<u32>> {
    prop::option::of(1..8_u32)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = (0..3_usize, 1..4_u32, 1..40_u32, any::<[bool; 4]>()).prop_map(
        |(symbol, quantity, price, [sells, reduces, replaces, again])| Step::Order {
            symbol,
            sells,
            quantity,
            price,
            reduces,
            // Most orders are new ones, and not meant to look like earlier ones.
            replaces: replaces && sells,
            again: again && reduces,
        },
    );
    let mode = prop::sample::select(vec![TradingMode::ReduceOnly, TradingMode::CancelOnly]);
    let caps = (cap(), cap(), cap(), cap(), prop::option::of(50..300_u32))
        .prop_map(|(a, b, c, d, value)| Step::Caps([a, b, c, d, value]));
    let step = prop_oneof![
        20 => order,
        3 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        8 => (0..30_u64).prop_map(Step::Wait),
        1 => Just(Step::NextDay),
        2 => caps,
        1 => (0..8_u32).prop_map(Step::InDoubt),
        1 => any::<bool>().prop_map(Step::Exhausted),
        1 => any::<bool>().prop_map(Step::JournalFailed),
        1 => prop::option::of(mode).prop_map(Step::Manual),
        6 => prop::bool::weighted(0.9).prop_map(Step::Queried),
    ];
    prop::collection::vec(step, 1..120)
}

/// An order that was admitted.
struct Left {
    at: u64,
    day: u64,
    symbol: usize,
    key: Option<(usize, bool, u32)>,
    value: u32,
    given_back: bool,
    admission: Option<Admission>,
}

#[derive(Default)]
struct Model {
    now: u64,
    day: u64,
    caps: [Option<u32>; 5],
    left: Vec<Left>,
    in_doubt: u32,
    exhausted: bool,
    journal_failed: bool,
    manual: Option<TradingMode>,
    severity: u8,
    clean: u32,
}

fn severity(mode: TradingMode) -> u8 {
    match mode {
        TradingMode::Normal => 0,
        TradingMode::ReduceOnly => 1,
        TradingMode::CancelOnly => 2,
        _ => 3,
    }
}

impl Model {
    fn target(&self) -> u8 {
        let manual = self.manual.map_or(0, severity);
        let doubt = u8::from(self.in_doubt >= 5);
        let exhausted = u8::from(self.exhausted);
        let journal = 3 * u8::from(self.journal_failed);
        manual.max(doubt).max(exhausted).max(journal)
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.target();
        change(self);
        if self.target() > before {
            self.clean = 0;
        }
        self.settle();
    }

    fn settle(&mut self) {
        if self.target() >= self.severity || self.clean >= CLEAN {
            self.severity = self.target();
            self.clean = 0;
        }
    }

    fn count(&self, holds: impl Fn(&&Left) -> bool) -> u32 {
        let counted = self.left.iter().filter(|left| !left.given_back);
        counted.filter(holds).count() as u32
    }

    /// Which guard rejects an order; of a duplicate, whether it must be one.
    fn guard(
        &self,
        symbol: usize,
        value: u32,
        key: Option<(usize, bool, u32)>,
        again: bool,
    ) -> &'static str {
        let [minute, day, symbol_minute, symbol_day, worth] = self.caps;
        let is_recent = |left: &&Left| self.now - left.at < 60;
        let is_today = |left: &&Left| left.day == self.day;
        let of_symbol = |left: &&Left| left.symbol == symbol;
        let today = self
            .left
            .iter()
            .filter(|left| !left.given_back && is_today(left));
        let sum: u32 = today.map(|left| left.value).sum();
        let full = |cap: Option<u32>, used: u32| cap.is_some_and(|cap| used >= cap);
        if worth.is_some_and(|cap| sum + value > cap) {
            "notional"
        } else if full(minute, self.count(is_recent)) {
            "minute"
        } else if full(day, self.count(is_today)) {
            "day"
        } else if full(
            symbol_minute,
            self.count(|left| is_recent(left) && of_symbol(left)),
        ) {
            "symbol minute"
        } else if full(
            symbol_day,
            self.count(|left| is_today(left) && of_symbol(left)),
        ) {
            "symbol day"
        } else if key.is_some()
            && !again
            && self.count(|left| left.key == key && self.now - left.at < WITHIN) > 0
        {
            "duplicate"
        } else {
            "none"
        }
    }
}

fn word(rejected: &OrderRejection) -> &'static str {
    match rejected {
        OrderRejection::Guard(GuardRejection::NotionalPerDay { .. }) => "notional",
        OrderRejection::Guard(GuardRejection::OrdersPerMinute { .. }) => "minute",
        OrderRejection::Guard(GuardRejection::OrdersPerDay { .. }) => "day",
        OrderRejection::Guard(GuardRejection::SymbolPerMinute { .. }) => "symbol minute",
        OrderRejection::Guard(GuardRejection::SymbolPerDay { .. }) => "symbol day",
        OrderRejection::Guard(GuardRejection::Duplicate { .. }) => "duplicate",
        OrderRejection::Mode(ModeRejection { .. }) => "mode",
        OrderRejection::Guard(_) => "another guard",
    }
}

fn caps([minute, day, symbol_minute, symbol_day, worth]: [Option<u32>; 5]) -> Caps {
    let mut caps = Caps::builder().duplicate_within(at(WITHIN));
    caps = minute.map_or(caps, |cap| caps.orders_per_minute(cap));
    caps = day.map_or(caps, |cap| caps.orders_per_day(cap));
    caps = symbol_minute.map_or(caps, |cap| caps.symbol_per_minute(cap));
    caps = symbol_day.map_or(caps, |cap| caps.symbol_per_day(cap));
    caps = worth.map_or(caps, |cap| caps.notional_per_day(Decimal::from(cap)));
    caps.build().unwrap()
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let policy = ModePolicy::builder().clean_queries(CLEAN).build().unwrap();
    let start = TradingControl::builder()
        .policy(policy)
        .caps(caps([None; 5]));
    let control = start.build();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Order { .. } => order(&control, &mut model, &step)?,
            Step::GiveBack(which) if !model.left.is_empty() => {
                let left = which.index(model.left.len());
                let left = &mut model.left[left];
                if let Some(admission) = left.admission.take() {
                    control.give_back(admission);
                    left.given_back = true;
                }
            }
            Step::GiveBack(_) => {}
            Step::Wait(seconds) => model.now += seconds,
            Step::NextDay => model.day += 1,
            Step::Caps(new) => {
                model.caps = new;
                control.configure(policy, caps(new));
            }
            Step::InDoubt(intents) => {
                control.set_in_doubt(intents);
                model.change(|model| model.in_doubt = intents);
            }
            Step::Exhausted(is) => {
                control.set_exhausted(u32::from(is));
                model.change(|model| model.exhausted = is);
            }
            Step::JournalFailed(failed) => {
                control.set_journal_failed(failed);
                model.change(|model| model.journal_failed = failed);
            }
            Step::Manual(mode) => {
                control.set_mode(mode);
                model.change(|model| model.manual = mode);
            }
            Step::Queried(clean) => {
                control.queried(clean);
                model.clean = if clean { model.clean + 1 } else { 0 };
                model.settle();
            }
        }
        prop_assert_eq!(severity(control.mode()), model.severity);
    }
    Ok(())
}

fn order(control: &TradingControl, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    let &Step::Order {
        symbol,
        sells,
        quantity,
        price,
        reduces,
        replaces,
        again,
    } = step
    else {
        return Ok(());
    };
    let mut request: OrderRequest = buy(SYMBOLS[symbol], quantity, price);
    request.side = Some(if sells { Side::Sell } else { Side::Buy });
    request.reduces = reduces;
    let operation = if replaces {
        Operation::Replace
    } else {
        Operation::Create
    };
    let admitted = control.admit(at(model.now), model.day, &request, operation, again);
    let (value, key) = (quantity * price, (symbol, sells, quantity));
    let key = Some(key).filter(|_| !replaces);
    let expected = match model.severity {
        0 => model.guard(symbol, value, key, again),
        1 if reduces => model.guard(symbol, value, key, again),
        _ => "mode",
    };
    match admitted {
        Ok(admission) => {
            prop_assert_eq!(expected, "none");
            model.left.push(Left {
                at: model.now,
                day: model.day,
                symbol,
                key,
                value,
                given_back: false,
                admission: Some(admission),
            });
        }
        Err(rejected) => {
            let word = word(&rejected);
            if (expected, word) == ("none", "duplicate") {
                // Of one that was given back, the one before may have been given back as well.
                let alike = model.left.iter().filter(|left| left.key == key);
                let recent = alike.filter(|left| model.now - left.at < WITHIN);
                prop_assert!(recent.count() > 1);
            } else {
                prop_assert_eq!(word, expected);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_admits_what_the_list_admits(steps in steps()) {
        run(steps)?;
    }
}
