//! Links by which feedback is given from wherever an alert is read: signed, and good for a time.
//!
//! A link names its incident and when it expires, and carries an HMAC-SHA256 (RFC 2104) of both. Whoever has it may give
//! verdicts on that one incident until then, and nothing else.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::clock::{DurationMs, Timestamp};
use crate::error::{Code, Error, Result};
use crate::incident::Incident;

/// Where the key is kept that is made when none is given.
const KEY_FILE: &str = "feedback.key";
/// The fewest bytes of a secret.
pub const LEAST_SECRET: usize = 16;
/// How long a link is good.
pub const EXPIRE: DurationMs = DurationMs::from_millis(7 * DurationMs::DAY.millis());

/// How links are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that holds the secret; one is made and kept where there is none.
    pub secret_file: Option<PathBuf>,
    /// How long a link is good, at least.
    pub expire: DurationMs,
}

impl Default for Config {
    fn default() -> Self {
        Self { secret_file: None, expire: EXPIRE }
    }
}

impl Config {
    /// The signer. A key that has to be made is kept in `folder`, for the owner's eyes only.
    ///
    /// # Errors
    /// The file cannot be read or written, or what it holds is too short.
    pub fn build(&self, folder: &Path) -> Result<Links> {
        let path = self.secret_file.clone().unwrap_or_else(|| folder.join(KEY_FILE));
        let failed = |e: std::io::Error| Error::invalid("feedback.secret_file", format!("cannot use {}", path.display())).caused_by(e);
        if self.secret_file.is_none() && !path.exists() {
            make_key(&path).map_err(failed)?;
        }
        let secret = std::fs::read_to_string(&path).map_err(failed)?;
        let secret = secret.trim();
        if secret.len() < LEAST_SECRET {
            let what = format!("{} holds {} bytes; a secret has at least {LEAST_SECRET}", path.display(), secret.len());
            return Err(Error::invalid("feedback.secret_file", what));
        }
        Ok(Links::new(secret.as_bytes(), self.expire))
    }
}

/// Writes 32 random bytes as hexadecimal digits; there all at once or not at all.
fn make_key(path: &Path) -> std::io::Result<()> {
    let unfinished = path.with_extension("key.new");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(hex::encode(rand::random::<[u8; 32]>()).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(unfinished, path)
}

/// Signs links and knows them again; cheap to clone.
#[derive(Clone)]
pub struct Links {
    mac: Hmac<Sha256>,
    expire: DurationMs,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("expire", &self.expire).finish_non_exhaustive()
    }
}

impl Links {
    /// Signs with `secret`; a link is good for `expire` at least.
    pub fn new(secret: &[u8], expire: DurationMs) -> Self {
        // A key of a whole block, as the standard makes it of any other.
        let mut block = [0; 64];
        let long = secret.len() > block.len();
        let key = if long { Sha256::digest(secret).to_vec() } else { secret.to_vec() };
        block.iter_mut().zip(key).for_each(|(place, byte)| *place = byte);
        Self { mac: Hmac::new(&block.into()), expire }
    }

    /// The link to give feedback on `incident` by, on the pages at `external_url`. It depends on the incident alone and
    /// stays the same for half of the time that it is good, so that an alert is not sent anew for its sake.
    pub fn url(&self, external_url: &str, incident: &Incident) -> String {
        let half = (self.expire.millis() / 2).max(1);
        let halves = incident.updated.since(incident.started).millis() / half;
        let until = incident.started + DurationMs::from_millis(halves * half) + self.expire;
        let id = super::compose::path_segment(&incident.id);
        format!("{}/feedback/{id}.{}", external_url.trim_end_matches('/'), self.seal(&incident.id, until.millis() / 1000))
    }

    /// The incident that the last part of a link names, at `now`.
    ///
    /// # Errors
    /// It is none of ours ([`Code::NotFound`]), or has expired ([`Code::FailedPrecondition`]).
    pub fn read(&self, token: &str, now: Timestamp) -> Result<String> {
        let unknown = || Error::new(Code::NotFound, "there is no such link; it may have been cut short on its way here");
        let mut parts = token.rsplitn(3, '.');
        let (Some(seal), Some(until), Some(id)) = (parts.next(), parts.next(), parts.next()) else { return Err(unknown()) };
        let seconds: i64 = until.parse().map_err(|_| unknown())?;
        let seal = hex::decode(seal).map_err(|_| unknown())?;
        // Takes the same time wherever it differs.
        self.over(id, until).verify_slice(&seal).map_err(|_| unknown())?;
        let until = Timestamp::from_millis(seconds.saturating_mul(1000));
        if now >= until {
            let when = until.in_words();
            return Err(Error::new(Code::FailedPrecondition, format!("this link was good until {when}; open the page of {id} instead")));
        }
        Ok(id.to_owned())
    }

    fn seal(&self, id: &str, until: i64) -> String {
        let until = until.to_string();
        format!("{until}.{}", hex::encode(self.over(id, &until).finalize().into_bytes()))
    }

    fn over(&self, id: &str, until: &str) -> Hmac<Sha256> {
        // The length keeps one text from being read as two others.
        self.mac.clone().chain_update(format!("feedback/1/{}/{id}/{until}", id.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn incident(id: &str, minutes: i64) -> Incident {
        let mut incident: Incident = serde_json::from_str(include_str!("../../tests/fixtures/incident.json")).unwrap();
        incident.id = id.to_owned();
        incident.updated = incident.started + DurationMs::from_secs(60) * minutes;
        incident
    }

    fn token(links: &Links, incident: &Incident) -> String {
        links.url("https://b.example/", incident).strip_prefix("https://b.example/feedback/").unwrap().to_owned()
    }

    #[test]
    fn a_link_is_good_for_its_incident_and_its_time() {
        let links = Links::new(b"a secret of some length", EXPIRE);
        let mine = incident("inc-0123456789ab", 0);
        let link = token(&links, &mine);
        let at = |d: DurationMs| mine.started + d;
        assert_eq!(links.read(&link, at(EXPIRE) - DurationMs::from_secs(1)).unwrap(), mine.id);
        assert_eq!(links.read(&link, at(EXPIRE)).unwrap_err().code, Code::FailedPrecondition);
        for wrong in [
            link.replace("0123456789ab", "0123456789ac"),
            link.replace(".1", ".2"),
            link[..link.len() - 1].to_owned(),
            format!("{link}0"),
            link.to_uppercase(),
            token(&Links::new(b"another secret of some length", EXPIRE), &mine),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(links.read(&wrong, at(DurationMs::ZERO)).unwrap_err().code, Code::NotFound, "{wrong}");
        }
    }

    #[test]
    fn an_alert_keeps_its_link_and_a_long_incident_gets_another_in_time() {
        let links = Links::new(b"a secret of some length", EXPIRE);
        let all: Vec<String> = (0..20 * 24).map(|hour| token(&links, &incident("i", hour * 60))).collect();
        let mut different = all.clone();
        different.dedup();
        assert_eq!(different.len(), 6, "one for each half week");
        for (hour, link) in (0..).zip(&all) {
            let now = incident("i", hour * 60).updated;
            assert!(links.read(link, now + DurationMs::DAY * 3).is_ok(), "{hour}");
        }
    }

    #[test]
    fn a_key_is_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let links = Config::default().build(folder.path()).unwrap();
        let key = folder.path().join(KEY_FILE);
        let secret = std::fs::read_to_string(&key).unwrap();
        assert_eq!(secret.len(), 64);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions()) & 0o777, 0o600);
        let again = Config::default().build(folder.path()).unwrap();
        assert_eq!(token(&links, &incident("i", 0)), token(&again, &incident("i", 0)));
        assert!(!format!("{links:?}").contains(&secret));
        std::fs::write(&key, "short").unwrap();
        assert_eq!(Config::default().build(folder.path()).unwrap_err().violations[0].field, "feedback.secret_file");
    }

    #[test]
    fn the_code_is_that_of_the_standard() {
        // RFC 4231, test case 2.
        let mac = Links::new(b"Jefe", EXPIRE).mac.chain_update("what do ya want for nothing?").finalize().into_bytes();
        assert_eq!(hex::encode(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    proptest! {
        #[test]
        fn any_id_reads_back_and_any_text_is_refused(id in "[a-z0-9.-]{1,30}", text in "\\PC{0,120}") {
            let links = Links::new(b"a secret of some length", EXPIRE);
            let mine = incident(&id, 0);
            prop_assert_eq!(links.read(&token(&links, &mine), mine.started).unwrap(), id);
            prop_assert!(links.read(&text, mine.started).is_err());
        }
    }
}
