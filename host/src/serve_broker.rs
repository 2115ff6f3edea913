//! `host broker`: the embedded broker in a process of its own.

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::BrokerArgs;
use crate::failure::{Failure, Outcome};
use crate::{cluster, places};

/// Serves until a signal asks to stop.
pub(crate) async fn serve(arguments: BrokerArgs) -> Outcome {
    let refused = |e| Failure::failed(format!("can't listen for signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let data = arguments.data.map_or_else(places::broker_data, Ok)?;
    let mut options = host_broker::Options::new(&data);
    options.listen = arguments.listen;
    options.advertise = arguments.advertise;
    options.cut_responses = arguments.cut_responses;
    let broker = cluster::start_broker(options).await.map_err(Failure::failed)?;
    let address = broker.address();
    tracing::info!(%address, data = %data.display(), "broker listens; point clients at it with --cluster {address}");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("broker stops");
    cluster::stop_broker(broker, &data).await
}
