//! The live lines of a run: one a stage, redrawn in place while log lines scroll above them.
//!
//! Only on a terminal. Everything that writes to standard error during a run goes through [`write_above`], so
//! that a log line takes the live lines away first and they are drawn again behind it.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host_cluster::LinkState;
use host_pipeline::{Progress, Snapshot};

/// How often the lines are redrawn. Five times a second looks alive and costs nothing.
const EVERY: Duration = Duration::from_millis(200);

/// The lines that are on the screen now.
static DRAWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Writes to standard error above the live lines.
pub(crate) fn write_above(bytes: &[u8]) -> io::Result<()> {
    let drawn = DRAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut out = io::stderr().lock();
    erase(&mut out, drawn.len())?;
    out.write_all(bytes)?;
    draw(&mut out, &drawn)
}

fn erase(out: &mut impl io::Write, lines: usize) -> io::Result<()> {
    for _ in 0..lines {
        out.write_all(b"\x1b[1A\x1b[2K")?;
    }
    Ok(())
}

fn draw(out: &mut impl io::Write, lines: &[String]) -> io::Result<()> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Draws these lines in place of those on the screen.
fn replace(drawn: &mut Vec<String>, lines: Vec<String>) -> io::Result<()> {
    let mut out = io::stderr().lock();
    // A line that wraps takes two, of which one would stay when it is erased.
    let width = terminal_size::terminal_size_of(&out).map_or(80, |(width, _)| usize::from(width.0));
    let lines: Vec<String> = lines.into_iter().map(|line| cut(line, width)).collect();
    erase(&mut out, drawn.len())?;
    draw(&mut out, &lines)?;
    *drawn = lines;
    Ok(())
}

/// What the lines of a run are called: where records come from, what they pass, where they go.
#[derive(Clone)]
pub(crate) struct Names {
    /// The connector, or `topic …`.
    pub(crate) input: String,
    /// What the way from there waits for.
    pub(crate) input_link: Option<Link>,
    /// The stages, as in `filter json-filter → map json-project`; empty for none.
    pub(crate) stages: String,
    /// The connector, or `topic …`.
    pub(crate) output: String,
    /// What the way there waits for.
    pub(crate) output_link: Option<Link>,
}

/// Says what a connection waits for, if it does.
pub(crate) type Link = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The link of a producer or consumer.
pub(crate) fn link(status: host_cluster::Status) -> Link {
    Arc::new(move || match status.get() {
        LinkState::Waiting { since, reason } => Some(format!("waiting for {} s: {reason}", since.elapsed().as_secs())),
        _ => None,
    })
}

/// Redraws the lines of a run until dropped, when there is a terminal to draw on.
pub(crate) struct Live {
    drawing: Option<(Arc<Drawing>, tokio::task::JoinHandle<()>)>,
}

/// What is drawn, and whether that is over.
struct Drawing {
    names: Names,
    progress: Arc<Progress>,
    first: Snapshot,
    started: Instant,
    over: AtomicBool,
}

impl Live {
    /// Starts drawing; does nothing where standard error is not a terminal.
    pub(crate) fn start(names: Names, progress: Arc<Progress>) -> Self {
        if !io::stderr().is_terminal() {
            return Self { drawing: None };
        }
        let (first, started) = (progress.snapshot(), Instant::now());
        let drawing = Arc::new(Drawing { names, progress, first, started, over: AtomicBool::new(false) });
        let task = tokio::spawn(Arc::clone(&drawing).keep_drawing());
        Self { drawing: Some((drawing, task)) }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let Some((drawing, task)) = self.drawing.take() else { return };
        task.abort();
        drawing.over.store(true, Ordering::Release);
        // The last state stays on the screen, with the rates of the whole run; what follows is written below it.
        let (all, seconds) = (drawing.progress.snapshot(), drawing.started.elapsed().as_secs_f64().max(0.001));
        if let Ok(mut drawn) = DRAWN.lock() {
            let _ = replace(&mut drawn, lines(&drawing.names, &drawing.first, &all, seconds));
            drawn.clear();
        }
    }
}

impl Drawing {
    async fn keep_drawing(self: Arc<Self>) {
        let (mut before, mut at) = (self.first.clone(), self.started);
        let mut ticks = tokio::time::interval(EVERY);
        // The first tick is at once, when there is nothing to show yet.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let (now, seconds) = (self.progress.snapshot(), at.elapsed().as_secs_f64().max(0.001));
            let mut drawn = DRAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Whoever said that it is over has drawn the last lines, or is about to.
            if self.over.load(Ordering::Acquire)
                || replace(&mut drawn, lines(&self.names, &before, &now, seconds)).is_err()
            {
                return;
            }
            (before, at) = (now, Instant::now());
        }
    }
}

fn lines(names: &Names, before: &Snapshot, now: &Snapshot, seconds: f64) -> Vec<String> {
    let rate = |was: u64, is: u64| thousands((is.saturating_sub(was) as f64 / seconds) as u64);
    let column = [&names.input, &names.stages, &names.output].map(|name| name.chars().count()).into_iter().max();
    let column = column.unwrap_or(0).clamp(12, 40);
    let line = |name: &str, was: u64, is: u64, rest: String| {
        format!("  {name:<column$} {:>12} records  {:>10}/s  {rest}", thousands(is), rate(was, is))
    };
    // The connector is the end that has no link to the cluster: what it waits for, it says itself.
    let waiting = |link: &Option<Link>| match link {
        Some(link) => link(),
        None => now.waiting.as_ref().map(|what| format!("waiting: {what}")),
    };
    let end = |size: u64, link: &Option<Link>| {
        format!("{:>9}{}", bytes(size), waiting(link).map(|what| format!("  {what}")).unwrap_or_default())
    };
    let mut lines =
        vec![line(&names.input, before.read_records, now.read_records, end(now.read_bytes, &names.input_link))];
    if !names.stages.is_empty() {
        let refused = format!("{:>9} refused", thousands(now.refused_records));
        lines.push(line(&names.stages, before.shaped_records, now.shaped_records, refused));
    }
    lines.push(line(&names.output, before.sent_records, now.sent_records, end(now.sent_bytes, &names.output_link)));
    lines
}

/// A line that fits into so many columns.
fn cut(line: String, width: usize) -> String {
    match line.char_indices().nth(width.max(1) - 1) {
        Some((at, last)) if line.len() > at + last.len_utf8() => format!("{}…", &line[..at]),
        _ => line,
    }
}

/// 1234567 as `1,234,567`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes with a decimal unit, as in `12.3 MB`.
pub(crate) fn bytes(n: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(size, _)| n >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", n as f64 / *size as f64),
        None => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable_and_lines_fit() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(thousands)[..]);
        assert_eq!(cut("äöü".into(), 3), "äöü");
        assert_eq!(cut("äöü".into(), 2), "ä…");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(12_345_678), "12.3 MB");
    }
}
