//! Runs Fluvio SmartModules, a batch a call.
