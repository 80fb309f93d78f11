//! The two endpoints over real mutual TLS.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE};
use sigillo::{
    api::courier::{Leases, Report, ReportStatus},
    auth::Remote,
    clock::{Clock, SystemClock},
    courier::{Authority, AuthorityError, authority::HttpAuthority},
    domain::id::{DeliveryId, LeaseId},
    http::{Body, Handler, Limits, Listener},
    metrics::Metrics,
    pki::{Ca, Validity},
    tls::{ServerTls, TlsClientFiles, TlsFiles},
};

/// Answers each request with the next status and body, and notes what it was asked.
struct Scripted {
    answers: Mutex<Vec<(u16, &'static str)>>,
    asked: Mutex<Vec<String>>,
}

impl Handler for Scripted {
    async fn handle(&self, _: Arc<Remote>, request: Request<Incoming>) -> Response<Body> {
        let line = format!("{} {}", request.method(), request.uri().path());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.asked.lock().unwrap().push(format!("{line} {}", String::from_utf8_lossy(&body)));
        let (status, answer) = self.answers.lock().unwrap().remove(0);
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        response.header(CONTENT_TYPE, "application/json").body(Body::full(answer)).unwrap()
    }
}

fn files(dir: &Path, clock: &Arc<dyn Clock>) -> (TlsFiles, TlsClientFiles) {
    let validity = Validity { from_ms: clock.now_ms() - 3_600_000, to_ms: clock.now_ms() + 3_600_000 };
    let ca = Ca::new("Sigillo CA", validity).unwrap();
    let path = |name: &str| dir.join(name);
    std::fs::write(path("ca.pem"), ca.pem()).unwrap();
    ca.server(&["localhost"], &[], validity).unwrap().write(dir, "server").unwrap();
    ca.client("courier", validity).unwrap().write(dir, "courier").unwrap();
    let server = TlsFiles {
        certificate: path("server.pem"),
        key: path("server.key"),
        client_ca: path("ca.pem"),
        crls: Vec::new(),
    };
    let client = TlsClientFiles {
        server_ca: path("ca.pem"),
        certificate: path("courier.pem"),
        key: path("courier.key"),
    };
    (server, client)
}

#[tokio::test]
async fn leases_and_reports_are_as_the_api_says() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (server, client) = files(dir.path(), &clock);
    let tls = Arc::new(ServerTls::load(server, Arc::clone(&clock)).unwrap());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let metrics = Arc::new(Metrics::new().unwrap());
    let listener = Listener::bind(any, tls, Limits::default(), Arc::clone(&clock), metrics).await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().port());
    let lease = r#"{"leases":[{"lease":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","delivery":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "card":"cccccccccccccccccccccccccccccccc","until_ms":1800000000000,"attempt":2,"message":"activation",
        "control":"123456","template":"IT-030/1","salt":"00","codes":[{"code":"PIN","generation":1,"digits":3}],
        "contact":"00"}],"checkpoint":"the newest\n"}"#;
    let problem = r#"{"type":"urn:sigillo:problem:lease_lost","title":"Lease lost","status":409,"code":"lease_lost",
        "request_id":"00000000000000000000000000000000"}"#;
    let scripted = Arc::new(Scripted {
        answers: Mutex::new(vec![
            (200, lease),
            (200, r#"{"state":"prepared"}"#),
            (409, problem),
            (422, "{}"),
            (503, "{}"),
            (200, "[]"),
        ]),
        asked: Mutex::default(),
    });
    let (told, stop) = tokio::sync::oneshot::channel::<()>();
    let handler = Arc::clone(&scripted);
    let serving = tokio::spawn(listener.serve(handler, async {
        stop.await.unwrap();
    }));

    let authority = HttpAuthority::new(&url, &client, Duration::from_secs(60), clock).unwrap();
    let Leases { leases, checkpoint } = authority.lease(7, Some("kept\n".to_owned())).await.unwrap();
    assert_eq!(checkpoint, "the newest\n");
    assert_eq!((leases.len(), leases[0].attempt, leases[0].codes[0].digits), (1, 2, 3));

    let id = LeaseId::new([0xaa; 16]);
    let report = Report {
        delivery: DeliveryId::new([0xbb; 16]),
        status: ReportStatus::Prepared,
        generation: Some(3),
        second_part_tag: Some("ee".to_owned()),
        reason: None,
        until_ms: None,
    };
    assert_eq!(authority.report(&id, &report).await, Ok(()));
    assert_eq!(authority.report(&id, &report).await, Err(AuthorityError::LeaseLost));
    assert!(matches!(authority.report(&id, &report).await, Err(AuthorityError::Refused(_))));
    assert!(matches!(authority.report(&id, &report).await, Err(AuthorityError::Unavailable(_))));
    // Not what the API says: not taken for a success.
    assert!(matches!(authority.report(&id, &report).await, Err(AuthorityError::Unavailable(_))));

    told.send(()).unwrap();
    assert_eq!(serving.await.unwrap().abandoned, 0);
    assert!(matches!(authority.lease(7, None).await, Err(AuthorityError::Unavailable(_))));
    let asked = scripted.asked.lock().unwrap();
    assert_eq!(asked[0], r#"POST /v1/courier/leases {"limit":7,"checkpoint":"kept\n"}"#);
    assert_eq!(
        asked[1],
        format!(
            "POST /v1/courier/leases/{id}/report {}",
            r#"{"delivery":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","status":"prepared","generation":3,"second_part_tag":"ee"}"#
        )
    );
}
