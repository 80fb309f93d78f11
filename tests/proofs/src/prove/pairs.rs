//! Whether the order of two answers tells what was guessed at: two verifications of two classes as two streams of one HTTP/2
//! connection, in one TLS record, so that no network comes between them ("timeless timing": Van Goethem and others, USENIX
//! Security 2020). Both answers leave on the tick, often the same one: what is left is the order of their HEADERS frames.

use std::{future::Future, sync::Arc, time::Duration};

use h2::client::{ResponseFuture, SendRequest};
use hyper::{Request, StatusCode, body::Bytes};
use sigillo::{
    clock::{Clock, SystemClock},
    tls::{Protocols, TlsClientFiles, client_config},
};
use sigillo_bench::{desk::Desk, installation::API};
use sigillo_proofs::{
    claim::Claim,
    statistics::{Order, Random, TOLD_APART, order},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    Run,
    field::{CLASSES, Field, Keys},
    ground::{Ground, guess},
    tap::{Notes, Tap},
};

/// Every class with every other one.
const ROUND: usize = 45;
/// Pairs of one class with another in a round.
const OF_ONE: usize = 9;
/// How much later the second request leaves in the control, in a packet of its own.
const PLANTED: Duration = Duration::from_micros(100);
/// Pairs on one connection: the authority ends each after an hour.
const ON_A_LINE: usize = 2_000;

/// A connection whose frames are noted.
struct Line {
    requests: SendRequest<Bytes>,
    notes: Notes,
}

/// A pair that was answered.
struct Answered {
    /// The one that was sent first came first.
    in_order: bool,
    /// Size of the record that both were in; nothing if they were in two.
    record: Option<usize>,
}

impl Line {
    async fn open(ground: &Ground) -> Result<Self, String> {
        let clients = ground.here.directory().join("clients");
        let files = TlsClientFiles {
            server_ca: clients.join("ca.pem"),
            certificate: clients.join("desk.pem"),
            key: clients.join("desk.key"),
        };
        let clock = Arc::new(SystemClock::new());
        let config = client_config(&files, Protocols::Http2, clock).map_err(|e| e.to_string())?;
        let tcp = TcpStream::connect(API).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let name = API.split(':').next().unwrap_or_default();
        let name = ServerName::try_from(name).map_err(|e| e.to_string())?;
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|e| e.to_string())?;
        let notes = Notes::default();
        let (requests, connection) =
            h2::client::handshake(Tap::new(tls, notes.clone())).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Self { requests, notes })
    }

    /// Sends a guess to the connection's queue; it leaves when the connection runs.
    fn send(
        requests: &mut SendRequest<Bytes>,
        desk: &Desk,
        key: &str,
        (team, code): &(String, String),
    ) -> Result<ResponseFuture, String> {
        let mut request =
            Request::post(format!("https://{API}/v1/verifications")).body(()).map_err(|e| e.to_string())?;
        *request.headers_mut() = desk.headers(key)?;
        let body = serde_json::to_vec(&guess(team, code)).map_err(|e| e.to_string())?;
        let (answer, mut stream) = requests.send_request(request, false).map_err(|e| e.to_string())?;
        stream.send_data(Bytes::from(body), true).map_err(|e| e.to_string())?;
        Ok(answer)
    }

    /// Sends two guesses, the second so much later, and waits for both answers.
    async fn pair(
        &self,
        desk: &Desk,
        keys: &mut Keys,
        guesses: &[(String, String); 2],
        later: Option<Duration>,
    ) -> Result<Answered, String> {
        let ready = || async { self.requests.clone().ready().await.map_err(|e| e.to_string()) };
        let (mut first, mut second) = (ready().await?, ready().await?);
        let [one, two] = guesses;
        {
            let mut noted = self.notes.lock();
            noted.answers.clear();
            noted.records.clear();
        }
        // The runtime has one thread: nothing leaves between the two unless it is waited for.
        let first = Self::send(&mut first, desk, &keys.next(), one)?;
        if let Some(later) = later {
            let (clock, mut waited) = (SystemClock::new(), Duration::ZERO);
            let from = clock.uptime();
            while waited < later {
                tokio::task::yield_now().await;
                waited = clock.uptime().saturating_sub(from);
            }
        }
        let second = Self::send(&mut second, desk, &keys.next(), two)?;
        let sent = [&first, &second].map(|answer| answer.stream_id().as_u32());
        tokio::try_join!(whole(first), whole(second))?;
        let noted = self.notes.lock();
        let [a, b] = noted.answers[..] else { return Err("two answers in another number of frames".into()) };
        if [a, b] != sent && [b, a] != sent {
            return Err("answers on other streams".into());
        }
        let record = noted.records.iter().find(|(streams, _)| *streams == sent).map(|(_, bytes)| *bytes);
        Ok(Answered { in_order: [a, b] == sent, record })
    }
}

/// Waits for an answer to its end.
async fn whole(
    answer: impl Future<Output = Result<hyper::Response<h2::RecvStream>, h2::Error>>,
) -> Result<(), String> {
    let answer = answer.await.map_err(|e| e.to_string())?;
    if answer.status() != StatusCode::OK {
        return Err(format!("a verification was answered {}", answer.status()));
    }
    let mut body = answer.into_body();
    while let Some(bytes) = body.data().await {
        let bytes = bytes.map_err(|e| e.to_string())?;
        body.flow_control().release_capacity(bytes.len()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// How often a class came first: where its request was the first one of the pair, and where it was the second.
#[derive(Clone, Copy, Default)]
struct Tally([(usize, usize); 2]);

impl Tally {
    fn add(&mut self, place: usize, came_first: bool) {
        if let Some((first, of)) = self.0.get_mut(place) {
            *first = first.saturating_add(usize::from(came_first));
            *of = of.saturating_add(1);
        }
    }

    fn order(&self) -> Order {
        let [sent_first, sent_second] = self.0;
        order(sent_first, sent_second)
    }
}

struct Counted {
    classes: [Tally; 10],
    /// Pairs in which the first request was answered first.
    in_order: usize,
    pairs: usize,
    /// Pairs that did not leave in one record.
    apart: usize,
    /// Smallest and largest record.
    records: (usize, usize),
    /// The last class, its request later.
    control: Tally,
}

async fn count(run: &Run<'_>, rounds: usize) -> Result<Counted, String> {
    let controls = rounds.saturating_mul(2).clamp(60, 1_000);
    let guesses = rounds.saturating_mul(OF_ONE).saturating_add(controls).saturating_add(20);
    let cards = guesses.saturating_mul(2).saturating_add(100);
    let mut ground = Ground::new(run, "installation", u64::try_from(cards).unwrap_or(0)).await?;
    let desk = ground.desk(Protocols::Http1)?;
    run.bar.set_message("cards of every class are made");
    let mut field = Field::of(&mut ground, &desk, guesses).await?;
    let (mut keys, mut random) = (Keys::new(0), Random::new(2026));
    let mut turns = [0_usize; CLASSES.len()];
    let mut counted = Counted {
        classes: [Tally::default(); 10],
        in_order: 0,
        pairs: 0,
        apart: 0,
        records: (usize::MAX, 0),
        control: Tally::default(),
    };
    let both: Vec<[usize; 2]> = (0..CLASSES.len()).flat_map(|b| (0..b).map(move |a| [a, b])).collect();
    let mut work: Vec<([usize; 2], bool)> = Vec::new();
    for _ in 0..rounds {
        let mut round = both.clone();
        random.shuffle(&mut round);
        work.extend(round.into_iter().map(|pair| (pair, false)));
    }
    work.extend(std::iter::repeat_n(([0, CLASSES.len().saturating_sub(1)], true), controls));
    run.bar.set_length(u64::try_from(work.len()).unwrap_or(1));
    let mut line = Line::open(&ground).await?;
    for (number, (mut pair, is_control)) in work.into_iter().enumerate() {
        if number.is_multiple_of(ON_A_LINE) {
            line = Line::open(&ground).await?;
        }
        let swapped = random.below(2) == 1;
        if swapped && !is_control {
            pair.reverse();
        }
        let mut guesses = Vec::new();
        for class in pair {
            let turn = turns.get_mut(class).ok_or("a class")?;
            guesses.push(field.next(class, *turn, &desk, &mut keys).await?);
            *turn = turn.saturating_add(1);
        }
        let guesses = <[_; 2]>::try_from(guesses).map_err(|_| "two guesses")?;
        let later = is_control.then_some(PLANTED);
        let answered = line.pair(&desk, &mut keys, &guesses, later).await?;
        run.bar.inc(1);
        if is_control {
            // The coin says where its request would have been, were it not later.
            counted.control.add(usize::from(swapped), !answered.in_order);
            continue;
        }
        let Some(bytes) = answered.record else {
            counted.apart = counted.apart.saturating_add(1);
            continue;
        };
        counted.pairs = counted.pairs.saturating_add(1);
        counted.in_order = counted.in_order.saturating_add(usize::from(answered.in_order));
        counted.records = (counted.records.0.min(bytes), counted.records.1.max(bytes));
        for (place, class) in pair.into_iter().enumerate() {
            if let Some(tally) = counted.classes.get_mut(class) {
                tally.add(place, answered.in_order == (place == 0));
            }
        }
    }
    ground.here.stop()?;
    Ok(counted)
}

/// One claim for each class.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let pairs = run.arguments.pairs.unwrap_or(if run.arguments.short { 450 } else { 40_000 });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let counted = runtime.block_on(count(run, pairs.div_ceil(ROUND).max(1)))?;
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let share = |(part, whole): (usize, usize)| {
        let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
        percent(number(part) / number(whole.max(1)))
    };
    let figure = format!(
        "{} pairs, each in one record of {} to {} bytes; {} left in two and are not counted; the first request was answered first \
         in {} %",
        counted.pairs,
        counted.records.0,
        counted.records.1,
        counted.apart,
        share((counted.in_order, counted.pairs)),
    );
    let is_enough = counted.pairs >= pairs.saturating_sub(pairs / 100);
    let bound = "at most one pair of a hundred in two records";
    let mut claims = vec![run.claim(
        "two verifications are asked on one HTTP/2 connection in one TLS record, and the order of the answers' HEADERS frames is counted",
        (figure, bound.into()),
        is_enough,
        None,
    )];
    let control = counted.control.order();
    let is_caught = control.same < TOLD_APART;
    for (name, tally) in CLASSES.iter().zip(&counted.classes) {
        let order = tally.order();
        let [sent_first, sent_second] = tally.0;
        let figure = format!(
            "{} pairs, first in {} %, {} to {} %, p = {:.1e} (sent first: {} %, sent second: {} %); {} us later: first in {} %, \
             p = {:.1e}",
            sent_first.1.saturating_add(sent_second.1),
            percent(order.share),
            percent(order.interval.0),
            percent(order.interval.1),
            order.same,
            share(sent_first),
            share(sent_second),
            PLANTED.as_micros(),
            percent(control.share),
            control.same,
        );
        claims.push(run.claim(
            format!("\"{name}\" is answered before another class as often as after it"),
            (figure, format!("50 % in the interval: p above {TOLD_APART:.0e}")),
            order.same > TOLD_APART,
            Some(is_caught),
        ));
    }
    Ok(claims)
}
