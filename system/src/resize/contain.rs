//! A codec's panic becomes an error.
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ResizeError;

thread_local! {
    // Set only between the entry and the exit of one synchronous call, so nothing of one world or seed is left for the next.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a conversion, whose panics are caught and turned into errors.
///
/// A library must not replace the process's panic hook (it would race with others and with the runner's own), so the
/// one who installs a hook asks here first and stays silent when the answer is yes.
pub fn panic_is_contained() -> bool {
    CONTAINED.get()
}

/// Runs `convert`; a panic in it comes back as [`ResizeError::Panicked`].
pub(super) fn contain<T>(convert: impl FnOnce() -> Result<T, ResizeError>) -> Result<T, ResizeError> {
    let guard = Guard { outer: CONTAINED.replace(true) };
    // All state that `convert` touches is its own and dropped with it: nothing half-changed can be seen afterwards.
    let result = catch_unwind(AssertUnwindSafe(convert));
    drop(guard);
    result.unwrap_or_else(|payload| Err(ResizeError::Panicked { detail: text_of(payload.as_ref()) }))
}

struct Guard {
    outer: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        CONTAINED.set(self.outer);
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_flag_is_put_back() {
        assert!(!panic_is_contained());
        let result: Result<(), _> = contain(|| {
            assert!(panic_is_contained());
            panic!("planted {}", 7);
        });
        assert_eq!(result, Err(ResizeError::Panicked { detail: "planted 7".to_owned() }));
        assert!(!panic_is_contained());
    }
}
