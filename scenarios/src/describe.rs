//! Plans and events in plain words.

use sim::duration_text;
use sim::fault::Fault;
use sim::plan::Plan;

/// A fault in plain words: `power-loss of queue-1, queue-2 (they share power=A), 27.3s to 37.3s`.
pub fn fault(fault: &Fault) -> String {
    let tagged = toml::Table::try_from(&fault.inject).expect("a fault is a table with one key");
    let (word, fields) = tagged.into_iter().next().expect("a fault has a kind");
    let list = |key: &str| {
        let names = fields.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        names.filter_map(toml::Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let both_ways = fields.get("both-ways").and_then(toml::Value::as_bool).unwrap_or(true);
    let targets = if fields.get("from").is_some() {
        let direction = if both_ways { "between" } else { "from" };
        let joint = if both_ways { "and" } else { "to" };
        format!("{direction} {} {joint} {}", list("from"), list("to"))
    } else {
        format!("of {}", list("nodes"))
    };
    let plain = ["from", "to", "nodes", "both-ways"];
    let rest = fields.as_table().into_iter().flatten().filter(|(key, _)| !plain.contains(&key.as_str()));
    let rest: String =
        rest.map(|(key, value)| format!(", {key} {}", value.to_string().trim_matches('"'))).collect();
    let shared = fault.shared.as_ref().map(|domain| format!(" (they share {domain})")).unwrap_or_default();
    let (start, end) = (duration_text::format(fault.start_ns), duration_text::format(fault.end_ns));
    format!("{word} {targets}{shared}{rest}, {start} to {end}")
}

/// What was drawn for a plan, one line a fault.
pub fn faults(plan: &Plan) -> Vec<String> {
    let width = plan.faults.iter().map(|fault| fault.name.chars().count()).max().unwrap_or(0);
    plan.faults.iter().map(|one| format!("{:width$}  {}", one.name, fault(one))).collect()
}
