//! Makes requests of pieces: which of them share one, its body in the form that is configured, compressed,
//! signed, and named so that a repetition can be told.

use std::collections::VecDeque;
use std::io::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::http::Request;
use connector_sdk::{Error, Result, time};
use flate2::write::GzEncoder;

use crate::config::{Compression, Config, Form};
use crate::extract::{self, Piece};
use crate::sign::Signer;

/// Makes requests.
#[derive(Debug)]
pub struct Requests {
    /// What every request begins as.
    base: Request,
    /// The names of the configured headers, by their index.
    headers: Vec<String>,
    form: Form,
    max_records: usize,
    max_bytes: usize,
    compression: Compression,
    idempotency_header: Option<String>,
    signer: Option<Signer>,
}

/// Where a delivery comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
}

impl Requests {
    /// Prepares what all requests have in common.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn new(config: &Config) -> Result<Self> {
        let named = |key: &'static str| move |error: Error| error.context(format_args!("`http.{key}`"));
        // Checked on its own, so that the error of either names the right key.
        Request::get(&config.endpoint).map_err(named("endpoint"))?;
        let mut base = Request::new(&config.method, &config.endpoint).map_err(named("method"))?;
        if let Some(kind) = extract::content_type(config)? {
            base = base.header("content-type", kind)?;
        }
        base = base.header("user-agent", &config.user_agent).map_err(named("user_agent"))?;
        if let Some(token) = &config.bearer_token {
            base = base.header("authorization", format!("Bearer {}", token.reveal())).map_err(named("bearer-token"))?;
        }
        if let Some(auth) = &config.basic_auth {
            let pair = format!("{}:{}", auth.username, auth.password.reveal());
            base = base.header("authorization", format!("Basic {}", STANDARD.encode(pair)))?;
        }
        if config.compression == Compression::Gzip {
            base = base.header("content-encoding", "gzip")?;
        }
        let headers = config.headers()?;
        for (index, (name, value)) in headers.iter().enumerate() {
            let at = |error: Error| error.context(format_args!("`http.headers[{index}]`"));
            base = if value.contains("{{") {
                // The value is the record's; the name is checked now.
                Request::get(&config.endpoint)?.header(name, "").map_err(at)?;
                base
            } else if name.eq_ignore_ascii_case("user-agent") {
                base.header(name, value).map_err(at)?
            } else {
                base.add_header(name, value).map_err(at)?
            };
        }
        let signer = config.signature.as_ref().map(Signer::new).transpose()?;
        let signature = config.signature.as_ref();
        for (key, name, value) in [
            ("idempotency-header", config.idempotency_header.as_deref(), ""),
            ("signature.header", signature.map(|signature| signature.header.as_str()), ""),
            ("signature.prefix", signature.map(|_| "x"), signature.map_or("", |signature| &signature.prefix)),
            ("signature.timestamp-header", signature.and_then(|signature| signature.timestamp_header.as_deref()), ""),
        ] {
            if let Some(name) = name {
                Request::get(&config.endpoint)?.header(name, value).map_err(named(key))?;
            }
        }
        Ok(Self {
            base: base.timeouts(config.timeouts()).redirects(config.redirects).keep_method(),
            headers: headers.iter().map(|(name, _)| (*name).to_owned()).collect(),
            form: config.batch,
            max_records: if config.batch == Form::None { 1 } else { config.batch_max_records },
            max_bytes: config.batch_max_bytes.as_len(),
            compression: config.compression,
            idempotency_header: config.idempotency_header.clone(),
            signer,
        })
    }

    /// Says which pieces share a request: neighbours that go to the same address with the same headers, as
    /// many as the limits allow.
    pub fn units(&self, pieces: &[Piece<'_>]) -> VecDeque<Range<usize>> {
        if self.max_records == 1 {
            return (0..pieces.len()).map(|index| index..index + 1).collect();
        }
        let mut units = VecDeque::new();
        let (mut start, mut bytes) = (0, 0);
        for (index, piece) in pieces.iter().enumerate() {
            let length = piece.body.len() + 1;
            let full = index - start == self.max_records || bytes + length > self.max_bytes;
            if index > start && (full || piece.head != pieces[start].head) {
                units.push_back(start..index);
                (start, bytes) = (index, 0);
            }
            bytes += length;
        }
        if start < pieces.len() {
            units.push_back(start..pieces.len());
        }
        units
    }

    /// The request that carries these pieces, of which there is at least one.
    ///
    /// # Errors
    /// Kind `data` when the address or a header that the record makes can't be sent.
    pub fn request(&self, origin: Origin<'_>, pieces: &[Piece<'_>]) -> Result<Request> {
        let (first, last) = (&pieces[0], &pieces[pieces.len() - 1]);
        let unfit = |error: Error| Error::data(error.message());
        let mut request = self.base.clone();
        if let Some(address) = &first.head.address {
            request = request.address(address).map_err(unfit)?;
        }
        for (index, value) in &first.head.headers {
            request = request.add_header(&self.headers[*index], value).map_err(unfit)?;
        }
        if let Some(name) = &self.idempotency_header {
            request = request.header(name, identity(origin, first, last)).map_err(unfit)?;
        }
        let mut body = self.body(pieces);
        if self.compression == Compression::Gzip {
            body = gzip(&body)?;
        }
        if let Some(signer) = &self.signer {
            let time = signer.timestamp_header.as_ref().map(|name| (name, (time::unix_millis() / 1000).to_string()));
            let signature = signer.sign(&body, time.as_ref().map(|(_, time)| time.as_str()));
            request = request.header(&signer.header, signature)?;
            if let Some((name, time)) = time {
                request = request.header(name, time)?;
            }
        }
        Ok(request.body(body))
    }

    /// A request that asks whether the endpoint is there, and changes nothing. `address` is the part of the
    /// endpoint that does not depend on a record.
    ///
    /// # Errors
    /// Kind `config` when that is no address.
    pub fn probe(&self, method: &str, address: &str) -> Result<Request> {
        let probe = self.base.clone().method(method)?.address(address)?;
        Ok(probe.without_header("content-type").without_header("content-encoding").redirects(0))
    }

    fn body(&self, pieces: &[Piece<'_>]) -> Vec<u8> {
        let length = pieces.iter().map(|piece| piece.body.len() + 1).sum::<usize>() + 1;
        match self.form {
            Form::None => pieces[0].body.to_vec(),
            Form::JsonArray => {
                let mut body = Vec::with_capacity(length);
                for (index, piece) in pieces.iter().enumerate() {
                    body.push(if index == 0 { b'[' } else { b',' });
                    body.extend_from_slice(&piece.body);
                }
                body.push(b']');
                body
            }
            Form::Ndjson => {
                let mut body = Vec::with_capacity(length);
                for piece in pieces {
                    // JSON holds line breaks only between its tokens.
                    let start = body.len();
                    body.extend_from_slice(&piece.body);
                    for byte in &mut body[start..] {
                        if matches!(byte, b'\n' | b'\r') {
                            *byte = b' ';
                        }
                    }
                    body.push(b'\n');
                }
                body
            }
        }
    }
}

/// What names the pieces of a request for good: the same records have the same name after a restart too, as
/// long as they share a request.
fn identity(Origin { topic, partition }: Origin<'_>, first: &Piece<'_>, last: &Piece<'_>) -> String {
    let place = |piece: &Piece<'_>| match piece.part {
        0 => piece.offset.to_string(),
        part => format!("{}-{part}", piece.offset),
    };
    if first.index == last.index {
        format!("{topic}-{partition}-{}", place(first))
    } else {
        format!("{topic}-{partition}-{}..{}", place(first), place(last))
    }
}

fn gzip(body: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::internal(format!("the body can't be compressed: {error}"));
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), flate2::Compression::default());
    encoder.write_all(body).map_err(failed)?;
    encoder.finish().map_err(failed)
}
