//! Makes pieces of records: the address, headers and body that each one asks for. How pieces become requests
//! is [`request`](crate::request)'s matter.
//!
//! A record that can't be used (no key where the address wants one, no JSON where the body does) fails alone,
//! with the reason, and the others go on.

use std::borrow::Cow;
use std::ops::Range;

use connector_sdk::template::{Context, Place, Template, keeps_its_path};
use connector_sdk::{Delivery, Error, Failure, Result};

use crate::config::{Config, Form};

/// The longest address and the longest header value that a record may make. Servers take much less; the
/// client below takes no more than 64 KiB of an address, and would call it the configuration's fault.
const LONGEST: usize = 32 << 10;

/// One record, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its index in the delivery.
    pub index: usize,
    /// The offset of the record it was made from.
    pub offset: i64,
    /// Its number among the records that were made from the same offset.
    pub part: u32,
    /// Where it goes.
    pub head: Head,
    /// The body, or the element of one.
    pub body: Cow<'a, [u8]>,
}

/// What of an address and of headers depends on the record. Pieces with the same one can share a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The address, when it depends on the record.
    pub address: Option<String>,
    /// Headers that depend on the record: the index among all that are configured, and the value.
    pub headers: Vec<(usize, Vec<u8>)>,
}

/// Makes pieces of records.
#[derive(Debug)]
pub struct Extractor {
    /// Only with placeholders.
    address: Option<Template>,
    headers: Vec<(usize, Template)>,
    /// Absent: the body is the record's value, whatever that is.
    body: Option<Template>,
}

impl Extractor {
    /// Reads the templates.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn new(config: &Config) -> Result<Self> {
        let address = address(&config.endpoint)?;
        let mut headers = Vec::new();
        for (index, (_, value)) in config.headers()?.into_iter().enumerate() {
            let template = Template::parse(value, Place::Header)
                .map_err(|why| Error::config(format!("`http.headers[{index}]`: {why}")))?;
            if !template.is_fixed() {
                headers.push((index, template));
            }
        }
        let body = match (&config.body, config.batch) {
            (None, Form::None) => None,
            (None, _) => Some(Template::json_value()),
            (Some(text), _) => Some(body(text, config)?),
        };
        Ok(Self { address: address.filter(|address| !address.is_fixed()), headers, body })
    }

    /// The piece of each record, in order. Records that can't be used are listed among the failures instead.
    pub fn pieces<'a>(&self, delivery: &'a Delivery, failures: &mut Vec<Failure>) -> Vec<Piece<'a>> {
        let mut pieces = Vec::with_capacity(delivery.len());
        for delivered in delivery.iter() {
            let context = Context { topic: &delivery.topic, partition: delivery.partition, delivered };
            match self.piece(&context) {
                Ok(piece) => pieces.push(piece),
                Err(why) => failures.push(Failure::new(delivered.index, Error::data(why))),
            }
        }
        pieces
    }

    fn piece<'a>(&self, context: &Context<'a>) -> Result<Piece<'a>, String> {
        let mut head = Head::default();
        if let Some(template) = &self.address {
            head.address = Some(filled_address(template, context).map_err(|why| format!("`http.endpoint`: {why}"))?);
        }
        for (index, template) in &self.headers {
            let value = template.fill(context).and_then(|value| match value.len() {
                ..LONGEST => Ok(value.into_owned()),
                length => Err(format!("{length} bytes are too long for a header")),
            });
            head.headers.push((*index, value.map_err(|why| format!("`http.headers[{index}]`: {why}"))?));
        }
        let body = match &self.body {
            None => Cow::Borrowed(context.delivered.record.value),
            Some(template) => template.fill(context).map_err(|why| format!("`http.body`: {why}"))?,
        };
        let delivered = context.delivered;
        Ok(Piece { index: delivered.index, offset: delivered.offset, part: delivered.part, head, body })
    }
}

/// The type of content that the bodies have, when no header says it.
pub fn content_type(config: &Config) -> Result<Option<&'static str>> {
    if config.header("content-type")?.is_some() {
        return Ok(None);
    }
    Ok(match config.batch {
        Form::JsonArray => Some("application/json"),
        Form::Ndjson => Some("application/x-ndjson"),
        Form::None if is_json(config)? => Some("application/json"),
        // The official connector replaces its only default header by those that are given.
        Form::None => config.headers.is_none().then_some("text/html"),
    })
}

/// Whether the template of a body is to be JSON.
fn is_json(config: &Config) -> Result<bool> {
    let Some(body) = &config.body else { return Ok(false) };
    if config.batch != Form::None {
        return Ok(true);
    }
    Ok(match config.header("content-type")? {
        Some(kind) => {
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        }
        None => {
            let start = body.trim_start();
            start.starts_with(['{', '[']) && !start.starts_with("{{")
        }
    })
}

fn body(text: &str, config: &Config) -> Result<Template> {
    let wrong = |why: String| Error::config(format!("`http.body`: {why}"));
    if !is_json(config)? {
        return Template::parse(text, Place::Plain).map_err(wrong);
    }
    Template::parse_json(text).map_err(|why| {
        let guessed = config.batch == Form::None && matches!(config.header("content-type"), Ok(None));
        let hint = if guessed {
            "; if it is not meant to be, say by a `Content-Type` in `http.headers` what it is"
        } else {
            ""
        };
        wrong(format!("{why}{hint}"))
    })
}

/// The template of the address: placeholders in its path and query, each as it may stand there.
fn address(text: &str) -> Result<Option<Template>> {
    let wrong = |why: String| Error::config(format!("`http.endpoint`: {why}"));
    let Some(first) = text.find("{{") else { return Ok(None) };
    // Strictly so: `http:/x` and `http:///x` are addresses of the host `x` too.
    let scheme = ["http://", "https://"].into_iter().find(|scheme| text.starts_with(scheme));
    let authority = scheme.ok_or_else(|| wrong("write an address that begins with http:// or https://".into()))?.len();
    let path = text[authority..].find(['/', '?', '#']).map_or(text.len(), |at| authority + at);
    if first < path || path == authority {
        return Err(wrong(
            "a placeholder can't stand in the host: the sandbox opens only hosts that the configuration names".into(),
        ));
    }
    if text.contains(|c: char| c.is_control()) || !keeps_its_path(&text.as_bytes()[authority..]) {
        return Err(wrong("with placeholders, it can't hold control characters, `.` or `..` in its path".into()));
    }
    // A placeholder may hold a `?` only in a pointer; what is outside of placeholders decides.
    let query = outside(text).find(['?', '#']).unwrap_or(text.len());
    let (path, query) = text.split_at(query);
    let mut template = Template::parse(path, Place::Path).map_err(wrong)?;
    template.extend(Template::parse(query, Place::Query).map_err(wrong)?);
    Ok(Some(template))
}

/// The part of an endpoint that does not depend on a record, up to the end of a part of its path.
pub fn fixed_address(endpoint: &str) -> &str {
    let Some(first) = endpoint.find("{{") else { return endpoint };
    let fixed = &endpoint[..first];
    match (fixed.find('?'), fixed.rfind('/')) {
        (Some(query), _) => &fixed[..query],
        (None, Some(slash)) => &fixed[..=slash],
        (None, None) => fixed,
    }
}

/// The same text with blanks for its placeholders.
fn outside(text: &str) -> String {
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(Range { start, end }) = placeholder(&out, from) {
        out.replace_range(start..end, &" ".repeat(end - start));
        from = end;
    }
    out
}

fn placeholder(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].find("{{")?;
    let end = start + text[start..].find("}}")? + 2;
    Some(start..end)
}

fn filled_address(template: &Template, context: &Context<'_>) -> Result<String, String> {
    let mut out = Vec::new();
    template.fill_into(context, &mut out)?;
    if out.len() > LONGEST {
        return Err(format!("{} bytes are too long for an address", out.len()));
    }
    if !keeps_its_path(&out) {
        return Err("the record would make a `.` or `..` of a part of the path".to_owned());
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
