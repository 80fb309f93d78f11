//! What is measured.

mod domain;
mod hsm;
mod store;

/// Does it once.
pub(crate) type Turn = Box<dyn FnMut() -> Result<(), String>>;

/// Something that is done again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How its instructions are counted; nothing where they are not.
    pub(crate) counted: Option<Count>,
    /// Sets it up.
    pub(crate) make: fn() -> Result<Turn, String>,
}

/// How instructions are counted.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    /// So many turns.
    pub(crate) turns: u64,
    /// By what share they may differ from the baseline. From run to run they differ by less than a thousandth.
    pub(crate) tolerance: f64,
}

/// Work in this process's memory alone.
const fn pure(name: &'static str, make: fn() -> Result<Turn, String>) -> Case {
    Case { name, counted: Some(Count { turns: 500, tolerance: 0.01 }), make }
}

/// What sled does: never counted. valgrind answers the call by itself with which a store proves that its writes are durable
/// (`sync_file_range` of file -1), so none is opened under it. What is above the engine is counted in memory.
const fn sled(name: &'static str, make: fn() -> Result<Turn, String>) -> Case {
    Case { name, counted: None, make }
}

/// All of them.
pub(crate) static CASES: [Case; 12] = [
    pure("domain: message of a part", domain::part_message),
    pure("domain: part out of a MAC", domain::part),
    pure("domain: messages of a presented code", domain::guess_messages),
    pure("domain: message of a tag", domain::tag_message),
    pure("domain: event of a verification encoded", domain::event),
    pure("domain: event put into the chain", domain::chain),
    pure("domain: card encoded", domain::card_encoded),
    pure("domain: card decoded", domain::card_decoded),
    Case {
        name: "store: 32 verifications, memory",
        counted: Some(Count { turns: 10, tolerance: 0.02 }),
        make: store::memory,
    },
    sled("store: 32 verifications, sled", store::sled),
    sled("store: card read, sled", store::read),
    Case { name: "hsm: MAC, SoftHSM", counted: Some(Count { turns: 200, tolerance: 0.02 }), make: hsm::mac },
];

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name)
}

/// The case with this name.
pub(crate) fn find(name: &str) -> Result<&'static Case, String> {
    CASES.iter().find(|case| case.name == name).ok_or_else(|| format!("there is no case {name:?}"))
}

/// Does a case so many times.
pub(crate) fn run(name: &str, turns: &str) -> Result<(), String> {
    let turns: u64 = turns.parse().map_err(|_| format!("{turns} is no number of turns"))?;
    let mut turn = (find(name)?.make)()?;
    for _ in 0..turns {
        turn()?;
    }
    Ok(())
}
