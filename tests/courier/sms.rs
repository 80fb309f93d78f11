//! The SMS gateway and its receipts, against a gateway that does as its number says.

use std::sync::Arc;

use sigillo::{
    api::courier::ReportStatus,
    clock::{Clock, SystemClock},
    courier::{
        AuthorityError, Gateways, Outcome, TextGateway,
        run::{Pace, Tally, Until, run},
        sms::{Receipts, SmsGateway},
    },
    domain::id::LeaseId,
};
use tokio::sync::watch;

use crate::{
    fakes::{Event, World, world_of},
    kannel::{FakeKannel, configuration, get},
    relay::Relay,
};

const ACCEPTS: &str = "+393331234567";

/// A courier with the fake gateway and a listener for receipts.
struct Post {
    kannel: FakeKannel,
    w: World<SmsGateway>,
    receipts: String,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Post {
    async fn open() -> Self {
        Self::open_with(FakeKannel::start().await, &[]).await
    }

    async fn open_with(kannel: FakeKannel, changes: &[(&str, &str)]) -> Self {
        let (dir, config) = configuration(&kannel, changes);
        let receipts = config.receipts().await.unwrap().unwrap();
        let gateway = SmsGateway::new(config.sms().unwrap().unwrap(), Some(receipts.slips()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let w = world_of(gateway, clock);
        let (stop, address) = serve(&w, receipts);
        Self { kannel, w, receipts: address, _stop: stop, _dir: dir }
    }

    async fn deliver(&self, number: u8, to: &str) -> (Outcome, String) {
        let mut lease = self.w.lease(number, to);
        lease.until_ms = u64::MAX;
        let outcome = self.w.deliver(&lease).await;
        match self.w.script.events().pop() {
            Some(Event::Reported { reason, .. }) => (outcome, reason.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    /// The end that the gateway is to report at, with the status left open.
    fn slip(&self) -> String {
        let url = self.kannel.requests().pop().unwrap().header("x-kannel-dlr-url");
        let path = url.strip_prefix(&format!("http://{}", self.receipts)).expect("our own address");
        path.strip_suffix("%d").unwrap().to_owned()
    }

    async fn receipt(&self, status: &str) -> u16 {
        get(&self.receipts, &format!("{}{status}", self.slip())).await
    }

    /// What was reported under this lease, the first report (`prepared`) left out.
    fn reported(&self, number: u8) -> Vec<ReportStatus> {
        let of = LeaseId::new([number + 100; 16]);
        let status = |event| match event {
            Event::Reported { lease, status, .. } if lease == of => Some(status),
            Event::Reported { .. } | Event::Sent { .. } => None,
        };
        self.w.script.events().into_iter().filter_map(status).skip(1).collect()
    }
}

fn serve<G: sigillo::courier::Gateway>(w: &World<G>, receipts: Receipts) -> (watch::Sender<bool>, String) {
    let (stop, stopped) = watch::channel(false);
    let address = receipts.local_addr().to_string();
    let authority = Arc::new(w.script.authority());
    drop(tokio::spawn(receipts.serve(authority, crate::fakes::LIMITS, stopped)));
    (stop, address)
}

#[tokio::test]
async fn a_text_beyond_the_basic_alphabet_is_said_to_be() {
    let post = Post::open().await;
    let mut lease = post.w.lease(1, ACCEPTS);
    (lease.until_ms, lease.message) = (u64::MAX, "sl/activation".to_owned());
    assert_eq!(post.w.deliver(&lease).await, Outcome::Sent);
    let request = post.kannel.requests().remove(0);
    assert_eq!(request.header("x-kannel-coding"), "2");
    assert_eq!(request.header("content-type"), "text/plain; charset=UTF-8");
    assert!(request.body.contains("List št. 246810."), "{}", request.body);
}

#[tokio::test]
async fn a_message_leaves_whole_and_nothing_of_it_is_in_the_url() {
    let post = Post::open().await;
    assert_eq!(post.deliver(1, ACCEPTS).await, (Outcome::Sent, String::new()));
    let requests = post.kannel.requests();
    let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!(request.line, "POST /cgi-bin/sendsms HTTP/1.1");
    for (name, value) in [
        ("x-kannel-username", "sigillo"),
        ("x-kannel-password", "segreto sms"),
        ("x-kannel-to", ACCEPTS),
        ("x-kannel-from", "TS-CNS"),
        ("x-kannel-coding", "0"),
        ("x-kannel-dlr-mask", "31"),
        ("content-type", "text/plain; charset=UTF-8"),
    ] {
        assert_eq!(request.header(name), value);
    }
    let part =
        async |code: &str, generation, count| post.w.part(code.parse().unwrap(), generation, count, 0).await;
    let expected = include_str!("../../policies/courier/messages/activation.sms.txt")
        .trim_end()
        .replace('\n', " ")
        .replace("{control}", "246810")
        .replace("{pin_second}", &part("PIN", 1, 3).await)
        .replace("{puk_second}", &part("PUK", 2, 6).await)
        .replace("{cip_second}", &part("CIP", 3, 4).await);
    assert_eq!(request.body, expected);
    let url = request.header("x-kannel-dlr-url");
    for id in ["01".repeat(16), hex::encode([101; 16]), hex::encode([1; 16])] {
        assert!(!url.contains(&id), "{url}");
    }
}

#[tokio::test]
async fn what_the_gateway_answers_is_what_becomes_of_the_message() {
    let post =
        Post::open_with(FakeKannel::start().await, &[("timeout_ms = 60000", "timeout_ms = 1500")]).await;
    // A card each: the courier has its own mind about one that changes its contact.
    for (card, (to, outcome, reason)) in (1..).zip([
        ("+393330000003", Outcome::Sent, ""),
        ("+393330000400", Outcome::Retry, "SMS gateway: HTTP 400"),
        ("+393330000403", Outcome::Trouble, "SMS gateway: HTTP 403"),
        ("+393330000503", Outcome::Trouble, "SMS gateway: HTTP 503"),
        ("+393330000200", Outcome::Retry, "SMS gateway: HTTP 200 without a known answer"),
        ("+393330000001", Outcome::Retry, "SMS gateway: no whole answer"),
        ("+393330000002", Outcome::Retry, "SMS gateway: no whole answer"),
        ("+393330000009", Outcome::Retry, "SMS gateway: not done within 1500 ms"),
        ("mario@esempio.it", Outcome::Failed, "the SMS gateway takes numbers only"),
        (ACCEPTS, Outcome::Sent, ""),
    ]) {
        assert_eq!(post.deliver(card, to).await, (outcome, reason.to_owned()), "{to}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_trouble() {
    let kannel = FakeKannel::start().await;
    let post = Post::open_with(kannel, &[("http://127.0.0.1:", "http://127.0.0.2:")]).await;
    let (outcome, reason) = post.deliver(1, ACCEPTS).await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "SMS gateway: connection: connection refused"));
    assert!(post.kannel.requests().is_empty());
}

/// Each is reported when it comes; the authority's record says what may follow what.
#[tokio::test]
async fn receipts_are_reported_in_the_order_of_their_coming() {
    use ReportStatus::{Delivered, Failed, Sent};
    for (numbers, reports) in [
        (vec!["8", "1"], vec![Sent, Delivered]),
        (vec!["1", "8"], vec![Sent, Delivered]),
        (vec!["4", "8", "2"], vec![Sent, Failed]),
        (vec!["16", "16"], vec![Sent, Failed, Failed]),
        (vec!["1", "1", "8", "4"], vec![Sent, Delivered, Delivered]),
    ] {
        let post = Post::open().await;
        assert_eq!(post.deliver(1, ACCEPTS).await.0, Outcome::Sent);
        for number in &numbers {
            assert_eq!(post.receipt(number).await, 200, "{number}");
        }
        assert_eq!(post.reported(1), reports, "{numbers:?}");
        let events = post.w.script.events();
        let Some(Event::Reported { reason, .. }) = events.last() else { panic!("{events:?}") };
        let why = (*reports.last().unwrap() == Failed).then(|| "SMS gateway: not delivered".to_owned());
        assert_eq!(*reason, why);
    }
}

#[tokio::test]
async fn only_a_slip_of_ours_says_anything() {
    let post = Post::open().await;
    post.deliver(1, ACCEPTS).await;
    let slip = post.slip();
    let other = slip.replace("/receipt/", "/receipt/00");
    for (path, status) in [
        ("/".to_owned(), 404),
        ("/receipt/?status=1".to_owned(), 404),
        (format!("{other}1"), 404),
        (format!("/receipts{slip}1"), 404),
        (slip.clone(), 400),
        (format!("{slip}3"), 400),
        (format!("{slip}1&x=1"), 400),
        (format!("{slip}-1"), 400),
    ] {
        assert_eq!(get(&post.receipts, &path).await, status, "{path}");
    }
    assert_eq!(post.reported(1), [ReportStatus::Sent]);
}

/// A receipt proves that the gateway has the message, whatever becomes of its answer: it is not sent again.
#[tokio::test]
async fn a_receipt_that_comes_before_the_answer_stands_for_it() {
    use ReportStatus::{Delivered, Sent};
    let post =
        Post::open_with(FakeKannel::start().await, &[("timeout_ms = 60000", "timeout_ms = 1500")]).await;
    for (number, to, reports) in [
        (1, "+393330018202", vec![Sent]),
        (2, "+393330011202", vec![Delivered, Sent]),
        (3, "+393330018001", vec![Sent]),
        (4, "+393330011002", vec![Delivered, Sent]),
        (5, "+393330018009", vec![Sent]),
    ] {
        assert_eq!(post.deliver(number, to).await, (Outcome::Sent, String::new()), "{to}");
        assert_eq!(post.reported(number), reports, "{to}");
    }
}

#[tokio::test]
async fn while_the_authority_is_down_the_gateway_is_told_to_come_again() {
    let post = Post::open().await;
    post.deliver(1, ACCEPTS).await;
    post.w.script.report(vec![Err(AuthorityError::Unavailable("503".to_owned())); 3]);
    assert_eq!(post.receipt("1").await, 503);
    assert_eq!(post.receipt("1").await, 200);
    assert_eq!(post.reported(1).len(), 1 + 3 + 1);
    // What the authority does not want will not be wanted later either.
    post.w.script.report([Err(AuthorityError::LeaseLost), Err(AuthorityError::Refused("422".to_owned()))]);
    for _ in 0..2 {
        assert_eq!(post.receipt("2").await, 200);
    }
}

#[tokio::test]
async fn a_restarted_courier_understands_older_slips_and_one_with_another_key_none() {
    let post = Post::open().await;
    post.deliver(1, ACCEPTS).await;
    let slip = post.slip();
    let kannel = FakeKannel::start().await;
    for (changes, status) in [(&[][..], 200), (&[("sms.key", "other.key")][..], 404)] {
        let (_dir, config) = configuration(&kannel, changes);
        let (_stop, address) = serve(&post.w, config.receipts().await.unwrap().unwrap());
        assert_eq!(get(&address, &format!("{slip}1")).await, status);
    }
    assert_eq!(post.reported(1), [ReportStatus::Sent, ReportStatus::Delivered]);
}

#[tokio::test]
async fn without_a_listener_no_receipt_is_asked_for() {
    let kannel = FakeKannel::start().await;
    let (_dir, config) = configuration(&kannel, &[]);
    let gateway = SmsGateway::new(config.sms().unwrap().unwrap(), None);
    let w = world_of(gateway, Arc::new(SystemClock::new()));
    let mut lease = w.lease(1, ACCEPTS);
    lease.until_ms = u64::MAX;
    assert_eq!(w.deliver(&lease).await, Outcome::Sent);
    assert!(!kannel.requests()[0].head.contains("x-kannel-dlr"));
}

#[tokio::test]
async fn over_tls_only_a_gateway_that_proves_its_name_is_told_anything() {
    let post = Post::open_with(FakeKannel::start_tls().await, &[]).await;
    assert_eq!(post.deliver(1, ACCEPTS).await, (Outcome::Sent, String::new()));
    let post = Post::open_with(FakeKannel::start_tls().await, &[("\"ca.pem\"", "\"other.pem\"")]).await;
    let (outcome, reason) = post.deliver(1, ACCEPTS).await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "SMS gateway: connection: invalid data"));
    assert!(post.kannel.requests().is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_down_holds_up_its_own_channel_alone() {
    let relay = Relay::start("starttls");
    let kannel = FakeKannel::start().await;
    let (_dir, config) = configuration(&kannel, &[("http://127.0.0.1:", "http://127.0.0.2:")]);
    let w = relay.world_with(&[], |mail, clock| {
        let sms = SmsGateway::new(config.sms().unwrap().unwrap(), None);
        Gateways::new(Some(mail), Some(TextGateway::Http(Box::new(sms))), clock)
    });
    let to = ["mario@esempio.it", ACCEPTS, "luisa@esempio.it", ACCEPTS, "carla@esempio.it"];
    let leases = to.iter().zip(1..).map(|(to, number)| w.lease(number, to));
    let leases: Vec<_> =
        leases.map(|lease| sigillo::api::courier::Lease { until_ms: u64::MAX, ..lease }).collect();
    w.script.lease(Ok(leases));
    let pace = Pace { at_once: 1, batch: 10, poll: std::time::Duration::from_millis(1), until: Until::Idle };
    let (_told, stop) = watch::channel(false);
    let tally = run(&w.courier, pace, stop).await;
    assert_eq!(tally, Tally { sent: 3, retry: 2, trouble: 1, ..Tally::default() });
    assert_eq!(relay.mails().len(), 3);
    let handed_back: Vec<_> = w
        .script
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Reported { status: ReportStatus::Returned, reason, .. } => reason,
            Event::Reported { .. } | Event::Sent { .. } => None,
        })
        .collect();
    let down = "SMS gateway: connection: connection refused";
    assert_eq!(handed_back, [down, "the gateway for sms is down"]);
}

#[tokio::test]
async fn a_channel_without_a_gateway_is_handed_back_before_anything_is_derived() {
    let gateways = Gateways::new(None, None, Arc::new(SystemClock::new()));
    let w = world_of(gateways, Arc::new(SystemClock::new()));
    for (to, why) in [
        (ACCEPTS, "this courier has no gateway for sms"),
        ("mario@esempio.it", "this courier has no gateway for email"),
    ] {
        let mut lease = w.lease(1, to);
        lease.until_ms = u64::MAX;
        assert_eq!(w.deliver(&lease).await, Outcome::Retry);
        let events = w.script.events();
        assert_eq!(w.script.names().last().unwrap(), "retry");
        assert!(!w.script.names().contains(&"prepared".to_owned()));
        assert!(matches!(events.last(), Some(Event::Reported { reason: Some(said), .. }) if said == why));
    }
}
