//! What the desk will do and when, drawn from the seed before the run: a slow client does not get
//! less to do than a fast one.

use std::time::Duration;

pub(crate) const SYMBOLS: [&str; 24] = [
    "AAPL", "AMD", "AMZN", "AVGO", "BAC", "COST", "CSCO", "DIS", "GOOG", "HD", "IBM", "INTC",
    "JNJ", "JPM", "KO", "META", "MSFT", "NFLX", "NVDA", "ORCL", "PEP", "TSLA", "V", "XOM",
];

/// One thing to do; symbols by their place in [`SYMBOLS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Look at a price.
    Quote(usize),
    /// Ask the AI what to think of a symbol.
    Opinion(usize),
    /// Trade a symbol as the latest opinion has it, or as `buy` has it where there is none.
    Order {
        number: u32,
        symbol: usize,
        buy: bool,
    },
    /// Look at the account.
    Positions,
}

/// Tasks by the time at which they begin.
pub(crate) fn plan(seed: u64, length: Duration) -> Vec<(Duration, Task)> {
    let mut draw = Draw {
        rng: fastrand::Rng::with_seed(seed),
        tasks: Vec::new(),
    };
    draw.steps(length, 2_400, Draw::round);
    draw.steps(length, 400, Draw::opinion);
    draw.steps(length, 600, |draw, at| draw.push(at, 100, Task::Positions));
    draw.steps(length, 260, Draw::order);
    draw.steps(length, 12_000, |draw, at| draw.news(at + 2_000));
    let mut tasks = draw.tasks;
    tasks.retain(|(at, _)| *at < length);
    tasks.sort_by_key(|(at, _)| *at);
    let orders = tasks.iter_mut().filter_map(|(_, task)| match task {
        Task::Order { number, .. } => Some(number),
        _ => None,
    });
    for (next, number) in (1..).zip(orders) {
        *number = next;
    }
    tasks
}

struct Draw {
    rng: fastrand::Rng,
    tasks: Vec<(Duration, Task)>,
}

impl Draw {
    fn steps(&mut self, length: Duration, every_ms: u64, mut step: impl FnMut(&mut Self, u64)) {
        let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let mut at = 0;
        while at < length {
            step(self, at);
            at += every_ms;
        }
    }

    /// At `at_ms` or up to `spread_ms` later.
    fn push(&mut self, at_ms: u64, spread_ms: u64, task: Task) {
        let at = Duration::from_micros(at_ms * 1_000 + self.rng.u64(0..spread_ms * 1_000));
        self.tasks.push((at, task));
    }

    fn symbol(&mut self) -> usize {
        self.rng.usize(0..SYMBOLS.len())
    }

    /// Every symbol's price, one after the other. The first round takes a second: a price that was never read is not
    /// kept for an outage either.
    fn round(&mut self, at: u64) {
        let every = if at == 0 { 40 } else { 100 };
        for (step, symbol) in (0..).zip(0..SYMBOLS.len()) {
            self.push(at + step * every, every, Task::Quote(symbol));
        }
    }

    fn opinion(&mut self, at: u64) {
        let symbol = self.symbol();
        self.push(at, 400, Task::Opinion(symbol));
    }

    fn order(&mut self, at: u64) {
        let order = Task::Order {
            number: 0,
            symbol: self.symbol(),
            buy: self.rng.bool(),
        };
        self.push(at, 260, order);
    }

    /// Everybody wants everything at once.
    fn news(&mut self, at: u64) {
        let at = at + self.rng.u64(0..2_500);
        for _ in 0..40 {
            let symbol = self.symbol();
            self.push(at, 150, Task::Quote(symbol));
        }
        for _ in 0..6 {
            let symbol = self.symbol();
            self.push(at, 150, Task::Opinion(symbol));
        }
        for _ in 0..20 {
            let order = Task::Order {
                number: 0,
                symbol: self.symbol(),
                buy: self.rng.bool(),
            };
            self.push(at, 150, order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn the_same_seed_is_the_same_plan() {
        assert_eq!(plan(7, LENGTH), plan(7, LENGTH));
        assert_ne!(plan(7, LENGTH), plan(8, LENGTH));
    }

    #[test]
    fn tasks_come_in_order_within_the_run_and_orders_are_numbered() {
        let tasks = plan(7, LENGTH);
        assert!(tasks.is_sorted_by_key(|(at, _)| *at));
        assert!(tasks.iter().all(|(at, _)| *at < LENGTH));
        let numbers = tasks.iter().filter_map(|(_, task)| match task {
            Task::Order { number, .. } => Some(*number),
            _ => None,
        });
        let numbers: Vec<_> = numbers.collect();
        let expected: Vec<_> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected);
        assert!(numbers.len() > 40);
    }
}
