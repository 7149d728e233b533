use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::sleep};

use super::*;
use crate::sink::runner::{Output, Purpose};

const SECOND: Duration = Duration::from_secs(1);

fn job(source: u8, tasks: &[&str]) -> Order {
    let task = |name: &&str| Task {
        purpose: Purpose::Route,
        argv: vec![(*name).to_owned()],
        shown: (*name).to_owned(),
        id: None,
    };
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    Order::Run(
        Job {
            network: std::net::IpAddr::from([192, 0, 2, source]).into(),
            tasks: tasks.iter().map(task).collect(),
        },
        place,
    )
}

/// Returns the reports with their times in seconds, if each command takes a second and at most `at_once` run.
async fn reports(at_once: usize, given: impl IntoIterator<Item = Order>) -> Vec<(u64, String)> {
    let (orders, received) = mpsc::unbounded_channel();
    given.into_iter().for_each(|order| orders.send(order).unwrap());
    drop(orders);
    let began = Instant::now();
    let run = |_: Vec<String>, mut stop: Stop| async move {
        tokio::select! {
            () = sleep(SECOND) => Outcome::Done(Output::default()),
            _ = stop.wait_for(|stop| *stop) => Outcome::Stopped(Output::default()),
        }
    };
    let reports = RefCell::new(Vec::new());
    let report = |ran: Ran| {
        let how = match ran.outcome {
            Outcome::Done(_) => "",
            Outcome::Stopped(_) => " stopped",
            Outcome::Refused => " refused",
            _ => " ?",
        };
        reports.borrow_mut().push((began.elapsed().as_secs(), ran.shown + how));
    };
    dispatch(received, at_once, run, report).await;
    reports.into_inner()
}

fn owned(reports: &[(u64, &str)]) -> Vec<(u64, String)> {
    reports.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_source_in_order_and_sources_side_by_side() {
    let jobs = [job(1, &["a", "b"]), job(1, &["c"]), job(2, &["d"]), job(3, &[]), job(2, &["e"])];
    let mut found = reports(8, jobs.into_iter().chain([Order::Stop(SECOND * 60)])).await;
    found.sort();
    assert_eq!(found, owned(&[(1, "a"), (1, "d"), (2, "b"), (2, "e"), (3, "c")]));
}

#[tokio::test(start_paused = true)]
async fn no_more_at_once_than_allowed() {
    let names = ["a", "b", "c", "d", "e"];
    for (at_once, seconds) in [(1, [1, 2, 3, 4, 5]), (2, [1, 1, 2, 2, 3]), (5, [1; 5])] {
        let jobs = (1..).zip(names).map(|(source, name)| job(source, &[name]));
        let found = reports(at_once, jobs.chain([Order::Stop(SECOND * 60)])).await;
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), seconds, "{at_once}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_then_ends_what_runs_and_refuses_what_waits() {
    let jobs = || [job(1, &["a", "b", "c"]), job(2, &["d"]), job(1, &["e"])];
    let stop = [Order::Stop(Duration::from_millis(1500))];
    let expected = [(1, "a"), (1, "b stopped"), (1, "c refused"), (1, "d"), (1, "e refused")];
    let mut found = reports(8, jobs().into_iter().chain(stop)).await;
    found.sort();
    assert_eq!(found, owned(&expected));

    // Ends without an order to stop, once the channel is closed.
    let expected = [(0, "a stopped"), (0, "b refused"), (0, "c refused"), (0, "d stopped"), (0, "e refused")];
    let mut found = reports(8, jobs()).await;
    found.sort();
    assert_eq!(found, owned(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_place_in_the_queue_is_free_once_the_job_runs() {
    let room = Arc::new(Semaphore::new(2));
    let (orders, received) = mpsc::unbounded_channel();
    for source in 1..=2 {
        let Order::Run(job, _) = job(source, &["a", "b"]) else { unreachable!() };
        orders.send(Order::Run(job, Arc::clone(&room).try_acquire_owned().unwrap())).unwrap();
    }
    let finished = AtomicUsize::new(0);
    let run = |_: Vec<String>, _| async {
        sleep(SECOND).await;
        Outcome::Refused
    };
    let report = |_| {
        let done = finished.fetch_add(1, Relaxed);
        assert_eq!(room.available_permits(), if done < 2 { 1 } else { 2 }, "{done}");
    };
    orders.send(Order::Stop(SECOND * 60)).unwrap();
    dispatch(received, 1, run, report).await;
    assert_eq!(finished.into_inner(), 4);
}
