//! Taking time, memory and stack, and ending badly.

use std::hint::black_box;
use std::time::Duration;

use crate::Config;

pub fn act(config: &Config) -> Vec<String> {
    match config.action.as_str() {
        "loop" => loop {
            black_box(0);
        },
        "trap" => std::process::abort(),
        "panic" => panic!("{}", config.text),
        "recurse" => vec![recurse(black_box(1)).to_string()],
        "allocate" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            for _ in 0..config.amount {
                held.push(vec![1; 1024 * 1024]);
            }
            vec![format!("{} MiB", black_box(held).len())]
        }
        "sleep" => {
            std::thread::sleep(Duration::from_millis(config.amount));
            vec!["awake".into()]
        }
        _ => std::process::exit(3),
    }
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1)) + depth)
}
