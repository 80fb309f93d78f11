//! The proof that sled syncs, in a process of its own: once denied, `sync_file_range` stays denied.

#[cfg(test)]
mod tests {
    use sigillo::store::{
        durable::{deny_sync_file_range, is_denied},
        sled::{Config, Missing, OpenError, open},
    };

    #[test]
    fn a_store_opens_only_where_writes_are_durable() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { missing: Missing::Create, ..Config::new(dir.path().join("store")) };

        assert!(!is_denied());
        let refused = open(&config).err().unwrap();
        assert!(matches!(refused, OpenError::Durability { .. }), "{refused}");
        assert!(!config.dir.exists(), "nothing is made before the proof");

        let (started, wait) = std::sync::mpsc::channel::<()>();
        let older_thread = std::thread::spawn(move || {
            wait.recv().unwrap();
            is_denied()
        });
        deny_sync_file_range().unwrap();
        deny_sync_file_range().unwrap();
        assert!(is_denied());
        started.send(()).unwrap();
        assert!(older_thread.join().unwrap(), "threads that ran before are bound too");
        assert!(std::thread::spawn(is_denied).join().unwrap(), "and those that come after");

        open(&config).unwrap();
    }
}
