//! The courier's part, with the courier's token and the derivation of the domain; and citizens who join their codes.

use sigillo::{
    domain::{
        derive,
        fictional::FictionalCard,
        template::{CodeName, Part},
    },
    hsm::{MacKey, Role},
    secret::Digits,
    service::{DeliveryOutcome, LeasedDelivery, LineOutcome},
};

use crate::{
    people::{first, line},
    world::{World, mac},
};

/// The second part of a code as a lease orders it.
pub(crate) fn second_part(lease: &LeasedDelivery, code: CodeName) -> Option<Digits> {
    let (code, generation, shape) = lease.codes.iter().find(|(c, ..)| *c == code)?;
    let message = |counter| {
        let (card, salt, template) = (&lease.card, &lease.salt, &lease.template);
        derive::part_message(Part::Second, *code, card, *generation, salt, template, counter)
    };
    let mut search = derive::Search::new(shape.length(Part::Second), shape.forbidden(Part::Second));
    let mut counter = 0;
    loop {
        match search.offer(&mac(Role::Courier, MacKey::Deliver, message(counter).expose())) {
            derive::Step::Found(part) => return Some(part),
            derive::Step::Ask(next) => counter = next,
            derive::Step::Never => return None,
        }
    }
}

/// What the courier hands back before it sends: the tag of the C.I.P.'s second part, if the lease has one.
pub(crate) fn prepared(lease: &LeasedDelivery) -> DeliveryOutcome {
    let tag = second_part(lease, CodeName::Cip).map(|digits| {
        let generation = lease.codes.iter().find(|(c, ..)| *c == CodeName::Cip).unwrap().1;
        let message = derive::tag_message(Part::Second, &lease.card, generation, &lease.salt, &digits);
        (generation, *mac(Role::Courier, MacKey::Verify, message.expose()).expose())
    });
    DeliveryOutcome::Prepared(tag)
}

/// Somebody with an active card, the message read and the paper in hand.
pub(crate) struct Citizen {
    pub(crate) card: FictionalCard,
    /// The whole C.I.P.; empty where there is none.
    pub(crate) cip: String,
}

impl Citizen {
    /// The C.I.P. with its digit at `at` changed.
    pub(crate) fn wrong(&self, at: usize) -> String {
        let mut cip = self.cip.clone().into_bytes();
        cip[at] = if cip[at] == b'9' { b'0' } else { cip[at] + 1 };
        String::from_utf8(cip).unwrap()
    }
}

impl World {
    /// A card of this region, registered.
    pub(crate) async fn registered(&self, region: &str) -> FictionalCard {
        let card = self.produced(region);
        assert_eq!(self.bureau.register(&[line(&card)]).await.unwrap(), [LineOutcome::Registered]);
        card
    }

    /// Leases what is due, prepares and sends it.
    pub(crate) async fn deliver(&self) -> Vec<LeasedDelivery> {
        let leases = self.post.lease(100).await.unwrap();
        for lease in &leases {
            let held = (lease.lease, lease.delivery);
            assert_eq!(self.post.report(held, prepared(lease)).await.unwrap(), "leased");
            assert_eq!(self.post.report(held, DeliveryOutcome::Sent).await.unwrap(), "sent");
        }
        leases
    }

    /// A citizen of this region whose card is active and whose second parts were sent.
    pub(crate) async fn citizen(&self, region: &str) -> Citizen {
        let card = self.registered(region).await;
        let paper = self.desk.activate(&card, &format!("activation of {}", card.id_carta.as_str())).await;
        let (paper, leases) = (paper.unwrap(), self.deliver().await);
        let [lease] = leases.as_slice() else { panic!("{} deliveries", leases.len()) };
        assert_eq!(Some(lease.delivery), paper.delivery);
        let second = second_part(lease, CodeName::Cip);
        let second = second.as_ref().map_or("", Digits::expose);
        let cip = format!("{}{second}", first(&paper, CodeName::Cip).unwrap_or_default());
        Citizen { card, cip }
    }
}
