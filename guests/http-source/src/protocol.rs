//! Talks HTTP: one poll, from the request to an answer or an error, in as many turns as it takes.
//!
//! An answer other than 2xx is an error by [`Response::error_for_status`]'s table, with one change: what
//! would be `config` (a 404, say) is `unreachable` once the endpoint has answered well, since then it is
//! the server's state that passes, not the configuration that is wrong. 304 is an answer without news.

use connector_sdk::http::{self, Call, Headers, Request, Response};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// How much of a refusal's body is read for the message.
const EXPLANATION: usize = 16 << 10;

/// An answer without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status, as in 200.
    pub status: u16,
    /// The fields, names in lower case.
    pub headers: Headers,
    /// Where it came from, fit for messages.
    pub place: String,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Everything but the body.
    pub head: Head,
    /// The body, as it came.
    pub body: Vec<u8>,
}

/// What a server tells one state of a resource from the next by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// How polls are made.
#[derive(Debug)]
pub struct Endpoint {
    request: Request,
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
    Asked(Call),
    /// The answer is a refusal, whose body may say why.
    Refused(Response, Error),
    Answered(Response),
    Taken,
}

impl Head {
    /// The head of a response.
    pub fn of(response: &Response) -> Self {
        Self { status: response.status(), headers: response.headers().clone(), place: response.place() }
    }

    /// What the next request can ask with whether there is news.
    pub fn validators(&self) -> Validators {
        let field = |name| self.headers.get_str(name).map(str::to_owned);
        Validators { etag: field("etag"), modified: field("last-modified") }
    }
}

impl Endpoint {
    /// An endpoint that this request polls. `proven` says that an earlier run has had answers from it.
    pub fn new(request: Request, produce_errors: bool, proven: bool) -> Self {
        Self { request, produce_errors, proven }
    }

    /// Sends the request, asking only for news when there are validators.
    ///
    /// # Errors
    /// When it can't even be sent.
    pub fn poll(&self, validators: Option<&Validators>) -> Result<Poll> {
        let mut request = self.request.clone();
        if let Some(etag) = validators.and_then(|validators| validators.etag.as_ref()) {
            request = request.header("if-none-match", etag)?;
        }
        if let Some(modified) = validators.and_then(|validators| validators.modified.as_ref()) {
            request = request.header("if-modified-since", modified)?;
        }
        Ok(Poll { started: time::now(), stage: Stage::Asked(request.start()?) })
    }

    /// Carries a poll on until then; the complete answer, or `None` when it takes longer.
    ///
    /// # Errors
    /// When there is no answer, no complete one, one longer than `max_body`, or a refusal. The poll is over
    /// then.
    pub fn answer(&mut self, poll: &mut Poll, max_body: usize, until: Instant) -> Result<Option<Answer>> {
        self.arrive(poll, until)?;
        let Stage::Answered(response) = &mut poll.stage else { return Ok(None) };
        let Some(body) = response.collect(max_body, until)? else { return Ok(None) };
        self.proven |= (200..300).contains(&response.status());
        Ok(Some(Answer { head: Head::of(response), body }))
    }

    /// Carries a poll on until then; the answer with its body still to be read, or `None` when it takes
    /// longer.
    ///
    /// # Errors
    /// When there is no answer, or a refusal. The poll is over then.
    pub fn stream(&mut self, poll: &mut Poll, until: Instant) -> Result<Option<Response>> {
        self.arrive(poll, until)?;
        match std::mem::replace(&mut poll.stage, Stage::Taken) {
            Stage::Answered(response) => {
                self.proven |= (200..300).contains(&response.status());
                Ok(Some(response))
            }
            other => {
                poll.stage = other;
                Ok(None)
            }
        }
    }

    /// Waits for the head of an answer that is none of the refusals.
    fn arrive(&self, poll: &mut Poll, until: Instant) -> Result<()> {
        loop {
            match &mut poll.stage {
                Stage::Asked(call) => {
                    let Some(response) = call.wait(until)? else { return Ok(()) };
                    poll.stage = self.judge(response);
                }
                Stage::Refused(response, error) => {
                    // Whatever goes wrong while reading the reason, the refusal is the news.
                    return match response.collect(EXPLANATION, until) {
                        Ok(None) => Ok(()),
                        Ok(Some(body)) => Err(http::explain(error.clone(), &body)),
                        Err(_) => Err(error.clone()),
                    };
                }
                Stage::Answered(_) | Stage::Taken => return Ok(()),
            }
        }
    }

    fn judge(&self, response: Response) -> Stage {
        if self.produce_errors || response.status() == 304 {
            return Stage::Answered(response);
        }
        match response.error_for_status() {
            Ok(()) => Stage::Answered(response),
            Err(error) if error.kind() == ErrorKind::Config && self.proven => {
                Stage::Refused(response, Error::unreachable(error.message()))
            }
            Err(error) => Stage::Refused(response, error),
        }
    }
}
