//! The Fluvio cluster: topics, producer, consumer, offsets and SmartModules.
