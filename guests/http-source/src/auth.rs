//! Who the connector is to the endpoint: a password, a token, a key, or a token that is fetched from an
//! authorisation server and renewed before it ends (OAuth 2.0, client credentials, RFC 6749 section 4.4).
//!
//! Credentials go to the endpoint's own origin only, never along a redirect or a link to another one. A token
//! is kept in memory alone, and taken out of every message.

mod oauth;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::config::Secret;
use connector_sdk::http::{Request, Timeouts};
use connector_sdk::time::Instant;
use connector_sdk::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the connector says who it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// A user and a password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token that does not change.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// The name of the header or of the query's parameter.
        name: String,
        /// Where the key stands.
        #[serde(default, rename = "in")]
        place: KeyPlace,
        /// The key.
        value: Secret,
    },
    /// A token from an authorisation server, by client credentials; kept, and renewed before it ends.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
}

/// Where an API key stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    /// In a header of this name.
    #[default]
    Header,
    /// In the query, under this name.
    Query,
}

/// How to get a token by client credentials.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// The address that hands out tokens.
    #[serde(rename = "token-url", alias = "token_url")]
    #[schemars(extend("x-network" = true, "x-aliases" = ["token_url"]))]
    pub token_url: String,
    /// The client's name there.
    #[serde(rename = "client-id", alias = "client_id")]
    #[schemars(extend("x-aliases" = ["client_id"]))]
    pub client_id: String,
    /// The client's password there.
    #[serde(rename = "client-secret", alias = "client_secret")]
    #[schemars(extend("x-aliases" = ["client_secret"]))]
    pub client_secret: Secret,
    /// What the token is to be good for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whom the token is for, where the server wants to know.
    #[serde(default)]
    pub audience: Option<String>,
    /// How the client says who it is: `basic` (a header), or `body` (in the form).
    #[serde(default, rename = "client-auth", alias = "client_auth")]
    #[schemars(extend("x-aliases" = ["client_auth"]))]
    pub client_auth: ClientAuth,
}

/// How a client says who it is to the authorisation server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// By basic authentication, which every server has to understand.
    #[default]
    Basic,
    /// By `client_id` and `client_secret` in the form.
    Body,
}

/// Puts credentials onto requests, and keeps them out of messages.
pub struct Authorizer {
    auth: Option<Auth>,
    tokens: Option<oauth::Tokens>,
    /// What is taken out of texts: the credentials in all their forms, the longest first.
    hidden: Vec<String>,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authorizer({:?})", self.tokens)
    }
}

impl Authorizer {
    /// One for this configuration; `request` is what will be asked, and may have credentials of its own.
    ///
    /// # Errors
    /// Kind `config` when the credentials can't be put onto the request.
    pub fn new(auth: Option<&Auth>, request: &Request, timeouts: Timeouts) -> Result<Self> {
        let named = |error: Error| error.context("`http.auth`");
        let tokens = match auth {
            Some(Auth::OAuth2(oauth)) => Some(oauth::Tokens::new(oauth, timeouts).map_err(named)?),
            _ => None,
        };
        let complete = match auth {
            Some(auth) => with_credentials(auth, request.clone()).map_err(named)?,
            None => request.clone(),
        };
        let mut hidden: Vec<String> = match auth {
            None => Vec::new(),
            Some(Auth::Basic { password, .. }) => vec![password.reveal().to_owned()],
            Some(Auth::Bearer { token: secret } | Auth::ApiKey { value: secret, .. }) => {
                vec![secret.reveal().to_owned()]
            }
            Some(Auth::OAuth2(oauth)) => vec![oauth.client_secret.reveal().to_owned()],
        };
        for name in ["authorization", "cookie"] {
            let value = complete.headers().get_str(name).unwrap_or_default();
            hidden.push(value.strip_prefix("Basic ").unwrap_or(value).to_owned());
        }
        hidden.retain(|secret| secret.len() >= SHORTEST_HIDDEN);
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(Self { auth: auth.cloned(), tokens, hidden })
    }

    /// The request with credentials; `None` when the token for it is not there until then: ask again.
    ///
    /// # Errors
    /// When there is no token to be had.
    pub fn authorize(&mut self, request: &Request, until: Instant) -> Result<Option<Request>> {
        match (&mut self.tokens, &self.auth) {
            (Some(tokens), _) => match tokens.get(until)? {
                Some(token) => request.clone().header("authorization", format!("Bearer {token}")).map(Some),
                None => Ok(None),
            },
            (None, Some(auth)) => with_credentials(auth, request.clone()).map(Some),
            (None, None) => Ok(Some(request.clone())),
        }
    }

    /// The endpoint does not take the credentials. Whether another token may do: this one was not new.
    pub fn refused(&mut self) -> bool {
        self.tokens.as_mut().is_some_and(oauth::Tokens::forget)
    }

    /// A text from outside without the credentials. The host hides what the configuration says; what it
    /// became on its way is known only here.
    pub fn redact(&self, text: &str) -> String {
        let token = self.tokens.as_ref().and_then(oauth::Tokens::current);
        let all = self.hidden.iter().map(String::as_str).chain(token);
        all.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// What is shorter is left alone: to hide every `a` would tell more than it hides.
const SHORTEST_HIDDEN: usize = 3;

/// Credentials that do not change.
fn with_credentials(auth: &Auth, request: Request) -> Result<Request> {
    match auth {
        Auth::Basic { username, password } => request.header("authorization", basic(username, password.reveal())),
        Auth::Bearer { token } => request.header("authorization", format!("Bearer {}", token.reveal())),
        Auth::ApiKey { name, place: KeyPlace::Header, value } => request.private_header(name, value.reveal()),
        Auth::ApiKey { name, place: KeyPlace::Query, value } => {
            let mut url = url::Url::parse(request.url()).map_err(|error| Error::internal(error.to_string()))?;
            // A link that the server made may have it already.
            if url.query_pairs().all(|(other, _)| other != name.as_str()) {
                url.query_pairs_mut().append_pair(name, value.reveal());
            }
            request.at(url.as_str())
        }
        Auth::OAuth2(_) => Ok(request),
    }
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}
