//! The CPU pool: fitting and judging stay off the async threads.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::{Code, Error, Result};

/// Threads for work that computes.
#[derive(Clone, Debug)]
pub struct Pool(Arc<rayon::ThreadPool>);

impl Pool {
    /// A pool of `threads`; one for each core when 0.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("cpu-{i}")).build();
        pool.map(|pool| Self(Arc::new(pool))).map_err(|e| Error::new(Code::Internal, "cannot start the CPU pool").caused_by(e))
    }

    /// Runs `work` on the pool; a caller that goes away before it has begun saves the work.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || {
            if !sender.is_closed() {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                let _ = sender.send(result);
            }
        });
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) | Err(_) => Err(Error::new(Code::Internal, "an analysis panicked; this is a bug")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_pool_lives_on() {
        let pool = Pool::new(1).unwrap();
        let error = pool.run(|| -> i32 { panic!("boom") }).await.unwrap_err();
        assert_eq!(error.code, Code::Internal);
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
