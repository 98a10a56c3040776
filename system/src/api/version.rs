//! What the version of its configuration has in store for a server's requests; of load balancers too, which are servers as well.

use super::ApiError;
use crate::config::{Agent, Met, Work};
use axum::http::StatusCode;
use std::sync::Arc;

/// Answers a request as one of those that the version allows at once, and notes how it ended.
pub(crate) async fn count<T>(
    agent: &Arc<Agent>,
    answer: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let under_way = agent.begin().ok_or_else(|| {
        let text = "this server's configuration allows no more at once: try again";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
    })?;
    let answered = answer.await;
    under_way.end(answered.as_ref().err().is_some_and(ApiError::is_of_the_service));
    answered
}

/// Meets whatever the version has in store for a request with these options.
pub(crate) async fn meet(agent: &Agent, options: &str) -> Result<(), ApiError> {
    match agent.meet(&Work { options }).await {
        Met::Failure => {
            let text = "something went wrong: try again";
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text))
        }
        Met::Nothing | Met::Spoilt => Ok(()),
    }
}
