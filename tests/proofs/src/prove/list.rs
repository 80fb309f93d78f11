//! The proofs that there are.

use sigillo_proofs::claim::Claim;

use crate::{
    Run, code, cold, damage, fuzz, guess_limit, pairs, power, process, suites, tampering, trouble, wire,
};

/// Whether a proof takes root by itself, wherever its programs are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    No,
    /// For mounts, loop devices, or what another process fetches from disks.
    Yes,
    /// For the parts that the short form leaves out.
    InFull,
}

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::InFull => "in full",
        })
    }
}

/// One proof.
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) not_covered: &'static str,
    pub(crate) root: Root,
    pub(crate) run: fn(&Run<'_>) -> Result<Vec<Claim>, String>,
}

/// In the order in which they are run.
pub(crate) const PROOFS: &[Proof] = &[
    Proof {
        name: "guess-limit",
        what: "Storms of guesses over the public API, from one front end and from several; with SIGKILL, SIGSTOP, loss of the token, and \
               a restore of a backup in the middle; kills fall between a spent try and its outcome, which is counted; the log says \
               what was evaluated, and who guessed whether the answers are right.",
        not_covered: "guesses by somebody who has the verify key; the limit of a life, which no storm comes near (guess-model); with --url \
                      anything but storms of one front end without a blow, each at a card of its own; whether the token's loss meets a try that is in flight is \
                      chance, and counted.",
        root: Root::No,
        run: guess_limit::prove,
    },
    Proof {
        name: "guess-limit-disk",
        what: "The same storms on a store whose disk takes no writes in the middle, and then loses its power (FUSE, a loop device, ext4: \
               as root).",
        not_covered: "the same as there; other troubles of the disk: disk-trouble.",
        root: Root::Yes,
        run: guess_limit::on_a_disk,
    },
    Proof {
        name: "guess-model",
        what: "A model of spend, evaluate, forgive, crash, unlock, backup and restore, with limits of 2 in a row and 3 in a life, 5 \
               grants, 1 unlock and 1 restore, in every order of steps; random walks through it beside the real service.",
        not_covered: "more than two requests at one time in the model; a restore in the walks (tests/service/recover.rs has it).",
        root: Root::No,
        run: suites::model,
    },
    Proof {
        name: "audit-tampering",
        what: "Twenty-four ways to change a log whose audit key was replaced in the middle, each against `sigillo audit verify` under both keys.",
        not_covered: "what was never written; a log cut back, and a log that a copy of the former key went on with, where no \
                      checkpoint was kept elsewhere.",
        root: Root::No,
        run: tampering::prove,
    },
    Proof {
        name: "time-on-wire",
        what: "Ten classes of guesses in tuples of random order over mutual TLS and HTTP/1.1, while no processor sleeps: form, calls of \
               the token, and time: Friedman, sign and Wilcoxon tests, bootstrap intervals of the median, and the share of answers that leave a tick later; \
               an A/A pair, leaks planted in the measured times, and a repeated request, which calls the token less often. The log \
               says that each guess was of its class and was granted a try.",
        not_covered: "cold caches (time-of-cold-caches); pairs in one packet (time-of-pairs); the shipped number of counters that unknown \
                      cards share, which so many guesses would use up; a machine that does other work: run it alone.",
        root: Root::No,
        run: wire::prove,
    },
    Proof {
        name: "time-of-cold-caches",
        what: "The same ten classes in a store of 1,000,000 cards, each guess at a card that was not met since a new start, with nothing \
               of the store in the system's memory and 16 MiB in its own: what is fetched from the disk during each answer is counted, \
               which takes root, against answers with everything in memory; the same tests and the same planted leaks.",
        not_covered: "differences below the bound, which is wider than that of time-on-wire; the first pass over the store after a start, \
                      beside which what an answer fetches cannot be told; caches of disks and of the machine below this one; a machine that does other \
                      work: run it alone.",
        root: Root::Yes,
        run: cold::prove,
    },
    Proof {
        name: "time-of-pairs",
        what: "Two guesses of two classes as two streams of one HTTP/2 connection, in one TLS record, every class with every other: the \
               order of the answers' HEADERS frames on the connection, of each class with all others and of each two classes; and \
               requests that are 200 microseconds later (in short 2,000), against what the second place does by itself.",
        not_covered: "guesses on two connections (time-on-wire); work that differs by less than the interval sees, which is wider for \
                      two classes alone.",
        root: Root::No,
        run: pairs::prove,
    },
    Proof {
        name: "time-in-process",
        what: "The decision of a verification by itself, ten classes in tuples of random order, 64 at one time and each after 64 others, \
               with the same tests and the same planted leak.",
        not_covered: "look-ups and commits of the store, the token, the runtime: what they do is counted (tests/service/shape.rs), and \
                      the tick hides how long they take; a decision that comes after other work (time-on-wire).",
        root: Root::No,
        run: process::prove,
    },
    Proof {
        name: "time-in-code",
        what: "The decision of a verification under valgrind, with every secret of it marked as memory that was never written: no branch \
               and no address depends on one, in ten classes; five planted faults are seen.",
        not_covered: "how long the code is and where it is cut, which are no secrets; look-ups of the store, the reading of the \
                      record, the token (time-on-wire); a processor that takes longer for some values.",
        root: Root::No,
        run: code::prove,
    },
    Proof {
        name: "crashes",
        what: "Every commit and every call of the token of activation, new C.I.P., reprint, revocation by C.I.P. and by approval, and \
               verification fails or is the last; so does every call of the token in a registration, and every commit of approvals, \
               leases and reports. And SIGKILL under load, again and again: acknowledged activations, verifications and store units \
               are there after it.",
        not_covered: "steps of other operations; other load than activations and wrong guesses; the courier's store; power cuts: a killed \
                      process leaves the page cache (power-cuts).",
        root: Root::No,
        run: suites::crashes,
    },
    Proof {
        name: "power-cuts",
        what: "The store on ext4, on a disk with a volatile cache (FUSE, a loop device: as root): its power is cut under load, and any \
               part of what was not flushed is gone or torn; then e2fsck, a new start, and every answer of before is put to it again.",
        not_covered: "the token's own storage, which an HSM keeps by itself; other file systems; torn blocks of 4096 bytes; other \
                      load than activations and wrong guesses; the courier's store.",
        root: Root::Yes,
        run: power::prove,
    },
    Proof {
        name: "disk-trouble",
        what: "The same disk, as root: full, failing, slow and (in full only) one that does not come back, under load; and read-only at a start, \
               which is refused.",
        not_covered: "a disk that becomes read-only while it serves; a disk that answers wrong data: `damage`; other load than activations \
                      and wrong guesses; the courier's store.",
        root: Root::Yes,
        run: trouble::prove,
    },
    Proof {
        name: "damage",
        what: "Bits turned, pages overwritten, files cut short or gone in a store, then a start and a pass over \
               all records: a sentence, or the same answers.",
        not_covered: "the last second of answers, which no checkpoint in the token vouches for, if the whole end is gone; answers \
                      before the first pass over all records has ended; a change by somebody who knows the store's format: whoever \
                      writes the store is as strong as the authority without its HSM; the records of other operations than activations and \
                      wrong guesses; the courier's store.",
        root: Root::No,
        run: damage::prove,
    },
    Proof {
        name: "tokens",
        what: "tests/hsm over SoftHSM, kryoptic and p11-kit; in full also the API over p11-kit, as root.",
        not_covered: "HSMs in hardware: run `sigillo hsm selftest` on yours.",
        root: Root::InFull,
        run: suites::tokens,
    },
    Proof {
        name: "hsm-faults",
        what: "A PKCS#11 module that answers every value from every call that is used, is late, hangs, cuts short, forgets sessions and \
               loses the token.",
        not_covered: "modules that corrupt memory or answer a wrong MAC of the right length; HSMs in hardware.",
        root: Root::No,
        run: suites::faults,
    },
    Proof {
        name: "floods",
        what: "10,000 connections that are no TLS, and a scan of TLS by sslscan.",
        not_covered: "floods that fill the line: a filter in front.",
        root: Root::No,
        run: suites::floods,
    },
    Proof {
        name: "fuzz",
        what: "cargo-fuzz over what strangers, files and cards may say: bodies, lines of batches, headers with certificates, the texts of \
               a request, files of a card, records of both stores, logs, policy sets, configuration, what gateways answer. No panic, no \
               overflow, and what is written of what was taken is read again as the same.",
        not_covered: "inputs that were not tried; the TLS and HTTP libraries below the requests (floods), the token's module \
                      (hsm-faults); the commands of a card, of which only its files and its answer to reset are made up.",
        root: Root::No,
        run: fuzz::prove,
    },
    Proof {
        name: "contract",
        what: "Requests that schemathesis makes of the served description; every answer is as described.",
        not_covered: "requests that need what schemathesis cannot make, such as signatures of cards.",
        root: Root::No,
        run: suites::contract,
    },
    Proof {
        name: "all-tests",
        what: "Every test of the project in an optimised build, as root; in short those of service and domain.",
        not_covered: "what no test looks at.",
        root: Root::InFull,
        run: suites::all,
    },
];

/// The list for people.
pub(crate) fn printed() -> String {
    let one = |Proof { name, what, not_covered, root, .. }: &Proof| {
        format!("{name}\n    {what}\n    Not covered: {not_covered}\n    Root: {root}\n")
    };
    PROOFS.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_that_it_runs_as_root_takes_it() {
        for proof in PROOFS {
            let says = proof.what.contains("as root") || proof.what.contains("takes root");
            assert_eq!(says, proof.root != Root::No, "{}", proof.name);
        }
    }

    #[test]
    fn names_are_file_names_and_differ() {
        let mut names: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROOFS.len());
    }
}
