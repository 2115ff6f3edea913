//! Which cluster is meant, and how one gets a connection there.
//!
//! Addresses, profiles and TLS settings are those of the published client: the file named by
//! `FLV_PROFILE_PATH`, or `~/.fluvio/config`.

use std::sync::Once;

use fluvio::FluvioClusterConfig;
use fluvio::config::{ConfigFile, TlsPolicy};
use fluvio_future::net::DomainConnector;

use crate::Error;

/// Which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A profile of the Fluvio configuration file; without a name the current one.
    Profile(Option<String>),
    /// The controller's address, `host:port`, without TLS.
    Address(String),
}

/// One server and the way there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// `host:port`.
    pub(crate) address: String,
    /// Makes the TLS connection; none for plain TCP.
    pub(crate) tls: Option<DomainConnector>,
    /// What the server's log calls us.
    pub(crate) client_id: String,
}

/// The resolved target.
pub(crate) struct Settings {
    pub(crate) controller: Endpoint,
    pub(crate) use_local_addresses: bool,
}

impl Settings {
    pub(crate) fn load(target: &Target) -> Result<Self, Error> {
        let config = match target {
            Target::Address(address) => FluvioClusterConfig::new(address.clone()),
            Target::Profile(name) => {
                let file = ConfigFile::load(None).map_err(|error| Error::Profile { reason: error.to_string() })?;
                profile(&file, name.as_deref())?
            }
        };
        Self::new(config)
    }

    fn new(config: FluvioClusterConfig) -> Result<Self, Error> {
        let tls = match config.tls {
            TlsPolicy::Disabled => None,
            policy => {
                use_ring();
                Some(connector(policy).map_err(|reason| Error::Tls { reason })?)
            }
        };
        let client_id = config.client_id.unwrap_or_else(|| "fluvio-host".to_owned());
        Ok(Self {
            controller: Endpoint { address: config.endpoint, tls, client_id },
            use_local_addresses: config.use_spu_local_address,
        })
    }

    /// The way to a storage unit; with TLS it is told apart by its key in front of the cluster's domain.
    pub(crate) fn storage_unit(&self, key: &str, address: String) -> Endpoint {
        let tls = self.controller.tls.as_ref().map(|tls| tls.new_domain(format!("{key}.{}", tls.domain())));
        Endpoint { address, tls, client_id: self.controller.client_id.clone() }
    }
}

fn profile(file: &ConfigFile, name: Option<&str>) -> Result<FluvioClusterConfig, Error> {
    let refuse = |reason: String| Error::Profile { reason };
    let config = file.config();
    let found = match name {
        Some(name) => {
            config.cluster_with_profile(name).ok_or_else(|| refuse(format!("there is no profile {name:?}")))?
        }
        None => config.current_cluster().map_err(|error| refuse(error.to_string()))?,
    };
    Ok(found.clone())
}

/// What makes the connections, from the files or texts that the policy names.
fn connector(policy: TlsPolicy) -> Result<DomainConnector, String> {
    // The published loader panics on a key that is no PEM.
    match std::panic::catch_unwind(|| DomainConnector::try_from(policy)) {
        Ok(connector) => connector.map_err(|error| format!("{error:#}")),
        Err(_) => Err("the certificate or the key can't be read; both must be PEM".to_owned()),
    }
}

/// TLS runs on `ring`; whoever chose a provider for the process before keeps it.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another TLS provider is in use already");
        }
    });
}

#[cfg(test)]
mod tests;
