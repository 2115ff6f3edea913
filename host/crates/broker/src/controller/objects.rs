//! How the controller shows what exists: topics, partitions, the storage unit, SmartModules.
//!
//! Objects go over the wire in an envelope: the label of their kind, a length, and the object.

use std::io;

use bytes::{Buf, Bytes};
use fluvio_controlplane_metadata::core::Spec;
use fluvio_controlplane_metadata::partition::{PartitionResolution, PartitionSpec, PartitionStatus, ReplicaStatus};
use fluvio_controlplane_metadata::spu::{IngressPort, SpuSpec, SpuStatus, SpuStatusResolution, SpuType};
use fluvio_controlplane_metadata::topic::{TopicResolution, TopicSpec, TopicStatus};
use fluvio_protocol::bytes::BufMut;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_sc_schema::objects::Metadata;

use crate::catalog::Topic;
use crate::store::Partition;
use crate::wire::Request;

/// The number of the one storage unit there is.
pub(crate) const UNIT: i32 = 5001;
/// Its name.
pub(crate) const UNIT_NAME: &str = "custom-spu-5001";

/// From this version on, objects are in envelopes.
const ENVELOPES: Version = 11;

/// An object in its envelope, as it came in.
#[derive(Debug)]
pub(crate) struct Object {
    pub label: String,
    pub version: Version,
    pub body: Bytes,
}

impl Object {
    pub(crate) fn take(mut request: Request) -> io::Result<Self> {
        let version = request.header.api_version();
        if version < ENVELOPES {
            let what = format!("version {version} of the protocol is too old");
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let label: String = request.decode()?;
        let length: u32 = request.decode()?;
        let mut body = request.body;
        if body.remaining() < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { label, version, body: body.split_to(length as usize) })
    }

    pub(crate) fn decode<T: Decoder>(&mut self) -> io::Result<T> {
        T::decode_from(&mut self.body, self.version)
    }
}

/// Puts an object into its envelope.
#[derive(Debug)]
pub(crate) struct Envelope<T> {
    label: &'static str,
    object: T,
}

impl<T: Encoder> Envelope<T> {
    pub(crate) fn new<S: Spec>(object: T) -> Self {
        Self { label: S::LABEL, object }
    }
}

impl<T: Encoder> Encoder for Envelope<T> {
    fn write_size(&self, version: Version) -> usize {
        2 + self.label.len() + 4 + self.object.write_size(version)
    }

    fn encode<B: BufMut>(&self, out: &mut B, version: Version) -> io::Result<()> {
        let mut body = Vec::new();
        self.object.encode(&mut body, version)?;
        let length = u32::try_from(body.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the object is too long"))?;
        self.label.to_owned().encode(out, version)?;
        length.encode(out, version)?;
        out.put_slice(&body);
        Ok(())
    }
}

pub(crate) fn topic(topic: &Topic) -> Metadata<TopicSpec> {
    let replicas = topic.partitions.iter().map(|_| vec![UNIT]).collect();
    Metadata {
        name: topic.name.clone(),
        spec: topic.spec.clone(),
        status: TopicStatus::new(TopicResolution::Provisioned, replicas, ""),
    }
}

pub(crate) fn partitions(topic: &Topic) -> impl Iterator<Item = Metadata<PartitionSpec>> {
    let each = topic.partitions.iter();
    each.map(|partition| self::partition(&topic.spec, partition))
}

fn partition(topic: &TopicSpec, partition: &Partition) -> Metadata<PartitionSpec> {
    let extent = partition.extent();
    let replica = ReplicaStatus::new(UNIT, extent.end, extent.end);
    Metadata {
        name: partition.key.to_string(),
        spec: PartitionSpec::from_replicas(vec![UNIT], topic, None),
        status: PartitionStatus::new2(
            replica.clone(),
            vec![replica],
            i64::try_from(extent.bytes).unwrap_or(i64::MAX),
            PartitionResolution::Online,
            extent.start,
        ),
    }
}

pub(crate) fn unit(host: String, port: u16) -> Metadata<SpuSpec> {
    let spec = SpuSpec {
        id: UNIT,
        spu_type: SpuType::Custom,
        public_endpoint: IngressPort::from_port_host(port, host),
        ..SpuSpec::default()
    };
    Metadata { name: UNIT_NAME.to_owned(), spec, status: SpuStatus { resolution: SpuStatusResolution::Online } }
}
