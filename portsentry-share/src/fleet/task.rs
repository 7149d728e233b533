//! Waits for tasks.

use std::future::pending;

use tokio::task::JoinHandle;

/// Waits for the end of a task, or for ever without one. Returns `None` if it panicked.
pub(super) async fn ended<T>(task: Option<&mut JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => pending().await,
    }
}
