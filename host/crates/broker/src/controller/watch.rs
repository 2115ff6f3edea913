//! Watching: a client is sent what exists, and then each change.
//!
//! Clients ignore an empty list, and wait for something to come; since there is always one storage unit and
//! one topic (the system's own), there always is.

use std::io;
use std::sync::Arc;

use fluvio_controlplane_metadata::core::Spec;
use fluvio_controlplane_metadata::message::Message;
use fluvio_controlplane_metadata::partition::PartitionSpec;
use fluvio_controlplane_metadata::smartmodule::SmartModuleSpec;
use fluvio_controlplane_metadata::spu::SpuSpec;
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::objects::{Metadata, MetadataUpdate, WatchResponse};

use super::objects::{self, Envelope, Object};
use super::{Connection, invalid};
use crate::catalog::Topic;
use crate::state::State;
use crate::wire::{Address, Responses};

impl Connection {
    /// Answers a watch request, and goes on answering it in the background.
    pub(super) async fn watch(&self, to: Address, object: Object) -> io::Result<()> {
        match object.label.as_str() {
            SpuSpec::LABEL => {
                let all = MetadataUpdate::with_all(0, vec![self.unit()]);
                send(&self.responses, to, all).await
            }
            TopicSpec::LABEL => {
                self.follow(to, |topic| vec![objects::topic(topic)]);
                Ok(())
            }
            PartitionSpec::LABEL => {
                self.follow(to, |topic| objects::partitions(topic).collect());
                Ok(())
            }
            SmartModuleSpec::LABEL => {
                let modules = self.state.catalog.smartmodules();
                let all = modules.iter().map(|module| Metadata {
                    name: module.name.clone(),
                    spec: module.summary.clone(),
                    status: Default::default(),
                });
                let all = MetadataUpdate::with_all(0, all.collect());
                send::<SmartModuleSpec>(&self.responses, to, all).await
            }
            other => Err(invalid(format!("`{other}` can't be watched"))),
        }
    }

    /// Sends what `show` makes of the topics, and of each change, until the connection ends.
    fn follow<S>(&self, to: Address, show: fn(&Topic) -> Vec<Metadata<S>>)
    where
        S: AdminSpec + Send + Sync + 'static,
        S::Status: Encoder + Decoder + Send + Sync,
    {
        let state = Arc::clone(&self.state);
        let responses = Arc::clone(&self.responses);
        self.state.spawn(&self.gone, async move {
            // An error here is an error on the whole connection, which ends where it is read.
            let _ = follow(&state, &responses, to, show).await;
        });
    }
}

async fn follow<S>(
    state: &State,
    responses: &Responses,
    to: Address,
    show: fn(&Topic) -> Vec<Metadata<S>>,
) -> io::Result<()>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder,
{
    let mut revisions = state.catalog.watch();
    let told = state.catalog.follower();
    let mut last = None;
    loop {
        revisions.borrow_and_update();
        let news = state.catalog.news(last);
        last = Some(news.revision);
        let epoch = i64::try_from(news.revision).unwrap_or(i64::MAX);
        let created = news.created.iter().flat_map(|topic| show(topic));
        let update = if news.all {
            MetadataUpdate::with_all(epoch, created.collect())
        } else {
            let deleted = news.deleted.iter().flat_map(|topic| show(topic));
            let changes = deleted.map(Message::delete);
            MetadataUpdate::with_changes(epoch, changes.chain(created.map(Message::update)).collect())
        };
        if !(update.all.is_empty() && update.changes.is_empty()) {
            send(responses, to, update).await?;
        }
        told.send_replace(news.revision);
        if revisions.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn send<S>(responses: &Responses, to: Address, update: MetadataUpdate<S>) -> io::Result<()>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder,
{
    let response = Envelope::new::<S>(WatchResponse::new(update));
    responses.send(to, &response).await
}
