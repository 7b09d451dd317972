//! What the runner of a sandbox sees of it.

use armor_runner::{Answer, Connection, Facts, Request, RunnerError};

/// Asks for it, and what these places really are; none where the runner cannot tell.
pub(super) async fn inside(
    mut connection: Connection,
    places: &[String],
) -> Result<Option<Box<Facts>>, RunnerError> {
    connection.ask(&Request::Inspect { places: places.to_vec() }, &[]).await?;
    match connection.answer().await {
        Ok(Answer::Facts(facts)) => Ok(Some(facts)),
        // One from before this question hangs up.
        Ok(_) | Err(RunnerError::Lost(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
