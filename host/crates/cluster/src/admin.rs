//! The controller's requests: list, create, delete.
//!
//! One connection, used by one request at a time and opened anew when it broke. A connection that broke
//! while nobody looked is no error: the request is then sent once more. Nothing else is tried again.

use std::fmt::Debug;
use std::time::Duration;

use fluvio_protocol::api::Request;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, DeleteRequest, ListFilter, ListFilters, ListRequest, ListResponse, Metadata,
    ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest,
};
use fluvio_sc_schema::{AdminSpec, ApiError, CreatableAdminSpec, DeletableAdminSpec, Status, TryEncodableFrom};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::target::Endpoint;
use crate::{Cluster, Error, ErrorCode};

/// How long the controller may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Creating a topic answers when its partitions are there; the controller itself gives up after 90 seconds.
const CREATE_TIMEOUT: Duration = Duration::from_secs(100);

/// The connection to the controller.
pub(crate) struct Admin {
    controller: Endpoint,
    connection: Mutex<Option<Connection>>,
}

impl Admin {
    pub(crate) async fn connect(controller: Endpoint) -> Result<Self, Error> {
        let connection = Connection::open(&controller).await?;
        if connection.version::<ObjectApiListRequest>().is_none() {
            return Err(Error::Incompatible { address: controller.address, request: "list" });
        }
        Ok(Self { controller, connection: Mutex::new(Some(connection)) })
    }

    async fn call<R, I>(&self, name: &'static str, wait: Duration, input: impl Fn() -> I) -> Result<R::Response, Error>
    where
        R: Request + TryEncodableFrom<I>,
    {
        let mut slot = self.connection.lock().await;
        if let Some(mut used) = slot.take() {
            match used.call_admin::<R, I>(name, input(), wait).await {
                Err(Error::Disconnected { .. }) => {}
                outcome => {
                    if !matches!(outcome, Err(Error::Timeout { .. } | Error::Protocol { .. })) {
                        *slot = Some(used);
                    }
                    return outcome;
                }
            }
        }
        let mut fresh = Connection::open(&self.controller).await?;
        let answer = fresh.call_admin::<R, I>(name, input(), wait).await?;
        *slot = Some(fresh);
        Ok(answer)
    }
}

impl Cluster {
    /// All objects of a kind whose name contains `filter`.
    pub(crate) async fn list<S>(&self, filter: Option<&str>, kind: Kind) -> Result<Vec<Metadata<S>>, Error>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder + Debug,
    {
        let input = || {
            let filters: Vec<ListFilter> =
                filter.map(|name| ListFilter { name: name.to_owned() }).into_iter().collect();
            ListRequest::<S>::new(ListFilters::from(filters), matches!(kind, Kind::Summary))
                .system(matches!(kind, Kind::System))
        };
        let answer = self.0.admin.call::<ObjectApiListRequest, ListRequest<S>>("list", ANSWER_TIMEOUT, input).await?;
        let odd = |reason: String| Error::Protocol { address: self.address().to_owned(), reason };
        let list: Option<ListResponse<S>> =
            answer.downcast().map_err(|error| odd(format!("a list of {}: {error}", S::LABEL)))?;
        list.map(ListResponse::inner).ok_or_else(|| odd(format!("not a list of {}", S::LABEL)))
    }

    /// Creates an object.
    pub(crate) async fn create<S>(&self, action: impl Into<String>, name: &str, spec: S) -> Result<(), Error>
    where
        S: CreatableAdminSpec + Debug,
    {
        let common = CommonCreateRequest { name: name.to_owned(), ..CommonCreateRequest::default() };
        let request = CreateRequest::new(common, spec);
        // On a connection of its own: it may take long, and others want to know their leaders meanwhile.
        let mut connection = Connection::open(&self.0.settings.controller).await?;
        let created =
            connection.call_admin::<ObjectApiCreateRequest, CreateRequest<S>>("create", request, CREATE_TIMEOUT);
        accepted(action.into(), created.await?)
    }

    /// Deletes an object.
    pub(crate) async fn delete<S>(&self, action: impl Into<String>, name: &str) -> Result<(), Error>
    where
        S: DeletableAdminSpec<DeleteKey = String>,
    {
        let input = || DeleteRequest::<S>::new(name.to_owned());
        let status =
            self.0.admin.call::<ObjectApiDeleteRequest, DeleteRequest<S>>("delete", ANSWER_TIMEOUT, input).await?;
        accepted(action.into(), status)
    }
}

/// Which objects to list, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Users' objects, whole.
    Whole,
    /// Users' objects, without their bulk.
    Summary,
    /// The cluster's own objects.
    System,
}

fn accepted(mut action: String, status: Status) -> Result<(), Error> {
    match status.as_result() {
        Ok(()) => Ok(()),
        Err(ApiError::Code(code, message)) => {
            if let Some(message) = message.filter(|message| !message.is_empty()) {
                action = format!("{action} ({message})");
            }
            Err(Error::Server { action, code })
        }
        Err(ApiError::NoResourceFound(name)) => {
            Err(Error::Server { action, code: ErrorCode::Other(format!("there is no {name:?}")) })
        }
    }
}
