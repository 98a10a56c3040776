//! Panics of simulated processes: kept for the history instead of printed.

use super::kernel;
use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics of simulated tasks silent, once a process; all others are printed as before.
///
/// The hook is the only place where a panic's file and line are known.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if kernel::current() == crate::history::WORLD {
                before(info);
                return;
            }
            let place =
                info.location().map(|location| format!(" at {}:{}", location.file(), location.line()));
            let text = format!("{}{}", text(info.payload()), place.unwrap_or_default());
            LAST.set(Some(text));
        }));
    });
}

/// The message of the panic that was just caught, with its place where the hook saw it.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let message = LAST.take().unwrap_or_else(|| text(payload).to_owned());
    if message.contains("left: -1") {
        // madsim refuses system threads with a bare assertion.
        return "a system thread was started inside the simulation; use sim::task::spawn".to_owned();
    }
    message
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text")
}
