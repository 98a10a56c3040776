//! What looking a node's name up comes to, while faults have it lead astray.

use super::kernel::Kernel;
use crate::history::NodeIndex;
use crate::rng::Stream;
use std::collections::BTreeMap;
use std::io;

/// What a fault does to the names that one node looks up.
#[derive(Clone, Debug)]
pub(crate) enum Harm {
    /// There is no such name.
    Empty,
    /// The address is one that nobody has any more.
    Stale,
    /// The address is another node's, the same for each name as long as the fault lasts; drawn from a stream of this name.
    Wrong { stream: String },
}

/// Faults under way at one node's resolver; the first of them counts.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<u32, Harm>);

impl Names {
    pub(crate) fn harm(&mut self, fault: u32, harm: Harm) {
        self.0.insert(fault, harm);
    }

    pub(crate) fn heal(&mut self, fault: u32) {
        self.0.remove(&fault);
    }
}

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Node(NodeIndex),
    /// To nobody: what is sent there is never answered.
    Nobody,
}

/// The address that looking `name` up on `asker` gives.
///
/// # Errors
/// `NotFound` for a name that no node has, or where the answer is empty.
pub(crate) fn resolve(kernel: &mut Kernel, asker: NodeIndex, name: &str) -> io::Result<Address> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no node is called `{name}`"));
    let node = kernel.index_of(name).ok_or_else(unknown)?;
    let harm = kernel.node(asker).names.0.values().next().cloned();
    match harm {
        _ if node == asker => Ok(Address::Node(node)),
        None => Ok(Address::Node(node)),
        Some(Harm::Empty) => Err(unknown()),
        Some(Harm::Stale) => Ok(Address::Nobody),
        Some(Harm::Wrong { stream }) => {
            let others: Vec<NodeIndex> = (0_u32..)
                .zip(&kernel.nodes)
                .filter(|(index, other)| NodeIndex(*index) != node && !other.plan.is_client())
                .map(|(index, _)| NodeIndex(index))
                .collect();
            let wrong = Stream::named(kernel.seed, &format!("{stream}/{name}")).pick(&others).copied();
            Ok(wrong.map_or(Address::Nobody, Address::Node))
        }
    }
}
