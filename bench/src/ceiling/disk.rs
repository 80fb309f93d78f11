//! The disk alone: append a batch, `fdatasync`, and again.

use std::{fs::OpenOptions, io::Write, path::Path, time::Duration};

use sigillo::clock::{Clock, SystemClock};

use crate::number::{count, float, per};

/// Appends of `batch` bytes that are durable, a second, to a file of its own in `directory`, which is removed.
pub(crate) fn measure(directory: &Path, batch: usize, time: Duration) -> Result<f64, String> {
    let path = directory.join("bench-disk.tmp");
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fault)?;
    let measured = append(&mut file, batch, time).map_err(fault);
    std::fs::remove_file(&path).map_err(fault)?;
    measured
}

fn append(file: &mut std::fs::File, batch: usize, time: Duration) -> std::io::Result<f64> {
    let (bytes, clock) = (vec![0xa5; batch.max(1)], SystemClock::new());
    let start = clock.uptime();
    let mut done = 0_usize;
    loop {
        file.write_all(&bytes)?;
        file.sync_data()?;
        done = done.saturating_add(1);
        let took = clock.uptime().saturating_sub(start);
        if took >= time {
            return Ok(per(float(count(done)), took.as_secs_f64()).unwrap_or(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leaves_nothing_behind_and_takes_no_file_of_others() {
        let directory = std::env::temp_dir().join(format!("sigillo-bench-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        assert!(measure(&directory, 4096, Duration::ZERO).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::write(directory.join("bench-disk.tmp"), "mine").unwrap();
        measure(&directory, 4096, Duration::ZERO).unwrap_err();
        assert_eq!(std::fs::read(directory.join("bench-disk.tmp")).unwrap(), b"mine");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
