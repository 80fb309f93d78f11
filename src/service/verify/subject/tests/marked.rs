//! Whether a branch or an address depends on a secret of a decision, for `prove --only time-in-code`: valgrind's memcheck takes
//! each secret for memory that was never written, and counts where such a value decides (the method of ctgrind).

use std::process::{Command, Stdio, id};

use super::*;

/// Set where this runs under valgrind.
const VALGRIND: &str = "SIGILLO_VALGRIND";

/// Memcheck, asked by `vgdb` from a process of its own: its requests from inside need unsafe code.
struct Memcheck;

impl Memcheck {
    fn here() -> Option<Self> {
        std::env::var_os(VALGRIND).map(|_| Self)
    }

    fn ask(words: &[String]) -> String {
        let mut vgdb = Command::new("vgdb");
        // It may not stop this process with ptrace, which is not allowed everywhere: valgrind looks for it now and then,
        // for as long as this process does not sleep.
        vgdb.arg(format!("--pid={}", id())).args(["--max-invoke-ms=0", "--cmd-time-out=60"]).args(words);
        vgdb.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = vgdb.spawn().expect("vgdb is part of valgrind");
        while running.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        let said = running.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success(), "vgdb {words:?}: {text}{}", String::from_utf8_lossy(&said.stderr));
        text
    }

    /// From now on these are `undefined`, or `defined`, whatever they are. How often an undefined value has decided something,
    /// so far.
    fn mark(&self, how: &str, memory: &[String]) -> u64 {
        let marks = memory.iter().map(|place| format!("make_memory {how} {place}"));
        let commands = marks.chain(["v.info n_errs_found".to_owned()]);
        let text = Self::ask(&commands.flat_map(|command| ["-c".to_owned(), command]).collect::<Vec<_>>());
        let count =
            text.split_once("n_errs_found ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        count.unwrap_or_else(|| panic!("no count of errors: {text}"))
    }
}

/// Address and size, as `make_memory` takes them.
fn place<T: ?Sized>(value: &T) -> String {
    format!("{:p} {}", std::ptr::from_ref(value).cast::<u8>(), size_of_val(value))
}

/// All that a decision is made of, and its place.
struct Bench {
    checks: &'static str,
    given: Given,
    /// What careless hands are shown.
    subject: Subject,
    weighed: Option<Weighed>,
}

impl Bench {
    fn new(class: &Class) -> Self {
        let given = Given::new(class);
        let subject = given.subject();
        // No value is known to the compiler from here on.
        black_box(Self { checks: class.checks, given, subject, weighed: None })
    }

    /// What is secret. Not: the size and format of a record, how long the code is, and how many of its digits are the first part's.
    fn secrets(&self) -> [String; 14] {
        let Subject { id, salt, generation, tags, known, active, has_tag, counter: _, first_digits: _ } =
            &self.subject;
        [
            place(id),
            place(salt),
            place(generation),
            place(tags),
            place(known),
            place(active),
            place(has_tag),
            place(&self.given.record[1..]),
            place(&self.given.known),
            place(self.given.decoy.salt()),
            place(&self.given.ticket),
            place(self.given.code.expose()),
            place(self.given.presented.as_slice()),
            place(&self.weighed),
        ]
    }

    fn weigh(&mut self) {
        let Self { given, weighed, .. } = black_box(self);
        let (messages, sealed) = given.weigh();
        assert_eq!(messages, 2);
        *weighed = Some(sealed);
    }
}

type Leak = (&'static str, fn(&Bench));

/// The faults that must be seen: what a careless hand would write.
const LEAKS: [Leak; 5] = [
    ("a comparison that ends at the first difference", |bench| {
        let pairs = bench.subject.tags[0].iter().zip(bench.given.presented[0].expose());
        black_box(pairs.take_while(|(a, b)| black_box(**a) == black_box(**b)).count());
    }),
    ("a table read at a digit", |bench| {
        let table = black_box([7_u8; 256]);
        black_box(table[usize::from(bench.given.code.expose()[0])]);
    }),
    ("an early end for an unknown card", |bench| {
        if bool::from(bench.subject.known) {
            black_box(bench.subject.first_digits);
        }
    }),
    ("an early end without a try", |bench| {
        if bench.given.ticket.is_some() {
            black_box(bench.subject.first_digits);
        }
    }),
    ("a code read once more", |bench| {
        black_box(bench.given.code.expose().iter().all(u8::is_ascii_digit));
    }),
];

#[test]
fn no_branch_and_no_address_depends_on_a_secret() {
    let memcheck = Memcheck::here();
    let mut benches = classes().map(|class| Bench::new(&class));
    let secrets: Vec<_> = benches.iter().flat_map(Bench::secrets).collect();
    let mark = |how, memory: &[String]| memcheck.as_ref().map_or(0, |memcheck| memcheck.mark(how, memory));

    let before = mark("undefined", &secrets);
    benches.iter_mut().for_each(Bench::weigh);
    let found = mark("defined", &secrets) - before;
    for Bench { checks, weighed, .. } in &mut benches {
        let decision = weighed.take().unwrap().declare();
        assert_eq!(decision.checks, *checks);
        assert_eq!(decision.verdict == Verdict::Accepted, *checks == "KAFSTM");
    }

    let bench = &benches[0];
    let mut before = mark("undefined", &bench.secrets());
    let mut unseen = LEAKS.to_vec();
    unseen.retain(|(_, leak)| {
        leak(black_box(bench));
        let after = mark("undefined", &[]);
        std::mem::replace(&mut before, after) == after
    });
    mark("defined", &bench.secrets());

    if memcheck.is_some() {
        let unseen: Vec<_> = unseen.iter().map(|(what, _)| *what).collect();
        let (leaks, seen) = (LEAKS.len(), LEAKS.len() - unseen.len());
        let claim = serde_json::json!({
            "proof": "time-in-code",
            "claim": "from the card's record and the presented code to the sealed verdict no branch and no address depends on a secret (memcheck)",
            "figure": format!(
                "{found} that do, in {} classes with {} places marked; {seen} of {leaks} planted ones seen",
                benches.len(), secrets.len(),
            ),
            "bound": "0, and every planted one seen",
            "holds": found == 0,
            "control_failed_as_it_must": unseen.is_empty(),
        });
        println!("claim {claim}");
        assert!(
            found == 0 && unseen.is_empty(),
            "{found} in the path, not seen {unseen:?}: valgrind's log says where"
        );
    }
}
