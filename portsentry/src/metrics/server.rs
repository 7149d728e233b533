//! Answers HTTP on a separate thread, so that no client delays the ring or the files.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, runtime, sync::oneshot, time::sleep};

use super::{exposition, format::Format, prometheus_text, stats::Stats};
use crate::{
    http::{self, Answer, Request, Site},
    policy::trouble::{News, Trouble},
};

const SITE: Site = Site { paths: "/metrics and /healthz", patience: Duration::from_secs(2) };
/// Pause before the next attempt to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// The HTTP server, according to the last configuration.
#[derive(Debug, Default)]
pub struct Server {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Listens only at `address` from now on. A listener that is already there stays open.
    pub fn follow(&mut self, address: Option<SocketAddr>, stats: &Arc<Stats>) {
        if self.running.as_ref().map(|running| running.address) == address {
            return;
        }
        self.running = None;
        let started = address.map(|address| Running::start(address, Arc::clone(stats))).transpose();
        match started {
            Ok(running) => self.running = running,
            Err(error) => stats.report(format!("ERROR: starting a thread for METRICS_LISTEN: {error}")),
        }
    }
}

impl Running {
    fn start(address: SocketAddr, stats: Arc<Stats>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("metrics".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listen(address, &stats) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread's next step is short, and ends it. A panic has already been printed.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

async fn listen(address: SocketAddr, stats: &Arc<Stats>) {
    let mut trouble = Trouble::default();
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                if let Some(News::Begun(error)) = trouble.note(Some(error.to_string())) {
                    stats.report(format!("ERROR: METRICS_LISTEN {address}: {error}; retrying"));
                }
            }
        }
        sleep(PAUSE).await;
    };
    stats.report(format!("Metrics are at http://{address}/metrics"));
    accept(&listener, stats).await;
}

async fn accept(listener: &TcpListener, stats: &Arc<Stats>) {
    http::accept(listener, |client| {
        let stats = Arc::clone(stats);
        // A client that disconnects, or is disconnected, needs no message.
        async move { drop(http::serve(client, SITE, |request| page(request, &stats)).await) }
    })
    .await;
}

fn page(request: &Request<'_>, stats: &Stats) -> Option<Answer> {
    let now = Instant::now();
    match request.path {
        "/metrics" => {
            let format = Format::negotiate(&request.header("accept").unwrap_or_default());
            let metrics = exposition::render(&stats.copy(), now);
            let text = match format {
                Format::OpenMetrics => metrics,
                Format::Prometheus => prometheus_text::from_open_metrics(&metrics),
            };
            let media = format.media();
            let headers = format!("Content-Type: {media}\r\nCache-Control: no-store\r\nVary: Accept\r\n");
            Some(Answer { status: "200 OK", headers, text: text.into() })
        }
        "/healthz" => Some(match stats.copy().trouble(now) {
            None => Answer::words("200 OK", "ok"),
            Some(trouble) => Answer::words("503 Service Unavailable", trouble),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use super::*;
    use crate::metrics::Snapshot;

    fn free_port() -> SocketAddr {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    /// Waits for news.
    fn news(stats: &Stats) -> Vec<String> {
        loop {
            let news = stats.news();
            if !news.is_empty() {
                return news;
            }
            thread::yield_now();
        }
    }

    fn get(address: SocketAddr, path: &str) -> String {
        ask(address, path, "")
    }

    fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_answers_where_it_is_told_to() {
        let stats = Arc::new(Stats::default());
        let mut server = Server::default();
        let first = free_port();
        server.follow(Some(first), &stats);
        assert_eq!(news(&stats), [format!("Metrics are at http://{first}/metrics")]);
        assert!(get(first, "/healthz").starts_with("HTTP/1.1 503 "));
        stats.show(Snapshot { attached: vec!["eth0".into()], ..Snapshot::default() });
        assert!(get(first, "/healthz").ends_with("\r\n\r\nok\n"));
        assert!(get(first, "/metrics").contains("\nportsentry_healthy 1\n"));
        let second = free_port();
        server.follow(Some(second), &stats);
        news(&stats);
        assert!(TcpStream::connect(first).is_err());
        let open = ask(second, "/metrics", "Accept: application/openmetrics-text;q=0.5,*/*;q=0.1\r\n");
        assert!(open.ends_with("# EOF\n") && open.contains("\r\nVary: Accept\r\n"), "{open}");
        assert!(
            open.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
        );
        let plain = get(second, "/metrics");
        assert!(plain.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{plain}");
        assert!(
            !plain.contains("# EOF") && plain.contains("\n# TYPE portsentry_lifted_sources_total counter\n")
        );
        server.follow(None, &stats);
        assert!(TcpStream::connect(second).is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_told_once_and_tried_again() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let stats = Arc::new(Stats::default());
        let mut server = Server::default();
        server.follow(Some(address), &stats);
        let told = news(&stats);
        assert!(told.len() == 1 && told[0].contains("retrying"), "{told:?}");
        drop(taken);
        assert_eq!(news(&stats), [format!("Metrics are at http://{address}/metrics")]);
        server.follow(None, &stats);
    }
}
