//! The contract, as `wit-bindgen` sees it. Authors use the types beside it, never these.
#![allow(clippy::all, reason = "generated from wit/")]

wit_bindgen::generate!({
    path: "wit",
    world: "source-connector",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_source_component",
});

/// The sink's world, with the types of the source's.
pub mod sink {
    wit_bindgen::generate!({
        path: "wit",
        world: "sink-connector",
        pub_export_macro: true,
        export_macro_name: "export_sink_component",
        with: {
            "wasi:logging/logging@0.1.0-draft": super::wasi::logging::logging,
            "fluvio:connector/metrics@0.1.0": super::fluvio::connector::metrics,
            "fluvio:connector/types@0.1.0": super::fluvio::connector::types,
        },
    });
}

/// The transform's world, with the types of the source's.
pub mod transform {
    wit_bindgen::generate!({
        path: "wit",
        world: "transform-connector",
        pub_export_macro: true,
        export_macro_name: "export_transform_component",
        with: {
            "wasi:logging/logging@0.1.0-draft": super::wasi::logging::logging,
            "fluvio:connector/metrics@0.1.0": super::fluvio::connector::metrics,
            "fluvio:connector/types@0.1.0": super::fluvio::connector::types,
        },
    });
}

/// TLS, which the crate `wasip2` does not have; the streams are its own.
#[cfg(target_os = "wasi")]
pub(crate) mod tls {
    wit_bindgen::generate!({
        path: "tls",
        world: "tls",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
        },
        generate_all,
    });
}
