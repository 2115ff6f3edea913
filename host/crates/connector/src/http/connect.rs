//! How the client connects: names through the host's own resolver, and a time limit for each request.
//!
//! The client knows one connect timeout for all requests; a guest may ask for its own. It travels as a task
//! local, which the outermost layer of the connector reads when a connection begins: that happens inside
//! the future of the request which needs it, even when the pool later hands the connection to another one.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_layer::Layer;
use tower_service::Service;

use super::BoxFuture;
use crate::network::{ResolveError, resolve};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    static CONNECT_TIMEOUT: Duration;
}

/// Runs a request whose connection, should it need one, may take so long.
pub(super) async fn with_timeout<F: Future>(timeout: Duration, request: F) -> F::Output {
    CONNECT_TIMEOUT.scope(timeout, request).await
}

/// The connection did not come about in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", .0.as_millis() as f64 / 1000.0)]
pub(super) struct TimedOut(Duration);

/// A name leads to an address which no name may lead to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is link-local or a metadata service")]
pub(super) struct Forbidden(pub(super) IpAddr);

/// Resolves names by the host's rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            match resolve(name.as_str()).await {
                Ok(found) => Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs),
                Err(ResolveError::Forbidden { address, .. }) => Err(Box::new(Forbidden(address)) as BoxError),
                Err(error @ ResolveError::Unknown { .. }) => Err(Box::new(error) as BoxError),
            }
        })
    }
}

/// Puts the request's time limit around the connector.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeoutLayer;

#[derive(Debug, Clone)]
pub(super) struct TimeoutService<S>(S);

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimeoutService(inner)
    }
}

impl<S, Target> Service<Target> for TimeoutService<S>
where
    S: Service<Target, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let limit = CONNECT_TIMEOUT.try_with(|limit| *limit).unwrap_or(super::CONNECT_TIMEOUT);
        let connecting = self.0.call(target);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(Box::new(TimedOut(limit)) as BoxError),
            }
        })
    }
}
