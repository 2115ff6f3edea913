//! The token endpoint (RFC 7523): verifies a service account's signed request with its public key, and hands
//! out tokens that end.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a token has to be asked for, to be of use with the Sheets API.
const SCOPES: [&str; 2] = ["https://www.googleapis.com/auth/spreadsheets", "https://www.googleapis.com/auth/drive"];

/// How far apart clocks may be.
const SKEW: i64 = 300;

/// A service account, with a key made for this run.
#[derive(Clone)]
pub struct ServiceAccount {
    /// Its address.
    pub email: String,
    /// PKCS#8.
    private_key: Vec<u8>,
    public_key: Vec<u8>,
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceAccount({})", self.email)
    }
}

impl ServiceAccount {
    /// An account with a new key. Takes a moment.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn new(email: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("any key can be written");
        let (private_key, public_key) = (der.as_ref().to_vec(), pair.public_key().as_ref().to_vec());
        Self { email: email.to_owned(), private_key, public_key }
    }

    /// Its private key, as in the key files that Google gives out: PEM, PKCS#8.
    #[must_use]
    pub fn private_key(&self) -> String {
        let packed = STANDARD.encode(&self.private_key);
        let lines = packed.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n")
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

/// The accounts, and the tokens that they have.
#[derive(Default)]
pub(super) struct Tokens {
    /// Public keys.
    accounts: HashMap<String, Vec<u8>>,
    tokens: HashMap<String, (String, Instant)>,
    handed_out: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} handed out)", self.handed_out)
    }
}

impl Tokens {
    pub fn register(&mut self, account: &ServiceAccount) {
        self.accounts.insert(account.email.clone(), account.public_key.clone());
    }

    pub fn revoke_all(&mut self) {
        self.tokens.clear();
    }

    /// Whose token this is, as long as it is good.
    pub fn owner(&self, token: &str) -> Option<&str> {
        self.tokens.get(token).filter(|(_, end)| Instant::now() < *end).map(|(email, _)| email.as_str())
    }

    /// Answers a request for a token: the status, and the body.
    pub fn grant(&mut self, form: &str, audience: &str, life: Duration) -> (u16, Value) {
        match self.verify(form, audience) {
            Ok(email) => {
                self.handed_out += 1;
                let token = format!("ya29.stand-in-{}-{}", self.handed_out, chance());
                self.tokens.insert(token.clone(), (email, Instant::now() + life));
                (200, json!({"access_token": token, "expires_in": life.as_secs(), "token_type": "Bearer"}))
            }
            Err((error, description)) => (400, json!({"error": error, "error_description": description})),
        }
    }

    /// The account that has signed this request.
    fn verify(&self, form: &str, audience: &str) -> Result<String, (&'static str, String)> {
        let fields: HashMap<String, String> = form_fields(form);
        if fields.get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
            return Err(("unsupported_grant_type", "Invalid grant_type".to_owned()));
        }
        let bad = |what: &str| ("invalid_grant", what.to_owned());
        let assertion = fields.get("assertion").ok_or(("invalid_request", "Missing assertion".to_owned()))?;
        let (signed, signature) = assertion.rsplit_once('.').ok_or_else(|| bad("Invalid JWT"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| bad("Invalid JWT"))?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| bad("Invalid JWT: not base64url"));
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| bad("Invalid JWT: header is not JSON"))?;
        if header.alg != "RS256" || header.typ.is_some_and(|typ| typ != "JWT") {
            return Err(bad("Invalid JWT: unsupported algorithm"));
        }
        let claims: Claims =
            serde_json::from_slice(&decode(payload)?).map_err(|error| bad(&format!("Invalid JWT: {error}")))?;
        let key = self.accounts.get(&claims.iss).ok_or_else(|| bad("Invalid grant: account not found"))?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| bad("Invalid JWT Signature."))?;
        if claims.aud != audience {
            return Err(bad("Invalid JWT: Failed audience check."));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs()) as i64;
        if claims.exp - claims.iat > 3600 || claims.iat > now + SKEW || claims.exp < now {
            return Err(bad(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check \
                 your iat and exp values in the JWT claim.",
            ));
        }
        if !claims.scope.split(' ').any(|scope| SCOPES.contains(&scope)) {
            return Err(("invalid_scope", "Invalid OAuth scope or ID token audience provided.".to_owned()));
        }
        Ok(claims.iss)
    }
}

fn form_fields(form: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

/// Something that nobody guesses.
fn chance() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    URL_SAFE_NO_PAD.encode(bytes)
}
