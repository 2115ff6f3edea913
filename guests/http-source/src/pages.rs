//! From one page to the next: by the `Link` header, by a cursor or an address in the body, or by number.
//!
//! A page is known by what has to be sent to get it, never by the configuration's own text: that may hold
//! secrets, and pages are stored in the reader's cursor.
//!
//! **Circles.** A run of pages that leads back to a page it came from, that repeats itself, or is longer than
//! `max-pages`, is reported as `data`; what its pages hold is delivered first.

use std::collections::HashSet;

use connector_sdk::json::{Found, Pointer};
use connector_sdk::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cursor::fingerprint;
use crate::links;
use crate::protocol::Answer;

/// How a list that is spread over several answers goes on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pagination {
    /// The `Link` header names the next page, until there is none.
    Link {
        /// The most pages of one poll.
        #[serde(default = "default_max_pages", rename = "max-pages", alias = "max_pages")]
        #[schemars(extend("x-aliases" = ["max_pages"]))]
        max_pages: u32,
    },
    /// The body names the next page, until it names none.
    Cursor {
        /// JSON Pointer to what names the next page. Nothing there, `null`, `false` and an empty text end
        /// the list.
        next: Pointer,
        /// The parameter of the query that takes it. Without one it is the next page's address.
        #[serde(default)]
        param: Option<String>,
        /// A feed that never ends: the next poll goes on where this one stopped, which an empty page or the
        /// same cursor again says.
        #[serde(default)]
        follow: bool,
        /// The most pages of one poll.
        #[serde(default = "default_max_pages", rename = "max-pages", alias = "max_pages")]
        #[schemars(extend("x-aliases" = ["max_pages"]))]
        max_pages: u32,
    },
    /// Pages have numbers; an empty page (or 404) ends the list.
    Page {
        /// The parameter of the query that takes the number.
        param: String,
        /// The number of the first page.
        #[serde(default = "one")]
        start: u64,
        /// From one number to the next; more than 1 where offsets are counted instead of pages.
        #[serde(default = "one")]
        step: u64,
        /// The most pages of one poll.
        #[serde(default = "default_max_pages", rename = "max-pages", alias = "max_pages")]
        #[schemars(extend("x-aliases" = ["max_pages"]))]
        max_pages: u32,
    },
}

const fn default_max_pages() -> u32 {
    10_000
}

const fn one() -> u64 {
    1
}

/// A page other than the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Page {
    /// By number.
    Number(u64),
    /// By what the parameter takes.
    Cursor(String),
    /// By its address.
    Address(Address),
}

/// An address, without what it shares with the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Everything before the query; absent when it is the endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<Pair>,
}

/// One part of a query, between two `&`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Pair {
    /// As it stands at this place of the endpoint's query.
    Given(usize),
    /// Its own.
    Own(String),
}

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This page.
    Page(Page),
    /// Nothing. The next poll begins at this page, or at the first.
    End(Option<Page>),
    /// Nobody knows: the way is lost, or goes in a circle.
    Broken(Error),
}

/// What an answer says of its successor; the rest is known when its records are.
#[derive(Debug)]
pub struct Sign {
    next: Result<Option<Page>>,
    body: u64,
}

/// Finds the way through the pages of one poll.
#[derive(Debug)]
pub struct Pages {
    rule: Option<Pagination>,
    endpoint: Url,
    /// The parameter of the query that holds a credential.
    secret: Option<String>,
    /// Fingerprints of the addresses asked for in this poll.
    asked: HashSet<u64>,
    /// The last page's body.
    last: Option<u64>,
}

impl Pages {
    /// A way to find; without a rule every answer is the only one. `secret` is the parameter of the query that
    /// holds a credential, if one does.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn new(rule: Option<&Pagination>, endpoint: &str, secret: Option<&str>) -> Result<Self> {
        let wrong = |what: &str| Err(Error::config(format!("`http.pagination`: {what}")));
        match rule {
            Some(Pagination::Page { param, .. } | Pagination::Cursor { param: Some(param), .. })
                if param.is_empty() =>
            {
                return wrong("`param` is empty; write the name of the query's parameter");
            }
            Some(Pagination::Page { step: 0, .. }) => return wrong("`step` must be more than 0"),
            Some(
                Pagination::Link { max_pages: 0 }
                | Pagination::Cursor { max_pages: 0, .. }
                | Pagination::Page { max_pages: 0, .. },
            ) => return wrong("`max-pages` must be more than 0"),
            _ => {}
        }
        let mut endpoint = Url::parse(endpoint)
            .map_err(|error| Error::config(format!("`http.endpoint`: the address is not a URL ({error})")))?;
        // Neither fails for an address with a host, and the fragment is never sent.
        let _ = (endpoint.set_username(""), endpoint.set_password(None));
        endpoint.set_fragment(None);
        let secret = secret.map(str::to_owned);
        Ok(Self { rule: rule.cloned(), endpoint, secret, asked: HashSet::new(), last: None })
    }

    /// A new poll begins.
    pub fn begin(&mut self) {
        self.asked.clear();
        self.last = None;
    }

    /// Whether a stored page is one of this rule's.
    pub fn knows(&self, page: &Page) -> bool {
        matches!(
            (&self.rule, page),
            (Some(Pagination::Page { .. }), Page::Number(_))
                | (Some(Pagination::Cursor { param: Some(_), .. }), Page::Cursor(_))
                | (Some(Pagination::Link { .. } | Pagination::Cursor { param: None, .. }), Page::Address(_))
        )
    }

    /// Whether a refusal with this status says that the list has ended.
    pub fn ends_with(&self, status: u16, page: Option<&Page>) -> bool {
        status == 404 && matches!(self.rule, Some(Pagination::Page { .. })) && page.is_some()
    }

    /// Where a page is; the first one when none is given.
    pub fn address(&self, page: Option<&Page>) -> String {
        let with = |name: &str, value: &str| with_parameter(&self.endpoint, name, value);
        match (&self.rule, page) {
            (Some(Pagination::Page { param, start, .. }), None) => with(param, &start.to_string()),
            (Some(Pagination::Page { param, .. }), Some(Page::Number(number))) => with(param, &number.to_string()),
            (Some(Pagination::Cursor { param: Some(param), .. }), Some(Page::Cursor(cursor))) => with(param, cursor),
            (_, Some(Page::Address(address))) => address.url(&self.endpoint),
            _ => self.endpoint.as_str().to_owned(),
        }
    }

    /// Reads what an answer says of its successor.
    pub fn sign(&self, page: Option<&Page>, answer: &Answer) -> Sign {
        let body = if self.rule.is_some() { fingerprint(&answer.body) } else { 0 };
        Sign { next: self.successor(page, answer), body }
    }

    fn successor(&self, page: Option<&Page>, answer: &Answer) -> Result<Option<Page>> {
        match &self.rule {
            None => Ok(None),
            Some(Pagination::Link { .. }) => {
                links::next(&answer.head.headers).map(|link| self.resolve(&link, answer)).transpose()
            }
            Some(Pagination::Cursor { next, param, .. }) => {
                let found = next_in_body(next, &answer.body).map_err(|error| error.context(&answer.head.place))?;
                match (found, param) {
                    (None, _) => Ok(None),
                    (Some(text), None) => self.resolve(&text, answer).map(Some),
                    (Some(text), Some(_)) => Ok(Some(Page::Cursor(text))),
                }
            }
            Some(Pagination::Page { start, step, .. }) => {
                let number = match page {
                    Some(Page::Number(number)) => *number,
                    _ => *start,
                };
                Ok(Some(Page::Number(number.saturating_add(*step))))
            }
        }
    }

    /// What follows the page that gave this sign, the `count`th of its poll.
    ///
    /// # Errors
    /// Kind `data` when it is the page before it over again, and so none of its own.
    pub fn after(&mut self, page: Option<&Page>, sign: Sign, empty: bool, count: u32) -> Result<Next> {
        let address = self.address(page);
        self.asked.insert(fingerprint(address.as_bytes()));
        let last = self.last.replace(sign.body);
        let next = match sign.next {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Next::End(None)),
            Err(error) => return Ok(Next::Broken(error)),
        };
        let repeated = last == Some(sign.body);
        let max_pages = match &self.rule {
            Some(Pagination::Page { .. }) if empty => return Ok(Next::End(None)),
            Some(Pagination::Page { param, .. }) if repeated => {
                return Err(circle(&format!(
                    "page {count} is the same as the one before it; does the server know the parameter `{param}`?"
                )));
            }
            Some(Pagination::Cursor { follow: true, .. }) if empty || page == Some(&next) => {
                return Ok(Next::End(Some(next)));
            }
            Some(
                Pagination::Link { max_pages }
                | Pagination::Cursor { max_pages, .. }
                | Pagination::Page { max_pages, .. },
            ) => *max_pages,
            None => return Ok(Next::End(None)),
        };
        if self.asked.contains(&fingerprint(self.address(Some(&next)).as_bytes())) {
            return Ok(Next::Broken(circle(&format!("page {count} leads back to one that came before it"))));
        }
        if count >= max_pages {
            return Ok(Next::Broken(circle(&format!(
                "there are more than {max_pages} pages; raise `pagination.max-pages` if that is right"
            ))));
        }
        Ok(Next::Page(next))
    }

    /// The page at an address that an answer names.
    fn resolve(&self, link: &str, answer: &Answer) -> Result<Page> {
        let wrong = || {
            let link: String = link.chars().take(200).collect();
            Error::data(format!(
                "{}: the next page is at `{link}`, which is no http or https address",
                answer.head.place
            ))
        };
        let url = Url::parse(&answer.address).and_then(|base| base.join(link)).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        Ok(Page::Address(Address::of(&url, &self.endpoint, self.secret.as_deref())))
    }
}

fn circle(what: &str) -> Error {
    Error::data(format!("the pages go on without an end: {what}"))
}

/// What a body names as its successor.
fn next_in_body(pointer: &Pointer, body: &[u8]) -> Result<Option<String>> {
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let found = pointer.find(json).map_err(|error| Error::data(format!("the body is not JSON ({error})")))?;
    let Found::Value(raw) = found else { return Ok(None) };
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|error| Error::data(error.to_string()))?;
            Some(text).filter(|text| !text.is_empty())
        }
        Some(b'n' | b'f') => None,
        Some(b'0'..=b'9' | b'-') => Some(text.to_owned()),
        _ => {
            return Err(Error::data(format!(
                "`pagination.next: {pointer}` leads to what is neither a text nor a number"
            )));
        }
    })
}

/// An address with this parameter in its query, in place of what was there under the name. The rest of the
/// query stays as it is written.
fn with_parameter(url: &Url, name: &str, value: &str) -> String {
    let mut pairs: Vec<String> = pairs(url).filter(|pair| !is_named(pair, name)).map(str::to_owned).collect();
    pairs.push(url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish());
    let mut url = url.clone();
    url.set_query(Some(&pairs.join("&")));
    url.into()
}

/// Whether a part of a query has this name.
fn is_named(pair: &str, name: &str) -> bool {
    url::form_urlencoded::parse(pair.as_bytes()).any(|(other, _)| other == name)
}

fn pairs(url: &Url) -> impl Iterator<Item = &str> {
    url.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty())
}

impl Address {
    fn of(url: &Url, endpoint: &Url, secret: Option<&str>) -> Self {
        let same = url.origin() == endpoint.origin() && url.path() == endpoint.path();
        let base = (!same).then(|| format!("{}{}", url.origin().ascii_serialization(), url.path()));
        let given: Vec<&str> = pairs(endpoint).collect();
        let pair = |pair: &str| match given.iter().position(|other| *other == pair) {
            Some(place) => Pair::Given(place),
            None => Pair::Own(pair.to_owned()),
        };
        let open = |pair: &&str| secret.is_none_or(|secret| !is_named(pair, secret));
        Self { base, query: pairs(url).filter(open).map(pair).collect() }
    }

    fn url(&self, endpoint: &Url) -> String {
        let mut url = match self.base.as_deref().map(Url::parse) {
            Some(Ok(url)) => url,
            _ => endpoint.clone(),
        };
        let given: Vec<&str> = pairs(endpoint).collect();
        let pairs = self.query.iter().filter_map(|pair| match pair {
            Pair::Given(place) => given.get(*place).copied(),
            Pair::Own(own) => Some(own.as_str()),
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
        url.into()
    }
}

#[cfg(test)]
mod tests;
