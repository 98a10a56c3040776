//! Events and times in plain words.

use sim::history::Fact;

/// A moment: seconds, to the microsecond.
pub(crate) fn moment(at_ns: u64) -> String {
    let microseconds = at_ns / 1000;
    format!("{}.{:06} s", microseconds / 1_000_000, microseconds % 1_000_000)
}

/// A length of time, to about three digits.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn length(nanoseconds: u64) -> String {
    let (value, unit) = match nanoseconds {
        0..1_000 => return format!("{nanoseconds} ns"),
        1_000..1_000_000 => (nanoseconds as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanoseconds as f64 / 1e6, "ms"),
        _ => (nanoseconds as f64 / 1e9, "s"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

/// What `fact` says of its node, as the end of a sentence that begins with the node.
pub(crate) fn sentence(fact: &Fact) -> String {
    match fact {
        Fact::Submit { id, attempt: 1 } => format!("sends request {id}"),
        Fact::Submit { id, attempt } => format!("sends request {id} again, attempt {attempt}"),
        Fact::Acknowledge { id } => format!("is told that request {id} is accepted"),
        Fact::Refuse { id, status } => format!("is told no to request {id}, status {status}"),
        Fact::Receive { id, .. } => format!("has the result of request {id}"),
        Fact::GiveUp { id } => format!("gives up on request {id}"),
        Fact::Enqueue { id, position } => format!("enqueues request {id} at position {position}"),
        Fact::Deliver { id, delivery: 1, .. } => format!("gets request {id} to work on"),
        Fact::Deliver { id, delivery, .. } => format!("gets request {id} to work on, delivery {delivery}"),
        Fact::Finish { id, position, .. } => {
            format!("stores the result of request {id} (command {position})")
        }
        Fact::Quarantine { id, reason, .. } => format!("sets request {id} aside: {reason}"),
        Fact::Redrive { id, position, .. } => format!("puts request {id} back at position {position}"),
        Fact::Boot { incarnation: 1 } => "up".to_owned(),
        Fact::Boot { incarnation } => format!("up again (process {incarnation})"),
        Fact::Exit { cause } => format!("down ({cause})"),
        Fact::Panic { message } => format!("panic: {message}"),
        Fact::DiskLoss { synced: true, .. } => "synced data is lost or damaged".to_owned(),
        Fact::DiskLoss { unsynced_bytes, .. } => {
            format!("{unsynced_bytes} bytes written and not synced are lost")
        }
        Fact::Lead { ballot, .. } => format!("begins to lead (ballot {ballot})"),
        Fact::Note { text } => text.clone(),
        Fact::SetOff { cause, .. } => format!("a fault is set off: {cause}"),
        other => {
            let fields = other.fields().into_iter().map(|(name, value)| format!(" {name} {value}"));
            format!("{}{}", other.word(), fields.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_three_digits() {
        let lengths =
            [999, 1_500, 897_000, 12_345_678, 9_999_999_999, 10_000_000_000, 120_251_000_000].map(length);
        assert_eq!(lengths, ["999 ns", "1.50 µs", "897 µs", "12.3 ms", "10.0 s", "10.0 s", "120 s"]);
    }
}
