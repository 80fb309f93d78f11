//! Several requests at one time, where one after another would take too long.

use tokio::task::JoinSet;

/// Under way at one time.
const CALLERS: usize = 16;

/// Does all of it; the results are in the order of the work. An error of any is the result.
pub(crate) async fn together<T, W>(work: impl IntoIterator<Item = W>) -> Result<Vec<T>, String>
where
    T: Send + 'static,
    W: Future<Output = Result<T, String>> + Send + 'static,
{
    let (mut under_way, mut done) = (JoinSet::new(), Vec::new());
    for (number, one) in work.into_iter().enumerate() {
        if under_way.len() >= CALLERS
            && let Some(one) = under_way.join_next().await
        {
            done.push(one.map_err(|e| e.to_string())?);
        }
        under_way.spawn(async move { (number, one.await) });
    }
    done.extend(under_way.join_all().await);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_are_in_the_order_of_the_work_and_an_error_is_told() {
        let work = |bad: usize| {
            (0..100).map(move |number: usize| async move {
                for _ in 0..(100_usize.wrapping_mul(number) % 7) {
                    tokio::task::yield_now().await;
                }
                if number == bad { Err("bad".to_owned()) } else { Ok(number) }
            })
        };
        assert_eq!(together(work(100)).await.unwrap(), (0..100).collect::<Vec<_>>());
        assert_eq!(together(work(50)).await.unwrap_err(), "bad");
    }
}
