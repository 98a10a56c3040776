//! Names: directories, and the changes to them that a loss of power may take back.
//!
//! Each change of names (a creation, a removal, a rename) is one entry of a journal. A loss of power keeps, in every
//! directory, some prefix of the changes that were not synced; a rename across directories is kept in both or in
//! neither. That is less than journaling file systems promise, and all that POSIX does.

use super::content::Content;
use crate::files::components;
use crate::rng::Stream;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

/// The root directory.
const ROOT: u64 = 0;

/// A file's or directory's number.
pub(crate) type Inode = u64;

/// All names of one disk.
pub(crate) struct Tree {
    inodes: BTreeMap<Inode, Entry>,
    next: Inode,
    /// Changes that are not durable, oldest first.
    journal: VecDeque<Change>,
    /// The number of the last change.
    last: u64,
    sector_bytes: u32,
    /// Files that went for good, for the disk to account for.
    freed: Vec<(Inode, Content)>,
}

struct Entry {
    body: Body,
    /// Directory entries, open handles and changes that could bring it back.
    references: u32,
}

enum Body {
    File(Content),
    Directory(BTreeMap<String, Inode>),
}

/// One atomic change of names.
struct Change {
    number: u64,
    at_ns: u64,
    edits: Vec<Edit>,
}

struct Edit {
    directory: Inode,
    name: String,
    before: Option<Inode>,
    after: Option<Inode>,
}

impl Tree {
    pub(crate) fn new(sector_bytes: u32) -> Self {
        let root = Entry { body: Body::Directory(BTreeMap::new()), references: 1 };
        let inodes = BTreeMap::from([(ROOT, root)]);
        Self { inodes, next: ROOT + 1, journal: VecDeque::new(), last: 0, sector_bytes, freed: Vec::new() }
    }

    /// The number of the last change of names.
    pub(crate) fn last_change(&self) -> u64 {
        self.last
    }

    /// The content of a file that has a name or is held.
    pub(crate) fn content(&mut self, file: Inode) -> Option<&mut Content> {
        match &mut self.inodes.get_mut(&file)?.body {
            Body::File(content) => Some(content),
            Body::Directory(_) => None,
        }
    }

    /// The contents of all files, in the order in which they were made.
    pub(crate) fn contents(&mut self) -> impl Iterator<Item = &mut Content> {
        self.inodes.values_mut().filter_map(|entry| match &mut entry.body {
            Body::File(content) => Some(content),
            Body::Directory(_) => None,
        })
    }

    /// The file called `path`.
    pub(crate) fn file(&self, path: &str) -> io::Result<Inode> {
        let (directory, name) = self.parent(path)?;
        let inode = *self.entries(directory)?.get(name).ok_or_else(|| missing(path))?;
        match self.inodes[&inode].body {
            Body::File(_) => Ok(inode),
            Body::Directory(_) => Err(is_directory(path)),
        }
    }

    /// The directory called `path`.
    pub(crate) fn directory(&self, path: &str) -> io::Result<Inode> {
        let mut at = ROOT;
        for name in components(path)? {
            at = *self.entries(at)?.get(name).ok_or_else(|| missing(path))?;
        }
        self.entries(at).map(|_| at).map_err(|_| not_directory(path))
    }

    /// Whether there is anything called `path`.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.directory(path).is_ok() || self.file(path).is_ok()
    }

    /// The names in the directory called `path`, sorted.
    pub(crate) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(self.entries(self.directory(path)?)?.keys().cloned().collect())
    }

    /// Makes an empty file called `path`, which must not be there.
    pub(crate) fn create_file(&mut self, path: &str, now_ns: u64) -> io::Result<Inode> {
        let (directory, name) = self.parent(path)?;
        let edit = Edit { directory, name: name.to_owned(), before: None, after: Some(self.next) };
        let body = Body::File(Content::new(self.sector_bytes));
        Ok(self.create(edit, body, now_ns))
    }

    /// Makes the directory called `path` and those on the way to it, where they are not there.
    pub(crate) fn create_directories(&mut self, path: &str, now_ns: u64) -> io::Result<()> {
        let mut at = ROOT;
        for name in components(path)? {
            at = match self.entries(at).map_err(|_| not_directory(path))?.get(name) {
                Some(inode) => *inode,
                None => {
                    let edit =
                        Edit { directory: at, name: name.to_owned(), before: None, after: Some(self.next) };
                    self.create(edit, Body::Directory(BTreeMap::new()), now_ns)
                }
            };
        }
        self.entries(at).map(drop).map_err(|_| not_directory(path))
    }

    /// Gives what is called `from` the name `to`, in place of what had it.
    pub(crate) fn rename(&mut self, from: &str, to: &str, now_ns: u64) -> io::Result<()> {
        let (from_directory, from_name) = self.parent(from)?;
        let moved = *self.entries(from_directory)?.get(from_name).ok_or_else(|| missing(from))?;
        let (directory, name) = self.parent(to)?;
        let replaced = self.entries(directory)?.get(name).copied();
        if replaced == Some(moved) {
            return Ok(());
        }
        let moves_directory = self.entries(moved).is_ok();
        if moves_directory && components(to)?.starts_with(&components(from)?) {
            return Err(invalid(format!("`{from}` cannot be moved into itself, to `{to}`")));
        }
        match replaced.map(|inode| self.entries(inode)) {
            Some(Ok(_)) if !moves_directory => return Err(is_directory(to)),
            Some(Err(_)) if moves_directory => return Err(not_directory(to)),
            Some(Ok(entries)) if !entries.is_empty() => {
                return Err(io::Error::new(
                    io::ErrorKind::DirectoryNotEmpty,
                    format!("the directory `{to}` is not empty"),
                ));
            }
            _ => {}
        }
        let away =
            Edit { directory: from_directory, name: from_name.to_owned(), before: Some(moved), after: None };
        let here = Edit { directory, name: name.to_owned(), before: replaced, after: Some(moved) };
        self.apply(vec![away, here], now_ns);
        Ok(())
    }

    /// Takes the file's name away; the file goes with its last handle.
    pub(crate) fn remove_file(&mut self, path: &str, now_ns: u64) -> io::Result<()> {
        let file = self.file(path)?;
        let (directory, name) = self.parent(path)?;
        let edit = Edit { directory, name: name.to_owned(), before: Some(file), after: None };
        self.apply(vec![edit], now_ns);
        Ok(())
    }

    /// Keeps `inode` while a handle is open.
    pub(crate) fn hold(&mut self, inode: Inode) {
        if let Some(entry) = self.inodes.get_mut(&inode) {
            entry.references += 1;
        }
    }

    /// Ends a [`Tree::hold`], or another reference.
    pub(crate) fn release(&mut self, inode: Inode) {
        let Some(entry) = self.inodes.get_mut(&inode) else { return };
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        match self.inodes.remove(&inode).expect("it was there a line ago").body {
            Body::File(content) => self.freed.push((inode, content)),
            Body::Directory(entries) => entries.into_values().for_each(|child| self.release(child)),
        }
    }

    /// Files that went for good since the last call.
    pub(crate) fn take_freed(&mut self) -> Vec<(Inode, Content)> {
        std::mem::take(&mut self.freed)
    }

    /// Makes durable all changes of `directory` up to the change numbered `last`, and what they stand on: a rename
    /// from another directory brings that one's earlier changes along, and the directory that something moved to.
    pub(crate) fn commit(&mut self, directory: Inode, last: u64) {
        let mut needed = BTreeSet::from([directory]);
        let mut moved_to = BTreeSet::new();
        let mut keep = VecDeque::new();
        let mut commit = Vec::new();
        while let Some(change) = self.journal.pop_back() {
            let of_needed = change.edits.iter().any(|edit| needed.contains(&edit.directory));
            let placed =
                change.edits.iter().filter_map(|edit| edit.after).any(|after| moved_to.contains(&after));
            if change.number > last || !(of_needed || placed) {
                keep.push_front(change);
                continue;
            }
            let across = change.edits.windows(2).any(|edits| edits[0].directory != edits[1].directory);
            for edit in &change.edits {
                needed.insert(edit.directory);
                // A directory that goes for good must not take along a file that was moved out of it.
                needed.extend(edit.before);
                if across || placed {
                    moved_to.insert(edit.directory);
                }
            }
            commit.push(change);
        }
        self.journal = keep;
        commit.into_iter().rev().for_each(|change| self.forget(change));
    }

    /// Makes durable all changes made before `before_ns`, as journals commit what is old.
    pub(crate) fn commit_older(&mut self, before_ns: u64) {
        while self.journal.front().is_some_and(|change| change.at_ns < before_ns) {
            let change = self.journal.pop_front().expect("there is a first");
            self.forget(change);
        }
    }

    /// Leaves what a loss of power leaves: in each directory a prefix of its changes.
    pub(crate) fn lose_power(&mut self, chance: &mut Stream) {
        let mut left: BTreeMap<Inode, u64> = BTreeMap::new();
        for edit in self.journal.iter().flat_map(|change| &change.edits) {
            *left.entry(edit.directory).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = chance.below(0..*count + 1);
        }
        // What a lost change made or changed; nothing that stands on it is kept.
        let mut stopped = BTreeSet::new();
        let mut lost = Vec::new();
        for change in std::mem::take(&mut self.journal) {
            let kept = change.edits.iter().all(|edit| {
                let stands = |inode: &Inode| !stopped.contains(inode);
                left[&edit.directory] > 0 && stands(&edit.directory) && edit.before.iter().all(stands)
            });
            for edit in &change.edits {
                let left = left.get_mut(&edit.directory).expect("counted above");
                *left = left.saturating_sub(1);
                if !kept {
                    stopped.insert(edit.directory);
                    stopped.extend(edit.after);
                }
            }
            if kept {
                self.forget(change);
            } else {
                lost.push(change);
            }
        }
        lost.into_iter().rev().for_each(|change| self.undo(change));
    }

    fn create(&mut self, edit: Edit, body: Body, now_ns: u64) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.inodes.insert(inode, Entry { body, references: 0 });
        self.apply(vec![edit], now_ns);
        inode
    }

    /// Does `edits` and journals them.
    fn apply(&mut self, edits: Vec<Edit>, now_ns: u64) {
        for edit in &edits {
            self.set(edit.directory, &edit.name, edit.after);
            if let Some(after) = edit.after {
                self.hold(after);
            }
            // What stood there before keeps the entry's reference, now for the journal.
        }
        self.last += 1;
        self.journal.push_back(Change { number: self.last, at_ns: now_ns, edits });
    }

    /// Lets go of what only `change`, which is durable now, could have brought back.
    fn forget(&mut self, change: Change) {
        change.edits.into_iter().filter_map(|edit| edit.before).for_each(|before| self.release(before));
    }

    fn undo(&mut self, change: Change) {
        for edit in change.edits.into_iter().rev() {
            self.set(edit.directory, &edit.name, edit.before);
            if let Some(after) = edit.after {
                self.release(after);
            }
        }
    }

    fn set(&mut self, directory: Inode, name: &str, inode: Option<Inode>) {
        let entry = self.inodes.get_mut(&directory);
        let Some(Entry { body: Body::Directory(entries), .. }) = entry else {
            unreachable!("journalled directories stay as long as their changes")
        };
        match inode {
            Some(inode) => entries.insert(name.to_owned(), inode),
            None => entries.remove(name),
        };
    }

    /// The directory that holds `path`, and its name there.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(Inode, &'a str)> {
        let names = components(path)?;
        let (name, above) = names.split_last().ok_or_else(|| is_directory(path))?;
        let mut at = ROOT;
        for name in above {
            at = *self
                .entries(at)
                .map_err(|_| not_directory(path))?
                .get(*name)
                .ok_or_else(|| missing(path))?;
        }
        self.entries(at).map_err(|_| not_directory(path))?;
        Ok((at, name))
    }

    fn entries(&self, inode: Inode) -> io::Result<&BTreeMap<String, Inode>> {
        match self.inodes.get(&inode).map(|entry| &entry.body) {
            Some(Body::Directory(entries)) => Ok(entries),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no `{path}`"))
}

fn is_directory(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, format!("`{path}` is a directory"))
}

fn not_directory(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, format!("a name on the way of `{path}` is not a directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The directories `/a`, `/b` and `/c`, and the file `/a/f`, all durable.
    fn tree() -> (Tree, Inode) {
        let mut tree = Tree::new(512);
        for path in ["/a", "/b", "/c"] {
            tree.create_directories(path, 0).unwrap();
        }
        let file = tree.create_file("/a/f", 0).unwrap();
        tree.commit_older(1);
        (tree, file)
    }

    #[test]
    fn a_synced_file_is_under_its_old_or_its_new_name_whatever_becomes_of_the_directories() {
        let (mut under_old, mut under_new) = (0, 0);
        for seed in 0..200 {
            let (mut tree, file) = tree();
            tree.create_directories("/c/new", 1).unwrap();
            tree.rename("/a/f", "/c/new/f", 1).unwrap();
            tree.rename("/b", "/a", 1).unwrap();
            match seed % 3 {
                0 => tree.commit(tree.directory("/").unwrap(), tree.last_change()),
                1 => tree.commit(tree.directory("/c/new").unwrap(), tree.last_change()),
                _ => {}
            }
            tree.lose_power(&mut Stream::named(seed, "power"));
            let (old, new) = (tree.file("/a/f"), tree.file("/c/new/f"));
            assert!(old.is_ok() != new.is_ok(), "seed {seed}: {old:?}, {new:?}");
            under_old += u32::from(old.is_ok());
            under_new += u32::from(new.is_ok());
            assert_eq!(old.or(new).unwrap(), file);
            assert!(tree.take_freed().is_empty());
        }
        assert!(under_old > 20 && under_new > 120, "{under_old} and {under_new} of 200");
    }

    #[test]
    fn every_prefix_of_a_directorys_changes_comes_about() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let (mut tree, _) = tree();
            for name in ["/b/1", "/b/2", "/b/3"] {
                tree.create_file(name, 1).unwrap();
            }
            tree.commit(tree.directory("/b").unwrap(), tree.last_change() - 2);
            tree.lose_power(&mut Stream::named(seed, "power"));
            seen.insert(tree.list("/b").unwrap().len());
        }
        assert_eq!(seen, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn what_nothing_can_bring_back_is_freed() {
        let (mut tree, file) = tree();
        tree.hold(file);
        tree.remove_file("/a/f", 1).unwrap();
        tree.commit_older(2);
        assert!(tree.take_freed().is_empty(), "it is open");
        tree.release(file);
        assert_eq!(tree.take_freed().len(), 1);
        tree.create_file("/a/g", 3).unwrap();
        tree.lose_power(&mut Stream::named(3, "power"));
        let lost = tree.file("/a/g").is_err();
        assert_eq!(tree.take_freed().len(), usize::from(lost));
    }
}
