//! Batches of cards of nobody, of any size, for `sigillo cards import`.

use std::io::{self, Write};

use sigillo::{
    api::cards::NewCard,
    domain::{fictional, team::Region},
};

/// The cards from number `from` to number `to` of a seed, the same for the same seed.
pub fn cards(seed: u64, from: u64, to: u64) -> impl Iterator<Item = NewCard> {
    let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
    let skipped = usize::try_from(from).unwrap_or(usize::MAX);
    fictional::cards(seed, to, &regions).skip(skipped).map(|card| NewCard {
        tax_code: card.tax_code.as_str().into(),
        team_number: card.team_number.as_str().into(),
        expires_on: card.expiry.to_string(),
        renews: None,
        replaces: None,
    })
}

/// Writes cards as NDJSON.
///
/// # Errors
/// `to` fails.
pub fn write(cards: impl IntoIterator<Item = NewCard>, mut to: impl Write) -> io::Result<()> {
    for card in cards {
        serde_json::to_writer(&mut to, &card)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_on_where_the_one_before_ended() {
        let written = |from, to| {
            let mut text = Vec::new();
            write(cards(5, from, to), &mut text).unwrap();
            text
        };
        assert_eq!([written(0, 30), written(30, 70)].concat(), written(0, 70));
        assert_eq!(written(0, 70).split(|byte| *byte == b'\n').count(), 71);
    }
}
