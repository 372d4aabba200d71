//! One question to DynamoDB: sent, tried again where that helps, and its refusals told apart.
//!
//! Everything the plugin sends may be sent twice: reads, writes of whole items under a condition that
//! holds once, and removals. So whatever got lost on the way is simply sent again, within the time and
//! the number of requests the host gives a call.

use std::time::Duration;

use serde_json::{Value, json};
use teleport_plugin_sdk::http::{Error, Method, Request};
use teleport_plugin_sdk::storage_backend::Failure;

use crate::backend::Backend;
use crate::outside::Outside;
use crate::wire;

/// Bytes of the largest answer: DynamoDB ends a page at 1 MiB and a batch at 16 MiB.
const ANSWER_MAX: usize = 24 * 1024 * 1024;

/// How often one question is sent.
const TRIES: u32 = 8;

/// The first wait before it is sent again; it doubles up to the longest.
const WAIT_FIRST: Duration = Duration::from_millis(25);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// For the caller's caller.
    Fail(Failure),
    /// The item is not as the condition wants it.
    Condition,
    /// DynamoDB refused: the kind and what it says.
    Refused(String, String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

impl Problem {
    /// Whether the refusal is of this kind.
    pub fn is(&self, kind: &str) -> bool {
        matches!(self, Self::Refused(found, _) if found == kind)
    }
}

/// A problem where none of the special ones can be.
pub fn plain(problem: Problem) -> Failure {
    match problem {
        Problem::Fail(failure) => failure,
        Problem::Condition => wire::corrupt("a refusal that does not fit what was asked"),
        Problem::Refused(kind, text) => refused(&kind, &text),
    }
}

/// What one call may use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// Until when, on the monotonic clock.
    pub end: Duration,
    /// How many more requests.
    pub requests: u32,
}

/// What came of sending once.
enum Came {
    Answer(Value),
    Final(Problem),
    Again(String),
}

impl<O: Outside> Backend<O> {
    /// Asks DynamoDB. The table is named here.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn ask(&mut self, operation: &str, mut body: Value) -> Result<Value, Problem> {
        if let Value::Object(body) = &mut body
            && !operation.starts_with("Batch")
            && !operation.starts_with("Transact")
        {
            body.insert("TableName".to_owned(), json!(self.settings.table));
        }
        let body = body.to_string();
        let mut wait = WAIT_FIRST;
        let mut why = "there was no time left for it".to_owned();
        for _ in 0..TRIES {
            let left = self.budget.end.saturating_sub(self.outside.monotonic());
            if left.is_zero() || self.budget.requests == 0 {
                break;
            }
            self.budget.requests -= 1;
            why = match self.send(operation, body.as_bytes(), left) {
                Came::Answer(answer) => return Ok(answer),
                Came::Final(problem) => return Err(problem),
                Came::Again(why) => why,
            };
            // Between half of it and all of it, so that those who were refused together part.
            let chance = u32::try_from(self.outside.random() % 512).unwrap_or(0);
            self.outside.sleep((wait / 1024 * (512 + chance)).min(left));
            wait = (wait * 2).min(WAIT_MAX);
        }
        Err(Failure::Unavailable(format!(
            "DynamoDB at {} does not answer {operation} in time ({why}); look at its state and at the table's capacity, it is tried again",
            self.settings.endpoint
        ))
        .into())
    }

    /// Waits a moment, for what the table's capacity left undone.
    pub(crate) fn pause(&mut self) {
        let wait = Duration::from_millis(50 + self.outside.random() % 100);
        self.outside.sleep(wait);
    }

    fn send(&mut self, operation: &str, body: &[u8], timeout: Duration) -> Came {
        let target = format!("DynamoDB_20120810.{operation}");
        let url = format!("{}/", self.settings.endpoint);
        let request = Request {
            method: Method::Post,
            url: &url,
            headers: &[("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &target)],
            body,
            connect: Duration::from_secs(5).min(timeout),
            // A connection that is dead must leave time for another.
            timeout: timeout.div_f32(2.0).max(Duration::from_secs(1)).min(timeout),
            answer_max: ANSWER_MAX,
        };
        let answer = match self.outside.send(&request) {
            Ok(answer) => answer,
            Err(Error::Denied(text)) => return Came::Final(Failure::Denied(text).into()),
            Err(Error::Invalid(text)) => return Came::Final(Failure::Invalid(text).into()),
            Err(Error::TooLarge(_)) => {
                return Came::Final(wire::corrupt("an answer that is too large").into());
            }
            Err(error) => return Came::Again(error.to_string()),
        };
        let parsed = serde_json::from_slice::<Value>(&answer.body);
        if answer.status == 200 {
            return match parsed {
                Ok(answer @ Value::Object(_)) => Came::Answer(answer),
                _ => Came::Final(wire::corrupt("an answer that is no JSON").into()),
            };
        }
        refusal(answer.status, &parsed.unwrap_or_default())
    }
}

fn refusal(status: u16, body: &Value) -> Came {
    let kind = body.get("__type").and_then(Value::as_str).unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default().to_owned();
    let text = ["message", "Message"].iter().find_map(|name| body.get(*name)).and_then(Value::as_str);
    let text: String = text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect();
    match kind.as_str() {
        "ConditionalCheckFailedException" => Came::Final(Problem::Condition),
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable" => Came::Again(format!("{kind}: {text}")),
        "" => Came::Again(format!("it answered with status {status}")),
        _ if status >= 500 => Came::Again(format!("{kind}: {text}")),
        _ => Came::Final(Problem::Refused(kind, text)),
    }
}

/// A refusal for the operator.
fn refused(kind: &str, text: &str) -> Failure {
    match kind {
        "ResourceNotFoundException" => Failure::Unavailable(format!(
            "the table is not there any more ({text}); restart the auth server, which makes it, or restore it"
        )),
        "AccessDeniedException" => Failure::Invalid(format!(
            "DynamoDB does not allow it ({text}); add the action it names to the policy of this role"
        )),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "IncompleteSignatureException"
        | "ExpiredTokenException" => Failure::Invalid(format!(
            "DynamoDB does not accept the credentials ({kind}: {text}); check access_key and secret_key or the machine's role, the region, and this machine's clock"
        )),
        "ContinuousBackupsUnavailableException" => Failure::Unavailable(format!(
            "continuous backups of the table cannot be turned on yet ({text}); it is tried again when the auth server is started again"
        )),
        "ItemCollectionSizeLimitExceededException" => Failure::TooLarge(
            "DynamoDB takes no more in one partition of a table with local indexes".to_owned(),
        ),
        _ => Failure::Invalid(format!(
            "DynamoDB refuses what it is asked ({kind}: {text}); is {kind} about the table's form?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, kind: &str) -> Came {
        refusal(
            status,
            &json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "no" }),
        )
    }

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_said() {
        for kind in ["ProvisionedThroughputExceededException", "ThrottlingException", ""] {
            assert!(matches!(of(400, kind), Came::Again(_)), "{kind}");
        }
        assert!(matches!(refusal(503, &Value::Null), Came::Again(why) if why.contains("503")));
        assert!(matches!(of(500, "Whatever"), Came::Again(_)));
        assert!(matches!(of(400, "ConditionalCheckFailedException"), Came::Final(Problem::Condition)));
        assert!(matches!(of(400, "ValidationException"), Came::Final(Problem::Refused(..))));
        assert!(
            matches!(refused("ExpiredTokenException", ""), Failure::Invalid(text) if text.contains("clock"))
        );
    }
}
