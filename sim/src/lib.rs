//! The world.
#[cfg(not(any(madsim, live)))]
compile_error!("neither `--cfg madsim` nor `--cfg live` is set: a RUSTFLAGS in the environment replaces the flags of .cargo/config.toml; unset it");
