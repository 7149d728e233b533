//! `portsentry-share create`: creates the streams that hold the fleet's state, one for each gateway, so that no gateway can fill
//! another's. Only the administrator's key may.

use std::{sync::Arc, time::Duration};

use portsentry::{exit::Exit, policy::peers::Gateway};
use serde_json::{Value, json};
use tokio::{
    runtime,
    sync::mpsc::unbounded_channel,
    time::{Instant, sleep, timeout},
};

use crate::{
    config::Config,
    fleet::{Links, Mailboxes, keep, wire},
    nats::{Identity, Session},
};

/// Maximum time for a connection, and for each stream. Servers that have just been started elect a leader first.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum time for an answer. Servers without a leader don't answer at all.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause before another attempt.
const PAUSE: Duration = Duration::from_millis(300);
/// The servers' number for "stream name already in use".
const EXISTS: u64 = 10_058;
/// Maximum number of words in a stream.
const WORDS: u32 = 1 << 20;
/// Maximum size of a word in bytes.
const LARGEST: u32 = 2048;
/// Maximum number of servers that hold a stream.
const REPLICAS: usize = 3;

/// Creates the streams that don't exist.
pub fn run(config: &Config, identity: &Identity) -> Exit {
    let created = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(create(config, identity)));
    match created {
        Ok(()) => Exit::Success,
        Err(problem) => {
            eprintln!("portsentry-share: {problem}");
            Exit::Failure
        }
    }
}

async fn create(config: &Config, identity: &Identity) -> Result<(), String> {
    let (acks, _ignored) = unbounded_channel();
    let links = Arc::new(Links::new(1, config.rate, &[], Mailboxes { acks, peers: Vec::new() }));
    let session = Session { identity: identity.clone(), subscriptions: links.subscriptions(0) };
    let mut ready = links.follow();
    tokio::spawn(keep(Arc::clone(&links), 0, config.servers.clone(), session));
    let connected = timeout(PATIENCE, ready.changed()).await;
    connected.map_err(|_| "no server answers")?.map_err(|error| error.to_string())?;
    for gateway in &config.gateways {
        let stream = stream(gateway, config.servers.len().min(REPLICAS));
        let name = wire::stream(gateway);
        let begun = Instant::now();
        let done = loop {
            match ask(&links, &format!("$JS.API.STREAM.CREATE.{name}"), &stream).await {
                Ok(()) => break "created",
                Err(Refusal { code: EXISTS, .. }) => {
                    let updated = ask(&links, &format!("$JS.API.STREAM.UPDATE.{name}"), &stream).await;
                    updated.map_err(|refusal| refusal.problem)?;
                    break "updated";
                }
                Err(_) if begun.elapsed() < PATIENCE => sleep(PAUSE).await,
                Err(refusal) => return Err(refusal.problem),
            }
        };
        println!("{name}: {done}");
    }
    Ok(())
}

/// Returns the settings of a gateway's stream.
fn stream(gateway: &Gateway, replicas: usize) -> Value {
    json!({
        "name": wire::stream(gateway),
        "subjects": [wire::state(gateway, ">")],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "num_replicas": replicas,
        "max_msgs": WORDS,
        "max_msg_size": LARGEST,
        "max_msgs_per_subject": 1,
        "allow_direct": true,
        "allow_msg_ttl": true,
        "allow_rollup_hdrs": false,
        "deny_delete": true,
        "deny_purge": true,
    })
}

/// Why a request failed.
#[derive(Debug, Default)]
struct Refusal {
    /// The server's number for the reason, or 0.
    code: u64,
    problem: String,
}

async fn ask(links: &Links, subject: &str, request: &Value) -> Result<(), Refusal> {
    let failed = |problem: &str| Refusal { code: 0, problem: format!("{subject}: {problem}") };
    let answers = links.request(subject, request.to_string().as_bytes());
    let mut answers = answers.ok_or_else(|| failed("the connection is lost"))?;
    let message = timeout(ANSWER, answers.receiver.recv()).await;
    let message =
        message.ok().flatten().ok_or_else(|| failed("no answer; is this the administrator's key?"))?;
    if let Some(status) = message.headers.status {
        return Err(failed(&format!("status {status}")));
    }
    let answer: Value =
        serde_json::from_slice(&message.payload).map_err(|error| failed(&error.to_string()))?;
    match &answer["error"] {
        Value::Null => Ok(()),
        error => Err(Refusal {
            code: error["err_code"].as_u64().unwrap_or_default(),
            ..failed(error["description"].as_str().unwrap_or_default())
        }),
    }
}
