//! The `hogwash` binary: the command line over the image-resizing stack.

use std::process::ExitCode;

/// A run makes and drops millions of small things; the system's allocator took a seventh of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(madsim)]
    keep_memory();
    silence_contained_panics();
    hogwash::main_serving(system::ImageStack, &system::SERVED)
}

/// What mimalloc is told once, by the numbers that its options have in `mimalloc.h`, since its crate names few: what to do, and how much
/// of it where nobody asks for anything else.
#[cfg(madsim)]
mod options {
    /// After how many milliseconds free memory is given back to the system; -1 is never.
    pub(super) const PURGE_DELAY: (i32, i64) = (15, 1_000);
    /// After how many allocations that are not of the quickest kind pages are looked through for free ones.
    pub(super) const GENERIC_COLLECT: (i32, i64) = (34, 10_000);
    /// How many full pages of a size are kept at hand.
    pub(super) const PAGE_FULL_RETAIN: (i32, i64) = (36, 2);
}

/// A run is followed by another that needs as much: what was free for a moment is not given back to the system, which would have
/// to clear it anew. It was a sixth of the time of `scale/region`, where every request has connections of its own.
#[cfg(madsim)]
fn keep_memory() {
    use options::{GENERIC_COLLECT, PAGE_FULL_RETAIN, PURGE_DELAY};
    for ((option, _), value) in [(PURGE_DELAY, -1), (GENERIC_COLLECT, 1_000_000), (PAGE_FULL_RETAIN, 8)] {
        #[expect(
            unsafe_code,
            reason = "mimalloc's options are those of a C library; no other thread runs yet, as it wants"
        )]
        unsafe {
            libmimalloc_sys::mi_option_set_default(option, value);
        }
    }
}

/// A codec's panic on a hostile picture is caught, answered and counted; printing it would only frighten.
fn silence_contained_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !system::resize::panic_is_contained() {
            before(info);
        }
    }));
}

#[cfg(all(test, madsim))]
mod tests {
    use super::options::{GENERIC_COLLECT, PAGE_FULL_RETAIN, PURGE_DELAY};

    #[test]
    fn the_options_that_are_set_are_the_ones_that_are_meant() {
        for (option, default) in [PURGE_DELAY, GENERIC_COLLECT, PAGE_FULL_RETAIN] {
            #[expect(unsafe_code, reason = "mimalloc's options are those of a C library")]
            let value = unsafe { libmimalloc_sys::mi_option_get(option) };
            assert_eq!(value, default, "option {option} has another default: is it another one?");
        }
    }
}
