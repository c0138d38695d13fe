//! The text column of a Parquet file.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::document_reader::DocumentReader;
use super::input_file::InputFile;
use crate::error::DataError;

/// Reads one document from each row; a row without a value is a document without text.
pub(super) struct ParquetColumn {
    path: PathBuf,
    column: String,
    rows: RowIter<'static>,
    row: u64,
    num_rows: u64,
    bytes: u64,
}

impl ParquetColumn {
    pub(super) fn open(file: &InputFile, column: &str) -> Result<Self, DataError> {
        let handle =
            File::open(&file.path).map_err(|source| DataError::read(&file.path, source))?;
        let reader = SerializedFileReader::new(handle)
            .map_err(|error| unreadable(file.path.clone(), &error))?;
        let metadata = reader.metadata().file_metadata();
        // Signed in the file format; a damaged file can contain a negative number.
        let num_rows = metadata.num_rows().max(0) as u64;
        let projection = projection(metadata.schema(), file, column)?;
        let rows = RowIter::from_file_into(Box::new(reader))
            .project(Some(projection))
            .map_err(|error| unreadable(file.path.clone(), &error))?;
        let (path, column) = (file.path.clone(), column.to_string());
        Ok(Self { path, column, rows, row: 0, num_rows, bytes: file.bytes })
    }

    fn text(&self, row: &Row) -> Result<String, DataError> {
        match row.get_column_iter().next() {
            Some((_, Field::Str(text))) => Ok(text.clone()),
            // Some writers store text without the annotation that marks it as UTF-8.
            Some((_, Field::Bytes(bytes))) => {
                String::from_utf8(bytes.data().to_vec()).map_err(|_| {
                    let found = format!("bytes that are not UTF-8 in row {}", self.row);
                    DataError::ColumnNotText {
                        path: self.path.clone(),
                        column: self.column.clone(),
                        found,
                    }
                })
            }
            _ => Ok(String::new()),
        }
    }
}

impl DocumentReader for ParquetColumn {
    fn next_document(&mut self) -> Result<Option<String>, DataError> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        let row = row.map_err(|error| unreadable(self.path.clone(), &error))?;
        self.row += 1;
        self.text(&row).map(Some)
    }

    fn bytes_read(&self) -> u64 {
        // The decoder does not report its position, so this assumes rows of equal size.
        (u128::from(self.bytes) * u128::from(self.row) / u128::from(self.num_rows.max(1))) as u64
    }
}

/// The schema of the text column alone; the decoder then skips all other columns.
fn projection(schema: &Type, file: &InputFile, column: &str) -> Result<Type, DataError> {
    let (path, column) = (file.path.clone(), column.to_string());
    let Some(field) = schema.get_fields().iter().find(|field| field.name() == column) else {
        let present = schema.get_fields().iter().map(|field| field.name().to_string()).collect();
        return Err(DataError::ColumnMissing { path, column, present });
    };
    if !field.is_primitive() {
        return Err(DataError::ColumnNotText { path, column, found: "nested".to_string() });
    }
    if field.get_physical_type() != PhysicalType::BYTE_ARRAY {
        let found = format!("of type {}", field.get_physical_type());
        return Err(DataError::ColumnNotText { path, column, found });
    }
    Type::group_type_builder(schema.name())
        .with_fields(vec![Arc::clone(field)])
        .build()
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: PathBuf, error: &ParquetError) -> DataError {
    DataError::Parquet { path, reason: error.to_string() }
}
