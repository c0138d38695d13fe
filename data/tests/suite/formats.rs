//! The formats that can be read, and the errors about other files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use covey_data::error::DataError;
use covey_data::prepare::readers::InputFiles;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tempfile::TempDir;

use crate::fixture::{documents, message, write_json_lines};

struct Corpus {
    home: TempDir,
}

impl Corpus {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn read(&self, name: &str) -> Result<Vec<String>, DataError> {
        InputFiles::find(&[self.path(name)], "text")?.documents().collect()
    }

    fn error(&self, name: &str) -> String {
        message(&self.read(name).unwrap_err(), self.home.path())
    }
}

fn compressed(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

fn write_parquet(path: &Path, texts: &[Option<&str>]) {
    let schema = parse_message_type(
        "message rows { REQUIRED INT64 id; OPTIONAL BYTE_ARRAY text (STRING); }",
    )
    .unwrap();
    let mut writer = SerializedFileWriter::new(
        File::create(path).unwrap(),
        Arc::new(schema),
        Default::default(),
    )
    .unwrap();
    // Several row groups, to test the step from one to the next.
    for rows in texts.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut ids = group.next_column().unwrap().unwrap();
        ids.typed::<Int64Type>().write_batch(&vec![1; rows.len()], None, None).unwrap();
        ids.close().unwrap();
        let values: Vec<ByteArray> =
            rows.iter().flatten().map(|text| ByteArray::from(*text)).collect();
        let levels: Vec<i16> = rows.iter().map(|text| i16::from(text.is_some())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn every_format_gives_its_documents() {
    let lines =
        "{\"text\": \"one\"}\n\n{\"text\": null, \"x\": 1}\r\n{\"x\": [], \"text\": \"two\\n\"}";
    let corpus = Corpus::new()
        .with("a.txt", "\u{feff}whole\nfile\n")
        .with("b.txt.zst", compressed("whole\nfile"))
        .with("c.jsonl", lines)
        .with("d.jsonl.zst", compressed(lines))
        .with("e.JSON.zst", compressed(lines));
    assert_eq!(corpus.read("a.txt").unwrap(), ["whole\nfile\n"]);
    assert_eq!(corpus.read("b.txt.zst").unwrap(), ["whole\nfile"]);
    for name in ["c.jsonl", "d.jsonl.zst", "e.JSON.zst"] {
        assert_eq!(corpus.read(name).unwrap(), ["one", "", "two\n"]);
    }
}

#[test]
fn parquet_columns_give_their_rows() {
    let corpus = Corpus::new();
    write_parquet(
        &corpus.path("a.parquet"),
        &[Some("one"), None, Some("drei ß"), Some("four"), Some("five")],
    );
    assert_eq!(corpus.read("a.parquet").unwrap(), ["one", "", "drei ß", "four", "five"]);
}

#[test]
fn folders_are_read_in_order_and_other_files_are_counted() {
    let corpus = Corpus::new()
        .with("in/b.txt", "third")
        .with("in/a/z.txt", "second")
        .with("in/a/b.txt", "first")
        .with("in/README.md", "not read")
        .with("in/.hidden.txt", "not read");
    let inputs = InputFiles::find(&[corpus.path("in")], "text").unwrap();
    let documents: Result<Vec<_>, _> = inputs.documents().collect();
    assert_eq!(documents.unwrap(), ["first", "second", "third"]);
    assert_eq!((inputs.num_files(), inputs.skipped(), inputs.bytes()), (3, 2, 16));
}

#[test]
fn the_builtin_corpus_is_an_input() {
    assert_eq!(
        InputFiles::embedded()
            .documents()
            .map(|text| text.unwrap().len())
            .filter(|length| *length > 0)
            .count(),
        371
    );
}

#[test]
fn bytes_read_grow_to_the_size_of_the_inputs() {
    let corpus = Corpus::new();
    write_json_lines(&corpus.path("a.jsonl"), &documents(50));
    let inputs = InputFiles::find(&[corpus.path("a.jsonl")], "text").unwrap();
    let mut reader = inputs.documents();
    assert!(reader.by_ref().all(|text| text.is_ok()));
    assert_eq!(reader.bytes_read(), inputs.bytes());
}

#[test]
fn errors_name_the_file_and_the_place() {
    let corpus = Corpus::new()
        .with("notes.md", "text")
        .with("latin.txt", b"caf\xe9 noir")
        .with("latin.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xe9\"}\n")
        .with("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")
        .with("list.jsonl", "[1, 2]\n")
        .with("other.jsonl", "{\"title\": \"a\", \"body\": \"b\"}\n")
        .with("number.jsonl", "\n\n{\"text\": 12}\n")
        .with("bad.parquet", "no parquet at all");
    assert_eq!(corpus.error("nowhere.txt"), "HOME/nowhere.txt does not exist");
    assert_eq!(corpus.error("notes.md"), "unknown format of HOME/notes.md");
    assert_eq!(corpus.error("latin.txt"), "HOME/latin.txt is not UTF-8 at byte 3");
    assert_eq!(corpus.error("latin.jsonl"), "HOME/latin.jsonl is not UTF-8 at byte 24");
    let broken =
        "HOME/broken.jsonl line 2 is not a JSON object: EOF while parsing a value at column 8";
    assert_eq!(corpus.error("broken.jsonl"), broken);
    assert!(
        corpus.error("list.jsonl").starts_with("HOME/list.jsonl line 1 is not a JSON object: ")
    );
    assert_eq!(
        corpus.error("other.jsonl"),
        "HOME/other.jsonl line 1 has no field `text`, only `title`, `body`"
    );
    assert_eq!(
        corpus.error("number.jsonl"),
        "HOME/number.jsonl line 3: field `text` is a number, not text"
    );
    assert!(corpus.error("bad.parquet").starts_with("cannot read Parquet file HOME/bad.parquet: "));
}

#[test]
fn parquet_errors_name_the_columns() {
    let corpus = Corpus::new();
    let path = corpus.path("a.parquet");
    write_parquet(&path, &[Some("one")]);
    let error_for = |column: &str| {
        let inputs = InputFiles::find(std::slice::from_ref(&path), column).unwrap();
        let error = inputs.documents().next().unwrap().unwrap_err();
        assert!(error.hint().is_some());
        message(&error, corpus.home.path())
    };
    assert_eq!(error_for("body"), "HOME/a.parquet has no column `body`, only `id`, `text`");
    assert_eq!(error_for("id"), "column `id` of HOME/a.parquet is of type INT64, not text");
}

#[test]
fn truncated_files_are_errors() {
    let corpus = Corpus::new().with("cut.txt.zst", &compressed(&"many words ".repeat(1000))[..20]);
    assert!(matches!(corpus.read("cut.txt.zst"), Err(DataError::Read { .. })));
    let path = corpus.path("cut.parquet");
    write_parquet(&path, &[Some("one")]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert!(matches!(corpus.read("cut.parquet"), Err(DataError::Parquet { .. })));
}
