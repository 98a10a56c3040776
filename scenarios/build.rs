//! Tells the crate what it is built with: stored runs say so, and replays say what differs.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=HOGWASH_TOOLCHAIN={}", version.unwrap_or_default().trim());
    let target = std::env::var_os("TARGET").and_then(|target| target.into_string().ok());
    println!("cargo::rustc-env=HOGWASH_TARGET={}", target.unwrap_or_default());
}
