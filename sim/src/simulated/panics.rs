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
    match leak(&message) {
        // madsim refuses system threads by an error code, which std asserts not to be one.
        Some(Leak::Thread) => THREAD.to_owned(),
        Some(Leak::Tokio) => format!("{TOKIO}: {message}"),
        None => message,
    }
}

const THREAD: &str = "a system thread was started inside the simulation, by `std::thread::spawn` or a library that does: use \
     `sim::task::spawn`, or `sim::cpu::run` for work that takes time";
const TOKIO: &str = "tokio's own runtime was asked for inside the simulation: use `sim::net` for `tokio::net`, `sim::fs` for \
     `tokio::fs`, `sim::time` for `tokio::time`, `sim::task` for `tokio::task` and `tokio::spawn`";

/// A way out of the simulation that a panic ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leak {
    Thread,
    Tokio,
}

fn leak(message: &str) -> Option<Leak> {
    if message.contains("left: -1") && message.contains("thread") {
        Some(Leak::Thread)
    } else if message.starts_with("there is no reactor running, must be called from the context of a Tokio") {
        Some(Leak::Tokio)
    } else {
        None
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text")
}
