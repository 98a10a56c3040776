//! The rows of an incident log.

use super::{EvidenceError, instant};
use csv::{ReaderBuilder, StringRecord, Trim};
use std::collections::BTreeMap;

/// The columns that a log must have.
const COLUMNS: [&str; 4] = ["start", "end", "component", "cause"];

/// One incident: a component was down for a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its line in the log.
    pub line: u64,
    /// When it started, in seconds since 1970.
    pub start_seconds: i64,
    /// When it ended; none where it was still open.
    pub end_seconds: Option<i64>,
    /// What was down.
    pub component: String,
    /// Why.
    pub cause: String,
}

/// Why a row cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RowError {
    /// Its line in the log.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The incidents in the order of their starts, and what was not read. All rows that are wrong are reported at once.
pub(super) fn read(text: &str) -> Result<(Vec<Incident>, Vec<String>), EvidenceError> {
    // Spreadsheets put a byte order mark before the first column's name.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| EvidenceError::Header(error.to_string()))?.clone();
    let columns = columns(&header)?;
    let mut incidents = Vec::new();
    let mut bad = Vec::new();
    for record in reader.records() {
        let row = record.map_err(|error| RowError {
            line: error.position().map_or(0, csv::Position::line),
            reason: error.to_string(),
        });
        match row.and_then(|record| incident(&record, line_of(&record, text), &header, columns)) {
            Ok(incident) => incidents.push(incident),
            Err(error) => bad.push(error),
        }
    }
    incidents.sort_by_key(|incident| (incident.start_seconds, incident.line));
    bad.extend(overlaps(&incidents));
    if !bad.is_empty() {
        bad.sort_by_key(|error| error.line);
        return Err(EvidenceError::Rows(bad));
    }
    if incidents.is_empty() {
        return Err(EvidenceError::Empty);
    }
    let unread = header.iter().filter(|name| !COLUMNS.contains(name));
    Ok((incidents, unread.map(|name| format!("the column `{name}` was not read")).collect()))
}

fn columns(header: &StringRecord) -> Result<[usize; 4], EvidenceError> {
    let mut places = [0; 4];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        let mut found = header.iter().enumerate().filter(|(_, column)| *column == name);
        *place = found.next().map(|(index, _)| index).ok_or_else(|| {
            let columns = header.iter().collect::<Vec<_>>().join(",");
            EvidenceError::Header(format!(
                "the log has no column `{name}`: its first line is `{columns}`, and must name start, end, component and cause"
            ))
        })?;
        if found.next().is_some() {
            return Err(EvidenceError::Header(format!("the log has two columns called `{name}`")));
        }
    }
    Ok(places)
}

/// The line on which a record starts. The reader's own is that of the blank lines before it, if there are any.
fn line_of(record: &StringRecord, text: &str) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let start = usize::try_from(position.byte()).expect("an offset in a text that is in memory");
    let blank = text.as_bytes()[start..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

fn incident(
    record: &StringRecord,
    line: u64,
    header: &StringRecord,
    columns: [usize; 4],
) -> Result<Incident, RowError> {
    let wrong = |reason: String| RowError { line, reason };
    if record.len() != header.len() {
        return Err(wrong(format!("has {} fields, and the first line names {}", record.len(), header.len())));
    }
    let [start, end, component, cause] = columns.map(|column| record.get(column).unwrap_or_default());
    let start_seconds = instant::parse(start).map_err(|error| wrong(format!("start: {error}")))?;
    let end_seconds = match end {
        "" => None,
        end => Some(instant::parse(end).map_err(|error| wrong(format!("end: {error}")))?),
    };
    if end_seconds.is_some_and(|end| end <= start_seconds) {
        return Err(wrong(format!("the end, {end}, is not after the start, {start}")));
    }
    for (name, word) in [("component", component), ("cause", cause)] {
        if word.is_empty() {
            return Err(wrong(format!("the {name} is empty")));
        }
    }
    Ok(Incident {
        line,
        start_seconds,
        end_seconds,
        component: component.to_owned(),
        cause: cause.to_owned(),
    })
}

/// A component that is down cannot fail: two incidents of one at the same time are an error of the log.
fn overlaps(incidents: &[Incident]) -> Vec<RowError> {
    let mut latest: BTreeMap<&str, &Incident> = BTreeMap::new();
    let mut found = Vec::new();
    for incident in incidents {
        if let Some(before) = latest.get(incident.component.as_str()) {
            let until = match before.end_seconds {
                Some(end) if end <= incident.start_seconds => None,
                Some(end) => Some(format!("lasts until {}", instant::format(end))),
                None => Some("was still open".to_owned()),
            };
            if let Some(until) = until {
                let reason = format!(
                    "`{}` is down already: the incident of line {} {until}; merge the two",
                    incident.component, before.line
                );
                found.push(RowError { line: incident.line, reason });
            }
        }
        let ends = |one: &Incident| one.end_seconds.unwrap_or(i64::MAX);
        let later =
            latest.get(incident.component.as_str()).is_none_or(|before| ends(before) < ends(incident));
        if later {
            latest.insert(&incident.component, incident);
        }
    }
    found
}
