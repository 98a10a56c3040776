//! The simplest way for nodes to talk: one question, one answer, one connection. The same code in both worlds.

use crate::net::{TcpListener, TcpStream};
use crate::task;
use crate::time::timeout;
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What `node` answers at `port`; none where no whole answer comes within `patience`. The node may have heard the question
/// all the same.
///
/// ```
/// # extern crate hogwash_sim as sim;
/// use std::time::Duration;
///
/// let answer = sim::world::alone(7, async {
///     sim::task::spawn(sim::talk::answer(7, |question| async move { [question, b"!".to_vec()].concat() }));
///     sim::task::yield_now().await;
///     sim::talk::ask("node-1", 7, b"ready", Duration::from_secs(1)).await
/// });
/// assert_eq!(answer.unwrap(), b"ready!");
/// ```
pub async fn ask(node: &str, port: u16, question: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let asked = timeout(patience, async {
        let mut stream = TcpStream::connect(node, port).await?;
        stream.write_all(question).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    });
    // A process that ends while it answers leaves an empty one, which no answer is.
    asked.await.ok()?.ok().filter(|answer| !answer.is_empty())
}

/// Answers all that is asked at `port`, each question in a task of its own.
///
/// # Errors
/// Where the port is taken or fails; otherwise it does not return.
pub async fn answer<F>(port: u16, answer: impl Fn(Vec<u8>) -> F + Send + Sync + 'static) -> io::Result<()>
where
    F: Future<Output: Into<Bytes>> + Send + 'static,
{
    let listener = TcpListener::bind(port).await?;
    let answer = Arc::new(answer);
    loop {
        let (mut stream, _) = listener.accept().await?;
        let answer = answer.clone();
        task::spawn(async move {
            let mut question = Vec::new();
            if stream.read_to_end(&mut question).await.is_ok() {
                // Who asked may be gone by now.
                let _ = stream.write_all(&answer(question).await.into()).await;
            }
        });
    }
}
