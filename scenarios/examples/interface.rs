//! What others may build on: compares the public interface of the libraries with the one written down beside each, in
//! `interface.txt`, and holds their versions to what semantic versioning asks (<https://semver.org>, rules 4 and 8; a crate
//! of version 0.y.z breaks with a new y, as Cargo has it).
//!
//! ```text
//! cargo run -p hogwash-scenarios --example interface             says what differs; exit code 1 where anything does
//! cargo run -p hogwash-scenarios --example interface -- --write  writes it down, unless it breaks others unannounced
//! ```
//!
//! What is gone or changed breaks others; so do new variants, fields and trait items, unless the type says that there may
//! be more. Rustdoc's JSON, from which it reads this, is not stable: a toolchain of another age may need another version
//! of the crate `public-api`.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a tool that works on files")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Folders of the libraries.
const LIBRARIES: [&str; 3] = ["sim", "invariants", "scenarios"];
const FILE: &str = "interface.txt";

fn main() -> Result<ExitCode> {
    let write = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--write") => true,
        Some(other) => return Err(format!("`{other}` is no flag: there is `--write`").into()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace is around it")?;
    let documented = rustdoc_json(root)?;
    let mut differs = false;
    for folder in LIBRARIES {
        let file = root.join(folder).join(FILE);
        let now = Interface::of(&documented.join(format!("hogwash_{folder}.json")))?;
        let before = Interface::read(&file)?;
        let difference = Difference::between(&before, &now);
        difference.show(folder);
        let unannounced = !difference.breaks.is_empty() && !is_incompatible(&before.version, &now.version);
        if unannounced {
            let (before, now) = (&before.version, &now.version);
            println!("{folder}: this breaks others, and version {now} does not say so after {before}");
        }
        if write && !unannounced {
            std::fs::write(&file, now.text())?;
        } else {
            differs |= before != now;
        }
    }
    if differs && !write {
        println!("once it is meant so: cargo run -p hogwash-scenarios --example interface -- --write");
    }
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A library's version and its public items, a line each.
#[derive(PartialEq)]
struct Interface {
    version: String,
    items: BTreeSet<String>,
}

impl Interface {
    /// What a library has now, by what rustdoc wrote of it.
    fn of(json: &Path) -> Result<Self> {
        let api = public_api::Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()
            .map_err(|error| format!("`{}`: {error}; is this toolchain of another age?", json.display()))?;
        let items = api.items().map(ToString::to_string).collect();
        // All members of the workspace have the version of this one.
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), items })
    }

    /// What was written down; nothing where nothing was.
    fn read(file: &Path) -> Result<Self> {
        let text = if file.exists() { std::fs::read_to_string(file)? } else { String::new() };
        let mut lines = text.lines().map(str::to_owned);
        let version = lines.next().unwrap_or_default();
        Ok(Self { version, items: lines.collect() })
    }

    fn text(&self) -> String {
        let Self { version, items } = self;
        let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
        format!("{version}\n{lines}")
    }

    /// Whether some item of this kind has this path, and does not say that there may be more.
    fn is_closed(&self, kind: &str, path: &str) -> bool {
        let begins = format!("pub {kind} {path}");
        let ends =
            |rest: &str| rest.is_empty() || rest.starts_with([' ', '<', '(']) || rest.starts_with(": ");
        let of_it = |item: &str| item.strip_prefix(&begins).is_some_and(ends);
        self.items.iter().any(|item| of_it(item))
    }
}

/// Has rustdoc write what it knows of each library of the workspace; returns the folder of its files. Only rustdoc is told that unstable
/// flags are welcome: to tell cargo would build every dependency anew, and so would a choice of packages, whose dependencies
/// have other features than those of all.
fn rustdoc_json(root: &Path) -> Result<PathBuf> {
    let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = std::path::absolute(built)?;
    let wrapper = built.join("rustdoc-json");
    std::fs::create_dir_all(&built)
        .and_then(|()| std::fs::write(&wrapper, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n"))
        .map_err(|error| format!("`{}` cannot be written: {error}", wrapper.display()))?;
    #[cfg(unix)]
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).env("RUSTDOC", &wrapper);
    // Behind the flags of `.cargo/config.toml`, whose place those of the environment would take.
    cargo.env_remove("RUSTDOCFLAGS").args([
        "doc",
        "--quiet",
        "--locked",
        "--workspace",
        "--no-deps",
        "--lib",
    ]);
    cargo.args(["--config", "build.rustdocflags=['-Z','unstable-options','--output-format','json']"]);
    if !cargo.status()?.success() {
        return Err("the workspace cannot be documented".into());
    }
    Ok(built.join("doc"))
}

/// What is new, and what breaks others.
struct Difference {
    breaks: Vec<String>,
    adds: Vec<String>,
}

impl Difference {
    fn between(before: &Interface, now: &Interface) -> Self {
        let gone = before.items.difference(&now.items).map(|item| format!("- {item}"));
        let mut this = Self { breaks: gone.collect(), adds: Vec::new() };
        for item in now.items.difference(&before.items) {
            let list = if must_be_known(item, before) { &mut this.breaks } else { &mut this.adds };
            list.push(format!("+ {item}"));
        }
        this
    }

    fn show(&self, folder: &str) {
        for line in &self.breaks {
            println!("{folder}: breaks: {line}");
        }
        for line in &self.adds {
            println!("{folder}: adds: {line}");
        }
    }
}

/// Whether code that was written before would not compile with this new item: a `match` that lists all variants, a struct
/// that gives all fields, an `impl` that has all items of a trait.
fn must_be_known(item: &str, before: &Interface) -> bool {
    let rest = item.strip_prefix("pub ").unwrap_or(item);
    let kinds = ["const fn ", "async fn ", "unsafe fn ", "fn ", "type ", "const "];
    let of_trait = kinds.iter().find_map(|kind| rest.strip_prefix(kind));
    let path = of_trait.unwrap_or(rest).split(['(', '<', ' ', '=']).next().unwrap_or_default();
    // A path with another word before it is an item of its own.
    let Some((parent, _)) = path.trim_end_matches(':').rsplit_once("::") else { return false };
    let closed = |kind| before.is_closed(kind, parent);
    if of_trait.is_some() { closed("trait") } else { closed("enum") || closed("struct") }
}

/// Whether Cargo takes `now` for incompatible with `before`. Nothing is promised before the first version.
fn is_incompatible(before: &str, now: &str) -> bool {
    let significant = |version: &str| {
        let mut numbers = version.split('.').map(str::to_owned);
        let major = numbers.next().unwrap_or_default();
        if major == "0" { (major, numbers.next().unwrap_or_default()) } else { (major, String::new()) }
    };
    before.is_empty() || significant(before) != significant(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(version: &str, items: &[&str]) -> Interface {
        Interface {
            version: version.to_owned(),
            items: items.iter().map(|item| (*item).to_owned()).collect(),
        }
    }

    fn breaks(before: &[&str], now: &[&str]) -> Vec<String> {
        Difference::between(&interface("0.1.0", before), &interface("0.1.0", now)).breaks
    }

    #[test]
    fn what_is_gone_or_changed_breaks_others() {
        assert_eq!(breaks(&["pub fn a::b(u32)"], &["pub fn a::b(u64)"]), ["- pub fn a::b(u32)"]);
        assert!(
            breaks(&["pub fn a::b(u32)"], &["pub fn a::b(u32)", "pub fn a::c()", "pub mod a::d"]).is_empty()
        );
    }

    #[test]
    fn a_new_variant_field_or_trait_item_breaks_others_unless_there_may_be_more() {
        let before =
            ["pub enum a::E", "pub struct a::S", "pub trait a::T: core::fmt::Debug", "pub struct a::Long"];
        let with = |new: &'static str| [&before[..], &[new]].concat();
        for new in [
            "pub a::E::V",
            "pub a::E::V(u32)",
            "pub a::S::field: u32",
            "pub fn a::T::f(&self)",
            "pub type a::T::Of",
        ] {
            assert_eq!(breaks(&before, &with(new)), [format!("+ {new}")], "{new}");
        }
        for new in [
            "pub fn a::S::f(&self) -> a::E",
            "pub fn a::E::f()",
            "pub enum a::F",
            "pub a::F::V",
            "pub fn a::f()",
        ] {
            assert!(breaks(&before, &with(new)).is_empty(), "{new}");
        }
        let open = ["#[non_exhaustive] pub enum a::E"];
        assert!(breaks(&open, &[open[0], "pub a::E::V"]).is_empty());
    }

    #[test]
    fn versions_are_incompatible_as_cargo_has_it() {
        for (before, now, incompatible) in [
            ("0.1.0", "0.1.1", false),
            ("0.1.9", "0.2.0", true),
            ("1.2.0", "1.3.0", false),
            ("1.9.0", "2.0.0", true),
        ] {
            assert_eq!(is_incompatible(before, now), incompatible, "{before} {now}");
        }
    }
}
