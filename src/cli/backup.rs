//! `bellwether backup` and `bellwether restore`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use super::check::Settings;
use super::{misused, print, runtime};
use crate::app;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::backup::Backup;

/// Write everything that is stored to one file, while the engine runs or not.
///
/// That is incidents, events, the outbox and whatever else people said or did; not the fitted models, which are fitted again. A
/// backup of either kind of store can be restored into the other.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  bellwether backup --data-dir /var/lib/bellwether --out bellwether.backup")]
pub struct BackupArgs {
    #[command(flatten)]
    settings: Settings,
    /// The file to write; one that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Put back what `bellwether backup` wrote.
///
/// The file is checked from its first to its last line before anything is changed. No engine may run on the store.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  bellwether restore --from bellwether.backup --data-dir /var/lib/bellwether")]
pub struct RestoreArgs {
    #[command(flatten)]
    settings: Settings,
    /// The file to read.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Replace the store that is there.
    #[arg(long)]
    force: bool,
}

/// Writes a backup and says what is in it.
///
/// # Errors
/// There is no store, or it cannot be read, or the file cannot be written.
pub fn backup(args: &BackupArgs, environment: impl Iterator<Item = (String, String)>, out: &mut impl Write) -> Result<()> {
    let config = args.settings.load(environment).map_err(misused)?;
    if args.out.is_dir() || args.out.file_name().is_none() {
        return Err(Error::invalid("--out", format!("{} is a directory; name a file in it", args.out.display())));
    }
    let file = app::store_file(&config);
    if config.store.is_none() && !file.is_file() {
        return Err(Error::invalid("--data-dir", format!("there is no store {}", file.display())));
    }
    let rows = runtime()?.block_on(async {
        let store = match &config.store {
            Some(database) => Store::connect_as_it_is(database).await?,
            None => Store::open_as_it_is(&file).await?,
        };
        let rows = store.backup(&args.out, Clock::System.now()).await;
        store.close().await;
        rows
    })?;
    print(out, &format!("wrote {}: {}\n", args.out.display(), counted(&rows)))
}

/// Restores a backup and says what was in it.
///
/// # Errors
/// The file is not whole, there is a store already, or an engine runs on it.
pub fn restore(args: &RestoreArgs, environment: impl Iterator<Item = (String, String)>, out: &mut impl Write) -> Result<()> {
    let config = args.settings.load(environment).map_err(misused)?;
    if !args.from.is_file() {
        return Err(Error::invalid("--from", format!("there is no file {}", args.from.display())));
    }
    let backup = Backup::open(&args.from)?;
    let file = app::store_file(&config);
    let place = if let Some(database) = &config.store {
        runtime()?.block_on(Store::restore_into(database, &backup, args.force))?;
        database.to_string()
    } else {
        let _lock = app::lock_data_dir(&config.data_dir)?;
        if file.exists() && !args.force {
            return Err(Error::invalid("--data-dir", format!("there is a store {} already; --force replaces it", file.display())));
        }
        runtime()?.block_on(Store::restore(&file, &backup))?;
        file.display().to_string()
    };
    let head = &backup.head;
    print(out, &format!("restored {place} as of {} (Bellwether {}): {}\n", head.created, head.version, counted(&backup.rows)))
}

/// The rows of each table.
fn counted(rows: &std::collections::BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (table, count) in rows {
        // Writing to a text cannot fail.
        let _ = write!(text, "{}{count} {}", if text.is_empty() { "" } else { ", " }, table.replace('_', " "));
    }
    text
}
