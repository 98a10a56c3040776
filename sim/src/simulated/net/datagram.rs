//! Datagrams: may be lost, overtake one another, and are dropped where nobody has room for them.

use super::network::Network;
use crate::history::NodeIndex;
use crate::simulated::agenda::{self, Agenda};
use bytes::Bytes;
use std::collections::VecDeque;
use std::task::Waker;

/// A datagram under way.
pub(crate) struct Datagram {
    pub(super) from: NodeIndex,
    pub(super) from_port: u16,
    pub(super) to: NodeIndex,
    pub(super) to_port: u16,
    pub(super) bytes: Bytes,
}

/// A bound port and what arrived at it.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) received: VecDeque<(Bytes, NodeIndex, u16)>,
    pub(super) received_bytes: usize,
    pub(super) waker: Option<Waker>,
}

impl Network {
    pub(super) fn send_datagram(&mut self, agenda: &mut Agenda, datagram: Datagram) {
        let times = if self.links.get(datagram.from, datagram.to).duplicates() { 2 } else { 1 };
        for _ in 0..times {
            self.messages += 1;
            let link = self.links.get(datagram.from, datagram.to);
            if link.loses() {
                continue;
            }
            let bytes = link.carried(datagram.bytes.clone());
            let arrives_ns =
                self.arrival_ns(agenda.now_ns(), datagram.from, datagram.to, datagram.bytes.len());
            let copy = Box::new(Datagram { bytes, ..datagram });
            agenda.push(arrives_ns, agenda::Step::Net(super::Step::Datagram(copy)));
        }
    }

    pub(super) fn datagram_arrives(&mut self, datagram: Datagram) {
        let Datagram { from, from_port, to, to_port, bytes } = datagram;
        let cut = self.links.get(from, to).cut;
        let buffer_bytes = self.buffer_bytes;
        let host = self.host(to);
        if cut || !host.powered {
            return;
        }
        if let Some(socket) = host.sockets.get_mut(&to_port)
            && socket.received_bytes + bytes.len() <= buffer_bytes
        {
            socket.received_bytes += bytes.len();
            socket.received.push_back((bytes, from, from_port));
            socket.waker.take().into_iter().for_each(Waker::wake);
        }
    }
}
