//! What follows from an `unblock` where no daemon runs: the effects are the daemon's, carried out here. Those of a `block` are
//! left to the next daemon, which finds the administrator's line unread.

use std::{
    sync::mpsc::channel,
    time::{Duration, SystemTime},
};

use crate::{
    daemon::Options,
    policy::{
        Record,
        register::{Case, Effect, Occasion, Release, Rules, release},
    },
    sink::{
        Files,
        runner::{Job, Purpose, Runner, Settings, Task, values},
    },
};

/// How long commands are waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Carries out what follows from letting go what the blocked file's lines held; what can't be done is said.
pub(super) fn let_go(options: &Options, files: &mut Files, removed: &[Record]) {
    let rules = Rules::new(&options.config);
    let (mut ids, problem) = files.read_ids();
    problem.iter().for_each(|problem| eprintln!("portsentry: {problem}"));
    let mut jobs = Vec::new();
    for record in removed {
        let case =
            Case::let_go(Release::Administrator, *record, "an administrator asked for it", SystemTime::now());
        let case = case.with_id(ids.get(record.network));
        for effect in release_of(record, &rules) {
            match effect {
                Effect::History(action) => files.recorder().record(action, &case, &record.source().into()),
                Effect::Allow => files.allow(record),
                Effect::Run(Occasion::Lift) => jobs.extend(job(options, &case)),
                // The blocked file and the maps are changed already, and there is no log and nobody who counts.
                _ => {}
            }
        }
    }
    for record in removed {
        ids.remove(record.network);
    }
    let problem = files.flush_ids(&ids);
    problem.iter().for_each(|problem| eprintln!("portsentry: {problem}"));
    let problems = [files.recorder().flush_now(), files.allow_at_once(&[])].concat();
    problems.iter().for_each(|problem| eprintln!("portsentry: {problem}"));
    if !jobs.is_empty() {
        run(jobs);
    }
}

fn release_of(record: &Record, rules: &Rules) -> Vec<Effect> {
    release(Release::Administrator, Some(record.hold.is_fence), rules.kills(&record.hold))
}

fn job(options: &Options, case: &Case) -> Option<Job> {
    let config = &options.config;
    let command = config.kill_run_cmd_lift.as_ref()?;
    let mode = options.modes.name(case.record.hold.protocol, config.log_format);
    let task = Task::new(Purpose::Lift, command, &values(case, mode));
    Some(Job { network: case.record.network, tasks: vec![task] })
}

fn run(jobs: Vec<Job>) {
    let (sender, reports) = channel();
    let runner = match Runner::start(Settings::default(), move |ran| drop(sender.send(ran))) {
        Ok(runner) => runner,
        Err(error) => return eprintln!("portsentry: starting a thread for KILL_RUN_CMD_LIFT: {error}"),
    };
    let refused = jobs.into_iter().filter_map(|job| runner.submit(job).err()).flat_map(Job::refused);
    let refused: Vec<_> = refused.collect();
    runner.stop(PATIENCE);
    for ran in reports.into_iter().chain(refused).filter(|ran| !ran.outcome.is_done()) {
        eprintln!("portsentry: KILL_RUN_CMD_LIFT: \"{}\" {}", ran.shown, ran.outcome);
    }
}
