//! The `hogwash` binary: the command line over the image-resizing stack.

use std::process::ExitCode;

/// A run makes and drops millions of small things; the system's allocator took a seventh of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    silence_contained_panics();
    hogwash::main_serving(system::ImageStack, &system::SERVED)
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
