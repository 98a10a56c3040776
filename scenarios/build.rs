//! Tells the crate what it is built with: stored runs say so, and replays say what differs.
#![expect(clippy::disallowed_methods, reason = "a build is the machine's")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=HOGWASH_TOOLCHAIN={}", version.unwrap_or_default().trim());
    let target = std::env::var_os("TARGET").and_then(|target| target.into_string().ok());
    println!("cargo::rustc-env=HOGWASH_TARGET={}", target.unwrap_or_default());
    keep_lock();
}

/// Puts the lock file where the crate includes it from; an empty one where there is none.
fn keep_lock() {
    let folder = |name| PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
    let (here, out) = (folder("CARGO_MANIFEST_DIR"), folder("OUT_DIR"));
    let lock = lock_file(&out, &here);
    let text = lock.as_deref().map(|path| std::fs::read(path).expect("the lock file can be read"));
    std::fs::write(out.join("Cargo.lock"), text.unwrap_or_default()).expect("OUT_DIR can be written");
    if let Some(lock) = lock {
        println!("cargo::rerun-if-changed={}", lock.display());
    }
}

/// The lock file of whoever builds a program, which is another's where this crate is a dependency: it lies above the target
/// folder. Where that is elsewhere, this workspace's own, or the one that the package came with.
fn lock_file(out: &Path, here: &Path) -> Option<PathBuf> {
    let folders = out.ancestors().skip(1).chain(here.parent()).chain([here]);
    folders.map(|folder| folder.join("Cargo.lock")).find(|path| path.is_file())
}
