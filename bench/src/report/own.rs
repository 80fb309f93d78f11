//! The installation that is measured: limits lifted, authority and courier as processes of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sigillo::clock::{Clock, SystemClock};
use sigillo_bench::{
    cards::cards,
    installation::{API, INTERNAL, Installation, get},
};

use super::Arguments;
use crate::{
    audit::Audit,
    courier::Courier,
    import::{Import, Imported, SEED, import},
    place::{Authority, Place},
};

const LOOK_EVERY: Duration = Duration::from_millis(200);
const TELL_EVERY: Duration = Duration::from_secs(30);
/// Of a start, in twentieths of a second: half an hour, for stores of any size.
const MOST_LOOKS: u32 = 36_000;

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
        own.change("authority/serve.toml", |text| cached(text, arguments.cache_mib))?;
        own.run_all()?;
        Ok(own)
    }

    /// Starts its processes, and waits for the first pass over the store.
    fn run_all(&mut self) -> Result<(), String> {
        self.here.start_relay(&self.relay)?;
        self.start_authority()?;
        self.here.start_courier(&self.sigillo)?;
        self.patrolled()
    }

    /// Answers how long it took, in seconds.
    fn start_authority(&mut self) -> Result<f64, String> {
        let clock = SystemClock::new();
        let start = clock.uptime();
        self.here.start_authority_within(&self.sigillo, MOST_LOOKS)?;
        Ok(clock.uptime().saturating_sub(start).as_secs_f64())
    }

    /// Waits for the end of the first pass over the store, which takes every idle moment and is nobody's request.
    fn patrolled(&mut self) -> Result<(), String> {
        let clock = SystemClock::new();
        let (start, mut told) = (clock.uptime(), clock.uptime());
        loop {
            if clock.uptime().saturating_sub(told) >= TELL_EVERY {
                told = clock.uptime();
                println!(
                    "  the first pass over the store: {} s so far",
                    told.saturating_sub(start).as_secs()
                );
            }
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
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.here.stop()?;
        self.run_all()
    }

    /// The same with two starts of the authority: how long each took, in seconds. The first reads what was written since the last.
    pub(super) fn restart_twice(&mut self) -> Result<(f64, f64), String> {
        self.here.stop()?;
        let first = self.start_authority()?;
        println!("start-up: {first:.2} s, behind what was written since the last one");
        self.here.stop()?;
        self.here.start_relay(&self.relay)?;
        let second = self.start_authority()?;
        println!("start-up: {second:.2} s, once more");
        self.here.start_courier(&self.sigillo)?;
        self.patrolled()?;
        Ok((first, second))
    }

    /// Whether its processes run to the end, which is this.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.here.still_running("courier")?;
        self.here.stop()
    }

    /// Removes it.
    pub(super) fn remove(self) -> Result<(), String> {
        let directory = self.here.directory().to_owned();
        fs::remove_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.here.directory().join(path)
    }

    fn authority(&self) -> Authority {
        Authority {
            clients: self.at("clients"),
            url: format!("https://{API}"),
            internal: Some(INTERNAL.into()),
            pid: self.here.pid("authority"),
        }
    }

    /// Where load goes to.
    pub(super) fn place(&self, in_flight: usize, http2: bool) -> Place {
        Place {
            authority: self.authority(),
            cards: None,
            http2,
            in_flight,
            rate: None,
            warm_up: 1,
            seconds: 1,
            out: None,
        }
    }

    /// Where load goes to that ends at the mail relay.
    pub(super) fn courier(&self, in_flight: usize) -> Courier {
        Courier {
            place: self.place(in_flight, true),
            mail: self.at("smtp/mail/new"),
            courier_pid: self.here.pid("courier"),
            patience: 60,
        }
    }

    /// Registers the cards from number `from` to number `to`.
    pub(super) async fn import(&self, from: u64, to: u64) -> Result<Imported, String> {
        let all = Import {
            authority: self.authority(),
            count: to.saturating_sub(from),
            from,
            seed: SEED,
            step: 1000,
            in_flight: 1,
            http2: false,
            store: Some(self.at("authority/store")),
            keep: None,
            out: None,
        };
        import(&all).await
    }

    /// Those cards.
    pub(super) fn cards(&self, from: u64, to: u64) -> Vec<sigillo::api::cards::NewCard> {
        cards(SEED, from, to).collect()
    }

    /// So many of the cards from number 0 to number `to`, evenly.
    pub(super) fn some(&self, to: u64, wanted: u64) -> Vec<sigillo::api::cards::NewCard> {
        let step = to.checked_div(wanted).and_then(|step| usize::try_from(step).ok()).unwrap_or(1).max(1);
        cards(SEED, 0, to).step_by(step).collect()
    }

    /// Exports the audit log and verifies it offline.
    pub(super) fn audit(&self) -> Result<Result<String, String>, String> {
        let (key, export) = (self.at("authority/public/audit.pub.pem"), self.at("audit.ndjson"));
        Audit { authority: &self.authority(), sigillo: &self.sigillo, key: &key, export }.verify()
    }

    /// Puts another module before the authority's token, and so many workers that its delay is no queue.
    pub(super) fn change_hsm(&self, module: Option<&Path>, environment: &[String]) -> Result<(), String> {
        self.change("authority/hsm.toml", |text| behind(text, module, environment))
    }

    fn change(&self, path: &str, change: impl FnOnce(&str) -> Result<String, String>) -> Result<(), String> {
        let file = self.at(path);
        let fault = |e: std::io::Error| format!("{}: {e}", file.display());
        let text = fs::read_to_string(&file).map_err(fault)?;
        let changed = change(&text).map_err(|why| format!("{}: {why}", file.display()))?;
        fs::write(&file, changed).map_err(fault)
    }
}

/// A `serve.toml` whose store has a cache of so many MiB.
fn cached(text: &str, mib: u64) -> Result<String, String> {
    let (before, after) = text.split_once("[store]\n").ok_or("it has no [store]")?;
    if after.contains("cache_mib") {
        return Err("it has a cache_mib already".into());
    }
    Ok(format!("{before}[store]\ncache_mib = {mib}\n{after}"))
}

/// An `hsm.toml` with 32 workers, and with another module before the one that it has.
fn behind(text: &str, module: Option<&Path>, environment: &[String]) -> Result<String, String> {
    let (mut changed, mut own) = (String::new(), "");
    for line in text.lines() {
        match (line.strip_prefix("module = "), module) {
            (Some(before), Some(module)) => {
                own = before.trim_matches('"');
                changed += &format!("module = {:?}\n", module.display().to_string());
            }
            (None, _) | (_, None) => changed += &format!("{line}\n"),
        }
    }
    if !changed.contains("[pool]") {
        changed = changed.replace("[pin]\n", "[pool]\nworkers = 32\n\n[pin]\n");
    }
    // `init` ends the file with its [environment].
    for variable in environment {
        let (name, value) =
            variable.split_once('=').ok_or_else(|| format!("{variable}: it must be NAME=VALUE"))?;
        let value = value.replace("{module}", own);
        // Paths are opened to the authority, which sees no others.
        changed += &if value.starts_with('/') {
            format!("{name} = {value:?}\n")
        } else {
            format!("{name} = {{ text = {value:?} }}\n")
        };
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_set_where_none_is() {
        let made = "listen = \"x\"\n[store]\ndirectory = \"store\"\n";
        let with = cached(made, 2048).unwrap();
        assert_eq!(with, "listen = \"x\"\n[store]\ncache_mib = 2048\ndirectory = \"store\"\n");
        cached(&with, 1).unwrap_err();
        cached("listen = \"x\"\n", 1).unwrap_err();
    }

    #[test]
    fn a_module_is_put_before_the_one_that_is_there() {
        let made = "module = \"/lib/soft.so\"\n\n[pin]\nfile = \"pin\"\n\n[environment]\nCONF = \"conf\"\n";
        let pool = "[pool]\nworkers = 32\n\n[pin]\n";
        // What is slow is compared with the same number of workers.
        let without = behind(made, None, &[]).unwrap();
        assert_eq!(without, made.replace("[pin]\n", pool));
        let environment = ["BEHIND={module}".to_owned(), "DELAY=500".to_owned()];
        let with = behind(&without, Some(Path::new("/slow.so")), &environment).unwrap();
        let wanted = without.replace("/lib/soft.so", "/slow.so");
        assert_eq!(with, format!("{wanted}BEHIND = \"/lib/soft.so\"\nDELAY = {{ text = \"500\" }}\n"));
        behind(made, None, &["DELAY".to_owned()]).unwrap_err();
    }
}
