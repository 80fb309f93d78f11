//! The installation that is measured: limits lifted, authority and courier as processes of their own.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sigillo::clock::{Clock, SystemClock};
use sigillo_bench::{
    cards::{cards, write},
    installation::{API, INTERNAL, Installation, get, run},
};

use super::Arguments;
use crate::place::Place;

/// Seed of the cards.
const SEED: u64 = 41;
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Own {
    here: Installation,
    sigillo: PathBuf,
    relay: PathBuf,
}

impl Own {
    /// Makes and starts it.
    pub(super) fn start(arguments: &Arguments) -> Result<Self, String> {
        let whole = |path: &Path| fs::canonicalize(path).map_err(|e| format!("{}: {e}", path.display()));
        let (sigillo, relay) = (whole(&arguments.sigillo)?, whole(&arguments.relay)?);
        fs::create_dir_all(&arguments.directory).map_err(|e| e.to_string())?;
        let here = Installation::make(&sigillo, &arguments.directory.join("installation"), 10)?;
        here.lift_limits()?;
        let mut own = Self { here, sigillo, relay };
        own.run_all()?;
        Ok(own)
    }

    /// Starts its processes; answers how long the authority took, in seconds.
    fn run_all(&mut self) -> Result<f64, String> {
        let clock = SystemClock::new();
        self.here.start_relay(&self.relay)?;
        let start = clock.uptime();
        self.here.start_authority(&self.sigillo)?;
        let took = clock.uptime().saturating_sub(start).as_secs_f64();
        self.here.start_courier(&self.sigillo)?;
        self.patrolled()?;
        Ok(took)
    }

    /// Waits for the end of the first pass over the store, which takes every idle moment and is nobody's request.
    fn patrolled(&mut self) -> Result<(), String> {
        loop {
            let text = get(INTERNAL, "/metrics").map_err(|e| e.to_string())?;
            let passes = text.lines().find_map(|line| line.strip_prefix("sigillo_store_patrols_total "));
            if passes.is_some_and(|passes| passes != "0") {
                return Ok(());
            }
            self.here.still_running("authority")?;
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends its processes and starts them again.
    pub(super) fn restart(&mut self) -> Result<f64, String> {
        self.here.stop()?;
        self.run_all()
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.here.still_running("courier")?;
        self.here.stop()
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.here.directory().join(path)
    }

    /// Where load goes to.
    pub(super) fn place(&self, in_flight: usize, http2: bool) -> Place {
        Place {
            clients: self.at("clients"),
            url: format!("https://{API}"),
            internal: Some(INTERNAL.into()),
            pid: self.here.pid("authority"),
            cards: None,
            http2,
            in_flight,
            rate: None,
            warm_up: 1,
            seconds: 1,
            out: None,
        }
    }

    /// Registers the cards from number `from` to number `to`; answers how many a second.
    pub(super) fn import(&self, from: u64, to: u64) -> Result<f64, String> {
        let file = self.at("batch.ndjson");
        let fault = |e: std::io::Error| format!("{}: {e}", file.display());
        write(cards(SEED, from, to), BufWriter::new(File::create(&file).map_err(fault)?)).map_err(fault)?;
        let clients = self.at("clients");
        let mut import = Command::new(&self.sigillo);
        import
            .args(["cards", "import", "--url", &format!("https://{API}"), "--ca"])
            .arg(clients.join("ca.pem"));
        import.arg("--cert").arg(clients.join("bureau.pem")).arg("--key").arg(clients.join("bureau.key"));
        let clock = SystemClock::new();
        let start = clock.uptime();
        run(import.arg(&file))?;
        let took = clock.uptime().saturating_sub(start).as_secs_f64();
        fs::remove_file(&file).map_err(fault)?;
        crate::number::per(crate::number::float(to.saturating_sub(from)), took)
            .ok_or_else(|| "no time passed".into())
    }

    /// Those cards.
    pub(super) fn cards(&self, from: u64, to: u64) -> Vec<sigillo::api::cards::NewCard> {
        cards(SEED, from, to).collect()
    }

    /// Bytes that the store has on the disk.
    pub(super) fn stored(&self) -> Result<u64, String> {
        size(&self.at("authority/store")).map_err(|e| e.to_string())
    }

    /// Exports the audit log and verifies it offline.
    pub(super) fn audit(&self) -> Result<String, String> {
        let (clients, export) = (self.at("clients"), self.at("audit.ndjson"));
        let mut command = Command::new(&self.sigillo);
        command
            .args(["audit", "export", "--url", &format!("https://{API}"), "--ca"])
            .arg(clients.join("ca.pem"));
        command.arg("--cert").arg(clients.join("auditor.pem")).arg("--key").arg(clients.join("auditor.key"));
        run(command.arg("--out").arg(&export))?;
        let key = self.at("authority/public/audit.pub.pem");
        let said =
            run(Command::new(&self.sigillo).args(["audit", "verify", "--public-key"]).arg(key).arg(&export));
        fs::remove_file(&export).map_err(|e| e.to_string())?;
        said
    }

    /// Puts another module before the authority's token, and so many workers that its delay is no queue.
    pub(super) fn change_hsm(&self, module: Option<&Path>, environment: &[String]) -> Result<(), String> {
        let file = self.at("authority/hsm.toml");
        let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let mut changed = String::new();
        for line in text.lines() {
            match (line.starts_with("module = "), module) {
                (true, Some(module)) => changed += &format!("module = {:?}\n", module.display().to_string()),
                _ => changed += &format!("{line}\n"),
            }
        }
        if !changed.contains("[pool]") {
            changed = changed.replace("[pin]\n", "[pool]\nworkers = 16\n\n[pin]\n");
        }
        for variable in environment {
            let (name, value) =
                variable.split_once('=').ok_or_else(|| format!("{variable}: it must be NAME=VALUE"))?;
            changed += &format!("{name} = {{ text = {value:?} }}\n");
        }
        fs::write(&file, changed).map_err(|e| e.to_string())
    }
}

fn size(directory: &Path) -> std::io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let more = if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
        sum = sum.saturating_add(more);
    }
    Ok(sum)
}
