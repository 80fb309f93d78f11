//! Split knowledge in memory (I1, I2): the whole memory of both processes, after codes have been handed out.
//!
//! With parts of 20 digits: of these no piece is anywhere by chance. Both processes run under users of their own, as
//! in an installation.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use crate::{
    fixture::{
        Activated, Installation, eventually,
        installation::Program,
        memory::{Found, Wanted, search},
        process::Process,
        users::Side,
    },
    inside::{self, Task},
    nothing_to_steal::long_parts,
};

const CARDS: usize = 50;
/// Cards whose C.I.P. is presented.
const PRESENTED: usize = 5;

/// What is left of parts, by process.
struct Left {
    serve: Kept,
    courier: Kept,
    /// In `serve`, of second parts that were presented to it in a C.I.P. afterwards.
    presented: Found,
}

/// What is left in one process.
#[derive(Debug)]
struct Kept {
    first: usize,
    second: usize,
    found: Found,
}

impl Kept {
    fn new(process: &Process, wanted: &Wanted) -> Self {
        let found = search(process, wanted);
        let first = found.parts.range(..CARDS * 3).count();
        Self { first, second: found.parts.len() - first, found }
    }
}

#[expect(clippy::print_stdout, reason = "what was found and not found belongs together")]
async fn left(program: Program) -> Left {
    let mut home = Installation::new();
    long_parts(&home);
    home.separate_users();
    home.program = program;
    home.start().await;
    home.start_courier();
    let active = delivered(&home).await;
    let mut parts: Vec<String> =
        active.iter().flat_map(|active| active.first_parts.values().cloned()).collect();
    for active in &active {
        parts.extend(active.second_parts(&home).await.into_values());
    }
    assert_eq!(parts.len(), CARDS * 6);
    home.disconnected().await;
    let wanted = Wanted::new(parts.iter().map(String::as_str));
    let left = Left {
        serve: Kept::new(home.serve.as_ref().unwrap(), &wanted),
        courier: Kept::new(home.courier.as_ref().unwrap(), &wanted),
        presented: presented(&home, &active).await,
    };
    for (what, Kept { first, second, found }) in [("serve", &left.serve), ("courier", &left.courier)] {
        let (of, mib) = (CARDS * 3, found.read >> 20);
        println!(
            "{what}: {first} of {of} first parts, {second} of {of} second parts in {mib} MiB {:?}",
            found.at
        );
        assert!(mib > 10, "{what}: this is no whole process");
    }
    println!(
        "serve: {} of {PRESENTED} presented second parts {:?}",
        left.presented.parts.len(),
        left.presented.at
    );
    left
}

/// Activates every card and waits until its delivery is over.
async fn delivered(home: &Installation) -> Vec<Activated> {
    let desk = Arc::new(home.api("desk"));
    let active = home.many_activated(&desk, CARDS).await;
    for active in &active {
        let delivery = format!("/v1/deliveries/{}", active.delivery);
        eventually("the last report", async || {
            (desk.get(&delivery).await.ok()["state"] == "sent").then_some(())
        })
        .await;
    }
    active
}

/// Presents a few whole C.I.P.s, and looks for their second parts.
async fn presented(home: &Installation, active: &[Activated]) -> Found {
    let desk = home.api("desk");
    let mut cips = Vec::new();
    for active in &active[..PRESENTED] {
        let cip = active.cip(home).await;
        assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted");
        cips.push(cip);
    }
    drop(desk);
    home.disconnected().await;
    search(home.serve.as_ref().unwrap(), &Wanted::new(cips.iter().map(|cip| &cip[20..])))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_has_both_parts_and_none_keeps_its_own() {
    let Left { serve, courier, presented } = left(Program::Shipped).await;
    assert_eq!(serve.second, 0, "serve has second parts: {:?}", serve.found);
    assert_eq!(courier.first, 0, "the courier has first parts: {:?}", courier.found);
    assert_eq!(serve.first, 0, "serve keeps first parts: {:?}", serve.found);
    assert_eq!(courier.second, 0, "the courier keeps second parts: {:?}", courier.found);
    assert!(presented.parts.is_empty(), "serve keeps presented codes: {presented:?}");
}

/// The search finds what is there: without wiping, each process still has what it had in hand, and nothing of the
/// other's.
#[tokio::test(flavor = "multi_thread")]
async fn without_wiping_the_search_finds_what_passed_through() {
    let Left { serve, courier, presented } = left(Program::Unwiped).await;
    // Which buffers were used again since is chance; that none of some three hundred left anything is not.
    assert!(serve.first + courier.second + presented.parts.len() > 0);
    assert_eq!((serve.second, courier.first), (0, 0));
}

/// Two users: neither opens the other's token, PIN, keys or memory; each opens its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_two_users_are_closed_to_each_other() {
    let mut home = Installation::new();
    home.separate_users();
    home.start().await;
    home.start_courier();
    home.activated(&home.api("desk")).await.second_parts(&home).await;
    let sides =
        [(Side::Authority, home.serve.as_ref().unwrap()), (Side::Courier, home.courier.as_ref().unwrap())];
    for ((own, process), (other, others)) in [(sides[0], sides[1]), (sides[1], sides[0])] {
        let secrets = |side: Side| {
            let (directory, key) = match side {
                Side::Authority => ("authority", "server"),
                Side::Courier => ("courier", "courier"),
            };
            let mut files = token_files(&home.path(&format!("{directory}/tokens")));
            files.extend(["pin", &format!("tls/{key}.key")].map(|f| home.path(&format!("{directory}/{f}"))));
            files
        };
        let open = |files| inside::ask::<Vec<PathBuf>>(home.child_of(own, &Task::Open(files)));
        assert_eq!(open(secrets(own)), secrets(own), "{own:?} opens what is its own");
        assert!(secrets(other).len() > 2, "there is a token to be opened");
        assert_eq!(open(secrets(other)), [""; 0].map(PathBuf::from), "{own:?} opens what is the other's");
        // Not even its own process can it read, since none is dumpable. A plain process of the same user it can.
        let read = |pid| inside::ask::<String>(home.child_of(own, &Task::ReadMemory(pid)));
        assert_eq!((read(others.pid()), read(process.pid())), ("refused".to_owned(), "refused".to_owned()));
        let mut plain =
            home.child_of(own, &Task::Rest).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = plain.id().try_into().unwrap();
        eventually("a plain process that can be read", async || (read(pid) == "done").then_some(())).await;
        drop(plain.stdin.take());
        plain.wait().unwrap();
    }
}

/// Every file of SoftHSM's token.
fn token_files(tokens: &Path) -> Vec<PathBuf> {
    let token = std::fs::read_dir(tokens).unwrap().next().unwrap().unwrap().path();
    std::fs::read_dir(token).unwrap().map(|entry| entry.unwrap().path()).collect()
}
