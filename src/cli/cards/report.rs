//! What an import came to, and what it took: cards a second, memory, disk.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use super::journal::Done;
use crate::{api::cards::BadLine, cli::Failure};

/// Most rejected lines that the report itself has; all are in their file.
const SHOWN: usize = 1000;

/// An import under way.
pub(super) struct Measured {
    first: u64,
    store: Option<(PathBuf, u64)>,
}

/// What it took.
#[derive(Serialize)]
pub(super) struct Figures {
    seconds: f64,
    cards_per_second: f64,
    peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes_per_card: Option<u64>,
}

#[derive(Serialize)]
struct Summary<'a> {
    lines: u64,
    registered: u64,
    unchanged: u64,
    rejected_lines: u64,
    /// The first of them.
    rejected: &'a [BadLine],
    warned_lines: u64,
    /// The first of them.
    warnings: &'a [BadLine],
    #[serde(flatten)]
    figures: &'a Figures,
}

impl Measured {
    /// Of what comes after line `first`.
    pub(super) fn begin(first: u64, store: Option<&Path>) -> Result<Self, Failure> {
        let store = store.map(|path| Ok::<_, Failure>((path.to_owned(), size(path)?))).transpose()?;
        Ok(Self { first, store })
    }

    pub(super) fn end(self, done: &Done, took: Duration, server: Option<u32>) -> Result<Figures, Failure> {
        let cards = done.lines.saturating_sub(self.first);
        let per_card = match self.store {
            None => None,
            Some((path, before)) => size(&path)?.saturating_sub(before).checked_div(cards),
        };
        let seconds = took.as_secs_f64();
        Ok(Figures {
            seconds,
            cards_per_second: number(cards) / seconds.max(0.001),
            peak_memory_bytes: peak("self"),
            server_peak_memory_bytes: server.and_then(|pid| peak(&pid.to_string())),
            disk_bytes_per_card: per_card,
        })
    }
}

/// Exact up to 2^32, which no file has lines of.
fn number(cards: u64) -> f64 {
    f64::from(u32::try_from(cards).unwrap_or(u32::MAX))
}

/// Bytes of the files in a directory and below; what goes away meanwhile counts as nothing.
fn size(directory: &Path) -> Result<u64, Failure> {
    let (mut sum, mut open) = (0_u64, vec![directory.to_owned()]);
    while let Some(at) = open.pop() {
        let entries = fs::read_dir(&at).map_err(|e| Failure::failed(format!("{}: {e}", at.display())))?;
        for entry in entries.filter_map(Result::ok) {
            match entry.metadata() {
                Ok(about) if about.is_dir() => open.push(entry.path()),
                Ok(about) => sum = sum.saturating_add(about.len()),
                Err(_) => {}
            }
        }
    }
    Ok(sum)
}

/// Most memory that a process ever had, in bytes; nothing where the system does not say.
fn peak(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Writes it.
pub(super) fn report(
    done: &Done,
    figures: &Figures,
    rejected: &Path,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let shown = if done.rejected == 0 { Vec::new() } else { first_of(rejected)? };
    if json {
        let summary = Summary {
            lines: done.lines,
            registered: done.registered,
            unchanged: done.unchanged,
            rejected_lines: done.rejected,
            rejected: &shown,
            warned_lines: done.warned,
            warnings: &done.warnings,
            figures,
        };
        serde_json::to_writer(&mut *out, &summary).map_err(Failure::failed)?;
        return writeln!(out).map_err(Failure::failed);
    }
    text(done, figures, rejected, &shown, out).map_err(Failure::failed)
}

fn text(
    done: &Done,
    figures: &Figures,
    rejected: &Path,
    shown: &[BadLine],
    out: &mut impl Write,
) -> std::io::Result<()> {
    for (kind, lines) in [("warning", done.warnings.as_slice()), ("rejected", shown)] {
        for line in lines {
            let field = line.field.as_deref().unwrap_or("");
            writeln!(out, "line {}: {kind}: {} {field} {}", line.line, line.code, line.detail)?;
        }
    }
    if done.rejected > 0 {
        writeln!(out, "every rejected line is in {}", rejected.display())?;
    }
    let (new, old, bad) = (done.registered, done.unchanged, done.rejected);
    writeln!(out, "{new} registered, {old} registered before, {bad} rejected")?;
    write!(out, "{:.1} s, {:.0} cards a second", figures.seconds, figures.cards_per_second)?;
    let mib = |bytes: u64| bytes >> 20;
    if let Some(peak) = figures.peak_memory_bytes {
        write!(out, "; peak memory {} MiB", mib(peak))?;
    }
    if let Some(peak) = figures.server_peak_memory_bytes {
        write!(out, ", the authority's {} MiB", mib(peak))?;
    }
    if let Some(bytes) = figures.disk_bytes_per_card {
        write!(out, "; {bytes} bytes of the disk a card")?;
    }
    writeln!(out)
}

fn first_of(path: &Path) -> Result<Vec<BadLine>, Failure> {
    let at = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", path.display()));
    let file = fs::File::open(path).map_err(|e| at(&e))?;
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines().take(SHOWN) {
        lines.push(serde_json::from_str(&line.map_err(|e| at(&e))?).map_err(|e| at(&e))?);
    }
    Ok(lines)
}
