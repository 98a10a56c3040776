//! What is wrong with a file, shown as rustc shows it: where, what, and the way out. All of a file's problems at once.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// More than this many problems of one file are counted, not shown.
const SHOWN_MAX: usize = 40;

/// One problem of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in lower case.
    pub title: String,
    /// Where, in bytes of the file; absent where it is the file as a whole.
    pub span: Option<Range<usize>>,
    /// What to say at the place itself.
    pub label: String,
    /// Ways out: choices, a likely name, an example.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A problem at `span`.
    pub fn new(span: Range<usize>, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self { title: title.into(), span: Some(span), label: label.into(), help: Vec::new() }
    }

    /// A problem of the file as a whole.
    pub fn of_file(title: impl Into<String>) -> Self {
        Self { title: title.into(), span: None, label: String::new(), help: Vec::new() }
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds the ways out that there are.
    #[must_use]
    pub fn helps(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(help);
        self
    }
}

/// All problems of one file, with the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file's path as it was given, or a built-in scenario's name.
    pub origin: String,
    /// The file's text.
    pub source: String,
    /// The problems, in order of place.
    pub list: Vec<Diagnostic>,
}

/// A problem with its place in lines: what JSON lines and annotations on a diff need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Placed<'a> {
    /// The file.
    pub file: &'a str,
    /// The line, counting from 1.
    pub line: usize,
    /// The column in characters, counting from 1.
    pub column: usize,
    /// What is wrong.
    pub message: &'a str,
    /// Ways out.
    pub help: &'a [String],
}

impl Diagnostics {
    /// Sorts `list` by place and drops what is said twice.
    pub fn new(origin: impl Into<String>, source: impl Into<String>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
        list.dedup();
        Self { origin: origin.into(), source: source.into(), list }
    }

    /// The text for people, with colour or without.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let shown: Vec<String> =
            self.list.iter().take(SHOWN_MAX).map(|problem| self.render_one(&renderer, problem)).collect();
        let rest = self.list.len().saturating_sub(SHOWN_MAX);
        let count = if rest == 0 { String::new() } else { format!("\n\nand {rest} more problems") };
        shown.join("\n\n") + &count
    }

    /// The problems with their lines and columns.
    pub fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        self.list.iter().map(|problem| {
            let start = problem.span.as_ref().map_or(0, |span| self.boundary(span.start));
            let before = &self.source[..start];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Placed {
                file: &self.origin,
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                message: &problem.title,
                help: &problem.help,
            }
        })
    }

    fn render_one(&self, renderer: &Renderer, problem: &Diagnostic) -> String {
        let mut group =
            Level::ERROR.primary_title(problem.title.as_str()).elements(problem.span.as_ref().map(|span| {
                let start = self.boundary(span.start);
                let end = self.boundary(span.end).max(start);
                let annotation = AnnotationKind::Primary.span(self.first_line(start..end));
                let annotation = annotation.label(problem.label.as_str());
                Snippet::source(self.source.as_str()).path(self.origin.as_str()).annotation(annotation)
            }));
        if problem.span.is_none() {
            group = group.element(annotate_snippets::Origin::path(self.origin.as_str()));
        }
        let group = group.elements(problem.help.iter().map(|help| Level::HELP.message(help.as_str())));
        renderer.render(&[group])
    }

    /// A problem that spans lines is marked on its first: the rest of a table says nothing about it.
    fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let length = self.source[span.clone()].find(['\n', '\r']).unwrap_or(span.len());
        span.start..span.start + length
    }

    /// The last place at or before `at` where a character begins.
    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.source.len());
        (0..=at).rev().find(|place| self.source.is_char_boundary(*place)).unwrap_or(0)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} problems of {}: {:?}", self.list.len(), self.origin, self.list)
    }
}

/// The name among `names` that was most likely meant by `typed`: few letters differ, or one begins with the other.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (typed.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (distance(typed, name, allowed), name))
        .filter(|(distance, name)| {
            *distance <= allowed || (typed.len() >= 3 && (name.starts_with(typed) || typed.starts_with(name)))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `names` as a sentence lists them: `` `a`, `b` or `c` ``.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// How many letters must be added, dropped, replaced or swapped with their neighbour to get from `one` to `other`;
/// `most` + 1 where the lengths alone differ by more than `most`, so that a long text costs nothing.
fn distance(one: &str, other: &str, most: usize) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > most {
        return most + 1;
    }
    let width = other.len() + 1;
    let mut table: Vec<usize> = (0..(one.len() + 1) * width).map(|_| 0).collect();
    for row in 0..=one.len() {
        for column in 0..width {
            table[row * width + column] = match (row, column) {
                (0, _) => column,
                (_, 0) => row,
                _ => {
                    let replaced = usize::from(one[row - 1] != other[column - 1]);
                    let steps = [
                        table[(row - 1) * width + column] + 1,
                        table[row * width + column - 1] + 1,
                        table[(row - 1) * width + column - 1] + replaced,
                    ];
                    let swapped = row > 1
                        && column > 1
                        && one[row - 1] == other[column - 2]
                        && one[row - 2] == other[column - 1];
                    let swap = swapped.then(|| table[(row - 2) * width + column - 2] + 1);
                    steps.into_iter().chain(swap).min().expect("three steps")
                }
            };
        }
    }
    table[table.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_slip_of_the_finger_away() {
        let names = ["duration", "drain", "nodes", "network"];
        assert_eq!(nearest("duraton", names), Some("duration"));
        assert_eq!(nearest("ndoes", names), Some("nodes"));
        assert_eq!(nearest("net", names), Some("network"));
        assert_eq!(nearest("banana", names), None);
    }

    #[test]
    fn a_place_past_the_end_or_within_a_character_is_moved_not_trusted() {
        let odd = vec![
            Diagnostic::new(1..2, "within a letter", "here"),
            Diagnostic::new(90..95, "past the end", "there"),
        ];
        let diagnostics = Diagnostics::new("x.toml", "ééé", odd);
        let text = diagnostics.to_string();
        assert!(text.contains("within a letter") && text.contains("past the end"), "{text}");
        assert_eq!(diagnostics.placed().map(|placed| placed.column).collect::<Vec<_>>(), [1, 4]);
    }
}
