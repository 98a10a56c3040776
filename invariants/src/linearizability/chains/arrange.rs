//! Puts chains one behind the other, or finds why that cannot be.

use super::patterns::Found;
use super::{INITIAL, Role};
use crate::linearizability::history::NEVER;
use crate::linearizability::partition::Partition;

/// The bounds of one chain. Positions are shifted by one, since the initial value was written before all of them.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Where its operations begin and end among all that are sorted by chain.
    begin: usize,
    end: usize,
    first_return: u64,
    first_returned: u32,
    last_call: u64,
    last_called: u32,
}

/// The operations in an order that explains the history.
pub(super) fn arrange<Call, Return>(
    part: &Partition<'_, Call, Return>,
    roles: &[Role],
) -> Result<Vec<u32>, Found> {
    let mut members = Vec::with_capacity(roles.len());
    let mut anywhere = Vec::new();
    for (operation, role) in (0_u32..).zip(roles) {
        let called = part.call_position(operation as usize);
        match role {
            Role::Link { chain, link, is_read } => members.push((*chain, *link, *is_read, called, operation)),
            Role::Anywhere => anywhere.push((called, operation)),
            Role::LeftOut => {}
        }
    }
    members.sort_unstable();
    let sorted: Vec<(u32, u32)> = members.iter().map(|(chain, .., operation)| (*chain, *operation)).collect();
    let chains = chains(part, &sorted).map_err(|found| with_evidence(part, roles, &sorted, found))?;
    let mut order = Vec::with_capacity(roles.len());
    for chain in sequence(&chains).map_err(|found| with_evidence(part, roles, &sorted, found))? {
        let chain = chains[chain as usize];
        order.extend(sorted[chain.begin..chain.end].iter().map(|(_, operation)| *operation));
    }
    Ok(with_anywhere(part, order, anywhere))
}

/// The bounds of all chains, from their operations sorted by chain and within a chain as they must follow.
fn chains<Call, Return>(
    part: &Partition<'_, Call, Return>,
    sorted: &[(u32, u32)],
) -> Result<Vec<Chain>, Found> {
    let mut chains = Vec::new();
    let mut begin = 0;
    for members in sorted.chunk_by(|one, other| one.0 == other.0) {
        let is_initial = members[0].0 == INITIAL;
        let mut chain = Chain {
            begin,
            end: begin + members.len(),
            first_return: if is_initial { 0 } else { u64::MAX },
            first_returned: members[0].1,
            last_call: 0,
            last_called: members[0].1,
        };
        for (_, operation) in members {
            let called = u64::from(part.call_position(*operation as usize)) + 1;
            let deadline = part.deadline(*operation as usize);
            let returned = if deadline == NEVER { u64::MAX } else { u64::from(deadline) + 1 };
            if returned < chain.last_call {
                return Err(Found::Backwards {
                    first: chain.last_called,
                    second: *operation,
                    told_by: Vec::new(),
                });
            }
            if called > chain.last_call {
                (chain.last_call, chain.last_called) = (called, *operation);
            }
            if returned < chain.first_return {
                (chain.first_return, chain.first_returned) = (returned, *operation);
            }
        }
        begin = chain.end;
        chains.push(chain);
    }
    Ok(chains)
}

/// Chains one by one, each when no remaining one must come before it.
fn sequence(chains: &[Chain]) -> Result<Vec<u32>, Found> {
    let count = u32::try_from(chains.len()).expect("there are no more chains than operations");
    let mut by_first_return: Vec<u32> = (0..count).collect();
    by_first_return.sort_unstable_by_key(|chain| chains[*chain as usize].first_return);
    let mut by_last_call: Vec<u32> = (0..count).collect();
    by_last_call.sort_unstable_by_key(|chain| chains[*chain as usize].last_call);
    let mut is_done = vec![false; chains.len()];
    let mut sequence = Vec::with_capacity(chains.len());
    let (mut first, mut second, mut earliest) = (0, 1, 0);
    while sequence.len() < chains.len() {
        first = next_undone(&by_first_return, first, &is_done);
        second = next_undone(&by_first_return, second.max(first + 1), &is_done);
        earliest = next_undone(&by_last_call, earliest, &is_done);
        let must_leave_first = by_first_return[first];
        let leader = &chains[must_leave_first as usize];
        let rival = by_first_return.get(second).map(|rival| &chains[*rival as usize]);
        let candidate = by_last_call[earliest];
        let next = if rival.is_none_or(|rival| leader.last_call < rival.first_return) {
            must_leave_first
        } else if chains[candidate as usize].last_call < leader.first_return {
            candidate
        } else {
            // The rival is called at last after the leader first returned, as all others are, and so must follow
            // it; but it must also come before it.
            return Err(conflict(leader, rival.expect("there is a rival that returned too early")));
        };
        is_done[next as usize] = true;
        sequence.push(next);
    }
    Ok(sequence)
}

fn next_undone(chains: &[u32], mut place: usize, is_done: &[bool]) -> usize {
    while chains.get(place).is_some_and(|chain| is_done[*chain as usize]) {
        place += 1;
    }
    place
}

fn conflict(one: &Chain, other: &Chain) -> Found {
    if one.first_return == 0 {
        Found::Stale { operation: one.last_called, before: other.first_returned, told_by: Vec::new() }
    } else {
        Found::Interleaved {
            one: [one.first_returned, one.last_called],
            other: [other.first_returned, other.last_called],
            told_by: Vec::new(),
        }
    }
}

/// Adds what shows that the named writes belong where they are: an operation that saw them, or that built upon them
/// and returned.
fn with_evidence<Call, Return>(
    part: &Partition<'_, Call, Return>,
    roles: &[Role],
    sorted: &[(u32, u32)],
    mut found: Found,
) -> Found {
    let named = found.operations();
    let mut evidence = Vec::new();
    for operation in &named {
        let Role::Link { chain, link, is_read: false } = roles[*operation as usize] else { continue };
        let members = sorted.iter().filter(|(other, _)| *other == chain).map(|(_, member)| *member).rev();
        let is_late_enough = |member: &u32| match roles[*member as usize] {
            Role::Link { link: other, .. } => other >= link,
            Role::Anywhere | Role::LeftOut => false,
        };
        let is_read = |member: &u32| matches!(roles[*member as usize], Role::Link { is_read: true, .. });
        let mut later = members.filter(is_late_enough);
        let returned = later.clone().find(|member| part.deadline(*member as usize) != NEVER);
        evidence.extend(later.find(is_read).or(returned));
    }
    evidence.sort_unstable();
    evidence.dedup();
    evidence.retain(|operation| !named.contains(operation));
    if let Found::Backwards { told_by, .. }
    | Found::Stale { told_by, .. }
    | Found::Interleaved { told_by, .. } = &mut found
    {
        *told_by = evidence;
    }
    found
}

/// Adds operations that may take effect anywhere at the moments of their calls. The others take effect at the
/// latest call so far in their order, which is before their own returns.
fn with_anywhere<Call, Return>(
    part: &Partition<'_, Call, Return>,
    order: Vec<u32>,
    anywhere: Vec<(u32, u32)>,
) -> Vec<u32> {
    if anywhere.is_empty() {
        return order;
    }
    let mut moments = anywhere;
    let mut latest = 0;
    for operation in order {
        latest = latest.max(part.call_position(operation as usize));
        moments.push((latest, operation));
    }
    moments.sort_by_key(|(moment, _)| *moment);
    moments.into_iter().map(|(_, operation)| operation).collect()
}
