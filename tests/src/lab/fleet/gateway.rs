//! A gateway whose daemon is the test: it tells the companion what a daemon would, and hears what the companion says.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::IpAddr,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Fleet, Process, wait_until};
use crate::lab::companion::{block, line, now};

/// What a companion has said.
#[derive(Debug, Default)]
pub struct Words {
    /// The moment at which a gateway's block of a source arrived first.
    pub blocks: BTreeMap<(String, IpAddr), Instant>,
    /// The lifts and exemptions.
    pub others: Vec<Value>,
    /// The gateways' beats, with the numbers of them.
    pub beats: BTreeMap<String, u64>,
    /// The last report.
    pub report: Value,
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway<'f> {
    fleet: &'f Fleet,
    index: usize,
    name: String,
    socket: PathBuf,
    words: Arc<Mutex<Words>>,
    /// The connection to the companion.
    stream: Arc<Mutex<Option<UnixStream>>>,
    companion: Option<Process>,
    /// Blocks that are told to each companion that joins.
    state: Arc<Mutex<Vec<Value>>>,
}

impl<'f> Gateway<'f> {
    pub(super) fn new(fleet: &'f Fleet, index: usize, name: &str) -> Self {
        let socket = fleet.files.path().join(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).expect("a socket");
        let mut gateway = Self {
            fleet,
            index,
            name: name.into(),
            socket,
            words: Arc::default(),
            stream: Arc::default(),
            companion: None,
            state: Arc::default(),
        };
        gateway.listen(listener);
        gateway.start();
        gateway
    }

    fn listen(&self, listener: UnixListener) {
        let (words, stream, state) =
            (Arc::clone(&self.words), Arc::clone(&self.stream), Arc::clone(&self.state));
        let name = self.name.clone();
        thread::spawn(move || {
            while let Ok((mut accepted, _)) = listener.accept() {
                // Words and the end of the connection wait: each belongs to the state that is told, or to the connection.
                let mut stream = lock(&stream);
                let hello = json!({"word": "hello", "v": 1, "gateway": name, "version": "test"});
                let blocks = lock(&state).clone();
                let told = blocks.chunks(200).map(|some| {
                    json!({"v": 1, "word": "block", "gateway": name, "state": true, "said": 1, "blocks": some})
                });
                let synced = json!({"word": "synced", "v": 1});
                let lines: Vec<String> =
                    [hello].into_iter().chain(told).chain([synced]).map(|word| format!("{word}\n")).collect();
                let text = lines.concat();
                let reading = accepted.try_clone().expect("a stream");
                let words = Arc::clone(&words);
                thread::spawn(move || hear(reading, &words));
                // The companion may have been killed.
                let _ = accepted.write_all(text.as_bytes());
                *stream = Some(accepted);
            }
        });
    }

    /// Starts the companion.
    pub fn start(&mut self) {
        self.companion = Some(self.fleet.start_companion(self.index, &self.socket));
    }

    /// Kills the companion.
    pub fn kill(&mut self) {
        self.companion = None;
    }

    /// Ends the connection, as a daemon that restarts does.
    pub fn restart_daemon(&self) {
        let mut stream = lock(&self.stream);
        if let Some(stream) = stream.take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        self.clear();
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells the companion a word.
    pub fn tell(&self, word: Value) {
        self.tell_in(lock(&self.stream).as_mut(), word);
    }

    fn tell_in(&self, stream: Option<&mut UnixStream>, mut word: Value) {
        word["gateway"] = self.name.clone().into();
        if let Some(stream) = stream {
            // A companion that has been killed is told when it joins.
            let _ = stream.write_all(line(word).as_bytes());
        }
    }

    /// Tells the companion that it blocks a source, for an hour from now on. Returns the moment.
    pub fn block(&self, source: IpAddr) -> Instant {
        let block = block(source, now(), now() + 3_600_000);
        let mut stream = lock(&self.stream);
        lock(&self.state).push(block.clone());
        let told = Instant::now();
        self.tell_in(stream.as_mut(), json!({"word": "block", "said": now(), "blocks": [block]}));
        told
    }

    /// Tells the companion that it blocks sources, for an hour from now on, and forgets them.
    pub fn block_all(&self, sources: &[IpAddr]) {
        self.tell_line(&self.line(sources));
    }

    /// Returns the line that tells the companion so.
    pub fn line(&self, sources: &[IpAddr]) -> String {
        let blocks: Vec<Value> =
            sources.iter().map(|source| block(*source, now(), now() + 3_600_000)).collect();
        line(json!({"word": "block", "gateway": self.name, "said": now(), "blocks": blocks}))
    }

    /// Tells the companion a word that has been written before.
    pub fn tell_line(&self, line: &str) {
        if let Some(stream) = lock(&self.stream).as_mut() {
            stream.write_all(line.as_bytes()).expect("the companion reads");
        }
    }

    /// Has it block sources before a companion joins.
    pub fn block_silently(&self, sources: &[IpAddr]) {
        let blocks = sources.iter().map(|source| block(*source, now(), now() + 3_600_000));
        lock(&self.state).extend(blocks);
    }

    /// Calls `look` with what its companion has said.
    pub fn heard<T>(&self, look: impl Fn(&Words) -> T) -> T {
        look(&lock(&self.words))
    }

    /// Forgets what its companion has said.
    pub fn clear(&self) {
        *lock(&self.words) = Words::default();
    }

    /// Waits until it has heard of a gateway's block. Returns the moment of the arrival.
    pub fn wait_for(&self, gateway: &str, source: IpAddr) -> Instant {
        let key = (gateway.to_owned(), source);
        let arrived = || self.heard(|words| words.blocks.get(&key).copied());
        wait_until(&format!("{} hears that {gateway} blocks {source}", self.name), || arrived().is_some());
        arrived().expect("it has arrived")
    }

    /// Waits until it has heard all of these blocks of a gateway.
    pub fn wait_for_all(&self, gateway: &str, sources: &[IpAddr]) {
        let has = |words: &Words| {
            sources.iter().filter(|source| words.blocks.contains_key(&(gateway.to_owned(), **source))).count()
        };
        wait_until(&format!("{} hears {} blocks of {gateway}", self.name, sources.len()), || {
            self.heard(has) == sources.len()
        });
    }

    /// Waits until what the companion has said satisfies a condition.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Words) -> bool) {
        wait_until(what, || self.heard(&holds));
    }

    /// Waits until beats of a gateway arrive, from now on.
    pub fn wait_for_beat(&self, gateway: &str) {
        let count = || self.heard(|words| words.beats.get(gateway).copied().unwrap_or_default());
        let before = count();
        wait_until(&format!("{} hears {gateway}'s beats", self.name), || count() > before);
    }

    /// Waits until the companion is connected to this number of servers, and all its words are stored.
    pub fn wait_until_ready(&self, servers: usize) {
        wait_until(&format!("{} is connected to {servers} servers", self.name), || {
            let report = self.heard(|words| words.report.clone());
            let connected = report["servers"].as_array().into_iter().flatten();
            connected.filter(|server| server["connected"] == true).count() == servers
        });
    }

    /// Returns the longest time between the words and their arrival.
    pub fn longest(&self, gateway: &str, told: &[(IpAddr, Instant)]) -> Duration {
        let late = told.iter().map(|(source, told)| self.wait_for(gateway, *source).duration_since(*told));
        late.max().unwrap_or_default()
    }
}

fn hear(stream: UnixStream, words: &Mutex<Words>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let arrived = Instant::now();
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let mut words = lock(words);
        let gateway = said["gateway"].as_str().unwrap_or_default().to_owned();
        match said["word"].as_str() {
            Some("block") => {
                for block in said["blocks"].as_array().into_iter().flatten() {
                    let source =
                        block["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
                    words.blocks.entry((gateway.clone(), source)).or_insert(arrived);
                }
            }
            Some("beat") => *words.beats.entry(gateway).or_default() += 1,
            Some("report") => words.report = said,
            _ => words.others.push(said),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
