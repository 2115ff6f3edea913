//! Keeps the records whose value contains the parameter `needle` (default: `a`); refuses values with `bad` in
//! front, and an empty needle.

use std::sync::OnceLock;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{Result, SmartModuleRecord, eyre, smartmodule};

static NEEDLE: OnceLock<String> = OnceLock::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> Result<()> {
    let needle = params.get("needle").cloned().unwrap_or_else(|| "a".to_owned());
    if needle.is_empty() {
        return Err(eyre!("needle must not be empty"));
    }
    NEEDLE.set(needle).map_err(|_| eyre!("init is called once"))
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> Result<bool> {
    let text = String::from_utf8_lossy(record.value().as_ref());
    if text.starts_with("bad") {
        return Err(eyre!("a bad value: {text}"));
    }
    let needle = NEEDLE.get().map_or("a", String::as_str);
    Ok(text.contains(needle))
}
