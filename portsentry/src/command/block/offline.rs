//! The effects of `unblock` while no daemon runs: the same as in the daemon, carried out by the command. For
//! `block`, the next daemon carries them out when it reads the administrator's new line.

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

/// Maximum time to wait for commands.
const PATIENCE: Duration = Duration::from_secs(15);

/// Carries out the effects of releasing the blocked file's removed lines for this reason. Prints errors.
pub(super) fn let_go(options: &Options, files: &mut Files, removed: &[Record], reason: &str) {
    let rules = Rules::new(&options.config, options.modes);
    let (mut ids, problem) = files.read_ids();
    problem.iter().for_each(|problem| eprintln!("portsentry: {problem}"));
    let mut jobs = Vec::new();
    for record in removed {
        let case = Case::let_go(Release::Administrator, *record, reason, SystemTime::now());
        let case = case.with_id(ids.get(record.network));
        for effect in release_of(record, &rules) {
            match effect {
                Effect::History(action) => files.recorder().record(action, &case, &record.source().into()),
                Effect::Allow => files.allow(record),
                Effect::Run(Occasion::Lift) => jobs.extend(job(options, &case)),
                // The blocked file and the maps have already been changed, and a command has no log and no
                // counters.
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
    let mode = options.modes.name(case.record.hold.protocol, config.log_format);
    let commands =
        [(Purpose::RouteLift, config.undoes_route()), (Purpose::Lift, config.kill_run_cmd_lift.clone())];
    let tasks = commands.into_iter().filter_map(|(purpose, command)| {
        command.map(|command| Task::new(purpose, &command, &values(case, mode)))
    });
    let tasks: Vec<Task> = tasks.collect();
    (!tasks.is_empty()).then_some(Job { network: case.record.network, tasks })
}

fn run(jobs: Vec<Job>) {
    let (sender, reports) = channel();
    let runner = match Runner::start(Settings::default(), move |ran| drop(sender.send(ran))) {
        Ok(runner) => runner,
        Err(error) => return eprintln!("portsentry: starting a thread for commands: {error}"),
    };
    let refused = jobs.into_iter().filter_map(|job| runner.submit(job).err()).flat_map(Job::refused);
    let refused: Vec<_> = refused.collect();
    runner.stop(PATIENCE);
    for ran in reports.into_iter().chain(refused).filter(|ran| !ran.outcome.is_done()) {
        eprintln!("portsentry: {}: \"{}\" {}", ran.purpose.key(), ran.shown, ran.outcome);
    }
}
