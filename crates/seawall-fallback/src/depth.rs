//! Which layers are answering on this thread: a step that leads back to its own layer would go on forever.

use std::cell::{Cell, RefCell};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAYERS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Runs a part of a step of `layer`: what is called meanwhile is called by the step.
pub(crate) fn within<T>(layer: usize, run: impl FnOnce() -> T) -> T {
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            // Also when the step panics.
            let _ = LAYERS.try_with(|layers| layers.borrow_mut().pop());
            let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    let entered = LAYERS.try_with(|layers| layers.borrow_mut().push(layer));
    let _leave = entered.is_ok().then(|| {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
        Leave
    });
    run()
}

/// Whether a step of `layer` is running around this.
#[inline]
pub(crate) fn is_within(layer: usize) -> bool {
    DEPTH.try_with(Cell::get).unwrap_or_default() != 0 && is_listed(layer)
}

#[cold]
fn is_listed(layer: usize) -> bool {
    LAYERS
        .try_with(|layers| layers.borrow().contains(&layer))
        .unwrap_or_default()
}
