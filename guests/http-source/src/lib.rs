//! Polls an HTTP endpoint, page by page if need be, or listens to its stream, and makes records of what it
//! answers.
//!
//! Two stages, as everywhere. Protocol: [`schedule`] says when, [`auth`] who, [`pages`] where to,
//! [`protocol`] asks, [`body`] undoes the content coding. Extract: [`extract`] makes records of complete
//! answers, [`stream`] cuts one that goes on and on, [`events`] reads server-sent events. [`reader`] leads
//! from one to the next.
//!
//! **What is promised.** An answer counts when it is complete; of a broken one nothing is produced. The
//! cursor says which records of a poll have been handed out: the page, and how far in it. After a crash the
//! poll goes on with that page; if it comes back as it was, behind the last record, else from its first one.
//! No record goes out before the page in front of its own is durable: at least once, repeats at most one page.
//! A poll that fails stays due, and the host decides when to try
//! again; one whose answer can't be used is over, and the next one is made when its time has come.
//!
//! A stream of events goes on behind the last event's id. A stream without ids has no position to go back to:
//! its records are delivered as they come, and what is sent while nobody listens is lost, unless the server
//! begins again from the start.
//!
//! A poll may take longer than the host lets a read wait: then it goes on over several reads.

mod auth;
mod body;
mod coding;
mod config;
mod cursor;
mod elements;
mod events;
mod extract;
mod links;
mod pages;
mod protocol;
mod reader;
mod schedule;
mod stream;

use std::time::Duration;

use connector_sdk::{Batch, Check, Error, Limit, Outcome, Result, Source, Spec, spec};

use auth::Authorizer;
use config::Config;
use cursor::Cursor;
use extract::Extractor;
use pages::Pages;
use protocol::{Answer, Endpoint};
use reader::Reader;

/// A check answers sooner than the host's patience with one call (30 s) ends.
const CHECK_PATIENCE: Duration = Duration::from_secs(20);

/// The source.
#[derive(Debug)]
pub struct HttpSource(Reader);

impl Source for HttpSource {
    const SPEC: Spec = spec!("http");
    type Config = Config;
    type Cursor = Cursor;

    fn check(config: Config) -> Check {
        let mut ready = None;
        let mut answer = None;
        let extractor = Extractor::new(&config);
        let endless = config.stream || config.is_events();
        let check = Check::builder().step("configuration is valid", || {
            config.schedule(None)?;
            ready = Some(parts(&config, false)?);
            Ok(())
        });
        let check = check.step("endpoint answers", || {
            let Some((endpoint, pages)) = &mut ready else { return Ok(()) };
            let mut poll = endpoint.poll(endpoint.request().at(&pages.address(None))?);
            let until = poll.started + CHECK_PATIENCE;
            let late = || Error::unreachable("no complete answer within 20s");
            let mut body = endpoint.answer(&mut poll, until)?.ok_or_else(late)?;
            let events = config.may_be_events() && body::is_event_stream(&body.head().headers);
            if endless || events {
                return reader::endless(&config, endpoint, &mut body, events);
            }
            let whole = body.collect(config.max_body.as_len(), until)?.ok_or_else(late)?;
            answer = Some(Answer::new(&body, whole));
            Ok(())
        });
        if endless {
            return check.build();
        }
        let check = check.step("records can be made of the answer", || {
            let Some(answer) = answer else { return Ok(()) };
            let limit = Limit { max_records: 1, max_bytes: 1, max_wait: Duration::ZERO };
            extractor.fill(&mut extractor.start(answer)?, &mut Batch::default(), &limit).map(drop)
        });
        check.build()
    }

    fn open(config: Config, cursor: Option<Cursor>) -> Result<Self> {
        let (endpoint, pages) = parts(&config, cursor.is_some())?;
        Reader::open(config, endpoint, pages, cursor).map(Self)
    }

    fn read(&mut self, limit: Limit) -> Result<Outcome<Cursor>> {
        if limit.max_records == 0 {
            return Ok(Outcome::nothing());
        }
        self.0.read(&limit)
    }

    fn commit(&mut self, cursor: Cursor) -> Result<()> {
        self.0.commit(&cursor);
        Ok(())
    }
}

/// What a configuration comes to: whom to ask, and the way from page to page.
fn parts(config: &Config, proven: bool) -> Result<(Endpoint, Pages)> {
    let request = config.request()?;
    let authorizer = Authorizer::new(config.auth.as_ref(), &request, config.short_timeouts())?;
    let pages = Pages::new(config.pagination.as_ref(), &config.endpoint, config.secret_parameter())?;
    Ok((Endpoint::new(request, authorizer, config.produce_errors, proven), pages))
}

connector_sdk::export_source!(HttpSource);

#[cfg(test)]
mod tests;
