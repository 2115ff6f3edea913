//! Talks HTTP: one poll, from the request to an answer or an error, in as many turns as it takes.
//!
//! An answer other than 2xx is an error by [`Response::error_for_status`]'s table, with one change: what
//! would be `config` (a 404, say) is `unreachable` once the endpoint has answered well, since then it is
//! the server's state that passes, not the configuration that is wrong. 304 is an answer without news. A 401
//! to a token that is not new is asked again, once, with another one.

use connector_sdk::http::{self, Call, Headers, Request, Response};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::auth::Authorizer;
use crate::body::Body;

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
    /// The body, its content coding undone.
    pub body: Vec<u8>,
    /// The address it came from in the end, with its query.
    pub address: String,
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
    authorizer: Authorizer,
    produce_errors: bool,
    /// Whether it has ever answered well.
    proven: bool,
}

/// A poll under way.
#[derive(Debug)]
pub struct Poll {
    /// When it began.
    pub started: Instant,
    /// The status of a refusal, once it has come.
    pub refused: Option<u16>,
    request: Request,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Not sent yet: there may be no token for it.
    Ready,
    Asked(Call),
    /// The answer is a refusal, whose body may say why.
    Refused(Body, Error),
    Answered(Body),
    Taken,
}

impl Head {
    /// The head of a response.
    pub fn of(response: &Response) -> Self {
        Self { status: response.status(), headers: response.headers().clone(), place: response.place() }
    }

    /// Whether the status is 2xx.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the next request can ask with whether there is news.
    pub fn validators(&self) -> Validators {
        let field = |name| self.headers.get_str(name).map(str::to_owned);
        Validators { etag: field("etag"), modified: field("last-modified") }
    }
}

impl Answer {
    /// A body that has come whole.
    pub fn new(body: &Body, whole: Vec<u8>) -> Self {
        Self { head: body.head().clone(), body: whole, address: body.address().to_owned() }
    }
}

impl Validators {
    /// The request, asking only for news.
    ///
    /// # Errors
    /// When they can't stand in a header, which a server has just put them into.
    pub fn ask(&self, mut request: Request) -> Result<Request> {
        if let Some(etag) = &self.etag {
            request = request.header("if-none-match", etag)?;
        }
        if let Some(modified) = &self.modified {
            request = request.header("if-modified-since", modified)?;
        }
        Ok(request)
    }
}

impl Endpoint {
    /// An endpoint that this request polls. `proven` says that an earlier run has had answers from it.
    pub fn new(request: Request, authorizer: Authorizer, produce_errors: bool, proven: bool) -> Self {
        Self { request, authorizer, produce_errors, proven }
    }

    /// The request that is sent to the endpoint itself, without credentials from `auth`.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Begins to ask.
    pub fn poll(&self, request: Request) -> Poll {
        Poll { started: time::now(), refused: None, request, stage: Stage::Ready }
    }

    /// It has answered well.
    pub fn prove(&mut self) {
        self.proven = true;
    }

    /// An error that is the configuration's, as long as the endpoint has never answered well.
    pub fn odd(&self, message: String) -> Error {
        let kind = if self.proven { ErrorKind::Unreachable } else { ErrorKind::Config };
        Error::new(kind, message)
    }

    /// Carries a poll on until then; the answer with its body still to be read, or `None` when it takes
    /// longer.
    ///
    /// # Errors
    /// When there is no answer, or a refusal. The poll is over then.
    pub fn answer(&mut self, poll: &mut Poll, until: Instant) -> Result<Option<Body>> {
        loop {
            match &mut poll.stage {
                Stage::Ready => {
                    let Some(request) = self.authorized(&poll.request, until)? else { return Ok(None) };
                    poll.stage = Stage::Asked(request.start()?);
                }
                Stage::Asked(call) => {
                    let Some(response) = call.wait(until)? else { return Ok(None) };
                    poll.stage = match response.status() {
                        401 if self.authorizer.refused() => Stage::Ready,
                        _ => self.judge(response)?,
                    };
                }
                Stage::Refused(body, error) => {
                    poll.refused = Some(body.head().status);
                    // Whatever goes wrong while reading the reason, the refusal is the news.
                    return match body.collect(EXPLANATION, until) {
                        Ok(None) => Ok(None),
                        Ok(Some(body)) => {
                            let text = self.authorizer.redact(&String::from_utf8_lossy(&body));
                            Err(http::explain(error.clone(), text.as_bytes()))
                        }
                        Err(_) => Err(error.clone()),
                    };
                }
                Stage::Answered(_) | Stage::Taken => {
                    return Ok(match std::mem::replace(&mut poll.stage, Stage::Taken) {
                        Stage::Answered(body) => Some(body),
                        _ => None,
                    });
                }
            }
        }
    }

    /// With credentials, unless it goes elsewhere.
    fn authorized(&mut self, request: &Request, until: Instant) -> Result<Option<Request>> {
        match request.same_origin(&self.request) {
            true => self.authorizer.authorize(request, until),
            false => Ok(Some(request.clone())),
        }
    }

    fn judge(&self, response: Response) -> Result<Stage> {
        if self.produce_errors || response.status() == 304 {
            return Body::new(response).map(Stage::Answered);
        }
        let error = match response.error_for_status() {
            Ok(()) => return Body::new(response).map(Stage::Answered),
            Err(error) if error.kind() == ErrorKind::Config && self.proven => Error::unreachable(error.message()),
            Err(error) => error,
        };
        Body::new(response).map_err(|_| error.clone()).map(|body| Stage::Refused(body, error))
    }
}
