//! Fitted models on disk: one file a series, and a manifest that says what each of them is.
//!
//! A file is `BELLWETHER-MODEL\n`, the format version as four little-endian bytes, then the series and
//! its model in postcard. `manifest.json` names every file with its monitor, labels, times and SHA-256.
//! What does not fit is refused by name and the series is fitted anew; nothing is guessed.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::analysis::detect::{FORMAT_VERSION, Model};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::monitor::Monitor;
use crate::series::SeriesKey;

const MAGIC: &[u8] = b"BELLWETHER-MODEL\n";
const MANIFEST: &str = "manifest.json";
/// A model of two weeks' minutes has 100 KB.
const LARGEST_FILE: u64 = 16 << 20;
const LARGEST_MANIFEST: u64 = 64 << 20;

/// What the manifest says of all files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// The format of this manifest and of the files.
    format_version: u32,
    /// By file name.
    models: BTreeMap<String, Entry>,
}

/// What the manifest says of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    monitor: String,
    query: String,
    step: crate::clock::DurationMs,
    labels: SeriesKey,
    trained_from: String,
    trained_until: String,
    sha256: String,
}

/// The folder of fitted models.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    manifest: Manifest,
}

/// The models of one monitor, and what was refused.
#[derive(Debug, Default)]
pub struct Loaded {
    /// By series.
    pub models: BTreeMap<SeriesKey, Model>,
    /// Each refused file by name, and why.
    pub refused: Vec<(String, String)>,
}

impl ModelFolder {
    /// Opens the folder, which is made when it is not there. The second value names what was refused: a manifest that
    /// cannot be used, after which every model is fitted anew, and files that the manifest does not know.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>)> {
        std::fs::create_dir_all(path).map_err(|e| failed("make the folder", path, e))?;
        let file = path.join(MANIFEST);
        let (manifest, refused) = match read_bounded(&file, LARGEST_MANIFEST) {
            Ok(bytes) => match serde_json::from_slice::<Manifest>(&bytes) {
                Ok(manifest) if manifest.format_version == FORMAT_VERSION => (manifest, None),
                Ok(manifest) => (
                    Manifest::default(),
                    Some(format!("{}: format version {}, this release reads {FORMAT_VERSION}", file.display(), manifest.format_version)),
                ),
                Err(error) => (Manifest::default(), Some(format!("{}: {error}", file.display()))),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => (Manifest::default(), None),
            Err(error) => return Err(failed("read", &file, error)),
        };
        let mut refused: Vec<String> = refused.into_iter().collect();
        if refused.is_empty() {
            refused.extend(strangers(path, &manifest)?);
        }
        Ok((Self { path: path.to_owned(), manifest: Manifest { format_version: FORMAT_VERSION, ..manifest } }, refused))
    }

    /// The models of `monitor` that were fitted for the same query and step. What is refused is forgotten.
    pub fn load(&mut self, monitor: &Monitor) -> Loaded {
        let mut loaded = Loaded::default();
        for (name, entry) in self.manifest.models.iter().filter(|(_, entry)| entry.monitor == monitor.name) {
            if entry.query != monitor.query || entry.step != monitor.step {
                loaded.refused.push((name.clone(), "fitted for another query or step".to_owned()));
                continue;
            }
            match self.read(name, entry) {
                Ok(model) => drop(loaded.models.insert(entry.labels.clone(), model)),
                Err(reason) => loaded.refused.push((name.clone(), reason)),
            }
        }
        for (name, _) in &loaded.refused {
            self.manifest.models.remove(name);
        }
        loaded
    }

    /// Keeps models of `monitor`. The files are written first and the manifest last, each to a new file that then
    /// takes the old one's place, so that a crash leaves the old or the new and nothing between.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(&mut self, monitor: &Monitor, models: &[(SeriesKey, &Model)]) -> Result<()> {
        for (key, model) in models {
            let name = format!("{}-{}.model", monitor.name, key.fingerprint());
            let body = postcard::to_stdvec(&(key, model)).map_err(|e| Error::new(Code::Internal, "cannot encode a model").caused_by(e))?;
            let bytes = [MAGIC, &FORMAT_VERSION.to_le_bytes(), &body].concat();
            replace(&self.path.join(&name), &bytes)?;
            let entry = Entry {
                monitor: monitor.name.clone(),
                query: monitor.query.clone(),
                step: monitor.step,
                labels: (*key).clone(),
                trained_from: model.trained_from.to_string(),
                trained_until: model.trained_until.to_string(),
                sha256: digest(&bytes),
            };
            self.manifest.models.insert(name, entry);
        }
        self.write_manifest()
    }

    /// Deletes every model that was last trained before `before`: its series is gone, or is fitted anew all the time.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn prune(&mut self, before: Timestamp) -> Result<usize> {
        let old = |entry: &Entry| entry.trained_until.parse::<Timestamp>().is_ok_and(|t| t < before);
        let names: Vec<String> = self.manifest.models.iter().filter(|(_, e)| old(e)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.manifest.models.remove(name);
            match std::fs::remove_file(self.path.join(name)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed("delete", &self.path.join(name), e)),
                _ => {}
            }
        }
        if !names.is_empty() {
            self.write_manifest()?;
        }
        Ok(names.len())
    }

    fn write_manifest(&self) -> Result<()> {
        let text =
            serde_json::to_vec_pretty(&self.manifest).map_err(|e| Error::new(Code::Internal, "cannot encode the manifest").caused_by(e))?;
        replace(&self.path.join(MANIFEST), &text)
    }

    fn read(&self, name: &str, entry: &Entry) -> Result<Model, String> {
        // A name from the manifest stays inside the folder.
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err("not a file name".to_owned());
        }
        let bytes = read_bounded(&self.path.join(name), LARGEST_FILE).map_err(|e| e.to_string())?;
        let rest = bytes.strip_prefix(MAGIC).ok_or("not a Bellwether model")?;
        let (version, body) = rest.split_first_chunk::<4>().ok_or("cut short")?;
        let version = u32::from_le_bytes(*version);
        if version != FORMAT_VERSION {
            return Err(format!("format version {version}, this release reads {FORMAT_VERSION}"));
        }
        if digest(&bytes) != entry.sha256 {
            return Err("its SHA-256 is not the manifest's".to_owned());
        }
        let (key, model): (SeriesKey, Model) = postcard::from_bytes(body).map_err(|e| e.to_string())?;
        if key != entry.labels || model.step != entry.step {
            return Err("it holds another series".to_owned());
        }
        if model.is_sound() { Ok(model) } else { Err("its numbers make no sense".to_owned()) }
    }
}

/// The model files of `folder` that `manifest` does not know, each with what is wrong with it.
fn strangers(folder: &Path, manifest: &Manifest) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(|e| failed("read", folder, e))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let unknown = names.filter(|name| Path::new(name).extension().is_some_and(|e| e == "model") && !manifest.models.contains_key(name));
    let mut unknown: Vec<String> = unknown.map(|name| format!("{name}: the manifest does not know it")).collect();
    unknown.sort();
    Ok(unknown)
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let size = std::fs::metadata(path)?.len();
    if size > most {
        return Err(std::io::Error::new(ErrorKind::InvalidData, format!("{size} bytes; at most {most} are read")));
    }
    std::fs::read(path)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = std::fs::File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|e| failed("write", path, e))
}

fn failed(what: &str, path: &Path, cause: std::io::Error) -> Error {
    Error::new(Code::Unavailable, format!("cannot {what} {}", path.display())).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DurationMs;
    use crate::series::Window;

    fn monitor() -> Monitor {
        Monitor { name: "latency".to_owned(), query: "up".to_owned(), ..Monitor::ad_hoc(DurationMs::from_secs(60), None) }
    }

    fn key(service: &str) -> SeriesKey {
        SeriesKey::new([("service".to_owned(), service.to_owned())])
    }

    fn model() -> Model {
        let values = (0..500).map(|i| f64::from(i % 7) + f64::from(i * 37 % 101) / 50.0).collect();
        Model::fit(&Window::new(Timestamp::from_millis(1_700_000_000_000), DurationMs::from_secs(60), values).unwrap()).unwrap()
    }

    /// A folder with the models of `cart` and `web`, and the path of cart's.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (mut folder, refused) = ModelFolder::open(dir.path()).unwrap();
        assert!(refused.is_empty());
        folder.save(&monitor(), &[(key("cart"), &model()), (key("web"), &model())]).unwrap();
        let path = dir.path().join(format!("latency-{}.model", key("cart").fingerprint()));
        (dir, path)
    }

    fn load(dir: &Path, monitor: &Monitor) -> Loaded {
        ModelFolder::open(dir).unwrap().0.load(monitor)
    }

    /// What is refused once cart's file holds `bytes`.
    fn refused_with(change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
        let (dir, path) = folder();
        std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
        let loaded = load(dir.path(), &monitor());
        assert_eq!(loaded.models.keys().collect::<Vec<_>>(), [&key("web")], "the other is fine");
        let [(name, reason)] = loaded.refused.as_slice() else { panic!("{:?}", loaded.refused) };
        assert_eq!(*name, format!("latency-{}.model", key("cart").fingerprint()));
        reason.clone()
    }

    #[test]
    fn models_are_found_again() {
        let (dir, _) = folder();
        let loaded = load(dir.path(), &monitor());
        assert!(loaded.refused.is_empty());
        assert_eq!(loaded.models[&key("cart")], model());
        assert!(load(dir.path(), &Monitor { name: "other".to_owned(), ..monitor() }).models.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        insta::assert_snapshot!(refused_with(|_| b"PNG and so on".to_vec()), @"not a Bellwether model");
        insta::assert_snapshot!(refused_with(|b| b[..MAGIC.len() + 2].to_vec()), @"cut short");
        insta::assert_snapshot!(refused_with(|mut b| { b[MAGIC.len()] = 9; b }), @"format version 9, this release reads 5");
        insta::assert_snapshot!(refused_with(|mut b| { *b.last_mut().unwrap() ^= 1; b }), @"its SHA-256 is not the manifest's");
        insta::assert_snapshot!(refused_with(|b| b[..b.len() - 1].to_vec()), @"its SHA-256 is not the manifest's");
    }

    #[test]
    fn a_missing_file_or_another_query_is_refused() {
        let (dir, path) = folder();
        std::fs::remove_file(path).unwrap();
        assert_eq!(load(dir.path(), &monitor()).refused.len(), 1);
        let changed = Monitor { query: "down".to_owned(), ..monitor() };
        assert!(load(dir.path(), &changed).models.is_empty());
    }

    #[test]
    fn a_manifest_that_cannot_be_used_is_named() {
        let (dir, _) = folder();
        for text in ["", "[]", "{\"format_version\": 1}", "{\"format_version\": 99, \"models\": {}}"] {
            std::fs::write(dir.path().join(MANIFEST), text).unwrap();
            let (mut folder, refused) = ModelFolder::open(dir.path()).unwrap();
            assert!(refused[0].contains(MANIFEST));
            assert!(folder.load(&monitor()).models.is_empty());
        }
    }

    #[test]
    fn a_file_that_the_manifest_does_not_know_is_named() {
        let (dir, _) = folder();
        std::fs::write(dir.path().join("stray.model"), "?").unwrap();
        assert_eq!(ModelFolder::open(dir.path()).unwrap().1, ["stray.model: the manifest does not know it"]);
    }

    #[test]
    fn old_models_are_deleted() {
        let (dir, path) = folder();
        let mut folder = ModelFolder::open(dir.path()).unwrap().0;
        assert_eq!(folder.prune(model().trained_until).unwrap(), 0);
        assert_eq!(folder.prune(model().trained_until + DurationMs::DAY).unwrap(), 2);
        assert!(!path.exists() && load(dir.path(), &monitor()).models.is_empty());
    }
}
