//! Messages that reach the host's log, under the connector's name.
//!
//! ```
//! connector_sdk::info!("opened {} feeds", 3);
//! connector_sdk::warn!(context: "feed 2", "no new entry since {}", "yesterday");
//! ```

use crate::platform;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Steps of the way, for debugging in depth.
    Trace,
    /// What helps in debugging.
    Debug,
    /// What a running system says of itself.
    Info,
    /// Something is odd, and it goes on.
    Warn,
    /// Something failed.
    Error,
    /// It can't go on.
    Critical,
}

/// Writes one message. `context` says which part is speaking, and may be empty.
pub fn log(level: Level, context: &str, message: &str) {
    platform::with(|platform| platform.log(level, context, message));
}

/// Logs at a given level: `log!(Level::Info, "message {}", 1)`, or with `context: "part",` in between.
#[macro_export]
macro_rules! log {
    ($level:expr, context: $context:expr, $($message:tt)+) => {
        $crate::log::log($level, ::core::convert::AsRef::<str>::as_ref(&$context), &::std::format!($($message)+))
    };
    ($level:expr, $($message:tt)+) => { $crate::log::log($level, "", &::std::format!($($message)+)) };
}

/// Logs steps of the way, for debugging in depth.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::log!($crate::log::Level::Trace, $($message)+) };
}

/// Logs what helps in debugging.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log!($crate::log::Level::Debug, $($message)+) };
}

/// Logs what a running system says of itself.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log!($crate::log::Level::Info, $($message)+) };
}

/// Logs that something is odd, and that it goes on.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log!($crate::log::Level::Warn, $($message)+) };
}

/// Logs that something failed.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log!($crate::log::Level::Error, $($message)+) };
}
