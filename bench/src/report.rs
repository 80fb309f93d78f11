//! `sigillo-bench report`: everything in one run, on an installation of its own; the table of targets beside it.

mod own;
mod peers;
mod rows;
mod steps;

use std::path::PathBuf;

use self::rows::{Found, Row, rows};
use crate::run::Run;

/// Makes an installation, measures it and its ceilings, and removes it if all was measured.
#[derive(Debug, clap::Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:
  sigillo-bench report
  sigillo-bench report --grow 10000000 --cache-mib 8192 --soak 1800          # as `make bench FULL=1` does: 24 GiB, and 40 on the disk
  sigillo-bench report --peers target/peers
  sigillo-bench report --before before.json                  # a copy of the runs.json of an earlier one
  sigillo-bench report --delaying-module target/slow-hsm.so --delaying-environment SIGILLO_SHIM_DELAY_US=500 \\
    --delaying-environment SIGILLO_SHIM_MODULE={module}        # as `make bench` does

Exit code 0 whatever the figures: they are compared with their targets, and machines are noisy. 1 if something could not be measured:
it is said what, the rest is measured all the same, and the installation stays for a look at its logs. What is measured is written
after each step."
)]
pub(crate) struct Arguments {
    /// The program to measure.
    #[arg(long, default_value = "target/release/sigillo", value_name = "FILE")]
    pub(crate) sigillo: PathBuf,
    /// The mail relay.
    #[arg(long, default_value = "tests/support/smtpd.py", value_name = "FILE")]
    pub(crate) relay: PathBuf,
    /// Where report.json, runs.json, latency.svg and time.svg are written, and the installation is made.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Cards of the first measurements.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) cards: u64,
    /// Cards that the store grows to.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) grow: u64,
    /// Seconds of each closed loop.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// Seconds of the mixture.
    #[arg(long, default_value_t = 40)]
    pub(crate) soak: u64,
    /// A PKCS#11 module that passes calls on to the installation's and adds 500 us to each; without it that row is left out.
    /// `make bench` builds tests/shim for it.
    #[arg(long, value_name = "FILE")]
    pub(crate) delaying_module: Option<PathBuf>,
    /// A variable of that module, NAME=VALUE; more than one may be given. In a value {module} stands for the installation's own
    /// module.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) delaying_environment: Vec<String>,
    /// Measures privacyIDEA too, which is installed in this directory, from PyPI and with PostgreSQL; without it those rows are left
    /// out.
    #[arg(long, value_name = "DIR")]
    pub(crate) peers: Option<PathBuf>,
    /// The script that installs and measures it.
    #[arg(long, default_value = "bench/peers/privacyidea.sh", value_name = "FILE")]
    pub(crate) peer_script: PathBuf,
    /// The runs.json of an earlier report: each run is compared with it, with 95 % intervals, in comparison.txt too.
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,
    /// The store's cache, MiB: 2048 hold a million cards. As shipped it has 256; serve.toml.example says for how many.
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    pub(crate) cache_mib: u64,
    /// Requests in flight of closed loops.
    #[arg(long, default_value_t = crate::place::IN_FLIGHT)]
    pub(crate) in_flight: usize,
}

/// Measures, prints, writes.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    // Read now: it may be the file that is written at the end, and a fault in it is not told after ten minutes.
    let before = arguments.before.as_deref().map(crate::run::read).transpose()?;
    let mut found = Found::default();
    let mut runs = Vec::<Run>::new();
    let missed = steps::all(arguments, &mut found, &mut runs).await?;
    let at = |name: &str| arguments.directory.join(name);
    println!();
    print(&rows(&found));
    println!();
    let mut written = vec!["report.json", "runs.json"];
    let drawn = [("latency.svg", crate::plot::svg(&runs)), ("time.svg", crate::plot::time::svg(&runs))];
    let compared = before.map(|before| ("comparison.txt", crate::compare::table(&before, &runs)));
    for (name, text) in drawn.into_iter().chain(compared) {
        match text {
            Ok(text) => {
                std::fs::write(at(name), &text).map_err(|e| format!("{}: {e}", at(name).display()))?;
                written.push(name);
                if name == "comparison.txt" {
                    println!("{text}");
                }
            }
            Err(why) => println!("no {name}: {why}"),
        }
    }
    println!("Written to {}: {}", arguments.directory.display(), written.join(", "));
    if missed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", missed.join("; "))) }
}

/// Writes what has been measured so far, each file at once or not at all.
fn save(arguments: &Arguments, found: &Found, runs: &[Run]) -> Result<(), String> {
    let at = |name: &str| arguments.directory.join(name);
    let write = |name: &str, value: &dyn Fn(&std::path::Path) -> Result<(), String>| {
        let new = at(&format!("{name}.new"));
        value(&new)?;
        std::fs::rename(&new, at(name)).map_err(|e| format!("{}: {e}", at(name).display()))
    };
    write("report.json", &|file| crate::run::write(file, &rows(found)))?;
    write("runs.json", &|file| crate::run::write(file, &runs))
}

fn print(table: &[Row]) {
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
    println!(
        "{:<66} {:>10} {:<9} {:>10} {:>7}  {:<9} met",
        "what", "value", "unit", "ceiling", "share", "target"
    );
    for row in table {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        println!(
            "{:<66} {:>10} {:<9} {:>10} {:>7}  {:<9} {met}",
            row.what,
            figure(row.value),
            row.unit,
            figure(row.ceiling),
            figure(row.share),
            row.target,
        );
    }
}

/// About three digits.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        1.0..10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
