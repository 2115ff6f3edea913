//! The controller's side of the protocol: what exists, and creating and deleting it.
//!
//! A client keeps one connection here on which it watches the storage units, topics and partitions, and opens
//! further ones to list, create and delete. A request that makes no sense, or that this broker has no answer
//! for, is answered with an error where the protocol has room for one; otherwise its connection is closed,
//! which the client sees at once.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use fluvio_controlplane_metadata::core::Spec;
use fluvio_controlplane_metadata::mirror::MirrorSpec;
use fluvio_controlplane_metadata::mirroring::MirroringStatusResponse;
use fluvio_controlplane_metadata::partition::PartitionSpec;
use fluvio_controlplane_metadata::smartmodule::{SmartModulePackageKey, SmartModuleSpec};
use fluvio_controlplane_metadata::spg::SpuGroupSpec;
use fluvio_controlplane_metadata::spu::{CustomSpuSpec, SpuSpec};
use fluvio_controlplane_metadata::store::KeyFilter;
use fluvio_controlplane_metadata::tableformat::TableFormatSpec;
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::VERSIONS_API_KEY;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{ListFilter, ListRequest, ListResponse, Metadata};
use fluvio_sc_schema::{AdminPublicApiKey, AdminSpec};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::state::State;
use crate::versions;
use crate::wire::{self, Address, Request, Responses};

mod change;
mod objects;
mod watch;

use objects::{Envelope, Object};

/// Serves one connection until it ends or the broker stops.
pub(crate) async fn serve(state: Arc<State>, stream: TcpStream) {
    let local = stream.local_addr().map(|address| address.ip()).ok();
    let (mut requests, responses) = wire::split(stream);
    let (stopping, gone) = (state.stopping.clone(), state.ending.child_token());
    let connection = Connection { state, responses: Arc::new(responses), local, gone };
    let _gone = connection.gone.clone().drop_guard();
    loop {
        let request = tokio::select! {
            () = stopping.cancelled() => return,
            request = requests.next() => request,
        };
        let result = match request {
            None => return,
            Some(Ok(request)) => connection.handle(request).await,
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = result {
            debug!(%error, "controller connection closed");
            return;
        }
    }
}

struct Connection {
    state: Arc<State>,
    responses: Arc<Responses>,
    /// The address by which the client reached the broker.
    local: Option<IpAddr>,
    /// Set when the connection ends.
    gone: CancellationToken,
}

impl Connection {
    async fn handle(&self, request: Request) -> io::Result<()> {
        const CREATE: u16 = AdminPublicApiKey::Create as u16;
        const DELETE: u16 = AdminPublicApiKey::Delete as u16;
        const LIST: u16 = AdminPublicApiKey::List as u16;
        const WATCH: u16 = AdminPublicApiKey::Watch as u16;
        const MIRRORING: u16 = AdminPublicApiKey::Mirroring as u16;
        const UPDATE: u16 = AdminPublicApiKey::Update as u16;

        let to = request.address();
        match request.header.api_key() {
            VERSIONS_API_KEY => self.responses.send(to, &versions::controller()).await,
            LIST => self.list(to, Object::take(request)?).await,
            WATCH => self.watch(to, Object::take(request)?).await,
            CREATE => {
                let status = change::create(&self.state, Object::take(request)?).await?;
                self.responses.send(to, &status).await
            }
            DELETE => {
                let status = change::delete(&self.state, Object::take(request)?).await?;
                self.responses.send(to, &status).await
            }
            UPDATE => {
                let label = Object::take(request)?.label;
                let status = change::unsupported(String::new(), &format!("updating a {label}"));
                self.responses.send(to, &status).await
            }
            MIRRORING => {
                let message = "mirroring is not supported by the embedded broker".to_owned();
                let refusal = MirroringStatusResponse {
                    error_code: ErrorCode::Other(message.clone()),
                    error_message: Some(message),
                    ..MirroringStatusResponse::default()
                };
                self.responses.send(to, &refusal).await
            }
            other => Err(invalid(format!("there is no request {other}"))),
        }
    }

    async fn list(&self, to: Address, mut object: Object) -> io::Result<()> {
        match object.label.as_str() {
            TopicSpec::LABEL => {
                let request: ListRequest<TopicSpec> = object.decode()?;
                let mut topics = self.state.catalog.topics();
                topics.retain(|topic| {
                    topic.spec.is_system() == request.system && request.name_filters.filter(&topic.name)
                });
                let topics = topics.iter().map(|topic| objects::topic(topic));
                self.listed(to, topics.collect()).await
            }
            PartitionSpec::LABEL => {
                let request: ListRequest<PartitionSpec> = object.decode()?;
                let mut topics = self.state.catalog.topics();
                topics.retain(|topic| topic.spec.is_system() == request.system);
                let mut partitions: Vec<_> = topics.iter().flat_map(|topic| objects::partitions(topic)).collect();
                partitions.retain(|partition| request.name_filters.filter(&partition.name));
                self.listed(to, partitions).await
            }
            SpuSpec::LABEL => {
                let request: ListRequest<SpuSpec> = object.decode()?;
                let mut units = vec![self.unit()];
                units.retain(|unit| request.name_filters.filter(&unit.name));
                self.listed(to, units).await
            }
            CustomSpuSpec::LABEL => {
                let request: ListRequest<CustomSpuSpec> = object.decode()?;
                let unit = self.unit();
                let mut units =
                    vec![Metadata { name: unit.name, spec: CustomSpuSpec::from(unit.spec), status: unit.status }];
                units.retain(|unit| request.name_filters.filter(&unit.name));
                self.listed(to, units).await
            }
            SmartModuleSpec::LABEL => {
                let request: ListRequest<SmartModuleSpec> = object.decode()?;
                let modules = self.smartmodules(request).await?;
                self.listed(to, modules).await
            }
            SpuGroupSpec::LABEL => self.listed::<SpuGroupSpec>(to, Vec::new()).await,
            TableFormatSpec::LABEL => self.listed::<TableFormatSpec>(to, Vec::new()).await,
            MirrorSpec::LABEL => self.listed::<MirrorSpec>(to, Vec::new()).await,
            other => Err(invalid(format!("there are no objects of kind `{other}`"))),
        }
    }

    async fn listed<S>(&self, to: Address, objects: Vec<Metadata<S>>) -> io::Result<()>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder + std::fmt::Debug,
    {
        let response = Envelope::new::<S>(ListResponse::new(objects));
        self.responses.send(to, &response).await
    }

    /// The SmartModules that a list request asks for; with their payloads unless a summary will do.
    async fn smartmodules(&self, request: ListRequest<SmartModuleSpec>) -> io::Result<Vec<Metadata<SmartModuleSpec>>> {
        let filters: Vec<ListFilter> = request.name_filters.into();
        let mut wanted = Vec::with_capacity(filters.len());
        for filter in filters {
            let key = SmartModulePackageKey::from_qualified_name(&filter.name);
            wanted.push(key.map_err(|error| invalid(error.to_string()))?);
        }
        let mut found = Vec::new();
        for module in self.state.catalog.smartmodules() {
            let package = module.summary.meta.as_ref().map(|meta| &meta.package);
            let is_wanted = wanted.is_empty() || wanted.iter().any(|key| key.is_match(&module.name, package));
            if !is_wanted {
                continue;
            }
            let spec = if request.summary {
                Some(module.summary.clone())
            } else {
                self.state.load_smartmodule(&module.name).await?
            };
            found.extend(spec.map(|spec| Metadata { name: module.name.clone(), spec, status: Default::default() }));
        }
        Ok(found)
    }

    /// The one storage unit, at the address by which this client reaches the broker.
    fn unit(&self) -> Metadata<SpuSpec> {
        let (host, port) = self.state.unit_endpoint(self.local);
        objects::unit(host, port)
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
