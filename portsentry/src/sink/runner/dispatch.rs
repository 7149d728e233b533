//! Schedules commands: in order for one source, concurrently for several.

use std::{
    collections::{HashSet, VecDeque},
    future::Future,
    vec,
};

use ipnet::IpNet;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Job, Outcome, Ran, Task, job::Order};

/// Set once running commands should be terminated.
pub(super) type Stop = watch::Receiver<bool>;

/// A command that has run, and the remaining commands of its job.
type Step = (IpNet, Ran, vec::IntoIter<Task>);

/// Executes orders until one asks it to stop, or the channel is closed.
pub(super) async fn dispatch<F>(
    mut orders: mpsc::UnboundedReceiver<Order>,
    at_once: usize,
    run: impl Fn(Vec<String>, Stop) -> F,
    mut report: impl FnMut(Ran),
) where
    F: Future<Output = Outcome> + Send + 'static,
{
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::<Step>::new();
    let mut busy = HashSet::new();
    let mut waiting = VecDeque::<(Job, OwnedSemaphorePermit)>::new();
    let mut deadline = None;
    let start = |running: &mut JoinSet<Step>, source, mut tasks: vec::IntoIter<Task>| {
        let Some(mut task) = tasks.next() else { return false };
        let outcome = run(std::mem::take(&mut task.argv), stopped.clone());
        running.spawn(async move { (source, Ran::new(source, task, outcome.await), tasks) });
        true
    };
    loop {
        while running.len() < at_once
            && let Some(next) = waiting.iter().position(|(job, _)| !busy.contains(&job.network))
            && let Some((job, _place)) = waiting.remove(next)
        {
            if start(&mut running, job.network, job.tasks.into_iter()) {
                busy.insert(job.network);
            }
        }
        if deadline.is_some() && running.is_empty() && waiting.is_empty() {
            return;
        }
        tokio::select! {
            order = orders.recv(), if deadline.is_none() => match order {
                Some(Order::Run(job, place)) => waiting.push_back((job, place)),
                Some(Order::Stop(patience)) => deadline = Some(Instant::now() + patience),
                None => deadline = Some(Instant::now()),
            },
            Some(finished) = running.join_next() => {
                // A command's future never panics, and is never aborted.
                let Ok((source, ran, rest)) = finished else { continue };
                report(ran);
                let goes_on = if *stop.borrow() {
                    Job { network: source, tasks: rest.collect() }.refused().for_each(&mut report);
                    false
                } else {
                    start(&mut running, source, rest)
                };
                if !goes_on {
                    busy.remove(&source);
                }
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && !*stop.borrow() => {
                stop.send_replace(true);
                waiting.drain(..).flat_map(|(job, _)| job.refused()).for_each(&mut report);
            }
        }
    }
}

#[cfg(test)]
mod tests;
