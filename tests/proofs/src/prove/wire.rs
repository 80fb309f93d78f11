//! Whether the time of an answer tells what was guessed at: all classes of guesses, interleaved, over mutual TLS against one
//! installation; and whether they are equal in what can be counted.

use std::{collections::BTreeSet, sync::Arc};

use sigillo::tls::Protocols;
use sigillo_proofs::{claim::Claim, statistics::Random};

use crate::{
    Run,
    awake::Awake,
    calls,
    field::{self, CLASSES, Field, Keys},
    ground::Ground,
    letters::{self, Asked, note},
    series::{self, Bounds, Late, TICK},
};

/// Tuples that are not measured: they open the connection and fill caches.
const FIRST: usize = 5;
/// Bounds: of the time, microseconds; and of the share of late answers.
const FULL: (f64, f64) = (10.0, 0.03);
const SHORT: (f64, f64) = (50.0, 0.1);

/// What was measured.
struct Measured {
    /// By tuple, by class, microseconds.
    times: Vec<Vec<f64>>,
    shapes: BTreeSet<String>,
    calls: calls::Counted,
    letters: Claim,
}

async fn measure(run: &Run<'_>, tuples: usize) -> Result<Measured, String> {
    let guesses = tuples.saturating_add(FIRST);
    let mut ground = Ground::with(run, "installation", Field::cards(guesses), field::with_decoys).await?;
    run.bar.set_message("cards of every class are made");
    let many = Arc::new(ground.desk(Protocols::Any)?);
    let mut field = Field::of(&mut ground, &many, (guesses, calls::BLOCKS), field::EACH).await?;
    let desk = ground.desk(Protocols::Http1)?;
    let mut keys = Keys::new();
    let (mut times, mut shapes, mut asked) = (Vec::new(), BTreeSet::new(), Asked::default());
    let mut random = Random::new(2026);
    let awake = Awake::all()?;
    run.bar.set_length(u64::try_from(tuples).unwrap_or(1));
    run.bar.set_message("tuples");
    for tuple in 0..guesses {
        let mut order: Vec<usize> = (0..CLASSES.len()).collect();
        random.shuffle(&mut order);
        let mut row = vec![0.0; CLASSES.len()];
        for class in order {
            let answer = field.guess(class, &desk, &mut keys).await?;
            shapes.insert(answer.shape);
            note(&mut asked, class, answer.verification);
            if let Some(time) = row.get_mut(class) {
                *time = answer.micros;
            }
        }
        if tuple >= FIRST {
            times.push(row);
            run.bar.inc(1);
        }
    }
    drop(awake);
    let calls = calls::count(&mut field, (&desk, &mut keys), &mut asked).await?;
    let letters = letters::claim(run, &ground, &asked)?;
    ground.here.stop()?;
    Ok(Measured { times, shapes, calls, letters })
}

fn is_one_form(shapes: &BTreeSet<String>) -> bool {
    shapes.len() == 1
}

/// The forms, and that of an answer with one header more.
fn with_another(shapes: &BTreeSet<String>) -> BTreeSet<String> {
    let planted = shapes.first().map(|shape| format!("{shape} x-planted"));
    shapes.iter().cloned().chain(planted).collect()
}

/// Equal in what is counted, and in time.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let (tuples, (time, share)) = if run.arguments.short { (1_000, SHORT) } else { (12_000, FULL) };
    let tuples = run.arguments.tuples.unwrap_or(tuples);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let measured = runtime.block_on(measure(run, tuples))?;
    let shapes = measured.shapes.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
    let mut claims = vec![
        run.claim(
            "status, names of headers and length of the body are the same in every class",
            (format!("{shapes}; planted: one answer with a header more"), "one form".into()),
            is_one_form(&measured.shapes),
            Some(!is_one_form(&with_another(&measured.shapes))),
        ),
        measured.letters,
        calls::claim(run, &measured.calls),
    ];
    let bounds = Bounds { time, unit: "us", late: Some(Late { tick: TICK, bound: share, planted: 10 }) };
    claims.extend(series::claims(run, (&CLASSES, &measured.times), &bounds));
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_more_is_another_form() {
        let one = BTreeSet::from(["200 OK, 90 bytes, content-length date".to_owned()]);
        assert!(is_one_form(&one) && !is_one_form(&with_another(&one)));
        // Of no answer at all nothing is one form, and nothing can be planted.
        assert!(!is_one_form(&BTreeSet::new()) && with_another(&BTreeSet::new()).is_empty());
    }
}
