//! Accepts clients, but not too many at a time.

use std::{collections::VecDeque, future::Future, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::sleep,
};

/// Maximum number of concurrent clients. A further one replaces the oldest, because a proper request takes no time.
const CLIENTS: usize = 64;
/// Pause after a problem.
const PAUSE: Duration = Duration::from_secs(1);

/// Has `serve` answer each client.
pub async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    let mut clients: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        // A passing problem, for instance that no descriptors are left.
        let Ok((client, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        clients.retain(|client| !client.is_finished());
        if clients.len() >= CLIENTS
            && let Some(oldest) = clients.pop_front()
        {
            oldest.abort();
        }
        clients.push_back(tokio::spawn(serve(client)).abort_handle());
    }
}
