//! Subscribes to an MQTT broker and makes records of its messages.
//!
//! Two stages, as everywhere: [`protocol`] speaks MQTT, [`extract`] makes records. Between them the
//! [`ledger`] remembers which messages are owed an acknowledgement.
//!
//! **What is promised.** A message of quality of service 1 or 2 is acknowledged only after its record is
//! durable in Fluvio. Until then the broker keeps it, and sends it again to whoever comes next with the same
//! client id: nothing is lost when the host is killed, the connection breaks or the broker restarts. Within
//! one run a message of quality 2 makes exactly one record, across lost connections too. The broker sends at
//! most `receive-maximum` messages ahead; nothing is ever dropped to make room.
//!
//! The cursor is the number of messages of quality 1 and 2 that were handed out so far. Nothing is read from
//! it after a restart (where to go on is what the broker knows), but that each commit names a number that no
//! earlier run has used.

mod config;
mod extract;
mod ledger;
mod protocol;

use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Check, Error, Limit, Outcome, Result, Source, Spec, metrics, spec};
use serde::{Deserialize, Serialize};

use config::Config;
use extract::Extractor;
use protocol::{Message, Subscriber, try_login, try_subscribe};

/// While acknowledgements are owed, a read first waits no longer than this for more messages: with all of
/// `receive-maximum` on its way there will be none, and the next commit can only come between two reads.
/// Each read in vain doubles it.
const FIRST_PATIENCE: Duration = Duration::from_millis(1);

/// A check answers sooner than the host's patience with one call (30 s) ends.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// Where a reader stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How many messages of quality 1 and 2 were handed out.
    messages: u64,
    /// What was subscribed to: the broker's session still is, when the configuration names it no more.
    #[serde(default)]
    topics: Vec<String>,
}

/// The source.
#[derive(Debug)]
pub struct MqttSource {
    subscriber: Subscriber,
    extractor: Extractor,
    topics: Vec<String>,
    /// The count of messages whose fate the host knows: their records or their errors were returned.
    done: u64,
    /// The count of the last cursor that was returned.
    told: u64,
    /// What is to be reported once the messages before it are handed out.
    pending: Option<Error>,
    patience: Duration,
}

impl Source for MqttSource {
    const SPEC: Spec = spec!("mqtt");
    type Config = Config;
    type Cursor = Cursor;

    fn check(config: Config) -> Check {
        let (mut login, mut subscriptions, mut session) = (None, Vec::new(), None);
        let check = Check::builder().step("configuration is valid", || {
            Extractor::new(&config)?;
            subscriptions = config.subscriptions()?;
            login = Some(config.login()?);
            Ok(())
        });
        let check = check.step("broker takes the login", || {
            session = login.take().map(try_login).transpose()?;
            Ok(())
        });
        let check = check.step("broker grants the subscription", || match &mut session {
            Some(session) => try_subscribe(&mut session.link, &subscriptions, time::now() + CHECK_PATIENCE),
            None => Ok(()),
        });
        if let Some(session) = session {
            session.link.disconnect();
        }
        check.build()
    }

    fn open(config: Config, cursor: Option<Cursor>) -> Result<Self> {
        let extractor = Extractor::new(&config)?;
        let subscriptions = config.subscriptions()?;
        let login = config.login()?;
        let topics: Vec<_> = subscriptions.iter().map(|subscription| subscription.filter.clone()).collect();
        let Cursor { messages, topics: before } = cursor.unwrap_or(Cursor { messages: 0, topics: Vec::new() });
        let stale = before.into_iter().filter(|topic| !topics.contains(topic)).collect();
        let subscriber = Subscriber::new(login, subscriptions, stale, messages);
        Ok(Self {
            subscriber,
            extractor,
            topics,
            done: messages,
            told: messages,
            pending: None,
            patience: FIRST_PATIENCE,
        })
    }

    fn read(&mut self, limit: Limit) -> Result<Outcome<Cursor>> {
        if limit.max_records == 0 {
            // A failure shows in the next read.
            let served = self.subscriber.serve();
            self.pending = self.pending.take().or(served.err());
            return Ok(Outcome::nothing());
        }
        let mut batch = Batch::default();
        let filled = match self.pending.take() {
            Some(error) => Err(error),
            None => self.fill(&mut batch, &limit).and_then(|()| self.subscriber.push()),
        };
        metrics::counter("messages_total", batch.len() as u64);
        if let Err(error) = filled {
            if batch.is_empty() {
                self.done = self.subscriber.count();
                return Err(error);
            }
            // First what came before it, with a cursor that does not cover it.
            self.pending = Some(error);
        }
        Ok(Outcome { batch, cursor: self.news(), end: false })
    }

    fn commit(&mut self, cursor: Cursor) -> Result<()> {
        self.subscriber.commit(cursor.messages);
        self.patience = FIRST_PATIENCE;
        Ok(())
    }
}

impl MqttSource {
    /// Adds messages: what is there, waiting for the first one only.
    fn fill(&mut self, batch: &mut Batch, limit: &Limit) -> Result<()> {
        let until = limit.until();
        loop {
            while !limit.is_full(batch) {
                let Some(message) = self.subscriber.received()? else { break };
                self.push(message, batch)?;
            }
            if limit.is_full(batch) {
                return Ok(());
            }
            let message = if batch.is_empty() && self.told == self.done {
                self.wait(until)?
            } else {
                self.subscriber.next(time::now())?
            };
            match message {
                Some(message) => self.push(message, batch)?,
                None => return Ok(()),
            }
        }
    }

    fn wait(&mut self, until: Instant) -> Result<Option<Message>> {
        if self.subscriber.unacknowledged() == 0 {
            return self.subscriber.next(until);
        }
        let message = self.subscriber.next(until.min(time::now() + self.patience))?;
        self.patience = if message.is_some() { FIRST_PATIENCE } else { self.patience * 2 };
        Ok(message)
    }

    fn push(&mut self, message: Message, batch: &mut Batch) -> Result<()> {
        match message {
            Message::Whole(publish) => {
                metrics::counter("bytes_total", publish.payload().len() as u64);
                self.extractor.push(&publish, batch)?;
                self.done = self.subscriber.count();
                Ok(())
            }
            Message::Unusable(error) => Err(error),
        }
    }

    /// A cursor, if there is something to commit that there was not before.
    fn news(&mut self) -> Option<Cursor> {
        if self.done == self.told {
            return None;
        }
        self.told = self.done;
        Some(Cursor { messages: self.done, topics: self.topics.clone() })
    }
}

impl Drop for MqttSource {
    fn drop(&mut self) {
        self.subscriber.close();
    }
}

connector_sdk::export_source!(MqttSource);

#[cfg(test)]
mod tests;
