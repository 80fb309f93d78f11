//! Files and ports that a process may use (Landlock). Starting a program is in no profile.
//!
//! Landlock knows no exceptions below a directory that is let through, and does not see what was opened before. UDP
//! is not confined: the kernels in use have no rule for it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::{Error, Profile, directories};

/// What libraries of the system read in any process: themselves, settings of OpenSSL and p11-kit, time zones,
/// random bytes, what the process is and may use.
const SYSTEM: [&str; 20] = [
    "/dev/null",
    "/dev/random",
    "/dev/sysgenid",
    "/dev/urandom",
    "/etc/crypto-policies",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/pkcs11",
    "/etc/pki/tls/openssl.cnf",
    "/etc/ssl/openssl.cnf",
    "/lib",
    "/lib64",
    "/proc/self",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/p11-kit",
    "/usr/share/zoneinfo",
];

/// What looking up a host's name reads. `/etc/resolv.conf` is the file that is there at start: where another takes its
/// place, the process has to be started again; below `/run` it is followed.
const RESOLVER: [&str; 9] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/run/nscd",
    "/run/resolvconf",
    "/run/systemd/resolve",
];

/// Names over TCP, for long answers.
const DNS: u16 = 53;

/// What the kernel holds the process to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Files, but not ports.
    Files,
    /// Files and ports.
    FilesAndPorts,
    /// Nothing: there is no Landlock.
    Nothing,
}

/// Confines the calling thread, and those that it starts, to what the profile names. A path that is not there is
/// left out: what needs it will say so.
///
/// # Errors
/// Landlock is there and does not take the rules.
pub fn confine(profile: &Profile) -> Result<Held, Error> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let names: BitFlags<AccessFs> = AccessFs::ReadDir.into();
    let write = AccessFs::from_all(ABI::V5)
        & !make_bitflags!(AccessFs::{Execute | MakeBlock | MakeChar | MakeSym | IoctlDev});
    let to_null: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::ReadFile;
    let (resolver, dns): (&[&str], &[u16]) = if profile.resolve { (&RESOLVER, &[DNS]) } else { (&[], &[]) };
    let ports = |ports: Vec<u16>, access: AccessNet| {
        ports.into_iter().map(move |port| Ok::<_, landlock::RulesetError>(NetPort::new(port, access)))
    };
    let bind = ports(profile.bind.clone(), AccessNet::BindTcp);
    let connect = ports([&profile.connect, dns].concat(), AccessNet::ConnectTcp);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM.iter().chain(resolver), read))?
        .add_rules(path_beneath_rules(["/dev/null"], to_null))?
        .add_rules(path_beneath_rules(&profile.read, read))?
        .add_rules(path_beneath_rules(&profile.list, names))?
        .add_rules(path_beneath_rules(&profile.write, write))?
        .add_rules(bind)?
        .add_rules(connect)?
        .restrict_self()?;
    let ports = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi >= ABI::V4,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => false,
    };
    Ok(match (status.ruleset, ports) {
        (RulesetStatus::NotEnforced, _) => Held::Nothing,
        (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, true) => Held::FilesAndPorts,
        (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, false) => Held::Files,
    })
}

/// The directories of these files, to be read.
pub fn beside<'a>(files: impl IntoIterator<Item = &'a Path>) -> Vec<PathBuf> {
    files.into_iter().flat_map(directories).collect()
}
