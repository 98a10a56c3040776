//! The reviews that come with hogwash, of the image stack.

use scenarios::{ScenarioError, library};
use std::path::Path;

/// The names and texts of the built-in reviews, in order of name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("queue", include_str!("../../reviews/queue.toml")),
    ("region", include_str!("../../reviews/region.toml")),
];

/// The text of a review: of the file at `path`, or of the built-in one that is called so, `region`, `region.toml` and
/// `reviews/region.toml` alike.
///
/// # Errors
/// Where there is neither.
pub fn find(path: &Path) -> Result<Vec<u8>, ScenarioError> {
    let named = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| {
        let folder = path.parent().unwrap_or(Path::new(""));
        let extension = path.extension().is_none_or(|extension| extension == "toml");
        extension && [Path::new(""), Path::new("reviews")].contains(&folder)
    });
    library::read_file(path).or_else(|error| {
        let found = BUILT_IN.iter().find(|(name, _)| named == Some(name));
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| match error {
            ScenarioError::File { what, path, reason } => {
                let names: Vec<String> = BUILT_IN.iter().map(|(name, _)| format!("`{name}`")).collect();
                let reason = format!("{reason}; built-in reviews are {}", names.join(" and "));
                ScenarioError::File { what, path, reason }
            }
            other => other,
        })
    })
}
