//! What is the same about files in both worlds: paths, and ways of opening.

use std::io;

/// How to open a file; nothing is allowed until it is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) create: bool,
    pub(crate) truncate: bool,
}

impl OpenOptions {
    /// Options that allow nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the file can be read.
    #[must_use]
    pub fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// Whether the file can be written.
    #[must_use]
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// Whether the file is made where there is none; needs `write`.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether the file is emptied; needs `write`.
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// Whether the options go together.
    pub(crate) fn check(self, path: &str) -> io::Result<()> {
        if self.write || (self.read && !self.create && !self.truncate) {
            return Ok(());
        }
        let text =
            format!("opening `{path}`: ask for `read` or `write`; `create` and `truncate` need `write`");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

/// The names on the way from the root to `path`.
pub(crate) fn components(path: &str) -> io::Result<Vec<&str>> {
    let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
    let rest =
        path.strip_prefix('/').ok_or_else(|| invalid(format!("the path `{path}` must begin with `/`")))?;
    let names: Vec<_> = rest.split('/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| matches!(*name, "." | "..") || name.contains('\0')) {
        return Err(invalid(format!(
            "the path `{path}` must name each directory on its way, without `.` and `..`"
        )));
    }
    Ok(names)
}

/// Whether a file that was opened without it is asked for `what`.
pub(crate) fn allow(allowed: bool, what: &str) -> io::Result<()> {
    if allowed {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the file was not opened for {what}")))
}
