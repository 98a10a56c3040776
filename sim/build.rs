//! Stops a build that has not said which world it is for, before it ends in a hundred other errors.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_set = |cfg: &str| std::env::var_os(format!("CARGO_CFG_{cfg}")).is_some();
    if !is_set("MADSIM") && !is_set("LIVE") {
        println!(
            "cargo::error=neither `--cfg madsim`, the simulated world, nor `--cfg live`, the real one, is set: put `rustflags = \
             [\"--cfg\", \"madsim\"]` and `rustdocflags = [\"--cfg\", \"madsim\"]` under `[build]` in `.cargo/config.toml`, beside \
             your `Cargo.toml`; where they are there, a RUSTFLAGS in the environment replaces them: unset it, or add the flag to it"
        );
    }
}
