//! SmartModule
