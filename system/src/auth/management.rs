//! A way to the management plane.

use super::protocol::{Request, Response};
use super::{IDENTITY_ROLE, PATIENCE, PORT};
use crate::rpc::Remote;
use bytes::Bytes;
use sim::stack::Deployment;
use sim::time::{Instant, timeout};
use std::time::Duration;

/// How long the management plane may take: a revocation waits for the data plane.
const ANSWER_WAIT: Duration = Duration::from_secs(4);

/// Makes and revokes accounts, by asking those who can.
pub(crate) struct Management {
    remote: Option<Remote<Request, Response>>,
}

/// Why the management plane did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManagementError {
    /// The plan has no node of this tier.
    #[error("nobody makes accounts here: the plan has no node of the role `identity`")]
    NoNodes,
    /// It does not answer; what was asked may have been done.
    #[error("the management plane does not answer: try again")]
    Unavailable,
    /// Another account has the number, or the key was used for another one, or for one that is revoked.
    #[error("this number or this key is another account's: choose another")]
    Taken,
    /// An account that was begun, and that too few of the data plane keep yet.
    #[error(
        "the account is written down, and too little of the data plane has it yet: try again with the same key"
    )]
    Making,
    /// There are as many accounts as there may be.
    #[error("there is no room for another account")]
    Full,
    /// A revocation that has begun, and that too few of the data plane keep yet.
    #[error("the revocation is kept, and too little of the data plane has it yet: try again")]
    Begun,
    /// The credential is nobody's.
    #[error("the management plane did not sign this credential")]
    Forged,
    /// The credential is another account's.
    #[error("this credential is another account's")]
    NotYours,
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
}

impl Management {
    /// The management plane of `deployment`. Opens no connection yet.
    pub(crate) fn new(deployment: &Deployment) -> Self {
        let first = deployment.of_role(IDENTITY_ROLE).next();
        Self { remote: first.map(|first| Remote::new(&first.name, PORT, PATIENCE)) }
    }

    /// Makes an account, of this number or of any; its number and credential. The same `key` again is the same account.
    ///
    /// # Errors
    /// [`ManagementError`].
    pub(crate) async fn create(
        &self,
        account: Option<u32>,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<(u32, String), ManagementError> {
        // Whoever knows the key gets the credential, and it is kept nowhere.
        let asked = key.map(|key| *blake3::hash(key.as_bytes()).as_bytes());
        match self.ask(Request::Create { account, asked }, deadline).await? {
            Response::Created { account, credential } => Ok((account, credential)),
            other => Err(refusal(&other)),
        }
    }

    /// Revokes an account, for good, for whoever has its credential. Once more is no error.
    ///
    /// # Errors
    /// [`ManagementError`].
    pub(crate) async fn revoke(
        &self,
        account: u32,
        credential: &str,
        deadline: Instant,
    ) -> Result<(), ManagementError> {
        let credential = credential.to_owned();
        match self.ask(Request::Revoke { account, credential }, deadline).await? {
            Response::Revoked => Ok(()),
            other => Err(refusal(&other)),
        }
    }

    async fn ask(&self, request: Request, deadline: Instant) -> Result<Response, ManagementError> {
        let remote = self.remote.as_ref().ok_or(ManagementError::NoNodes)?;
        let deadline = deadline.min(Instant::now() + ANSWER_WAIT);
        let asked = timeout(deadline - Instant::now(), remote.call(request, Bytes::new(), deadline)).await;
        match asked {
            Ok(Ok((response, _))) => Ok(response),
            _ => Err(ManagementError::Unavailable),
        }
    }
}

fn refusal(response: &Response) -> ManagementError {
    match response {
        Response::Taken => ManagementError::Taken,
        Response::Making => ManagementError::Making,
        Response::Full => ManagementError::Full,
        Response::Begun => ManagementError::Begun,
        Response::Forged => ManagementError::Forged,
        Response::NotYours => ManagementError::NotYours,
        Response::NoAccount => ManagementError::NoAccount,
        _ => ManagementError::Unavailable,
    }
}
