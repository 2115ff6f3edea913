//! Talks HTTP: one poll, from the request to a complete answer or an error, in as many turns as it takes.
//!
//! An answer other than 2xx is an error by [`Response::error_for_status`]'s table, with one change: what
//! would be `config` (a 404, say) is `unreachable` once the endpoint has answered well, since then it is
//! the server's state that passes, not the configuration that is wrong. 304 is an answer without news.

use connector_sdk::http::{Call, Headers, Request, Response};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, ErrorKind, Result};

/// How much of a refusal's body is read for the message.
const EXPLANATION: usize = 16 << 10;

/// How much of it is shown.
const EXPLANATION_SHOWN: usize = 200;

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, as in 200.
    pub status: u16,
    /// The fields, names in lower case.
    pub headers: Headers,
    /// The body, as it came.
    pub body: Vec<u8>,
    /// Where it came from, fit for messages.
    pub place: String,
}

/// How polls are made.
#[derive(Debug)]
pub struct Endpoint {
    request: Request,
    max_body: usize,
    produce_errors: bool,
    /// Whether it has ever answered well.
    proven: bool,
}

/// A poll under way.
#[derive(Debug)]
pub struct Poll {
    /// When it began.
    pub started: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Call),
    Body(Response),
    /// The answer is a refusal, whose body may say why.
    Refused(Response, Error),
}

impl Endpoint {
    /// An endpoint that this request polls. `proven` says that an earlier run has had answers from it.
    pub fn new(request: Request, max_body: usize, produce_errors: bool, proven: bool) -> Self {
        Self { request, max_body, produce_errors, proven }
    }

    /// Sends the request.
    ///
    /// # Errors
    /// When it can't even be sent.
    pub fn poll(&self) -> Result<Poll> {
        Ok(Poll { started: time::now(), stage: Stage::Head(self.request.clone().start()?) })
    }

    /// Carries a poll on until then; `None` when it takes longer.
    ///
    /// # Errors
    /// When there is no answer, no complete one, or a refusal. The poll is over then.
    pub fn advance(&mut self, poll: &mut Poll, until: Instant) -> Result<Option<Answer>> {
        loop {
            match &mut poll.stage {
                Stage::Head(call) => {
                    let Some(response) = call.wait(until)? else { return Ok(None) };
                    poll.stage = self.judge(response);
                }
                Stage::Body(response) => {
                    let Some(body) = response.collect(self.max_body, until)? else { return Ok(None) };
                    self.proven |= (200..300).contains(&response.status());
                    let (status, headers) = (response.status(), response.headers().clone());
                    return Ok(Some(Answer { status, headers, body, place: response.place() }));
                }
                Stage::Refused(response, error) => {
                    // Whatever goes wrong while reading the reason, the refusal is the news.
                    return match response.collect(EXPLANATION, until) {
                        Ok(None) => Ok(None),
                        Ok(Some(body)) => Err(explained(error.clone(), &body)),
                        Err(_) => Err(error.clone()),
                    };
                }
            }
        }
    }

    fn judge(&self, response: Response) -> Stage {
        if self.produce_errors || response.status() == 304 {
            return Stage::Body(response);
        }
        match response.error_for_status() {
            Ok(()) => Stage::Body(response),
            Err(error) if error.kind() == ErrorKind::Config && self.proven => {
                Stage::Refused(response, Error::unreachable(error.message()))
            }
            Err(error) => Stage::Refused(response, error),
        }
    }
}

/// Adds the beginning of a refusal's body to the message, when it is text.
fn explained(error: Error, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() || words.chars().any(|c| c == '\u{fffd}' || c.is_control()) {
        return error;
    }
    let shown: String = words.chars().take(EXPLANATION_SHOWN).collect();
    let rest = if shown.len() < words.len() { "…" } else { "" };
    let with_words = Error::new(error.kind(), format!("{}: {shown}{rest}", error.message()));
    match error.wait() {
        Some(wait) => with_words.retry_after(wait),
        None => with_words,
    }
}
