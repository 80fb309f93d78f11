//! What happens in the middle of a storm, and how it is mended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;
use serde_json::Value;
use sigillo_bench::installation::{INTERNAL, get, run};
use sigillo_proofs::{disk::Mood, guesses::events};

use crate::{
    ground::{Ground, with_certificate},
    rig::Rig,
};

/// What happens once some answers are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    Nothing,
    /// SIGKILL and a new start.
    Kill,
    /// SIGSTOP for a second, then SIGCONT: nothing is sent again.
    Stop,
    /// The token's directory is away until the authority says so, then back.
    Token,
    /// The disk takes no write for a while, then its power is cut; a new start. Needs a [`Rig`].
    Disk,
    /// A backup is taken; later the store is lost, restored from it, and brought back by two officers with the log as evidence.
    Restore,
}

impl Blow {
    /// Guesses that are sent before it; the others right after it.
    pub(crate) const fn before(self, all: usize) -> usize {
        match self {
            Self::Nothing | Self::Kill | Self::Stop => all,
            Self::Token | Self::Disk => all / 2,
            // So few that tries are left for those after the backup.
            Self::Restore => 2,
        }
    }

    /// So many milliseconds after the store was first written a try that was being spent then may not be decided yet. A commit on
    /// a slow disk takes several flushes.
    pub(crate) const fn within_ms(self) -> usize {
        if matches!(self, Self::Disk) { 160 } else { 8 }
    }

    /// Whether it may cut off a guess whose try is spent and that is not decided yet.
    pub(crate) const fn cuts_off(self) -> bool {
        matches!(self, Self::Kill | Self::Token | Self::Disk)
    }

    /// Whether it must have, in some round. A token that is gone is noticed when it is looked at next, once a second: whether a
    /// try is in flight then is chance.
    pub(crate) const fn must_cut_off(self) -> bool {
        matches!(self, Self::Kill | Self::Disk)
    }
}

/// Where it happens.
pub(crate) struct Scene<'a> {
    pub(crate) ground: &'a mut Ground,
    pub(crate) rig: Option<&'a mut Rig>,
    /// For files.
    pub(crate) directory: &'a Path,
}

/// Looks at `/readyz` so often.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: usize = 1_500;
/// Looks at the store so often, for a second.
const LOOK_AT_STORE_EVERY: Duration = Duration::from_micros(100);
const LOOKS_AT_STORE: usize = 10_000;
/// For so long the disk takes no write before the authority is killed.
const FAILING: Duration = Duration::from_millis(200);
/// So much longer a flush of the disk takes, in milliseconds, while guesses are under way.
const FLUSH_MS: u64 = 4;

async fn until_ready(ready: bool) -> Result<(), String> {
    for _ in 0..LOOKS {
        if get(INTERNAL, "/readyz").is_ok_and(|answer| answer.contains("200 OK") == ready) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("/readyz does not become {}", if ready { "ready" } else { "not ready" }))
}

impl Scene<'_> {
    fn home(&self) -> PathBuf {
        self.ground.here.directory().to_owned()
    }

    fn backup(&self) -> PathBuf {
        self.directory.join("middle.backup")
    }

    fn move_token(&self, from: &str, to: &str) -> Result<(), String> {
        let authority = self.home().join("authority");
        fs::rename(authority.join(from), authority.join(to)).map_err(|e| format!("{from}: {e}"))
    }

    fn rig(&mut self) -> Result<&mut Rig, String> {
        self.rig.as_deref_mut().ok_or_else(|| "no disk whose power can be cut".into())
    }

    /// Before the guesses are sent. Answers when the store was written last.
    pub(crate) fn prepare(&mut self, blow: Blow) -> Result<SystemTime, String> {
        if blow == Blow::Disk {
            // As long as disks take: else hardly a blow would fall between a spent try and its outcome.
            self.rig()?.slow(FLUSH_MS);
        }
        self.written()
    }

    fn written(&self) -> Result<SystemTime, String> {
        let file = self.home().join("authority/store/db");
        fs::metadata(&file).and_then(|data| data.modified()).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Until the store is written after that time, or for a second: the first tries are being spent.
    pub(crate) fn until_written(&self, after: SystemTime) -> Result<(), String> {
        for _ in 0..LOOKS_AT_STORE {
            if self.written()? != after {
                break;
            }
            std::thread::sleep(LOOK_AT_STORE_EVERY);
        }
        Ok(())
    }

    /// The blow falls, while guesses are under way.
    pub(crate) async fn strike(&mut self, blow: Blow) -> Result<(), String> {
        match blow {
            Blow::Nothing => Ok(()),
            Blow::Kill => self.ground.here.kill("authority"),
            Blow::Stop => {
                self.ground.here.signal("authority", Signal::STOP)?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.ground.here.signal("authority", Signal::CONT)
            }
            Blow::Token => {
                self.move_token("tokens", "tokens-away")?;
                until_ready(false).await
            }
            Blow::Disk => self.rig().map(|rig| rig.behave(Mood::Failing)),
            Blow::Restore => {
                let file = self.backup();
                let mut backup = with_certificate(&self.ground.sigillo, &self.home(), "backup", &["backup"]);
                run(backup.arg("--out").arg(file)).map(drop)
            }
        }
    }

    /// Until it has had its effect, while more guesses are under way.
    pub(crate) async fn take_effect(&mut self, blow: Blow) -> Result<(), String> {
        match blow {
            Blow::Nothing | Blow::Kill | Blow::Stop | Blow::Token | Blow::Restore => Ok(()),
            Blow::Disk => {
                tokio::time::sleep(FAILING).await;
                self.ground.here.kill("authority")
            }
        }
    }

    /// What was struck is mended, after the last answer. Answers the events of the branch that was lost, if one was.
    pub(crate) async fn mend(&mut self, blow: Blow, seed: u64) -> Result<Vec<Value>, String> {
        let sigillo = self.ground.sigillo.clone();
        match blow {
            Blow::Nothing | Blow::Stop => {}
            Blow::Kill => self.ground.here.start_authority(&sigillo)?,
            Blow::Token => {
                self.move_token("tokens-away", "tokens")?;
                until_ready(true).await?;
            }
            Blow::Disk => {
                self.rig()?.slow(0);
                self.rig()?.power_on(seed, 0)?;
                self.ground.here.start_authority(&sigillo)?;
            }
            Blow::Restore => return self.restore().await,
        }
        Ok(Vec::new())
    }

    /// The store is lost and comes back from the backup.
    async fn restore(&mut self) -> Result<Vec<Value>, String> {
        let (home, sigillo) = (self.home(), self.ground.sigillo.clone());
        // It would report something that the newest checkpoint has and the evidence has not.
        self.ground.here.kill("courier")?;
        let evidence = self.directory.join("evidence.ndjson");
        let lost = self.ground.export(&evidence)?;
        self.ground.here.kill("authority")?;
        let store = home.join("authority/store");
        fs::remove_dir_all(&store).map_err(|e| format!("{}: {e}", store.display()))?;
        let officer = |n: u8, kind: &str| home.join(format!("officers/officer-{n}.{kind}"));
        let order = self.directory.join("order.txt");
        let config = home.join("authority/serve.toml");
        let told = |words: &[&str], rest: &mut dyn FnMut(&mut Command)| {
            let mut command = Command::new(&sigillo);
            command.args(words).current_dir(&home);
            rest(&mut command);
            run(&mut command).map_err(|why| format!("sigillo {}: {why}", words.join(" ")))
        };
        told(&["restore"], &mut |command| {
            command.arg("--config").arg(&config).arg("--backup").arg(self.directory.join("middle.backup"));
            command.arg("--cert").arg(officer(2, "pem")).arg("--key").arg(officer(2, "key"));
            command.arg("--public-key").arg(home.join("authority/public/audit.pub.pem"));
        })?;
        told(&["recover", "plan"], &mut |command| {
            command.arg("--config").arg(&config).arg("--evidence").arg(&evidence).arg("--out").arg(&order);
        })?;
        let signature = |n: u8| self.directory.join(format!("officer-{n}.sig"));
        for n in [1, 3] {
            told(&["recover", "sign"], &mut |command| {
                command.arg("--order").arg(&order).arg("--out").arg(signature(n));
                command.arg("--cert").arg(officer(n, "pem")).arg("--key").arg(officer(n, "key"));
            })?;
        }
        told(&["recover", "apply"], &mut |command| {
            command.arg("--config").arg(&config).arg("--evidence").arg(&evidence).arg("--order").arg(&order);
            command.arg("--signature").arg(signature(1)).arg("--signature").arg(signature(3));
        })?;
        for file in [&evidence, &order, &self.backup(), &signature(1), &signature(3)] {
            fs::remove_file(file).map_err(|e| format!("{}: {e}", file.display()))?;
        }
        self.ground.here.start_authority(&sigillo)?;
        self.ground.here.start_courier(&sigillo)?;
        events(&lost)
    }
}
