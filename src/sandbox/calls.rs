//! The system calls that a process may make (seccomp). All others fail with `EPERM`.
//!
//! An error rather than the end of the process: a call that nobody thought of, in a branch of a token's module that is
//! seldom taken, then is a failed operation, which the service answers and logs, and not an outage. What an intruder
//! would need is refused just the same. The list is what the whole tests were seen to use, with what SoftHSM, OpenSSL,
//! p11-kit and glibc need beside. Not on it, whatever is configured: starting programs, other processes' memory,
//! tracing, mounting, kernel modules, keys, BPF, io_uring, users and groups.
//!
//! `clone3` fails with `ENOSYS`, since a filter cannot look at its flags; glibc then uses `clone`, which is let
//! through for threads only. `sync_file_range` is on the list: in `serve` an older filter makes it fail with `ENOSYS`
//! (`store/durable.rs`), and of two filters the stricter answer holds.

use std::collections::BTreeMap;

use rustix::{io::Errno, process::getpriority_process};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::{Profile, process};

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// Names with `SYS_` before them, and numbers.
type Calls = &'static [(&'static str, i64)];

/// Whatever the arguments.
const ALWAYS: Calls = calls!(
    SYS_accept SYS_accept4 SYS_bind SYS_brk SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_clone3
    SYS_close SYS_connect SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64 SYS_fallocate
    SYS_fchmod SYS_fchmodat SYS_fcntl SYS_fdatasync SYS_flock SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex
    SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getpeername SYS_getpid SYS_getppid
    SYS_getrandom SYS_getresgid SYS_getresuid SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid
    SYS_listen SYS_lseek SYS_madvise SYS_membarrier SYS_mkdirat SYS_mlock SYS_mlock2 SYS_mremap SYS_munlock SYS_munmap
    SYS_nanosleep SYS_newfstatat SYS_openat SYS_pipe2 SYS_ppoll SYS_pread64 SYS_preadv SYS_preadv2 SYS_pselect6
    SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg
    SYS_renameat SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn
    SYS_rt_sigtimedwait SYS_sched_getaffinity SYS_sched_getparam SYS_sched_getscheduler SYS_sched_yield SYS_sendmmsg
    SYS_sendmsg SYS_sendto SYS_set_robust_list SYS_set_tid_address SYS_setsockopt SYS_shutdown SYS_sigaltstack
    SYS_statfs SYS_statx SYS_sync_file_range SYS_sysinfo SYS_tgkill SYS_timerfd_create SYS_timerfd_settime SYS_umask
    SYS_uname SYS_unlinkat SYS_write SYS_writev
);

/// Older forms of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: Calls = calls!(
    SYS_access SYS_chmod SYS_dup2 SYS_epoll_wait SYS_lstat SYS_mkdir SYS_open SYS_pipe SYS_poll SYS_readlink
    SYS_rename SYS_rmdir SYS_select SYS_stat SYS_time SYS_unlink
);
#[cfg(target_arch = "aarch64")]
const OLDER: Calls = calls!();
#[cfg(target_arch = "riscv64")]
const OLDER: Calls = calls!();

/// What `[sandbox] calls` of a token's configuration may add, by name without `SYS_`: shared memory and semaphores of
/// modules with a daemon, and placement on processors.
pub const EXTRA: Calls = calls!(
    SYS_get_mempolicy SYS_getrusage SYS_mbind SYS_msync SYS_sched_setaffinity SYS_sched_setscheduler SYS_semctl
    SYS_semget SYS_semop SYS_semtimedop SYS_setpriority SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget
);

/// What a service manager's filter has to let through beside [`names`], for the start: the loader, the program that
/// starts itself again, locking of memory, and what puts Landlock and this filter in force.
pub const START: [&str; 8] = [
    "arch_prctl",
    "capget",
    "execve",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "mlockall",
    "seccomp",
];

/// Why the filter is not in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made.
    #[error("{0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error("{0}")]
    Install(#[from] seccompiler::Error),
    /// The kernel took it and a call that is not on the list goes through.
    #[error("a system call that is not on the list goes through")]
    NotHeld,
    /// No call that a configuration may add.
    #[error("[sandbox] calls: {0:?} is not a system call that can be added")]
    Unknown(String),
}

/// Confines all threads of this process to the list, and proves it.
///
/// # Errors
/// The filter is not in force.
pub fn confine(profile: &Profile) -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = |errno: Errno| SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let no_clone3 = SeccompFilter::new(no_clone3, SeccompAction::Allow, errno(Errno::NOSYS), arch)?;
    let listed = SeccompFilter::new(listed(profile)?, errno(Errno::PERM), SeccompAction::Allow, arch)?;
    // The list comes last: it does not let further filters in.
    for filter in [no_clone3, listed] {
        let program: BpfProgram = filter.try_into()?;
        apply_filter_all_threads(&program)?;
    }
    let refused = getpriority_process(None) == Err(Errno::PERM);
    if refused && process::status("Seccomp:").as_deref() == Some("2") { Ok(()) } else { Err(Error::NotHeld) }
}

/// Names of all calls that a profile lets through, without `SYS_`.
pub fn names(profile: &Profile) -> Vec<&str> {
    let always = ALWAYS.iter().chain(OLDER).map(|(name, _)| name.trim_start_matches("SYS_"));
    always.chain(CONDITIONAL).chain(profile.calls.iter().map(String::as_str)).collect()
}

/// Those that `listed` lets through with some arguments only.
const CONDITIONAL: [&str; 8] =
    ["clone", "ioctl", "mmap", "mprotect", "prctl", "prlimit64", "socket", "socketpair"];

fn listed(profile: &Profile) -> Result<BTreeMap<i64, Vec<SeccompRule>>, Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALWAYS.iter().chain(OLDER).map(|(_, number)| (*number, Vec::new())).collect();
    for wanted in &profile.calls {
        let found = EXTRA.iter().find(|(name, _)| name.trim_start_matches("SYS_") == wanted);
        let (_, number) = found.ok_or_else(|| Error::Unknown(wanted.clone()))?;
        rules.insert(*number, Vec::new());
    }
    let mut domains = vec![libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
    if profile.resolve {
        domains.push(libc::AF_NETLINK); // which addresses this machine has
    }
    let (write, run) =
        (u64::from(libc::PROT_WRITE.unsigned_abs()), u64::from(libc::PROT_EXEC.unsigned_abs()));
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let short = |argument, is, value| Ok::<_, Error>(vec![condition(argument, Length::Dword, is, value)?]);
    let any_of = |argument, values: &[i32]| -> Result<Vec<_>, Error> {
        values.iter().map(|value| short(argument, Is::Eq, u64::from(value.unsigned_abs()))).collect()
    };
    let conditional: [(i64, Vec<Vec<SeccompCondition>>); 8] = [
        (libc::SYS_clone, vec![short(0, Is::MaskedEq(thread), thread)?]),
        (
            libc::SYS_ioctl,
            [libc::FIONBIO, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ]
                .into_iter()
                .map(|request| short(1, Is::Eq, request))
                .collect::<Result<_, _>>()?,
        ),
        // Never both to be written and to be run; code comes from files only by name of their rights.
        (
            libc::SYS_mmap,
            [0, write, run]
                .into_iter()
                .map(|bits| short(2, Is::MaskedEq(write | run), bits))
                .collect::<Result<_, _>>()?,
        ),
        (libc::SYS_mprotect, vec![short(2, Is::MaskedEq(run), 0)?]),
        (
            libc::SYS_prctl,
            any_of(0, &[libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_DUMPABLE, libc::PR_SET_VMA])?,
        ),
        // Reading limits of its own only.
        (
            libc::SYS_prlimit64,
            vec![vec![condition(0, Length::Dword, Is::Eq, 0)?, condition(2, Length::Qword, Is::Eq, 0)?]],
        ),
        (libc::SYS_socket, any_of(0, &domains)?),
        (libc::SYS_socketpair, any_of(0, &[libc::AF_UNIX])?),
    ];
    for (number, alternatives) in conditional {
        let alternatives: Result<Vec<_>, _> = alternatives.into_iter().map(SeccompRule::new).collect();
        rules.insert(number, alternatives?);
    }
    Ok(rules)
}

fn condition(argument: u8, length: Length, is: Is, value: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, length, is, value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_intruder_needs_is_never_listed() {
        let profile = Profile {
            resolve: true,
            calls: EXTRA.iter().map(|(name, _)| name.trim_start_matches("SYS_").to_owned()).collect(),
            ..Profile::default()
        };
        let rules = listed(&profile).unwrap();
        assert_eq!(rules.len(), names(&profile).len(), "each name once");
        for never in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_mount,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_io_uring_setup,
            libc::SYS_setuid,
            libc::SYS_kill,
            libc::SYS_pidfd_getfd,
            libc::SYS_memfd_create,
            libc::SYS_seccomp,
            libc::SYS_munlockall,
        ] {
            assert!(!rules.contains_key(&never), "{never}");
        }
        let unknown = Profile { calls: vec!["execve".to_owned()], ..Profile::default() };
        assert!(matches!(listed(&unknown), Err(Error::Unknown(name)) if name == "execve"));
    }
}
