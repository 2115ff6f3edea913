//! The signals that ask a run to stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Outcome};

/// How often a stop was asked for.
pub(super) struct Signals {
    asked: tokio::sync::watch::Receiver<u32>,
}

impl Signals {
    /// Counts SIGINT and SIGTERM from now on; the first one cancels `stop`.
    pub(super) fn listen(stop: CancellationToken) -> Outcome<Self> {
        let refused = |e| Failure::failed(format!("can't listen for signals: {e}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let (count, asked) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stop.cancel();
                count.send_modify(|count| *count += 1);
                if *count.borrow() == 1 {
                    tracing::info!("stopping: what was read is still delivered; a second signal ends at once");
                }
            }
        });
        Ok(Self { asked })
    }

    /// Returns at a second signal, or when the grace period after the first is over.
    pub(super) async fn out_of_patience(&mut self, grace: Duration) {
        let first = self.asked.wait_for(|&count| count >= 1).await.is_ok();
        let second = self.asked.wait_for(|&count| count >= 2);
        if first && tokio::time::timeout(grace, second).await.is_ok_and(|counted| counted.is_ok()) {
            return;
        }
        if !first {
            // The listener went with the runtime; there is nobody left to ask.
            std::future::pending::<()>().await;
        }
    }
}
