//! Groups: what must wait for what.

use sim::history::{Event, Id};
use std::collections::BTreeMap;

/// Hand-outs of one group that are kept to compare with.
const RECENT: usize = 64;

/// All groups.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<u32, Group>);

/// One group.
#[derive(Default)]
struct Group {
    /// Items that are not over, by their place, with the event that gave it to them.
    open: BTreeMap<u64, (Id, Event)>,
    /// The latest hand-outs, by their token: the item's place.
    handed: BTreeMap<u64, (u64, Event)>,
}

impl Groups {
    /// An item has a place now.
    pub(super) fn join(&mut self, group: u32, position: u64, id: Id, event: &Event) {
        self.0.entry(group).or_default().open.insert(position, (id, event.clone()));
    }

    /// An item is over. The one that need not wait any more, where there is one.
    pub(super) fn leave(&mut self, group: u32, position: u64) -> Option<Id> {
        let open = &mut self.0.get_mut(&group)?.open;
        let was_first = open.first_key_value().is_some_and(|(first, _)| *first == position);
        open.remove(&position);
        open.first_key_value().filter(|_| was_first).map(|(_, (id, _))| *id)
    }

    /// The first item that is not over, where it comes before `position`.
    pub(super) fn earlier(&self, group: u32, position: u64) -> Option<&(Id, Event)> {
        let (first, item) = self.0.get(&group)?.open.first_key_value()?;
        (*first < position).then_some(item)
    }

    /// An item was handed out. Another hand-out that the tokens put on the wrong side of it, where there is one.
    pub(super) fn hand_out(&mut self, group: u32, position: u64, token: u64, event: &Event) -> Option<Event> {
        let handed = &mut self.0.entry(group).or_default().handed;
        let before = handed.range(..token).next_back().filter(|(_, (other, _))| *other > position);
        let after = handed.range(token + 1..).next().filter(|(_, (other, _))| *other < position);
        if let Some((_, (_, other))) = before.or(after) {
            return Some(other.clone());
        }
        handed.insert(token, (position, event.clone()));
        if handed.len() > RECENT {
            handed.pop_first();
        }
        None
    }
}
