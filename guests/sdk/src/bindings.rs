//! The contract, as `wit-bindgen` sees it. Authors use the types beside it, never these.
#![allow(clippy::all, reason = "generated from wit/")]

wit_bindgen::generate!({
    path: "wit",
    world: "source-connector",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_source_component",
});
