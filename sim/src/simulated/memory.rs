//! A node's memory: what is reserved beyond its budget costs the process its life.

use super::kernel;
use crate::history::{Down, NodeIndex};

/// Reserves `bytes` of the node's memory until the reservation is dropped. Where that goes over the node's memory the
/// process is killed, as the kernel of a real machine does.
///
/// The live world leaves this to the real kernel.
pub fn reserve(bytes: u64) -> Reservation {
    let node = kernel::current();
    let incarnation = kernel::with(|kernel| {
        let machine = kernel.node(node);
        machine.memory_used_bytes = machine.memory_used_bytes.saturating_add(bytes);
        let incarnation = machine.incarnation;
        if machine.memory_used_bytes > machine.memory_bytes() {
            kernel.control(move || kernel::stop(node, Down::OutOfMemory));
        }
        incarnation
    });
    Reservation { node, incarnation, bytes }
}

/// Memory in use; given back when dropped.
#[derive(Debug)]
#[must_use = "memory is given back when the reservation is dropped"]
pub struct Reservation {
    node: NodeIndex,
    incarnation: u32,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        kernel::try_with(|kernel| {
            let machine = kernel.node(self.node);
            // What an ended process held went with it.
            if machine.incarnation == self.incarnation {
                machine.memory_used_bytes = machine.memory_used_bytes.saturating_sub(self.bytes);
            }
        });
    }
}
