//! What a disk may hold, said as simply as possible: every content that a file had since its last sync, every change of
//! names since the directory's.

use std::collections::{BTreeMap, BTreeSet};

/// A file's or a directory's number.
pub(crate) type Id = usize;

const ROOT: Id = 0;

/// What is found on a disk: by path, a file's bytes, or none for a directory.
pub(crate) type Found = BTreeMap<String, Option<Vec<u8>>>;

/// The names of a disk: by directory and name.
type Names = BTreeMap<(Id, String), Id>;

/// What a disk may hold.
pub(crate) struct Model {
    sector_bytes: usize,
    /// Of each file all contents since the last sync, oldest first; none for directories.
    contents: Vec<Option<Vec<Vec<u8>>>>,
    /// How many contents were forgotten, by file.
    forgotten: Vec<usize>,
    /// The names at the beginning.
    durable: Names,
    changes: Vec<Change>,
}

/// One change of names: what each gets.
struct Change {
    edits: Vec<(Id, String, Option<Id>)>,
    durable: bool,
}

impl Model {
    /// The model of a disk on which `found` is durable.
    pub(crate) fn new(sector_bytes: usize, found: &Found) -> Self {
        let (contents, forgotten) = (vec![None], vec![0]);
        let mut model =
            Self { sector_bytes, contents, forgotten, durable: Names::new(), changes: Vec::new() };
        // A path sorts after those that it begins with, so directories come before what is in them.
        for (path, bytes) in found {
            let id = model.add(bytes.clone());
            let (directory, name) = model.parent(path).expect("parents come first");
            model.durable.insert((directory, name), id);
        }
        model
    }

    /// The file called `path`, as programs see it.
    pub(crate) fn file(&self, path: &str) -> Option<Id> {
        self.find(path).filter(|id| self.contents[*id].is_some())
    }

    /// The directory called `path`, as programs see it.
    pub(crate) fn directory(&self, path: &str) -> Option<Id> {
        self.find(path).filter(|id| self.contents[*id].is_none())
    }

    /// What programs read.
    pub(crate) fn seen(&self, file: Id) -> &[u8] {
        self.contents[file].as_ref().and_then(|contents| contents.last()).expect("it is a file")
    }

    /// All that programs see.
    pub(crate) fn all_seen(&self) -> Found {
        let kept: Vec<_> = self.changes.iter().collect();
        let paths = paths(&self.names(&kept));
        paths
            .into_iter()
            .map(|(path, id)| (path, self.contents[id].is_some().then(|| self.seen(id).to_vec())))
            .collect()
    }

    /// Whether this can be done: a file is made.
    pub(crate) fn create(&mut self, path: &str) -> bool {
        if self.find(path).is_some() {
            return self.file(path).is_some();
        }
        let Some((directory, name)) = self.parent(path) else { return false };
        let id = self.add(Some(Vec::new()));
        self.change(vec![(directory, name, Some(id))]);
        true
    }

    /// Whether this can be done: a directory is made, in one that is there.
    pub(crate) fn make_directory(&mut self, path: &str) -> bool {
        if self.find(path).is_some() {
            return self.directory(path).is_some();
        }
        let Some((directory, name)) = self.parent(path) else { return false };
        let id = self.add(None);
        self.change(vec![(directory, name, Some(id))]);
        true
    }

    /// Whether this can be done: a file or a directory is renamed.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        let (Some(moved), Some((to_directory, to_name))) = (self.find(from), self.parent(to)) else {
            return false;
        };
        let replaced = self.find(to);
        if replaced == Some(moved) {
            return true;
        }
        let fits = match replaced {
            Some(replaced) if self.contents[moved].is_none() => {
                let seen = self.names(&self.changes.iter().collect::<Vec<_>>());
                self.contents[replaced].is_none() && seen.keys().all(|(directory, _)| *directory != replaced)
            }
            Some(replaced) => self.contents[replaced].is_some(),
            None => true,
        };
        let into_itself = to.starts_with(&format!("{from}/"));
        if fits && !into_itself {
            let (directory, name) = self.parent(from).expect("it is there");
            self.change(vec![(directory, name, None), (to_directory, to_name, Some(moved))]);
        }
        fits && !into_itself
    }

    /// Whether this can be done: a file is removed.
    pub(crate) fn remove(&mut self, path: &str) -> bool {
        if self.file(path).is_none() {
            return false;
        }
        let (directory, name) = self.parent(path).expect("it is there");
        self.change(vec![(directory, name, None)]);
        true
    }

    /// Writes into a file.
    pub(crate) fn write(&mut self, file: Id, offset: usize, bytes: &[u8]) {
        let mut content = self.seen(file).to_vec();
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.contents[file].as_mut().expect("it is a file").push(content);
    }

    /// Cuts a file off or extends it.
    pub(crate) fn set_length(&mut self, file: Id, length: usize) {
        let mut content = self.seen(file).to_vec();
        content.resize(length, 0);
        self.contents[file].as_mut().expect("it is a file").push(content);
    }

    /// What a sync of `file` that begins now makes durable: to be given to [`Model::synced`].
    pub(crate) fn mark(&self, file: Id) -> usize {
        self.forgotten[file] + self.contents[file].as_ref().expect("it is a file").len() - 1
    }

    /// A sync has returned: nothing from before its mark is possible any more.
    pub(crate) fn synced(&mut self, file: Id, mark: usize) {
        let forgotten = mark.saturating_sub(self.forgotten[file]);
        self.contents[file].as_mut().expect("it is a file").drain(..forgotten);
        self.forgotten[file] += forgotten;
    }

    /// How many changes of names there are so far: to be given to [`Model::synced_directory`].
    pub(crate) fn mark_names(&self) -> usize {
        self.changes.len()
    }

    /// A directory's sync has returned.
    pub(crate) fn synced_directory(&mut self, directory: Id, mark: usize) {
        for change in &mut self.changes[..mark] {
            change.durable |= change.edits.iter().any(|(of, _, _)| *of == directory);
        }
    }

    /// Whether `found` may be there after a loss of power: in each directory a prefix of its changes, the durable ones
    /// among them, a rename in both of its directories or in neither; and in each file what [`allows`] allows.
    pub(crate) fn allows(&self, found: &Found) -> bool {
        let mut counts: BTreeMap<Id, usize> = BTreeMap::new();
        for directory in self.changes.iter().flat_map(Change::directories) {
            *counts.entry(directory).or_default() += 1;
        }
        let directories: Vec<Id> = counts.keys().copied().collect();
        let mut prefixes = vec![0; directories.len()];
        loop {
            let prefix: BTreeMap<_, _> = directories.iter().copied().zip(prefixes.iter().copied()).collect();
            if self.kept(prefix).is_some_and(|kept| self.allows_with(&self.names(&kept), found)) {
                return true;
            }
            // The next combination, as an odometer counts.
            let wheel = prefixes.iter().zip(&directories).position(|(prefix, of)| *prefix < counts[of]);
            let Some(wheel) = wheel else { return false };
            prefixes[wheel] += 1;
            prefixes[..wheel].fill(0);
        }
    }

    /// The changes that stay where each directory keeps as many as `prefix` says; none where that cannot be.
    fn kept(&self, mut prefix: BTreeMap<Id, usize>) -> Option<Vec<&Change>> {
        let mut kept = Vec::new();
        // Directories that were made by a change which is not kept.
        let mut missing = BTreeSet::new();
        for change in &self.changes {
            let mut stays = BTreeSet::new();
            for directory in change.directories() {
                let left = prefix.get_mut(&directory).expect("all are counted");
                stays.insert(*left > 0);
                *left = left.saturating_sub(1);
            }
            let across = change.directories().len() > 1;
            let stays = if stays.len() == 1 { stays.contains(&true) } else { return None };
            // In a directory that is missing anything may be, as nobody sees it; but nothing disappears into one.
            if stays && across && change.directories().iter().any(|directory| missing.contains(directory)) {
                return None;
            }
            if stays {
                kept.push(change);
            } else if change.durable {
                return None;
            } else {
                missing.extend(change.edits.iter().filter_map(|(_, _, id)| *id));
            }
        }
        Some(kept)
    }

    fn allows_with(&self, names: &Names, found: &Found) -> bool {
        let paths = paths(names);
        paths.keys().eq(found.keys())
            && paths.iter().all(|(path, id)| match (&self.contents[*id], &found[path]) {
                (None, None) => true,
                (Some(contents), Some(bytes)) => allows(contents, bytes, self.sector_bytes),
                _ => false,
            })
    }

    fn names(&self, kept: &[&Change]) -> Names {
        let mut names = self.durable.clone();
        for (directory, name, id) in kept.iter().flat_map(|change| &change.edits) {
            match id {
                Some(id) => names.insert((*directory, name.clone()), *id),
                None => names.remove(&(*directory, name.clone())),
            };
        }
        names
    }

    fn find(&self, path: &str) -> Option<Id> {
        let names = self.names(&self.changes.iter().collect::<Vec<_>>());
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |at, name| names.get(&(at, name.to_owned())).copied())
    }

    fn parent(&self, path: &str) -> Option<(Id, String)> {
        let (above, name) = path.rsplit_once('/')?;
        Some((self.directory(above)?, name.to_owned()))
    }

    fn add(&mut self, content: Option<Vec<u8>>) -> Id {
        self.contents.push(content.map(|bytes| vec![bytes]));
        self.forgotten.push(0);
        self.contents.len() - 1
    }

    fn change(&mut self, edits: Vec<(Id, String, Option<Id>)>) {
        self.changes.push(Change { edits, durable: false });
    }
}

impl Change {
    fn directories(&self) -> BTreeSet<Id> {
        self.edits.iter().map(|(directory, _, _)| *directory).collect()
    }
}

fn paths(names: &Names) -> BTreeMap<String, Id> {
    let mut paths = BTreeMap::new();
    let mut open = vec![(ROOT, String::new())];
    while let Some((directory, above)) = open.pop() {
        for ((_, name), id) in names.iter().filter(|((of, _), _)| *of == directory) {
            let path = format!("{above}/{name}");
            paths.insert(path.clone(), *id);
            open.push((*id, path));
        }
    }
    paths
}

/// Whether a file that had these contents since its last sync may hold `found` after a loss of power: any length that
/// it had or grew through; in each sector what one of the contents has there, or the beginning of that over the rest of
/// an earlier one.
fn allows(contents: &[Vec<u8>], found: &[u8], sector_bytes: usize) -> bool {
    let had = |content: &Vec<u8>| content.len() == found.len();
    let grew_through = |pair: &[Vec<u8>]| (pair[0].len()..pair[1].len()).contains(&found.len());
    let length = contents.iter().any(had) || contents.windows(2).any(grew_through);
    length
        && found.chunks(sector_bytes).enumerate().all(|(number, sector)| {
            let start = number * sector_bytes;
            let of = |content: &Vec<u8>| -> Vec<u8> {
                (start..start + sector.len()).map(|at| content.get(at).copied().unwrap_or(0)).collect()
            };
            let versions: Vec<_> = contents.iter().map(of).collect();
            (0..versions.len()).any(|newer| {
                (0..=newer).any(|older| {
                    (0..=sector.len()).any(|torn_at| {
                        sector[..torn_at] == versions[newer][..torn_at]
                            && sector[torn_at..] == versions[older][torn_at..]
                    })
                })
            })
        })
}

mod tests {
    use super::*;

    fn found(files: &[(&str, Option<&[u8]>)]) -> Found {
        files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.map(<[u8]>::to_vec))).collect()
    }

    #[test]
    fn the_model_wants_what_was_synced_and_allows_each_sector_its_own_fate() {
        let mut model = Model::new(4, &found(&[("/f", Some(b"aaaaaaaa"))]));
        let file = model.file("/f").unwrap();
        model.write(file, 0, b"bbbbbbbbbb");
        for allowed in [
            &b"aaaaaaaa"[..],
            b"bbbbbbbbbb",
            b"bbbbaaaa",
            b"aaaabbaa",
            b"bbbaaaaa",
            b"bbbbbbbb\0",
            b"bbbbbbbbb",
        ] {
            assert!(model.allows(&found(&[("/f", Some(allowed))])), "{allowed:?}");
        }
        for refused in [&b"aaaa"[..], b"abbbaaaa", b"bbbbbbbbbbb", b"\0\0\0\0aaaa", b"ccccaaaa"] {
            assert!(!model.allows(&found(&[("/f", Some(refused))])), "{refused:?}");
        }
        let mark = model.mark(file);
        model.write(file, 0, b"cc");
        model.synced(file, mark);
        assert!(!model.allows(&found(&[("/f", Some(b"aaaabbbbbb"))])));
        assert!(model.allows(&found(&[("/f", Some(b"cbbbbbbbbb"))])));
        assert!(!model.allows(&found(&[("/f", None)])));
    }

    #[test]
    fn the_model_keeps_a_prefix_of_each_directorys_changes_and_renames_whole() {
        let before = found(&[("/a", None), ("/f", Some(b"f"))]);
        let mut model = Model::new(4, &before);
        assert!(model.create("/a/one") && model.rename("/f", "/a/f") && model.create("/two"));
        let f: Option<&[u8]> = Some(b"f");
        let empty: Option<&[u8]> = Some(b"");
        assert!(model.allows(&before));
        assert!(model.allows(&found(&[("/a", None), ("/a/one", empty), ("/f", f)])));
        assert!(model.allows(&found(&[("/a", None), ("/a/one", empty), ("/a/f", f)])));
        for refused in [
            &[("/a", None), ("/a/f", f)][..],
            &[("/a", None), ("/a/one", empty)],
            &[("/a", None), ("/a/one", empty), ("/a/f", f), ("/f", f)],
            &[("/a", None), ("/f", f), ("/two", empty)],
        ] {
            assert!(!model.allows(&found(refused)), "{refused:?}");
        }
        let (root, mark) = (model.directory("/").unwrap(), model.mark_names());
        model.synced_directory(root, mark);
        assert!(!model.allows(&before));
        assert!(model.allows(&model.all_seen()));
    }
}
