//! A disk without free space.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use covey_data::dataset::Dataset;
use covey_data::error::DataError;
use covey_data::io::{DurableWrite, FileSystem, WriteTarget};
use covey_data::prepare::Pipeline;
use covey_data::prepare::readers::InputFiles;

use crate::fixture::{
    NO_STOP, TOKENIZER, contents, documents, message, small_shards, write_json_lines,
};

/// A disk with a limited number of free bytes.
struct SmallDisk {
    left: Arc<AtomicI64>,
}

struct SmallFile {
    file: File,
    left: Arc<AtomicI64>,
}

impl WriteTarget for SmallDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DurableWrite>> {
        Ok(Box::new(SmallFile { file: File::create(path)?, left: self.left.clone() }))
    }
}

impl Write for SmallFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left.fetch_sub(bytes.len() as i64, Ordering::Relaxed) < bytes.len() as i64 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DurableWrite for SmallFile {
    fn make_durable(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[test]
fn a_full_disk_is_reported_and_no_folder_looks_finished() {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("in.jsonl");
    write_json_lines(&input, &documents(100));
    let inputs = InputFiles::find(&[input], "text").unwrap();
    let run = |folder: &Path, disk: &dyn WriteTarget| {
        let preparation = Pipeline {
            options: small_shards(),
            disk,
            ..Pipeline::new(&inputs, &TOKENIZER, folder)
        };
        preparation.run(&mut (), &NO_STOP)
    };
    let complete = home.path().join("complete");
    run(&complete, &FileSystem).unwrap();
    let mut messages = Vec::new();
    for free in (0..40_000).step_by(1500) {
        let folder = home.path().join(format!("free-{free}"));
        let disk = SmallDisk { left: Arc::new(AtomicI64::new(free)) };
        let Err(error) = run(&folder, &disk) else { continue };
        assert!(matches!(error, DataError::DiskFull { .. }) && error.hint().is_some());
        messages.push(message(&error, &folder));
        assert!(matches!(Dataset::open(&folder), Err(DataError::ManifestMissing { .. })));
        run(&folder, &FileSystem).unwrap();
        assert_eq!(contents(&folder), contents(&complete), "continued with more space");
    }
    assert!(
        messages.contains(&"disk full while writing HOME/tokenizer.json".to_string()),
        "{messages:?}"
    );
    assert!(
        messages.contains(&"disk full while writing HOME/train-00001.safetensors".to_string()),
        "{messages:?}"
    );
}
