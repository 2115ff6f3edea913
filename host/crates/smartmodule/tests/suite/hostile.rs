//! Modules that lie, loop, leak and crash: each costs itself an error, and nobody else anything.

use std::time::{Duration, Instant};

use host_smartmodule::{Call, Chain, Error, Limits, Stage};

use crate::support::{NOW, engine, run, texts, values, wat};

/// A module from the bodies of its functions. Without changes it hands back what it gets: the input holds, after
/// 8 bytes of offset and 4 of length, the very bytes that an output begins with; a 0 behind them says "no error".
struct Guest<'a> {
    alloc: &'a str,
    filter: &'a str,
    rest: &'a str,
}

const ALLOC: &str = "
    (local $start i32)
    (local.set $start (global.get $next))
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 0) (i32.const 15)) (i32.const -16))))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.const 16)))))
    (local.get $start)";

const IDENTITY: &str = "(call $identity (local.get 0)) (i32.const 0)";

const DEFAULT: Guest<'static> = Guest { alloc: ALLOC, filter: IDENTITY, rest: "" };

impl Guest<'_> {
    fn text(&self) -> String {
        let Self { alloc, filter, rest } = self;
        format!(
            r#"(module
                (import "env" "copy_records" (func $copy_records (param i32 i32)))
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 1024))
                (global $calls (mut i32) (i32.const 0))
                (func $bytes (param i32) (result i32) ;; the length of the records, big-endian at 8
                    (i32.or (i32.shl (i32.load8_u offset=9 (local.get 0)) (i32.const 16))
                    (i32.or (i32.shl (i32.load8_u offset=10 (local.get 0)) (i32.const 8))
                            (i32.load8_u offset=11 (local.get 0)))))
                (func $identity (param i32)
                    (i32.store8 (i32.add (i32.add (local.get 0) (i32.const 12)) (call $bytes (local.get 0))) (i32.const 0))
                    (call $copy_records
                        (i32.add (local.get 0) (i32.const 12))
                        (i32.add (call $bytes (local.get 0)) (i32.const 1))))
                (func (export "alloc") (param i32) (result i32) {alloc})
                (func (export "filter") (param i32 i32 i32) (result i32) {filter})
                {rest})"#
        )
    }

    fn stage(&self) -> Stage {
        let limits = Limits { call_timeout: Duration::from_millis(100), ..Limits::default() };
        Stage { limits, ..wat(&self.text()) }
    }

    fn chain(&self) -> Result<Chain, Error> {
        Chain::new(vec![self.stage()])
    }

    fn error(&self) -> Error {
        self.chain().expect("a chain").apply(&values(&["x"]), 0, NOW).expect_err("an error")
    }
}

/// Hands everything on, but traps at a record of one byte that is this.
pub fn traps_at(byte: u8) -> Stage {
    let filter =
        format!("(if (i32.eq (i32.load8_u offset=22 (local.get 0)) (i32.const {byte})) (then unreachable)) {IDENTITY}");
    Guest { filter: &filter, ..DEFAULT }.stage()
}

#[test]
fn the_honest_one_works() {
    let mut chain = DEFAULT.chain().expect("a chain");
    for _ in 0..100 {
        assert_eq!(texts(&run(&mut chain, &["x", "yy"]).batch), ["x", "yy"]);
    }
}

#[test]
fn wild_pointers_from_alloc() {
    for pointer in [-1_i64, -65_536, i64::from(i32::MIN), 131_072, 131_071, 0x7fff_ffff] {
        let error = Guest { alloc: &format!("(i32.const {pointer})"), ..DEFAULT }.error();
        assert!(matches!(error, Error::Guest { call: Call::Alloc, .. }), "{pointer}: {error}");
    }
}

#[test]
fn outputs_that_are_not_there() {
    for (pointer, length) in [(-1, 4), (0, -1), (-8, 16), (131_072, 1), (131_071, 2), (1 << 30, 1 << 30), (0, i32::MAX)]
    {
        let filter = format!("(call $copy_records (i32.const {pointer}) (i32.const {length})) (i32.const 0)");
        let error = Guest { filter: &filter, ..DEFAULT }.error();
        assert!(matches!(error, Error::Guest { call: Call::Transform, .. }), "{pointer} {length}: {error}");
    }
    let error = Guest { filter: "(i32.const 0)", ..DEFAULT }.error();
    assert!(error.to_string().contains("without handing over its output"), "{error}");
}

#[test]
fn outputs_that_are_garbage() {
    for bytes in [
        r"\00\00\00",
        r"\00\00\00\01",
        r"\7f\ff\ff\ff\0e\00\00\00",
        r"\00\00\00\01\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff",
        r"\00\00\00\01\0e\00\00\00\00\01\00\00\00",
        r"\00\00\00\01\0e\00\00\00\02\00\00\00\00",
        r"\00\00\00\00\02",
        r"\00\00\00\00\01\ff\ff",
    ] {
        let length = bytes.len() / 3;
        let filter = format!("(call $copy_records (i32.const 16) (i32.const {length})) (i32.const 0)");
        let data = format!(r#"(data (i32.const 16) "{bytes}")"#);
        let error = Guest { filter: &filter, rest: &data, ..DEFAULT }.error();
        assert!(error.to_string().contains("its output can't be read"), "{bytes}: {error}");
    }
}

#[test]
fn a_refusal_of_a_record_that_was_never_given() {
    let output = r"\00\00\00\00\01\00\01h\00\00\00\00\00\00\00\00\00\00\04no";
    let data = format!(r#"(data (i32.const 16) "{output}")"#);
    let filter = "(call $copy_records (i32.const 16) (i32.const 21)) (i32.const 0)";
    let mut chain = Guest { filter, rest: &data, ..DEFAULT }.chain().expect("a chain");
    let error = chain.apply(&values(&["x", "y"]), 0, NOW).expect_err("a lie");
    assert!(error.to_string().contains("refuses a record that it was not given"), "{error}");
}

#[test]
fn failure_codes() {
    for (code, meaning) in
        [(-1, "gives no reason"), (-22, "can't decode the records"), (-33, "can't encode"), (-9, "-9")]
    {
        let error = Guest { filter: &format!("(i32.const {code})"), ..DEFAULT }.error();
        assert!(error.to_string().contains(meaning), "{error}");
    }
}

#[test]
fn endless_loops_end() {
    const LOOP: &str = "(loop $l (br $l)) (i32.const 0)";
    let started = Instant::now();
    let error = Guest { filter: LOOP, ..DEFAULT }.error();
    assert!(matches!(error, Error::Deadline { call: Call::Transform, .. }), "{error}");
    let error = Guest { alloc: LOOP, ..DEFAULT }.error();
    assert!(matches!(error, Error::Deadline { call: Call::Alloc, .. }), "{error}");
    let start = "(func $start (loop $l (br $l))) (start $start)";
    let error = Guest { rest: start, ..DEFAULT }.chain().expect_err("ends");
    assert!(matches!(error, Error::Deadline { call: Call::Start, .. }), "{error}");
    let init = format!(r#"(func (export "init") (param i32 i32 i32) (result i32) {LOOP})"#);
    let error = Guest { rest: &init, ..DEFAULT }.chain().expect_err("ends");
    assert!(matches!(error, Error::Deadline { call: Call::Init, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn deep_recursion_ends() {
    let deep = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    let error = Guest { filter: "(call $deep (i32.const 0))", rest: deep, ..DEFAULT }.error();
    assert!(matches!(&error, Error::Trap { reason, .. } if reason.contains("stack")), "{error}");
}

#[test]
fn memory_is_limited() {
    let grow = "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (i32.const 0)";
    let mut stage = Guest { filter: grow, ..DEFAULT }.stage();
    stage.limits = Limits { memory: 4 << 20, ..Limits::default() };
    let error = Chain::new(vec![stage]).expect("a chain").apply(&values(&["x"]), 0, NOW).expect_err("too much");
    assert!(matches!(error, Error::Memory { limit, wanted, .. } if limit == 4 << 20 && wanted > limit), "{error}");

    let mut stage = DEFAULT.stage();
    stage.limits.memory = 65_536;
    let error = Chain::new(vec![stage]).expect_err("needs two pages");
    assert!(matches!(error, Error::Memory { call: Call::Start, .. }), "{error}");
    assert!(error.is_configuration());
}

#[test]
fn a_batch_that_fits_in_halves_is_halved() {
    // allocates eight times its input, and forgets it: the input alone fits, all of it at once doesn't
    let filter =
        "(drop (memory.grow (i32.shr_u (local.get 1) (i32.const 13)))) (call $identity (local.get 0)) (i32.const 0)";
    let mut stage = Guest { filter, ..DEFAULT }.stage();
    stage.limits.memory = 6 << 20;
    let mut chain = Chain::new(vec![stage]).expect("a chain");
    let input: Vec<_> = (0..1_000).map(|index| format!("{index:01000}")).collect();
    for _ in 0..5 {
        assert_eq!(texts(&run(&mut chain, &input).batch), input);
    }
}

#[test]
fn the_others_go_on_after_a_trap() {
    let mut chain = Chain::new(vec![traps_at(b'!')]).expect("a chain");
    for _ in 0..3 {
        assert_eq!(texts(&run(&mut chain, &["x"]).batch), ["x"]);
        let error = chain.apply(&values(&["!"]), 0, NOW).expect_err("traps");
        assert!(matches!(&error, Error::Trap { reason, .. } if reason.contains("unreachable")), "{error}");
    }
}

#[test]
fn a_dealloc_that_is_not_dlmallocs_is_never_called() {
    let dealloc = r#"(func (export "dealloc") (param i32 i32) unreachable)"#;
    let mut chain = Guest { rest: dealloc, ..DEFAULT }.chain().expect("a chain");
    for _ in 0..1_000 {
        run(&mut chain, &["x"]);
    }
}

fn compile_error(bytes: &[u8]) -> Error {
    let error = engine().compile("mine", bytes).expect_err("no SmartModule");
    assert!(error.is_configuration());
    assert!(error.to_string().contains("`mine`"), "{error}");
    error
}

#[test]
fn what_is_no_smartmodule() {
    assert!(matches!(compile_error(b""), Error::NotAModule { .. }));
    assert!(matches!(compile_error(b"#!/bin/sh"), Error::NotAModule { .. }));
    assert!(matches!(compile_error(b"\0asm\x01\0\0\0\xff"), Error::NotAModule { .. }));
    assert!(matches!(compile_error(b"\0asm\x0d\0\x01\0"), Error::Component { .. }));
    let text = DEFAULT.text();
    let error = compile_error(text.replace("\"filter\"", "\"fitler\"").as_bytes());
    assert!(error.to_string().contains("it exports memory, alloc, fitler"), "{error}");
    for (from, to, problem) in [
        ("\"alloc\"", "\"malloc\"", "no `alloc`"),
        ("\"memory\"", "\"mem\"", "no 32-bit memory"),
        ("(export \"filter\") (param i32 i32 i32)", "(export \"filter\") (param i32 i32 i64)", "another type"),
        ("\"copy_records\"", "\"copy\"", "env.copy"),
        (
            "(import \"env\" \"copy_records\" (func $copy_records (param i32 i32)))",
            "(func $copy_records (param i32 i32))",
            "imports no `copy_records`",
        ),
        ("(memory (export", "(import \"env\" \"exec\" (func (param i32))) (memory (export", "env.exec"),
        ("(memory (export", "(import \"env\" \"table\" (table 1 funcref)) (memory (export", "env.table"),
    ] {
        let error = compile_error(text.replace(from, to).as_bytes());
        assert!(error.to_string().contains(problem), "{problem}: {error}");
    }
}

#[test]
fn copy_records_may_come_from_anywhere() {
    let text = DEFAULT.text().replace("\"env\"", "\"somewhere else\"");
    let mut chain = Chain::new(vec![wat(&text)]).expect("a chain");
    assert_eq!(run(&mut chain, &["x"]).batch.len(), 1);
}

#[test]
fn the_first_transform_found_is_the_one() {
    let map = r#"(func (export "map") (param i32 i32 i32) (result i32) unreachable)"#;
    let stage = Guest { rest: map, ..DEFAULT }.stage();
    assert_eq!(stage.module.kind().name(), "filter");
}

#[test]
fn a_parameter_too_long_for_the_abi() {
    let mut stage = crate::support::stage("fixture-filter", &[]);
    stage.params.insert("needle".to_owned(), "x".repeat(32_768));
    let error = Chain::new(vec![stage]).expect_err("too long");
    assert!(matches!(&error, Error::Param { param, length: 32_768, .. } if param == "needle"), "{error}");
}
