//! Where a run keeps cursors and the state of its stages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host_cluster::Cluster;
use host_config::ConnectorConfig;
use host_pipeline::checkpoint::LocalCheckpoint;
use host_pipeline::ends::Checkpoint;
use tokio::sync::OnceCell;

use super::cluster_state::ClusterState;
use crate::cli::RunArgs;
use crate::failure::{Failure, Outcome};
use crate::{cluster, places};

/// The kind of place.
#[derive(Clone)]
pub(super) enum StateStore {
    /// A directory of this machine.
    Local(PathBuf),
    /// A topic of the cluster; read at the first use.
    Cluster(Arc<OnceCell<ClusterState>>),
}

/// What stands for the topic where a directory is expected.
const CLUSTER: &str = "cluster";

impl StateStore {
    /// What the arguments or the configuration say.
    pub(super) fn of(arguments: &RunArgs, config: &ConnectorConfig) -> Outcome<Self> {
        let named = arguments.state.as_deref();
        let in_cluster = config.host.state.store == host_config::StateStore::Cluster;
        if named == Some(Path::new(CLUSTER)) || (named.is_none() && in_cluster) {
            return Ok(Self::Cluster(Arc::default()));
        }
        if let Some(directory) = arguments.state.as_ref().or(config.host.state.directory.as_ref()) {
            return Ok(Self::Local(directory.clone()));
        }
        if arguments.target.embedded {
            // Records and cursors belong together: who removes the one starts the other anew as well.
            return Ok(Self::Local(cluster::data_directory(&arguments.target)?.join("state")));
        }
        places::state().map(Self::Local)
    }

    /// The place of a source, or of one partition of a sink; nobody else has it from now on.
    pub(super) async fn open(
        &self,
        cluster: &Cluster,
        connector: &str,
        partition: Option<u32>,
    ) -> Outcome<Box<dyn Checkpoint>> {
        match self {
            Self::Local(directory) => {
                let opened = match partition {
                    None => LocalCheckpoint::open(directory, connector),
                    Some(partition) => LocalCheckpoint::open_partition(directory, connector, partition),
                };
                Ok(Box::new(opened.map_err(Failure::failed)?))
            }
            Self::Cluster(state) => {
                let state = state.get_or_try_init(|| ClusterState::connect(cluster, connector)).await?;
                state.open(&partition.map_or_else(|| "source".to_owned(), |number| number.to_string())).await
            }
        }
    }

    /// Gives back what others may be waiting for.
    pub(super) async fn release(&self) {
        if let Self::Cluster(state) = self
            && let Some(state) = state.get()
        {
            state.release().await;
        }
    }
}
