//! `sigillo policy activate`: a set takes the place of the one that `serve` reads, and `serve` is told.
//!
//! While files are replaced a marker lies in the directory that makes every load refuse it: nobody reads half of one set and
//! half of another. If `serve` refuses the new set, the former one is put back.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use hyper::HeaderMap;

use crate::{
    api::policy::Reloaded,
    cli::{
        Failure,
        client::{Connection, block_on},
        serve::config::Config,
    },
    client::ClientLimits,
    domain::in_force::{Signing, admit},
    files,
    policy::{Directory, MARKER, Policy},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy activate next --config serve.toml --url https://127.0.0.1:8443 --ca ca.pem --cert policy.pem \\
    --key policy.key
  sigillo policy activate next --config serve.toml && systemctl reload sigillo-serve

The set in next/ is checked as `serve` would check it, its signatures against the officers of the set that is there now, and
copied to its place. With --url the running service is told at once (its caller needs the action \"reload_policy\"), and
if it refuses the former set is put back; without an answer the new one stays. Without --url, tell it with SIGHUP and look at its log. If it breaks off, run it again:
until then `serve` keeps what it has in memory and refuses to start.

Exit codes: 0 in force, or in place without --url; 1 refused or failed, the text says which set is in place; 64 bad options
or configuration, or the set is refused.";

/// Arguments of `policy activate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the new set.
    candidate: PathBuf,
    /// Configuration of `serve`: names the directory that it reads.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Address of the running authority, to tell it at once.
    #[arg(long, value_name = "URL", requires_all = ["ca", "cert", "key"])]
    url: Option<String>,
    /// Authority that issued the server's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// Client certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "url")]
    cert: Option<PathBuf>,
    /// Its private key, PEM, mode 0400, 0440 or 0600.
    #[arg(long, value_name = "FILE", requires = "url")]
    key: Option<PathBuf>,
}

impl Args {
    fn connection(&self) -> Option<Connection> {
        let Self { url, ca, cert, key, .. } = self;
        Some(Connection { url: url.clone()?, ca: ca.clone()?, cert: cert.clone()?, key: key.clone()? })
    }
}

pub(super) fn run(args: &Args, out: &mut impl io::Write) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(Failure::config)?;
    let place = config.policies();
    let new = config.set_in(&args.candidate).load().map_err(Failure::config)?;
    let interrupted = place.join(MARKER).exists();
    if !interrupted {
        let old = config.directory().load().map_err(Failure::config)?;
        check(&old, &new, config.signing)?;
    }
    let client = args.connection().map(|c| c.client(ClientLimits::default())).transpose()?;
    let (before, after) = (read(place)?, read(&args.candidate)?);
    replace(place, &before, &after).map_err(Failure::failed)?;
    let (sequence, digest) = (new.parameters().sequence, new.digest());
    let Some(client) = client else {
        return writeln!(
            out,
            "in place: set {sequence}, {digest}\ntell `serve` with SIGHUP, and look at its log"
        )
        .map_err(Failure::failed);
    };
    let body = serde_json::json!({});
    let asked = block_on(async {
        Ok(client.post_json::<_, Reloaded>("/v1/policy/reload", HeaderMap::new(), &body).await)
    })?;
    match asked {
        Ok(set) => writeln!(out, "in force: set {}, {}", set.sequence, set.policy).map_err(Failure::failed),
        // The former set would be an older one then, with which `serve` does not start.
        Err(unknown) if unknown.may_have_been_carried_out() => Err(Failure::failed(format!(
            "{unknown}\nthe set is in place, and may be in force: look at the log of `serve`, and tell it with SIGHUP"
        ))),
        Err(refused) if interrupted => Err(Failure::failed(format!(
            "{refused}\nthe set is in place; the former one is not known, since an activation had broken off before"
        ))),
        Err(refused) => {
            replace(place, &after, &before).map_err(Failure::failed)?;
            Err(Failure::failed(format!("{refused}\nthe former set is in place again")))
        }
    }
}

/// What `serve` will say, as far as the files tell.
fn check(old: &Policy, new: &Policy, signing: Signing) -> Result<(), Failure> {
    admit(&new.candidate(), None, Some(&old.candidate().in_force()), signing).map_err(Failure::failed)?;
    Ok(())
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of the authority's set under a directory, by their path in it.
fn read(directory: &Path) -> Result<Files, Failure> {
    let mut found = BTreeMap::new();
    for name in Directory::names(directory).map_err(Failure::config)? {
        let bytes = files::read_no_link(&directory.join(&name), 1 << 30).map_err(Failure::failed)?;
        found.insert(name, bytes);
    }
    Ok(found)
}

/// Replaces the files of one set by those of another, durably, under the marker.
fn replace(place: &Path, before: &Files, after: &Files) -> Result<(), String> {
    let marker = place.join(MARKER);
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |e: io::Error| format!("{path}: {e}")
    };
    fs::write(&marker, b"").and_then(|()| sync(place)).map_err(at(&marker))?;
    for (name, bytes) in after {
        if before.get(name) == Some(bytes) {
            continue;
        }
        let (to, next) = (place.join(name), place.join(".next"));
        let directory = to.parent().unwrap_or(place);
        let write = || -> io::Result<()> {
            fs::create_dir_all(directory)?;
            if next.exists() {
                fs::remove_file(&next)?;
            }
            files::write_new(&next, bytes, 0o644).map_err(io::Error::other)?;
            fs::rename(&next, &to)?;
            sync(directory)
        };
        write().map_err(at(&to))?;
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let gone = place.join(name);
        fs::remove_file(&gone).and_then(|()| sync(gone.parent().unwrap_or(place))).map_err(at(&gone))?;
    }
    fs::remove_file(&marker).and_then(|()| sync(place)).map_err(at(&marker))
}

fn sync(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
