//! Modules built for `wasm32-wasip1`: they import WASI because their standard library does.

use host_smartmodule::{Chain, Error};

use crate::support::{NOW, run, texts, values, wat};

/// A filter that makes WASI calls before it hands on its input, and traps when one doesn't give what `expect`s.
fn guest(imports: &str, calls: &str) -> String {
    format!(
        r#"(module
            (import "env" "copy_records" (func $copy_records (param i32 i32)))
            {imports}
            (memory (export "memory") 4)
            (data (i32.const 64) "hello\nfrom the guest\n")
            (data (i32.const 128) "\40\00\00\00\06\00\00\00\46\00\00\00\0f\00\00\00")
            (func $expect (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then unreachable)))
            (func (export "alloc") (param i32) (result i32) (i32.const 4096))
            (func (export "filter") (param i32 i32 i32) (result i32)
                {calls}
                (i32.store8 (i32.add (i32.const 4108) (i32.load8_u (i32.const 4107))) (i32.const 0))
                (call $copy_records (i32.const 4108) (i32.add (i32.load8_u (i32.const 4107)) (i32.const 1)))
                (i32.const 0)))"#
    )
}

fn import(name: &str, ty: &str) -> String {
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} {ty}))"#)
}

#[test]
fn what_a_standard_library_needs_is_there() {
    let imports = [
        import("fd_write", "(param i32 i32 i32 i32) (result i32)"),
        import("fd_read", "(param i32 i32 i32 i32) (result i32)"),
        import("fd_fdstat_get", "(param i32 i32) (result i32)"),
        import("environ_sizes_get", "(param i32 i32) (result i32)"),
        import("environ_get", "(param i32 i32) (result i32)"),
        import("clock_time_get", "(param i32 i64 i32) (result i32)"),
        import("random_get", "(param i32 i32) (result i32)"),
        import("sched_yield", "(result i32)"),
    ]
    .concat();
    let calls = "
        (call $expect (call $fd_write (i32.const 1) (i32.const 128) (i32.const 2) (i32.const 256)) (i32.const 0))
        (call $expect (i32.load (i32.const 256)) (i32.const 21))
        (call $expect (call $fd_read (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256)) (i32.const 0))
        (call $expect (i32.load (i32.const 256)) (i32.const 0))
        (call $expect (call $fd_fdstat_get (i32.const 2) (i32.const 256)) (i32.const 0))
        (call $expect (i32.load8_u (i32.const 256)) (i32.const 2))
        (call $expect (call $environ_sizes_get (i32.const 256) (i32.const 260)) (i32.const 0))
        (call $expect (i32.load (i32.const 256)) (i32.const 0))
        (call $expect (call $environ_get (i32.const 256) (i32.const 260)) (i32.const 0))
        (call $expect (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 256)) (i32.const 0))
        (call $expect (i64.gt_u (i64.load (i32.const 256)) (i64.const 1700000000000000000)) (i32.const 1))
        (call $expect (call $random_get (i32.const 256) (i32.const 16)) (i32.const 0))
        (call $expect (i64.eq (i64.load (i32.const 256)) (i64.load (i32.const 264))) (i32.const 0))
        (call $expect (call $sched_yield) (i32.const 0))";
    let mut chain = Chain::new(vec![wat(&guest(&imports, calls))]).expect("a chain");
    assert_eq!(texts(&run(&mut chain, &["x"]).batch), ["x"]);
}

#[test]
fn the_outside_is_not() {
    let imports = [
        import("fd_prestat_get", "(param i32 i32) (result i32)"),
        import("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
        import("sock_accept", "(param i32 i32 i32) (result i32)"),
        import("poll_oneoff", "(param i32 i32 i32 i32) (result i32)"),
        import("fd_write", "(param i32 i32 i32 i32) (result i32)"),
        import("random_get", "(param i32 i32) (result i32)"),
    ]
    .concat();
    let calls = "
        (call $expect (call $fd_prestat_get (i32.const 3) (i32.const 256)) (i32.const 8))
        (call $expect (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 0)
            (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 256)) (i32.const 8))
        (call $expect (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 256)) (i32.const 8))
        (call $expect (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 256)) (i32.const 52))
        (call $expect (call $fd_write (i32.const 3) (i32.const 128) (i32.const 2) (i32.const 256)) (i32.const 8))
        (call $expect (call $fd_write (i32.const 1) (i32.const -4) (i32.const 2) (i32.const 256)) (i32.const 21))
        (call $expect (call $random_get (i32.const -4) (i32.const 16)) (i32.const 21))
        (call $expect (call $random_get (i32.const 0) (i32.const -1)) (i32.const 28))";
    let mut chain = Chain::new(vec![wat(&guest(&imports, calls))]).expect("a chain");
    assert_eq!(texts(&run(&mut chain, &["x"]).batch), ["x"]);
}

#[test]
fn exit_ends_the_call_not_the_host() {
    let imports = import("proc_exit", "(param i32)");
    let mut chain = Chain::new(vec![wat(&guest(&imports, "(call $proc_exit (i32.const 3))"))]).expect("a chain");
    let error = chain.apply(&values(&["x"]), 0, NOW).expect_err("exits");
    assert!(matches!(&error, Error::Trap { reason, .. } if reason.contains("exit(3)")), "{error}");
}
