//! The `hogwash` binary: the command line over the image-resizing stack.

use std::process::ExitCode;

fn main() -> ExitCode {
    hogwash::main(system::ImageStack)
}
