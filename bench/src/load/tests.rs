use super::*;

struct Waits {
    time: Duration,
    enough: u64,
    fails: bool,
}

impl Work for Waits {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        if self.fails {
            return Err(format!("turn {n} failed"));
        }
        if n >= self.enough {
            return Ok(Turn::Over);
        }
        tokio::time::sleep(self.time).await;
        Ok(Turn::Done)
    }
}

fn plan(pace: Pace) -> Plan {
    Plan {
        pace,
        warm_up: Duration::ZERO,
        time: Duration::from_secs(600),
        calls: false,
        windows: Windows::SHORT,
    }
}

fn runs(work: Waits, plan: Plan) -> Result<Run, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run("waits", work, plan, &Server::default()))
}

#[test]
fn a_run_ends_when_nothing_is_left_and_counts_each_turn_once() {
    let work = Waits { time: Duration::from_millis(1), enough: 40, fails: false };
    let run = runs(work, plan(Pace::Closed(4))).unwrap();
    assert_eq!((run.requests, run.errors, run.used_up), (40, 0, true));
    assert!(run.to_string().ends_with("no card was left"), "{run}");
    assert_eq!(run.histogram.iter().map(|(_, count)| count).sum::<u64>(), 40);
    assert!(run.p50_us >= 1000, "{}", run.p50_us);
    assert_eq!(run.windows.iter().map(|window| window.requests).sum::<u64>(), 40);
}

/// What is left of a run behind its warm-up would be a figure of its last moments.
#[test]
fn a_warm_up_that_leaves_nothing_is_no_run() {
    let work = Waits { time: Duration::from_millis(1), enough: 40, fails: false };
    let long = Plan { warm_up: Duration::from_secs(600), ..plan(Pace::Closed(4)) };
    let why = runs(work, long).unwrap_err();
    assert_eq!(why, "waits: no card was left when the warm-up of 600 s ended: take more cards");
}

/// One thread that is blocked sends nothing in time: the latencies of an open loop say so.
#[test]
fn an_open_loop_counts_from_the_intended_time() {
    struct Stalls;
    impl Work for Stalls {
        async fn turn(&self, n: u64) -> Result<Turn, String> {
            match n {
                0 => {
                    // Not an asynchronous wait: the sender stands still as well.
                    std::thread::sleep(Duration::from_millis(200));
                    Ok(Turn::Done)
                }
                1..20 => Ok(Turn::Done),
                _ => Ok(Turn::Over),
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.block_on(run("stalls", Stalls, plan(Pace::Open(100.0)), &Server::default())).unwrap();
    assert_eq!(run.requests, 20);
    // Nineteen more were due in those 200 ms, and waited for its end.
    assert!(run.p50_us >= 50_000, "{}", run.p50_us);
}

#[test]
fn a_run_of_errors_is_given_up_and_tells_the_first() {
    let run = runs(Waits { time: Duration::ZERO, enough: 1, fails: true }, plan(Pace::Closed(1))).unwrap();
    assert_eq!((run.requests, run.errors), (0, MOST_ERRORS));
    assert_eq!(run.first_error.as_deref(), Some("turn 0 failed"));
    let refused = runs(Waits { time: Duration::ZERO, enough: 1, fails: false }, plan(Pace::Open(0.0)));
    assert!(refused.unwrap_err().contains("cannot be kept"));
}

/// Where nothing is left to begin, what was begun is waited for: it is a part of the run.
#[test]
fn a_turn_under_way_at_the_end_counts() {
    struct Last(Notify);
    impl Work for Last {
        async fn turn(&self, n: u64) -> Result<Turn, String> {
            if n > 0 {
                self.0.notify_one();
                return Ok(Turn::Over);
            }
            self.0.notified().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Turn::Done)
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let work = Last(Notify::new());
    let run = runtime.block_on(run("last", work, plan(Pace::Closed(2)), &Server::default())).unwrap();
    assert_eq!((run.requests, run.windows.len()), (1, 1));
}

/// A stall at the end is one as well: what was due in time is waited for, and has its latency.
#[test]
fn what_was_due_in_time_counts_whenever_it_ends() {
    let slow = Waits { time: Duration::from_millis(300), enough: u64::MAX, fails: false };
    let run = runs(slow, Plan { time: Duration::from_millis(100), ..plan(Pace::Open(100.0)) }).unwrap();
    assert!(run.requests >= 1 && run.most_us >= 300_000, "{} requests, {} us", run.requests, run.most_us);
    assert!(run.requests <= 10, "{} requests: ten were due", run.requests);
    assert_eq!(run.windows.iter().map(|window| window.requests).sum::<u64>(), run.requests);
    assert!(run.windows.iter().any(|window| window.p99_us >= 290_000) && !run.used_up);
}

/// What came late belongs to the last part, and its processor's time to all of that part.
#[test]
fn a_part_with_late_answers_has_them_all() {
    let (ms, us) = (Duration::from_millis, Duration::from_micros);
    let mut recorder = Recorder::new(Pace::Open(1.0)).unwrap();
    recorder.begin(ms(0)..ms(1000), Some(us(0)), None);
    recorder.done(ms(100), ms(110));
    recorder.window(ms(1000), Some(us(300)), None, None);
    recorder.done(ms(900), ms(2900));
    recorder.done(ms(1000), ms(1001));
    let run = recorder.end().run("late", Pace::Open(1.0), 1.0);
    let window = run.windows[0];
    assert_eq!((run.windows.len(), run.requests, window.requests), (1, 2, 2));
    assert_eq!((window.server_us, window.client_us), (Some(150.0), None));
    assert!(window.p50_us < 11_000 && window.p99_us >= 1_990_000, "{window:?}");
}

#[test]
fn an_error_behind_the_time_is_one() {
    struct Late;
    impl Work for Late {
        async fn turn(&self, _: u64) -> Result<Turn, String> {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Err("late".into())
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let short = Plan { time: Duration::from_millis(50), ..plan(Pace::Closed(1)) };
    let run = runtime.block_on(run("late", Late, short, &Server::default())).unwrap();
    assert_eq!((run.requests, run.errors, run.first_error.as_deref()), (0, 1, Some("late")));
}

/// The senders of a closed loop connect one after the other: what the first of them do meanwhile is warm-up.
#[test]
fn a_closed_loop_counts_from_when_all_have_begun() {
    struct Slow;
    impl Work for Slow {
        async fn turn(&self, n: u64) -> Result<Turn, String> {
            let time = if n == 0 { 300 } else { 1 };
            tokio::time::sleep(Duration::from_millis(time)).await;
            Ok(Turn::Done)
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let time = Duration::from_millis(50);
    let plan = Plan { warm_up: time, time, ..plan(Pace::Closed(1)) };
    let run = runtime.block_on(run("slow", Slow, plan, &Server::default())).unwrap();
    assert!(run.requests > 0 && run.most_us < 300_000, "{} us", run.most_us);
}
