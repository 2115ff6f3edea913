//! The stages of one lane: SmartModules and transform components, one behind the other.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host_batch::Batch;
use host_cluster::{Cluster, ConsumerOptions, Start};
use host_connector::{Component, Sandbox, TransformStage};
use host_pipeline::ends::{Applied, Refusal, StageFault, Stages};
use host_smartmodule::{Chain, LookBack, Stage, StageState, Tracking};
use tokio::runtime::Handle;

use super::state;
use crate::failure::{Failure, Outcome};

/// A transform component and how it is opened.
#[derive(Clone)]
pub(super) struct Transform {
    pub(super) name: String,
    pub(super) component: Component,
    pub(super) sandbox: Sandbox,
    /// What stands under `with`, as JSON.
    pub(super) config: String,
}

impl Transform {
    async fn open(&self) -> Result<TransformStage, host_connector::Error> {
        TransformStage::open(&self.component, &self.sandbox, &self.config).await
    }

    fn fault(&self, error: &host_connector::Error) -> StageFault {
        StageFault { stage: self.name.clone(), reason: error.to_string() }
    }
}

enum Part {
    /// SmartModules that follow each other.
    Modules(Box<Chain>),
    Component(Box<OpenTransform>),
}

/// A transform component at work.
struct OpenTransform {
    transform: Transform,
    open: TransformStage,
}

/// Initialised stages.
pub(crate) struct StageList {
    parts: Vec<Part>,
    described: String,
}

impl StageList {
    pub(super) fn new(described: String) -> Self {
        Self { parts: Vec::new(), described }
    }

    pub(super) fn push_modules(&mut self, stages: Vec<Stage>, tracking: Tracking) -> Outcome {
        if !stages.is_empty() {
            let mut chain = Chain::new(stages).map_err(Failure::config)?;
            chain.set_tracking(tracking);
            self.parts.push(Part::Modules(Box::new(chain)));
        }
        Ok(())
    }

    pub(super) async fn push_component(&mut self, transform: Transform) -> Outcome {
        let opened = transform.open().await;
        let open = opened.map_err(|error| Failure::config(format!("stage {}: {error}", transform.name)))?;
        self.parts.push(Part::Component(Box::new(OpenTransform { transform, open })));
        Ok(())
    }

    /// Shows each stage that looks back the newest records of the topic which a source helps to fill.
    pub(crate) async fn look_back_topic(&mut self, cluster: &Cluster, topic: &str) -> Outcome {
        for (place, window) in self.windows() {
            let start = if window.last > 0 { Start::FromEnd(window.last) } else { Start::Beginning };
            let options = ConsumerOptions { start, until_end: true, ..ConsumerOptions::new(topic) };
            self.show(place, window, cluster, options, i64::MAX).await?;
        }
        Ok(())
    }

    /// Shows each stage that looks back the records of a partition before the offset that a sink starts at.
    pub(crate) async fn look_back_partition(
        &mut self,
        cluster: &Cluster,
        topic: &str,
        partition: u32,
        before: i64,
    ) -> Outcome {
        for (place, window) in self.windows() {
            let records = i64::try_from(window.last).ok().filter(|&records| records > 0).unwrap_or(i64::MAX);
            let from = before.saturating_sub(records).max(0);
            let options = ConsumerOptions {
                partitions: vec![partition],
                resume: BTreeMap::from([(partition, from)]),
                until_end: true,
                ..ConsumerOptions::new(topic)
            };
            if before > from {
                self.show(place, window, cluster, options, before).await?;
            }
        }
        Ok(())
    }

    /// The stages that look back, by part and index in it, and how far.
    fn windows(&self) -> Vec<((usize, usize), LookBack)> {
        let mut windows = Vec::new();
        for (part, chain) in self.chains() {
            let stages = chain.stages().enumerate();
            let looking = stages.filter(|(_, stage)| stage.module.wants_look_back());
            windows.extend(looking.filter_map(|(index, stage)| Some(((part, index), stage.look_back?))));
        }
        windows
    }

    fn chains(&self) -> impl Iterator<Item = (usize, &Chain)> {
        self.parts.iter().enumerate().filter_map(|(index, part)| match part {
            Part::Modules(chain) => Some((index, &**chain)),
            Part::Component(_) => None,
        })
    }

    async fn show(
        &mut self,
        (part, index): (usize, usize),
        window: LookBack,
        cluster: &Cluster,
        options: ConsumerOptions,
        before: i64,
    ) -> Outcome {
        let Some(Part::Modules(chain)) = self.parts.get_mut(part) else { return Ok(()) };
        let mut consumer = cluster.consumer(options).await.map_err(Failure::failed)?;
        let oldest = window.age.map(|age| now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        while let Some(fetched) = consumer.next().await.map_err(Failure::failed)? {
            let recent = |i: usize| oldest.is_none_or(|oldest| fetched.batch.timestamp(i).is_none_or(|t| t >= oldest));
            // Timestamps rise with offsets, so what is left out is at the front.
            let first = (0..fetched.batch.len()).find(|&i| recent(i)).unwrap_or(fetched.batch.len());
            let end = usize::try_from(before.saturating_sub(fetched.first_offset)).unwrap_or(0);
            let end = end.min(fetched.batch.len());
            let first = first.min(end);
            let records = fetched.batch.slice(first..end);
            if !records.is_empty() {
                let offset = fetched.first_offset + first as i64;
                chain.look_back(index, &records, offset).map_err(Failure::config)?;
            }
            if end < fetched.batch.len() {
                break;
            }
        }
        Ok(())
    }

    /// The module names and states of all SmartModules, in order.
    fn states(&self) -> Vec<(String, StageState)> {
        let mut states = Vec::new();
        for (_, chain) in self.chains() {
            let names = chain.stages().map(|stage| stage.module.name().to_owned());
            states.extend(names.zip(chain.state()));
        }
        states
    }

    /// Gives SmartModules their states back, by their places among them.
    fn set_states(&mut self, states: Vec<(String, StageState)>) -> Result<(), StageFault> {
        let mut states = states.into_iter();
        for part in &mut self.parts {
            let Part::Modules(chain) = part else { continue };
            let names: Vec<String> = chain.stages().map(|stage| stage.module.name().to_owned()).collect();
            for (index, name) in names.into_iter().enumerate() {
                let Some((module, state)) = states.next() else { return Ok(()) };
                if module == name {
                    let restored = chain.restore(index, &state);
                    restored.map_err(|error| StageFault { stage: module, reason: error.to_string() })?;
                } else if state != StageState::default() {
                    tracing::warn!(module, now = name, "the stages have changed: the state of this one is given up");
                }
            }
        }
        Ok(())
    }
}

impl Part {
    fn apply(&mut self, batch: &Batch, first_offset: i64, described: &str) -> Result<Applied, StageFault> {
        match self {
            Self::Modules(chain) => {
                let applied = chain
                    .apply(batch, first_offset, now_ms())
                    .map_err(|error| StageFault { stage: described.to_owned(), reason: error.to_string() })?;
                let refusal = |r: host_smartmodule::Refusal| Refusal {
                    index: r.index,
                    stage: r.module,
                    reason: r.reason,
                    key: r.key,
                    value: r.value,
                };
                let refusals = applied.refusals.into_iter().map(refusal).collect();
                Ok(Applied { batch: applied.batch, sources: applied.sources, refusals })
            }
            Self::Component(component) => {
                let OpenTransform { transform, open } = &mut **component;
                // On a thread for blocking work: a component's call is asynchronous for the host's sake only.
                let applied = Handle::current().block_on(open.apply(batch)).map_err(|error| transform.fault(&error))?;
                let refusal = |r: host_connector::Refusal| Refusal {
                    index: r.index,
                    stage: transform.name.clone(),
                    reason: r.reason,
                    key: batch.key(r.index as usize).map(<[u8]>::to_vec),
                    value: batch.value(r.index as usize).to_vec(),
                };
                let refusals = applied.refusals.into_iter().map(refusal).collect();
                Ok(Applied { batch: applied.batch, sources: applied.sources, refusals })
            }
        }
    }
}

impl Stages for StageList {
    fn apply(&mut self, batch: &Batch, first_offset: i64) -> Result<Applied, StageFault> {
        let Some((first, rest)) = self.parts.split_first_mut() else {
            let sources = (0..batch.len() as u32).collect();
            return Ok(Applied { batch: batch.clone(), sources, refusals: Vec::new() });
        };
        if rest.is_empty() {
            // A chain takes its state back by itself when it fails.
            return first.apply(batch, first_offset, &self.described);
        }
        let before = self.states();
        let joined = self.apply_in_turn(batch, first_offset);
        if joined.is_err() {
            self.set_states(before)?;
        }
        joined
    }

    fn renew(&mut self) -> Result<(), StageFault> {
        // Chains replace what failed by themselves.
        for part in &mut self.parts {
            if let Part::Component(component) = part {
                let OpenTransform { transform, open } = &mut **component;
                *open = Handle::current().block_on(transform.open()).map_err(|error| transform.fault(&error))?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn state(&self) -> Vec<u8> {
        state::encode(self.states().into_iter())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageFault> {
        let kept = state::decode(state).map_err(|e| StageFault {
            stage: self.described.clone(),
            reason: format!("the state that was kept can't be read: {e}"),
        })?;
        self.set_states(kept)
    }
}

impl StageList {
    fn apply_in_turn(&mut self, batch: &Batch, first_offset: i64) -> Result<Applied, StageFault> {
        let mut joined: Option<Applied> = None;
        for part in &mut self.parts {
            let Some(before) = &mut joined else {
                joined = Some(part.apply(batch, first_offset, &self.described)?);
                continue;
            };
            if before.batch.is_empty() {
                break;
            }
            let next = part.apply(&before.batch, first_offset, &self.described)?;
            let origin = |index: u32| before.sources[index as usize];
            let refusals = next.refusals.into_iter().map(|r| Refusal { index: origin(r.index), ..r });
            let refusals: Vec<_> = before.refusals.drain(..).chain(refusals).collect();
            let sources = next.sources.into_iter().map(origin).collect();
            joined = Some(Applied { batch: next.batch, sources, refusals });
        }
        let mut joined = joined.unwrap_or_default();
        joined.refusals.sort_by_key(|refusal| refusal.index);
        Ok(joined)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
