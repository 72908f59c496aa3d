//! The backtest over files: every CSV and Parquet file of a folder through the live code, row by row.

pub mod agreement;
mod one;
mod scores;
#[cfg(test)]
mod tests;
mod totals;
mod track;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::input::labels::Labels;
use super::input::{Input, find};
use super::picture::Gallery;
use super::report::{self, Beside};
use super::summary::{Failure, Picture, RunSettings, Summary};
use crate::clock::DurationMs;
use crate::error::{Code, Error, Result, Violation};
use crate::source::file::Reader;
use one::{Done, Job, Terms};

/// Files that are worked on at once, at most.
const AT_ONCE: usize = 16;
/// Paths whose labels fit no file, that are told.
const MOST_UNUSED: usize = 5;

/// What is judged, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The folder of files, or one file.
    pub data: PathBuf,
    /// Where the results belong; it is made if it is not there.
    pub out: PathBuf,
    /// A file of labels.
    pub labels: Option<PathBuf>,
    /// False alerts accepted per day over all files together.
    pub per_day: f64,
    /// How much history a model learns from.
    pub window: DurationMs,
    /// How long a model serves.
    pub refit: DurationMs,
}

/// Is told how far a backtest is. Several threads tell it at once.
pub trait Progress: Sync {
    /// So many bytes in so many files are to be read.
    fn begins(&self, files: usize, bytes: u64);
    /// So many bytes more are read.
    fn read(&self, bytes: u64);
    /// The file of this name is done.
    fn done(&self, name: &str);
}

/// What came of a backtest.
#[derive(Debug)]
pub struct Backtest {
    /// What is told of it.
    pub summary: Summary,
    /// Pictures of the files with the most alerts, in order of their names.
    pub pictures: Vec<Picture>,
}

/// Judges every file of `plan`, and writes `scores/…`, `summary.json` and `report.html`. A file that cannot be read is named in the
/// summary and holds up no other.
///
/// # Errors
/// There is nothing to judge, no file can be read, the labels are wrong, or the results cannot be written.
pub fn run(plan: &Plan, progress: &dyn Progress) -> Result<Backtest> {
    if !(plan.per_day > 0.0 && plan.per_day <= 1e5) {
        return Err(Error::invalid("--per-day", format!("{} is not between 0 and 100000", plan.per_day)));
    }
    let scores = plan.out.join("scores");
    let inputs = find(&plan.data, &scores)?;
    let labels = plan.labels.as_deref().map(|path| Labels::read(path, &inputs)).transpose()?.unwrap_or_default();
    let make = |folder: &Path| {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::invalid("--out", format!("the folder {} cannot be made", folder.display())).caused_by(e))
    };
    make(&scores)?;
    let (good, mut failed) = opened(&inputs);
    progress.begins(good.len(), good.iter().map(|(_, bytes)| bytes).sum());
    let terms = Terms { per_day: plan.per_day, files: good.len(), window: plan.window, refit: plan.refit, slice: None };
    let jobs: Vec<Work> = good.iter().map(|(input, bytes)| Work { input, scores: scores.join(input.scores()), bytes: *bytes }).collect();
    let (mut done, pictures) = judged(&jobs, &labels, &terms, progress, &mut failed)?;
    if done.is_empty() {
        let violation = |failure: Failure| Violation { field: failure.path, description: failure.reason };
        return Err(Error::violations(failed.into_iter().map(violation).collect()));
    }
    failed.sort_by(|a, b| a.path.cmp(&b.path));
    done.sort_by(|a, b| a.summary.path.cmp(&b.summary.path));
    let totals = totals::totals(&done, plan.per_day);
    let warnings: Vec<String> = unused(&labels.unused).into_iter().collect();
    let settings = RunSettings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: plan.data.display().to_string(),
        labels: plan.labels.as_ref().map(|path| path.display().to_string()),
        budget_per_day: plan.per_day,
        window: plan.window,
        refit: plan.refit,
        event_delay: agreement::EVENT_DELAY,
    };
    let summary = Summary { settings, totals, series: done.into_iter().map(|done| done.summary).collect(), failed, warnings };
    let text = serde_json::to_string_pretty(&summary).map_err(|e| Error::new(Code::Internal, "the summary has no form").caused_by(e))?;
    for (name, text) in [("summary.json", text + "\n"), ("report.html", report::html(&summary, &pictures, &Beside::default()))] {
        let path = plan.out.join(name);
        std::fs::write(&path, text)
            .map_err(|e| Error::new(Code::Unavailable, format!("{} cannot be written", path.display())).caused_by(e))?;
    }
    Ok(Backtest { summary, pictures })
}

/// What to say of the `paths` whose labels fit no file.
fn unused(paths: &[String]) -> Option<String> {
    let named = paths.iter().take(MOST_UNUSED).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    match paths.len() {
        0 => None,
        n if n <= MOST_UNUSED => Some(format!("the labels of {named} fit no file and are not used")),
        n => Some(format!("the labels of {n} paths fit no file and are not used: {named} and {} more", n - MOST_UNUSED)),
    }
}

/// A file to be judged.
struct Work<'a> {
    input: &'a Input,
    scores: PathBuf,
    bytes: u64,
}

/// What came of the files by now.
#[derive(Default)]
struct Results<'a> {
    done: Vec<(&'a Input, Result<Done>)>,
    gallery: Gallery,
    /// Rows that are measured together.
    measured: usize,
}

/// The files that are worth judging, with their sizes, and what is wrong with the others.
fn opened(inputs: &[Input]) -> (Vec<(&Input, u64)>, Vec<Failure>) {
    let (mut good, mut failed) = (Vec::new(), Vec::new());
    for input in inputs {
        match guarded(input, || Reader::open(&input.path).map(|reader| reader.bytes())) {
            Ok(bytes) => good.push((input, bytes)),
            Err(error) => failed.push(failure(input, &error)),
        }
    }
    (good, failed)
}

/// Works the files off, several at once, and adds those that turn out to be unreadable to `failed`.
///
/// # Errors
/// The first failure that is not a file's own.
fn judged(
    jobs: &[Work],
    labels: &Labels,
    terms: &Terms,
    progress: &dyn Progress,
    failed: &mut Vec<Failure>,
) -> Result<(Vec<Done>, Vec<Picture>)> {
    let results = Mutex::new(Results::default());
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        while let Some(work) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !stopped.load(Ordering::Relaxed)) {
            let input = work.input;
            let mut told = 0;
            let mut tell = |share: f64| {
                let read = (share * work.bytes as f64) as u64;
                progress.read(read.saturating_sub(told));
                told = told.max(read);
            };
            let job = Job { input, scores: &work.scores, windows: labels.of(&input.name), terms };
            let mut result = guarded(input, || job.run(&mut tell));
            tell(1.0);
            let own = |error: &Error| matches!(error.code, Code::InvalidArgument | Code::ResourceExhausted);
            if result.as_ref().is_err_and(|error| !own(error)) {
                stopped.store(true, Ordering::Relaxed);
            }
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(done) = &mut result {
                done.picture.take().into_iter().for_each(|picture| results.gallery.hang(picture));
                results.measured += done.measured.as_ref().map_or(0, |measured| measured.scores.len());
            }
            results.done.push((input, result));
            // More rows than are measured at one threshold: what they would be measured by is let go.
            if results.measured > agreement::MOST_ROWS {
                results.done.iter_mut().filter_map(|(_, done)| done.as_mut().ok()).for_each(|done| done.measured = None);
            }
            progress.done(&input.name);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads().clamp(1, AT_ONCE).min(jobs.len()) {
            scope.spawn(worker);
        }
    });
    let Results { done: results, gallery, .. } = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut done = Vec::with_capacity(results.len());
    for (input, result) in results {
        match result {
            Ok(one) => done.push(one),
            Err(error) if matches!(error.code, Code::InvalidArgument | Code::ResourceExhausted) => failed.push(failure(input, &error)),
            Err(error) => return Err(error),
        }
    }
    Ok((done, gallery.pictures()))
}

/// What `of` gives; a damaged file that makes a library panic is a file that cannot be read.
fn guarded<T>(input: &Input, of: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(of))
        .unwrap_or_else(|_| Err(Error::invalid("file", format!("{} makes its reader fail; it may be damaged", input.path.display()))))
}

/// The failure without the path, which stands beside it.
fn failure(input: &Input, error: &Error) -> Failure {
    let chain = error.chain();
    let reason = chain.strip_prefix("file: ").unwrap_or(&chain);
    let reason = reason.strip_prefix(&*input.path.to_string_lossy()).unwrap_or(reason);
    Failure { path: input.name.clone(), reason: reason.trim_start().to_owned() }
}
