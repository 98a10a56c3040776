//! What the servers ask one another, over the world's connections: one question, one connection.

use super::{PORT, Question, Types, server_name};
use openraft::error::{Infallible, InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, RaftNetwork, RaftNetworkFactory};
use serde::de::DeserializeOwned;
use sim::talk;
use sim::time::sleep;
use std::error::Error;
use std::io;
use std::time::Duration;

/// How long to leave a server alone that does not answer. Not by openraft's own means, an `Unreachable` error: it would then
/// wait in a `select!` whose branches tokio tries in an order that no seed governs.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a [`Link`] to each other server.
pub(crate) struct Links;

/// The way to one other server.
pub(crate) struct Link(u64);

type Refused<E = Infallible> = RPCError<u64, EmptyNode, RaftError<u64, E>>;

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Link {
        Link(target)
    }
}

impl Link {
    async fn ask<A: DeserializeOwned, E: Error + DeserializeOwned>(
        &self,
        question: &Question,
        patience: Duration,
    ) -> Result<A, Refused<E>> {
        let bytes = serde_json::to_vec(question).expect("a question is JSON");
        let answer = talk::ask(&server_name(self.0), PORT, &bytes, patience).await;
        let answer = answer.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.0, error))),
            None => {
                sleep(PAUSE).await;
                let error = io::Error::from(io::ErrorKind::TimedOut);
                Err(RPCError::Network(NetworkError::new(&error)))
            }
        }
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Refused> {
        self.ask(&Question::Append(request), option.hard_ttl()).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Refused<InstallSnapshotError>> {
        self.ask(&Question::Snapshot(request), option.hard_ttl()).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Refused> {
        self.ask(&Question::Vote(request), option.hard_ttl()).await
    }
}
