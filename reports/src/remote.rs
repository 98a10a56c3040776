//! Object stores: where shards leave their results if they share no folder, and where `merge` finds them.
//!
//! A store is copied file by file, its ledgers last: whoever reads one finds the runs that it names. Nothing is ever changed in
//! place, so that an object store, which knows neither locks nor renames, is enough.
#![cfg_attr(
    feature = "object-store",
    expect(clippy::disallowed_methods, reason = "it copies files of the machine")
)]

use anyhow::Result;
use std::path::Path;

/// The folder of copies in a store; not copied itself.
pub(crate) const FETCHED: &str = "fetched";

/// Whether `place` is a URL, and not a folder.
pub(crate) fn is_url(place: &str) -> bool {
    place.contains("://")
}

/// Copies the store in `folder` to `url`; says how many files that were.
///
/// # Errors
/// Where the URL is none that this program knows, or something cannot be read or written.
#[cfg(not(feature = "object-store"))]
pub(crate) fn publish(_: &Path, url: &str) -> Result<u64> {
    anyhow::bail!(without(url))
}

/// Copies what is at `url` to `folder`; says how many files that were.
///
/// # Errors
/// As [`publish`].
#[cfg(not(feature = "object-store"))]
pub(crate) fn fetch(url: &str, _: &Path) -> Result<u64> {
    anyhow::bail!(without(url))
}

#[cfg(not(feature = "object-store"))]
fn without(url: &str) -> String {
    format!(
        "this program was built without object stores, and cannot reach `{url}`: build it with `--features aws`"
    )
}

#[cfg(feature = "object-store")]
pub(crate) use with::{fetch, publish};

#[cfg(feature = "object-store")]
mod with {
    use super::{FETCHED, Path, Result};
    use anyhow::{Context as _, bail};
    use futures_util::TryStreamExt as _;
    use object_store::path::Path as Key;
    use object_store::{ObjectStore, ObjectStoreExt as _};
    use std::ffi::OsStr;
    use std::path::PathBuf;
    use url::Url;

    pub(crate) fn publish(folder: &Path, url: &str) -> Result<u64> {
        let (store, root) = open(url)?;
        let mut files = Vec::new();
        walk(folder, &mut files)?;
        let is_ledger = |path: &PathBuf| path.extension() == Some(OsStr::new("jsonl"));
        files.sort_by_key(|path| (is_ledger(path), path.clone()));
        at_once(async {
            for path in &files {
                let within = path.strip_prefix(folder).context("it was found there")?;
                let parts = within.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
                let key = Key::from_iter(root.parts().map(|part| part.as_ref().to_owned()).chain(parts));
                let bytes = std::fs::read(path).with_context(|| cannot("read", path))?;
                store.put(&key, bytes.into()).await.with_context(|| format!("cannot write to `{url}`"))?;
            }
            Ok(files.len() as u64)
        })
    }

    pub(crate) fn fetch(url: &str, folder: &Path) -> Result<u64> {
        let (store, root) = open(url)?;
        at_once(async {
            let told = || format!("cannot read from `{url}`");
            let objects: Vec<_> = store.list(Some(&root)).try_collect().await.with_context(told)?;
            for object in &objects {
                let parts = object.location.prefix_match(&root).with_context(told)?;
                let within: PathBuf = parts.map(|part| part.as_ref().to_owned()).collect();
                let path = folder.join(within);
                let bytes =
                    store.get(&object.location).await.with_context(told)?.bytes().await.with_context(told)?;
                let above = path.parent().unwrap_or(folder);
                std::fs::create_dir_all(above).with_context(|| cannot("write", above))?;
                std::fs::write(&path, bytes).with_context(|| cannot("write", &path))?;
            }
            Ok(objects.len() as u64)
        })
    }

    /// The store that `url` means, with the credentials that the environment holds, and the folder in it.
    fn open(url: &str) -> Result<(Box<dyn ObjectStore>, Key)> {
        let parsed = Url::parse(url).with_context(|| format!("`{url}` is no URL"))?;
        let environment = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let known = if cfg!(feature = "aws") {
            "`file:///…` or `s3://…`"
        } else {
            "`file:///…`; build it with `--features aws` for `s3://…`"
        };
        if !(parsed.scheme() == "file" || cfg!(feature = "aws") && parsed.scheme() == "s3") {
            bail!("`{url}` is no object store that this program knows: it knows {known}");
        }
        object_store::parse_url_opts(&parsed, environment).with_context(|| format!("cannot use `{url}`"))
    }

    /// The files of a store; not what is held or half made, and no copies of others.
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        let entries = std::fs::read_dir(folder).with_context(|| cannot("read", folder))?;
        for entry in entries {
            let path = entry.with_context(|| cannot("read", folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let passing = name.starts_with(".partial-") || name == ".making" || name.ends_with(".lock");
            match (passing || name == FETCHED, path.is_dir()) {
                (true, _) => {}
                (false, true) => walk(&path, files)?,
                (false, false) => files.push(path),
            }
        }
        Ok(())
    }

    fn cannot(what: &str, path: &Path) -> String {
        format!("cannot {what} `{}`", path.display())
    }

    /// Waits for `work`, outside of any world: the machine's own time and network.
    fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_no_urls() {
        assert!(is_url("s3://bucket/nightly") && is_url("file:///tmp/store"));
        assert!(!is_url("target/hogwash") && !is_url("/tmp/store") && !is_url("C:\\store"));
    }

    #[cfg(not(feature = "object-store"))]
    #[test]
    fn without_the_feature_the_way_out_is_told() {
        let error = publish(Path::new("."), "s3://bucket").unwrap_err().to_string();
        assert!(error.contains("`--features aws`"), "{error}");
    }
}
