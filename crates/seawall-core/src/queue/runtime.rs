//! Which runtime a task belongs to.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};

use tokio::runtime::{self, Handle};
use tokio::task;

/// So many tasks are known to a thread at most.
const KNOWN: usize = 128;

thread_local! {
    static RUNTIMES: RefCell<[Option<(task::Id, runtime::Id)>; KNOWN]> =
        const { RefCell::new([None; KNOWN]) };
}

/// The runtime of the running task, if any. Asking for it changes a reference count that all threads of
/// the runtime share, which costs as much as a lock where they do so at once. A task stays in its
/// runtime, so that it is asked for once by each task that waits often.
pub(super) fn current_runtime() -> Option<runtime::Id> {
    let ask = || Handle::try_current().ok().map(|runtime| runtime.id());
    let Some(task) = task::try_id() else {
        return ask();
    };
    let known = RUNTIMES.try_with(|runtimes| {
        let mut runtimes = runtimes.try_borrow_mut().ok()?;
        let place = &mut runtimes[number(task) as usize % KNOWN];
        match *place {
            Some((known, runtime)) if known == task => Some(runtime),
            _ => {
                let runtime = ask()?;
                *place = Some((task, runtime));
                Some(runtime)
            }
        }
    });
    known.ok().flatten().or_else(ask)
}

/// Tasks are numbered in the order in which they are spawned.
fn number(task: task::Id) -> u64 {
    let mut number = Number(0);
    task.hash(&mut number);
    number.0
}

/// What is hashed, if that is one number.
struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More tasks than are known, each asked for twice, in two runtimes by turns on one thread.
    #[test]
    fn each_task_has_the_runtime_that_it_was_spawned_in() {
        let make = || runtime::Builder::new_current_thread().build().unwrap();
        let runtimes = [make(), make()];
        for _ in 0..2 * KNOWN {
            for runtime in &runtimes {
                let id = runtime.handle().id();
                let task = runtime.spawn(async move {
                    for _ in 0..2 {
                        assert_eq!(current_runtime(), Some(id));
                        task::yield_now().await;
                    }
                });
                assert_eq!(runtime.block_on(async { current_runtime() }), Some(id));
                runtime.block_on(task).unwrap();
            }
        }
        assert_eq!(current_runtime(), None);
    }
}
