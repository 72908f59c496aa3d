//! Backups: everything that is stored in one file that either database can be restored from.
//!
//! A file is JSON, one object a line: a head with the schema's number, a row each with the name of its table, and a
//! foot with the number of rows and the SHA-256 of all lines before it. Fitted models are no part of it: they are fitted
//! again from Prometheus.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::any::AnyTypeInfoKind;
use sqlx::{AnyConnection, AssertSqlSafe, Column as _, Connection as _, Row as _, TypeInfo as _, ValueRef as _};

use super::open::{migrate, migrations, refused, schema, schema_of};
use super::{Dialect, Row, Store, TABLES};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};

/// What a file of ours begins with.
const FORMAT: &str = "bellwether-backup/1";
/// The longest line that is read: an incident has some kilobytes.
const LONGEST_LINE: u64 = 64 << 20;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The format of the file.
    format: String,
    /// The number of the schema that the rows have.
    pub schema: i64,
    /// The release that wrote it.
    pub version: String,
    /// When it was written, as RFC 3339 has it.
    pub created: String,
}

/// A row and where it belongs.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    table: String,
    row: Map<String, Value>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Foot {
    rows: BTreeMap<String, u64>,
    sha256: String,
}

/// A file that was found to be whole.
#[derive(Debug)]
pub struct Backup {
    file: File,
    path: String,
    /// What it says of itself.
    pub head: Head,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
}

impl Store {
    /// Writes everything that is stored at one instant to `path`, which others may go on writing meanwhile. The file
    /// takes the place of one that is there when it is whole. Gives the number of rows of each table.
    ///
    /// # Errors
    /// The store cannot be read, or the file cannot be written.
    pub async fn backup(&self, path: &Path, now: Timestamp) -> Result<BTreeMap<String, u64>> {
        let cannot = |e: std::io::Error| Error::new(Code::Unavailable, format!("cannot write {}", path.display())).caused_by(e);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let partial = folder.join(format!(".{}.partial", path.file_name().unwrap_or_default().to_string_lossy()));
        let written = async {
            let mut out = Hashing { out: BufWriter::new(private_file(&partial).map_err(cannot)?), hash: Sha256::new() };
            let rows = self.write_rows(&mut out, path, now).await?;
            let file = out.out.into_inner().map_err(|e| cannot(e.into_error()))?;
            file.sync_all().map_err(cannot)?;
            std::fs::rename(&partial, path).map_err(cannot)?;
            Ok(rows)
        };
        let written = written.await;
        if written.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        written
    }

    async fn write_rows(&self, out: &mut Hashing<impl Write>, path: &Path, now: Timestamp) -> Result<BTreeMap<String, u64>> {
        let cannot = |e: std::io::Error| Error::new(Code::Unavailable, format!("cannot write {}", path.display())).caused_by(e);
        let failed = |e| self.failed("read", e);
        let snapshot = match self.dialect {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let mut transaction = connection.begin_with(snapshot).await.map_err(failed)?;
        let schema = schema_of(&mut transaction, self.dialect, &self.place).await?;
        let head = Head { format: FORMAT.to_owned(), schema, version: env!("CARGO_PKG_VERSION").to_owned(), created: now.to_string() };
        line(out, &head).map_err(cannot)?;
        let mut rows = BTreeMap::new();
        for table in tables_of(&mut transaction, self.dialect).await.map_err(failed)? {
            let mut count = 0;
            let mut found = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch(&mut *transaction);
            while let Some(row) = found.try_next().await.map_err(failed)? {
                line(out, &Entry { table: table.to_owned(), row: object(&row).map_err(failed)? }).map_err(cannot)?;
                count += 1;
            }
            rows.insert(table.to_owned(), count);
        }
        let foot = Foot { rows: rows.clone(), sha256: hex::encode(out.hash.clone().finalize()) };
        line(out, &foot).map_err(cannot)?;
        out.out.flush().map_err(cannot)?;
        Ok(rows)
    }
}

impl Backup {
    /// Reads the whole file and finds out whether it is as it was written.
    ///
    /// # Errors
    /// A file that is not there, of another program, of a newer version, cut short, or changed.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|e| refused(format!("cannot read the backup {shown}")).caused_by(e))?;
        let broken = |why: &str| refused(format!("the backup {shown} {why}"));
        let mut lines = Lines { input: BufReader::new(&file), hash: Sha256::new(), path: &shown };
        let head: Option<Head> = lines.next()?.and_then(|line| serde_json::from_str(&line).ok());
        let head = head.filter(|head: &Head| head.format == FORMAT).ok_or_else(|| broken("is none that `bellwether backup` wrote"))?;
        if head.schema > schema() {
            return Err(broken(&format!(
                "was written by Bellwether {} (schema {}, this one knows up to {}); use that version",
                head.version,
                head.schema,
                schema()
            )));
        }
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        let foot = loop {
            let before = lines.hash.clone();
            let Some(line) = lines.next()? else { return Err(broken("is cut short: it has no last line")) };
            if let Ok(entry) = serde_json::from_str::<Entry>(&line) {
                *rows.entry(entry.table).or_default() += 1;
                continue;
            }
            let foot: Foot = serde_json::from_str(&line).map_err(|e| broken("has a line that cannot be read").caused_by(e))?;
            if foot.sha256 != hex::encode(before.finalize()) {
                return Err(broken("was changed after it was written: its checksum is another"));
            }
            break foot;
        };
        if lines.next()?.is_some() || foot.rows.iter().any(|(table, count)| rows.get(table).copied().unwrap_or_default() != *count) {
            return Err(broken("was changed after it was written: it has other rows than it says"));
        }
        Ok(Self { file, path: shown, head, rows: foot.rows })
    }

    /// Fills an empty database with the rows: the schema is first brought to theirs, and then to the present one.
    pub(super) async fn fill(&self, connection: &mut AnyConnection, dialect: Dialect, place: &str) -> Result<()> {
        let failed = |e| dialect.explain("write to", place, e);
        migrations(dialect)
            .run_to(self.head.schema, &mut *connection)
            .await
            .map_err(|e| refused(format!("cannot make the schema {} in the store {place}", self.head.schema)).caused_by(e))?;
        let truths = truths(connection, dialect).await.map_err(failed)?;
        let mut transaction = connection.begin().await.map_err(failed)?;
        let mut input = &self.file;
        input.rewind().map_err(|e| refused(format!("cannot read the backup {}", self.path)).caused_by(e))?;
        let mut lines = Lines { input: BufReader::new(input), hash: Sha256::new(), path: &self.path };
        while let Some(line) = lines.next()? {
            // Head and foot are no entries.
            if let Ok(entry) = serde_json::from_str::<Entry>(&line) {
                self.insert(&mut transaction, entry, &truths).await?.map_err(failed)?;
            }
        }
        transaction.commit().await.map_err(failed)?;
        migrate(connection, dialect, place).await
    }

    /// The outer error is the file's, the inner one the database's.
    async fn insert(&self, connection: &mut AnyConnection, entry: Entry, truths: &[(String, String)]) -> Result<sqlx::Result<()>> {
        let strange = |what: &str| refused(format!("the backup {} has a row of {what}, which this release does not know", self.path));
        // These become part of a statement.
        let Some(table) = TABLES.iter().find(|table| **table == entry.table) else { return Err(strange(&format!("`{}`", entry.table))) };
        let fields: Vec<(String, Value)> = entry.row.into_iter().filter(|(_, value)| !value.is_null()).collect();
        if let Some((name, _)) = fields.iter().find(|(name, _)| !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) {
            return Err(strange(&format!("`{table}` with the column `{name}`")));
        }
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let places: Vec<String> = (1..=fields.len()).map(|i| format!("${i}")).collect();
        let text = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
        let mut statement = sqlx::query(AssertSqlSafe(text));
        for (name, value) in fields {
            let is_truth = truths.iter().any(|(t, column)| t == table && *column == name);
            statement = match value {
                Value::String(text) => statement.bind(text),
                Value::Bool(truth) => statement.bind(truth),
                Value::Number(n) if is_truth => statement.bind(n.as_i64() != Some(0)),
                Value::Number(n) => match n.as_i64() {
                    Some(whole) => statement.bind(whole),
                    None => statement.bind(n.as_f64().unwrap_or(f64::NAN)),
                },
                _ => return Err(strange(&format!("`{table}` with a list or a map"))),
            };
        }
        Ok(statement.execute(connection).await.map(drop))
    }
}

/// The tables that are backed up and there in this schema.
async fn tables_of(connection: &mut AnyConnection, dialect: Dialect) -> sqlx::Result<Vec<&'static str>> {
    let found: Vec<String> = sqlx::query_scalar(match dialect {
        Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        Dialect::Postgres => "SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = current_schema()",
    })
    .fetch_all(connection)
    .await?;
    Ok(TABLES.into_iter().filter(|table| found.iter().any(|name| name == table)).collect())
}

/// Table and column of every truth value, where the database has such a type.
async fn truths(connection: &mut AnyConnection, dialect: Dialect) -> sqlx::Result<Vec<(String, String)>> {
    if dialect == Dialect::Sqlite {
        return Ok(Vec::new());
    }
    let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns
                   WHERE table_schema = current_schema() AND data_type = 'boolean'";
    sqlx::query_as(columns).fetch_all(connection).await
}

/// A row as JSON.
fn object(row: &Row) -> sqlx::Result<Map<String, Value>> {
    let mut object = Map::new();
    for (i, column) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(i)?;
        let kind = value.type_info().kind();
        let value = match kind {
            _ if value.is_null() => Value::Null,
            AnyTypeInfoKind::Text => row.try_get::<String, _>(i)?.into(),
            AnyTypeInfoKind::Bool => row.try_get::<bool, _>(i)?.into(),
            AnyTypeInfoKind::Real | AnyTypeInfoKind::Double => row.try_get::<f64, _>(i)?.into(),
            kind if kind.is_integer() => row.try_get::<i64, _>(i)?.into(),
            _ => {
                return Err(sqlx::Error::Protocol(format!(
                    "{} has the type {}, which no backup has",
                    column.name(),
                    value.type_info().name()
                )));
            }
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(object)
}

/// A new file that only its owner may read.
fn private_file(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn line(out: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Counts what is written into a checksum.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Reads lines and counts them into a checksum.
struct Lines<'a, R> {
    input: R,
    hash: Sha256,
    path: &'a str,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line without its end; `None` after the last.
    fn next(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        read.map_err(|e| refused(format!("cannot read the backup {}", self.path)).caused_by(e))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.hash.update(&bytes);
        if bytes.pop() != Some(b'\n') {
            return Err(refused(format!("the backup {} is cut short, or has a line of more than {LONGEST_LINE} bytes", self.path)));
        }
        String::from_utf8(bytes).map(Some).map_err(|e| refused(format!("the backup {} is no text", self.path)).caused_by(e))
    }
}
