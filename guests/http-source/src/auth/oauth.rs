//! Tokens by client credentials: fetched when the first request needs one, kept until shortly before their
//! end, fetched anew when the endpoint does not take them any more.

use std::time::Duration;

use connector_sdk::http::{Call, Request, Response, Timeouts};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, ErrorKind, Result, debug};
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{ClientAuth, OAuth2, basic};

/// A token is renewed so long before its end, but not before nine tenths of its life are over.
const MARGIN: Duration = Duration::from_secs(60);

/// No server's answer with a token is longer.
const LONGEST_ANSWER: usize = 64 << 10;

/// Gets tokens, and keeps the last one.
#[derive(Debug)]
pub struct Tokens {
    request: Request,
    current: Option<Token>,
    fetching: Option<Fetching>,
    /// Whether this server has ever given one.
    proven: bool,
    /// Whether the last request was the first one with its token.
    fresh: bool,
}

/// Without a derived `Debug`, which would show it.
struct Token {
    text: String,
    /// When to get another one, if it ever ends.
    renew: Option<Instant>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(****)")
    }
}

#[derive(Debug)]
enum Fetching {
    Asked(Call, Instant),
    Answered(Response, Instant),
}

/// The answer of RFC 6749, sections 5.1 and 5.2.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

impl Tokens {
    /// Ready to ask.
    ///
    /// # Errors
    /// Kind `config` when the address is none.
    pub fn new(oauth: &OAuth2, timeouts: Timeouts) -> Result<Self> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !oauth.scopes.is_empty() {
            form.append_pair("scope", &oauth.scopes.join(" "));
        }
        if let Some(audience) = &oauth.audience {
            form.append_pair("audience", audience);
        }
        let (id, secret) = (oauth.client_id.as_str(), oauth.client_secret.reveal());
        if oauth.client_auth == ClientAuth::Body {
            form.append_pair("client_id", id).append_pair("client_secret", secret);
        }
        let mut request = Request::post(&oauth.token_url, form.finish())
            .map_err(|error| error.context("token-url"))?
            .header("content-type", "application/x-www-form-urlencoded")?
            .header("accept", "application/json")?
            // A token server that moves about is not to be trusted with a secret.
            .redirects(0)
            .timeouts(timeouts);
        if oauth.client_auth == ClientAuth::Basic {
            let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            request = request.header("authorization", basic(&coded(id), &coded(secret)))?;
        }
        Ok(Self { request, current: None, fetching: None, proven: false, fresh: false })
    }

    /// A token that is good for a while; `None` when there is none until then: ask again.
    ///
    /// # Errors
    /// `auth` when the server refuses, the kinds of its status otherwise.
    pub fn get(&mut self, until: Instant) -> Result<Option<&str>> {
        let due = |token: &Token| token.renew.is_some_and(|renew| time::now() >= renew);
        if self.current.as_ref().is_none_or(due) {
            let fetched = self.fetch(until);
            if !matches!(fetched, Ok(None)) {
                self.fetching = None;
            }
            let fetched = fetched.map_err(|error| error.context("`http.auth`: no token"))?;
            let Some(token) = fetched else { return Ok(None) };
            debug!("{}: got a token", self.request.place());
            (self.current, self.proven, self.fresh) = (Some(token), true, true);
        } else {
            self.fresh = false;
        }
        Ok(self.current.as_ref().map(|token| token.text.as_str()))
    }

    /// The endpoint did not take the token. Whether another one may do: this one was not new.
    pub fn forget(&mut self) -> bool {
        if let Some(token) = &mut self.current {
            // Kept until there is another one: messages must be free of it.
            token.renew = Some(time::now());
        }
        !self.fresh
    }

    /// The token itself, for messages to be kept free of.
    pub fn current(&self) -> Option<&str> {
        self.current.as_ref().map(|token| token.text.as_str()).filter(|text| !text.is_empty())
    }

    fn fetch(&mut self, until: Instant) -> Result<Option<Token>> {
        loop {
            match &mut self.fetching {
                None => self.fetching = Some(Fetching::Asked(self.request.clone().start()?, time::now())),
                Some(Fetching::Asked(call, asked)) => {
                    let Some(response) = call.wait(until)? else { return Ok(None) };
                    self.fetching = Some(Fetching::Answered(response, *asked));
                }
                Some(Fetching::Answered(response, asked)) => {
                    let Some(body) = response.collect(LONGEST_ANSWER, until)? else { return Ok(None) };
                    let asked = *asked;
                    return read(response, &body, asked, self.proven).map(Some);
                }
            }
        }
    }
}

/// The token in an answer, or the error that it is.
fn read(response: &Response, body: &[u8], asked: Instant, proven: bool) -> Result<Token> {
    let place = response.place();
    let answer = serde_json::from_slice::<Answer>(body);
    if let Err(error) = response.error_for_status() {
        // 400 with `invalid_client` or the like is how RFC 6749 says no.
        let said = answer.ok().and_then(|answer| {
            let code = answer.error?;
            Some(answer.error_description.map_or(code.clone(), |why| format!("{code}, {why}")))
        });
        let kind = match error.kind() {
            ErrorKind::Config if said.is_some() => ErrorKind::Auth,
            ErrorKind::Config if proven => ErrorKind::Unreachable,
            kind => kind,
        };
        let shown: String = said.iter().flat_map(|text| text.chars()).filter(|c| !c.is_control()).take(200).collect();
        let message =
            if shown.is_empty() { error.message().to_owned() } else { format!("{}: {shown}", error.message()) };
        let refused = Error::new(kind, message);
        return Err(match error.wait() {
            Some(wait) => refused.retry_after(wait),
            None => refused,
        });
    }
    // What is wrong with it stays unsaid in detail: the answer may hold half a token.
    let odd = |what: &str| {
        let kind = if proven { ErrorKind::Unreachable } else { ErrorKind::Config };
        Error::new(kind, format!("{place}: {what}; is `token-url` the right address?"))
    };
    let answer = answer.map_err(|_| odd("the answer is not the JSON of a token"))?;
    let Some(text) = answer.access_token.filter(|text| !text.is_empty()) else {
        return Err(odd("the answer holds no `access_token`"));
    };
    if let Some(other) = answer.token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        let other: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(odd(&format!("the token is of the type `{other}`, not Bearer")));
    }
    let life = answer.expires_in.and_then(|life| match life {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    });
    let life = life.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let renew = life.map(|life| asked + (life - MARGIN.min(life / 10)));
    Ok(Token { text, renew })
}
