//! Runs of each kind, on a place.

use std::{net::SocketAddr, path::Path, sync::Arc};

use sigillo::api::cards::NewCard;

use crate::{
    ceiling::{hello::Hello, wire::Relay},
    load::{Plan, Work, run},
    meter::Server,
    place::{Desks, Place},
    run::Run,
    work::{self, Activate, Handshake, Mixed, Verify, fresh_name},
};

/// Verifications with wrong codes, of these cards.
pub(crate) async fn verify(place: &Place, cards: &Arc<Vec<NewCard>>, plan: Plan) -> Result<Run, String> {
    let work = |desks| Verify { desks, cards: Arc::clone(cards), name: fresh_name() };
    let what = format!("verify, {}", place.http());
    let mut done =
        run(&what, work(place.desks(&place.authority.url)?), plan, &place.authority.server()).await?;
    match bytes(place, work).await {
        Ok(each) => done.bytes = each,
        // What was measured before is kept, as a run with an error.
        Err(why) => {
            done.errors = done.errors.saturating_add(1);
            done.first_error.get_or_insert_with(|| format!("one client behind the load: {why}"));
        }
    }
    Ok(done)
}

/// Activations, each of these cards once.
pub(crate) async fn activate(place: &Place, cards: &Arc<Vec<NewCard>>, plan: Plan) -> Result<Run, String> {
    let work =
        Activate { desks: place.desks(&place.authority.url)?, cards: Arc::clone(cards), name: fresh_name() };
    run(&format!("activate, {}", place.http()), work, plan, &place.authority.server()).await
}

/// The mixture, of these cards.
pub(crate) async fn mixed(place: &Place, cards: &Arc<Vec<NewCard>>, plan: Plan) -> Result<Run, String> {
    let (desks, supervisor) = (place.desks(&place.authority.url)?, place.desk("supervisor")?);
    let work = Mixed::new(desks, supervisor, Arc::clone(cards), fresh_name());
    run(&format!("mixed, {}", place.http()), work, plan, &place.authority.server()).await
}

/// New connections.
pub(crate) async fn handshake(place: &Place, plan: Plan) -> Result<Run, String> {
    let work = Handshake { desks: place.strangers(&place.authority.url)? };
    run(&format!("handshake, {}", place.http()), work, plan, &place.authority.server()).await
}

/// The request of a verification to the hello server, with the server's files in `tls`.
pub(crate) async fn hello(place: &Place, tls: &Path, plan: Plan) -> Result<Run, String> {
    let server = Hello::start(tls)?;
    let cards = Arc::new(place.cards()?);
    let verify = Verify { desks: place.desks(&server.url)?, cards, name: fresh_name() };
    let measured = Server { pid: Some(server.pid()), ..Server::default() };
    run(&format!("hello, {}", place.http()), work::Hello(verify), plan, &measured).await
}

/// New connections to the hello server.
pub(crate) async fn hello_handshake(place: &Place, tls: &Path, plan: Plan) -> Result<Run, String> {
    let server = Hello::start(tls)?;
    let work = Handshake { desks: place.strangers(&server.url)? };
    let measured = Server { pid: Some(server.pid()), ..Server::default() };
    run(&format!("hello handshake, {}", place.http()), work, plan, &measured).await
}

/// Bytes on the wire of one turn, both directions: of a connection with 101 turns less one with 1. Only for a server on
/// this machine, whose certificate is good for the relay too.
async fn bytes<W: Work>(place: &Place, work: impl Fn(Desks) -> W) -> Result<Option<f64>, String> {
    const MORE: u64 = 100;
    let address =
        place.authority.url.strip_prefix("https://").and_then(|address| address.parse::<SocketAddr>().ok());
    let Some(server) = address.filter(|address| address.ip().is_loopback()) else { return Ok(None) };
    let mut counted = [0, 0];
    for (turns, counted) in [1, MORE.saturating_add(1)].into_iter().zip(&mut counted) {
        let relay = Relay::to(server).await.map_err(|e| e.to_string())?;
        let one = Place { in_flight: 1, rate: None, ..place.clone() };
        let work = work(one.desks(&format!("https://{}", relay.address))?);
        for n in 0..turns {
            work.turn(n).await?;
        }
        drop(work);
        *counted = relay.bytes().await?;
    }
    let [few, many] = counted.map(crate::number::float);
    Ok(crate::number::per(many - few, crate::number::float(MORE)))
}
