//! The token that opens the API: asked for with the service account's signature, kept, and renewed before it
//! ends.

use std::time::Duration;

use connector_sdk::http::Request;
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, ErrorKind, Result, debug, metrics};
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::{patience, place};

/// What the token is for: reading and writing spreadsheets, and nothing else of the account's.
const SCOPE: &str = "https://www.googleapis.com/auth/spreadsheets";

/// How long the signed request may be used: the most that Google takes.
const ASSERTION_LIFE: i64 = 3600;

/// A token is renewed so long before its end, so that none ends on its way. Of short-lived ones a quarter of
/// their life is left.
const MARGIN: Duration = Duration::from_secs(60);

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// A service account, and the token that it has at present.
#[derive(Debug)]
pub struct Account {
    key: Key,
    email: String,
    token_url: String,
    token: Option<Token>,
}

struct Token {
    text: String,
    renew: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(****)")
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default = "an_hour")]
    expires_in: u64,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

const fn an_hour() -> u64 {
    3600
}

impl Account {
    /// An account without a token.
    ///
    /// # Errors
    /// Kind `auth` when the key can't be used.
    pub fn new(key: &str, email: &str, token_url: &str) -> Result<Self> {
        let (email, token_url) = (email.trim().to_owned(), token_url.trim().to_owned());
        Ok(Self { key: Key::parse(key)?, email, token_url, token: None })
    }

    /// The account's address.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// A token that is good for some time yet.
    ///
    /// # Errors
    /// `auth` when the account is refused, with what to check; `config` when the address is not that of a
    /// token service; `unreachable` and `throttled` as everywhere.
    pub fn token(&mut self, until: Instant) -> Result<&str> {
        let good = self.token.take().filter(|token| time::now() < token.renew);
        let token = match good {
            Some(token) => token,
            None => self.ask(until)?,
        };
        Ok(&self.token.insert(token).text)
    }

    /// Forgets the token, which the API did not take.
    pub fn forget(&mut self) {
        self.token = None;
    }

    fn ask(&self, until: Instant) -> Result<Token> {
        metrics::counter("tokens_total", 1);
        let asked = time::now();
        let iat = time::unix_millis() / 1000;
        let claims = Claims { iss: &self.email, scope: SCOPE, aud: &self.token_url, iat, exp: iat + ASSERTION_LIFE };
        // Nothing in a JWT needs escaping in a form.
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            self.key.sign(&claims)?
        );
        let request = Request::post(&self.token_url, form)?
            .header("content-type", "application/x-www-form-urlencoded")?
            .header("accept", "application/json")?
            .redirects(0)
            .timeouts(patience(until));
        let response = request.send()?;
        let status = response.status();
        let refused = response.error_for_status().err();
        let body = response.bytes(MAX_ANSWER)?;
        if let Some(error) = refused {
            return Err(self.refusal(status, error, &body));
        }
        let Ok(Granted { access_token, expires_in }) = serde_json::from_slice(&body) else {
            return Err(self.no_token_service("answered, but not with a token"));
        };
        let life = Duration::from_secs(expires_in);
        debug!("a new token, good for {expires_in}s");
        Ok(Token { text: access_token, renew: asked + life.saturating_sub(MARGIN.min(life / 4)) })
    }

    fn refusal(&self, status: u16, error: Error, body: &[u8]) -> Error {
        let denied = serde_json::from_slice::<Denied>(body);
        match (error.kind(), denied) {
            (ErrorKind::Unreachable | ErrorKind::Throttled, _) => error,
            (_, Ok(Denied { error, error_description })) => {
                let email = &self.email;
                let check = match error.as_str() {
                    "invalid_grant" => {
                        "check that `google_private_key` and `google_client_email` are from the same key file, that \
                         the account and its key still exist, and that this machine's clock is right"
                    }
                    "invalid_scope" | "unauthorized_client" | "access_denied" => {
                        "check in the Google Cloud console what this service account may do"
                    }
                    _ => "check the three keys `google_…` against the key file",
                };
                let words = if error_description.is_empty() { error } else { format!("{error}: {error_description}") };
                Error::auth(format!("Google gives no token to {email} ({words}); {check}"))
            }
            (ErrorKind::Auth, Err(_)) => error.context("no token"),
            (_, Err(_)) => self.no_token_service(&format!("answered {status}")),
        }
    }

    fn no_token_service(&self, what: &str) -> Error {
        Error::config(format!(
            "`sheet.google_token_url`: {} {what}; give `token_uri` of the key file",
            place(&self.token_url)
        ))
    }
}
