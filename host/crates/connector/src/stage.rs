//! Transforming by a component.

use std::time::Duration;

use host_batch::Batch;
use wasmtime::component::ResourceAny;

use crate::bindings::{batch_in, batch_out, transform};
use crate::component::{Component, Interface};
use crate::instance::Instance;
use crate::reader::close;
use crate::{Error, Kind, Sandbox};

/// One input that a stage refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its index in the input.
    pub index: u32,
    /// Why, in the transform's words.
    pub reason: String,
}

/// What became of a batch.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The records that go on, in order.
    pub batch: Batch,
    /// For each of them, the index of the input it came from; never falling.
    pub sources: Vec<u32>,
    /// The inputs that could not be used, by rising index. None of them is a source.
    pub refusals: Vec<Refusal>,
}

/// An open transform, in an instance of its own. The instance is replaced by a fresh one, opened with the
/// same configuration, when its memory nears the limit: the contract says that nothing may depend on it.
pub struct TransformStage {
    component: Component,
    sandbox: Sandbox,
    config: String,
    open: Option<Open>,
    replaced: u64,
}

struct Open {
    instance: Instance,
    guest: transform::Guest,
    stage: ResourceAny,
}

impl TransformStage {
    /// Makes an instance and opens it. `config` is the JSON of what stands under `with`.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is no transform; what the transform says; those of a call.
    pub async fn open(component: &Component, sandbox: &Sandbox, config: &str) -> Result<Self, Error> {
        let open = Open::new(component, sandbox, config).await?;
        let (component, sandbox, config) = (component.clone(), sandbox.clone(), config.to_owned());
        Ok(Self { component, sandbox, config, open: Some(open), replaced: 0 })
    }

    /// Puts a batch through.
    ///
    /// # Errors
    /// What the transform says, after which the stage lives on unless [`Error::ends_instance`] is true.
    pub async fn apply(&mut self, batch: &Batch) -> Result<Applied, Error> {
        if let Some(worn) = self.open.take_if(|open| open.instance.worn_out()) {
            tracing::debug!(
                component = self.component.name(),
                memory = worn.instance.memory(),
                "replacing an instance"
            );
            close(worn.instance, worn.stage).await;
            self.replaced += 1;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&self.component, &self.sandbox, &self.config).await?),
        };
        open.apply(batch).await
    }

    /// How many instances were replaced because of their memory.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Bytes of memory that the instance takes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.instance.memory())
    }

    /// Lets the transform close what it has open, for at most some seconds. Dropping the stage closes it
    /// too, the hard way.
    pub async fn close(self) {
        if let Some(open) = self.open {
            close(open.instance, open.stage).await;
        }
    }
}

impl Open {
    async fn new(component: &Component, sandbox: &Sandbox, config: &str) -> Result<Self, Error> {
        let Interface::Transform(indices) = &component.parts.interface else {
            return Err(component.wrong_kind(Kind::Transform));
        };
        let (mut instance, exports) = Instance::new(&component.parts, sandbox).await?;
        let guest = component.fits(indices.load(&mut instance.store, &exports))?;
        let call = instance.begin("open", Duration::ZERO, 0)?;
        let resource = guest.stage();
        let opened = tokio::time::timeout_at(call.until, resource.call_open(&mut instance.store, config)).await;
        let stage = instance.end_result(call, opened)?;
        Ok(Self { instance, guest, stage })
    }

    async fn apply(&mut self, batch: &Batch) -> Result<Applied, Error> {
        const CALL: &str = "apply";
        let inputs = batch.len();
        // Records may grow on their way, by some factor that is anybody's guess.
        let call = self.instance.begin(CALL, Duration::ZERO, batch.byte_len().saturating_mul(4))?;
        let resource = self.guest.stage();
        let handed = batch_out(batch.clone());
        let answer = resource.call_apply(&mut self.instance.store, self.stage, &handed);
        let answer = tokio::time::timeout_at(call.until, answer).await;
        let transform::Applied { batch, sources, refusals } = self.instance.end_result(call, answer)?;
        let batch = batch_in(batch).map_err(|error| self.instance.nonsense(CALL, &error))?;
        if let Err(reason) = check(inputs, batch.len(), &sources, &refusals) {
            return Err(self.instance.nonsense(CALL, &reason));
        }
        let log = &self.instance.store.data().log;
        let refusal = |refusal: transform::Refusal| Refusal { index: refusal.index, reason: log.clean(refusal.reason) };
        Ok(Applied { batch, sources, refusals: refusals.into_iter().map(refusal).collect() })
    }
}

/// Whether the answer adds up.
fn check(inputs: usize, outputs: usize, sources: &[u32], refusals: &[transform::Refusal]) -> Result<(), String> {
    if sources.len() != outputs {
        return Err(format!("{} sources for {outputs} records", sources.len()));
    }
    if let Some(pair) = sources.windows(2).find(|pair| pair[1] < pair[0]) {
        return Err(format!("the sources fall from {} to {}", pair[0], pair[1]));
    }
    if let Some(last) = sources.last().filter(|&&last| last as usize >= inputs) {
        return Err(format!("input {last} as a source, of {inputs}"));
    }
    if let Some(pair) = refusals.windows(2).find(|pair| pair[1].index <= pair[0].index) {
        return Err(format!("the refusals do not rise: {}, {}", pair[0].index, pair[1].index));
    }
    if let Some(last) = refusals.last().filter(|last| last.index as usize >= inputs) {
        return Err(format!("a refusal of input {}, of {inputs}", last.index));
    }
    if let Some(both) = refusals.iter().find(|refusal| sources.binary_search(&refusal.index).is_ok()) {
        return Err(format!("input {} is both refused and a source", both.index));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check, transform::Refusal};

    #[test]
    fn an_answer_has_to_add_up() {
        let refusal = |index| Refusal { index, reason: String::new() };
        assert_eq!(check(4, 3, &[0, 0, 2], &[refusal(1), refusal(3)]), Ok(()));
        assert_eq!(check(0, 0, &[], &[]), Ok(()));
        let wrong = [
            check(4, 2, &[0], &[]),
            check(4, 2, &[1, 0], &[]),
            check(4, 1, &[4], &[]),
            check(4, 0, &[], &[refusal(2), refusal(2)]),
            check(4, 0, &[], &[refusal(4)]),
            check(4, 1, &[1], &[refusal(1)]),
        ];
        for answer in wrong {
            assert!(answer.is_err());
        }
    }
}
