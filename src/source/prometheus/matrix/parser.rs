//! The machine that reads one answer, token by token.

use std::borrow::Cow;

use super::super::json::{self, Token};
use super::place::{Expect, Place};
use super::{Fault, Grid, Limits, Matrix};
use crate::clock::Timestamp;
use crate::series::SeriesKey;

/// The longest single text, such as a label value: 256 KiB.
const MOST_TOKEN: usize = 256 << 10;
/// The deepest nesting; the answer itself needs six.
const MOST_DEPTH: usize = 64;
/// The most warnings kept.
const MOST_NOTES: usize = 100;

/// The series that is being read.
#[derive(Debug, Default)]
struct Current {
    labels: Vec<(String, String)>,
    values: Vec<f64>,
    points: u64,
    histograms: bool,
}

/// Reads one answer in chunks of any size.
#[derive(Debug)]
pub struct Parser {
    grid: Grid,
    limits: Limits,
    /// The beginning of a token whose end has not arrived.
    rest: Vec<u8>,
    /// Bytes consumed so far; the offset of `rest`.
    consumed: u64,
    /// Bytes fed so far.
    fed: u64,
    /// The arrays (true) and objects (false) that are open.
    open: Vec<(Place, bool)>,
    expect: Expect,
    /// What the next value is for.
    place: Place,
    label: String,
    time: i64,
    value: f64,
    /// The instant and the place that follow the last sample: where the next one nearly always is.
    next: (i64, usize),
    current: Current,
    status: String,
    error: (String, String),
    is_matrix: bool,
    matrix: Matrix,
}

impl Parser {
    /// A reader of one answer on `grid` within `limits`.
    pub fn new(grid: Grid, limits: Limits) -> Self {
        Self {
            grid,
            limits,
            rest: Vec::new(),
            consumed: 0,
            fed: 0,
            open: Vec::new(),
            expect: Expect::Value,
            place: Place::Answer,
            label: String::new(),
            time: 0,
            value: f64::NAN,
            next: (i64::MIN, 0),
            current: Current::default(),
            status: String::new(),
            error: Default::default(),
            is_matrix: false,
            matrix: Matrix::default(),
        }
    }

    /// Reads the next bytes of the answer.
    ///
    /// # Errors
    /// The answer is malformed or over a limit.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        self.fed += chunk.len() as u64;
        if self.fed > self.limits.most_bytes {
            return Err(Fault::TooLarge(format!("more than {} bytes in one answer", self.limits.most_bytes)));
        }
        let mut rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            let used = self.consume(chunk)?;
            rest.extend_from_slice(&chunk[used..]);
        } else {
            rest.extend_from_slice(chunk);
            let used = self.consume(&rest)?;
            rest.drain(..used);
        }
        self.rest = rest;
        if self.rest.len() > MOST_TOKEN {
            return Err(self.malformed(format!("a text of more than {MOST_TOKEN} bytes")));
        }
        Ok(())
    }

    /// The whole answer, after its last byte.
    ///
    /// # Errors
    /// The answer ends early, is no matrix, or is the report of an error.
    pub fn finish(mut self) -> Result<Matrix, Fault> {
        self.consumed += self.rest.len() as u64;
        if self.expect != Expect::Nothing || !self.rest.is_empty() {
            return Err(self.malformed("the answer ends early".to_owned()));
        }
        match self.status.as_str() {
            "success" if self.is_matrix => Ok(self.matrix),
            "success" => Err(self.malformed("no `resultType`".to_owned())),
            "error" => Err(Fault::Refused { kind: self.error.0, message: self.error.1 }),
            "" => Err(self.malformed("no `status`".to_owned())),
            other => Err(self.malformed(format!("`status` is `{other}`, neither `success` nor `error`"))),
        }
    }

    fn malformed(&self, what: String) -> Fault {
        Fault::Malformed { at: self.consumed, what }
    }

    /// Reads the tokens that are whole and says how many bytes they took.
    fn consume(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let begin = self.consumed;
        let mut at = 0;
        loop {
            if self.place == Place::Sample && matches!(self.expect, Expect::Value | Expect::ValueOrEnd) {
                at += self.samples(&bytes[at..]);
            }
            at += json::white_space(&bytes[at..]);
            self.consumed = begin + at as u64;
            match json::token(&bytes[at..]) {
                Ok(Some((token, len))) => {
                    self.take(token)?;
                    at += len;
                }
                Ok(None) => return Ok(at),
                Err(what) => return Err(self.malformed(what)),
            }
        }
    }

    /// The short way for samples as Prometheus writes them; what is cut or written otherwise is left to the tokens.
    fn samples(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some((ms, value, len)) = sample(&bytes[at..]) {
            self.put(ms, value);
            at += len;
            if bytes.get(at) != Some(&b',') {
                self.expect = Expect::CommaOrEnd;
                break;
            }
            at += 1;
            self.expect = Expect::Value;
        }
        at
    }

    fn put(&mut self, ms: i64, value: f64) {
        let place = if ms == self.next.0 { Some(self.next.1).filter(|place| *place < self.grid.len) } else { self.grid.place(ms) };
        if let Some(place) = place {
            if self.current.values.is_empty() {
                self.current.values = vec![f64::NAN; self.grid.len];
            }
            self.current.values[place] = value;
            self.current.points += 1;
            self.next = (ms.saturating_add(self.grid.step.millis()), place + 1);
        }
    }

    fn take(&mut self, token: Token) -> Result<(), Fault> {
        let in_array = self.open.last().is_some_and(|(_, array)| *array);
        match (self.expect, token) {
            (Expect::Value | Expect::ValueOrEnd, Token::ObjectStart) => self.begin(false),
            (Expect::Value | Expect::ValueOrEnd, Token::ArrayStart) => self.begin(true),
            (Expect::Value | Expect::ValueOrEnd, Token::String(_) | Token::Number(_) | Token::Bool | Token::Null) => self.scalar(token),
            (Expect::Key | Expect::KeyOrEnd, Token::String(raw)) => self.key(raw),
            (Expect::ValueOrEnd | Expect::CommaOrEnd, Token::ArrayEnd) if in_array => self.end(),
            (Expect::KeyOrEnd | Expect::CommaOrEnd, Token::ObjectEnd) if !in_array => self.end(),
            (Expect::Colon, Token::Colon) => {
                self.expect = Expect::Value;
                Ok(())
            }
            (Expect::CommaOrEnd, Token::Comma) => {
                self.expect = if in_array { Expect::Value } else { Expect::Key };
                Ok(())
            }
            (expect, token) => {
                let wanted = match expect {
                    Expect::Value | Expect::ValueOrEnd => self.place.name(),
                    Expect::Key | Expect::KeyOrEnd => "a key",
                    Expect::Colon => "`:`",
                    Expect::CommaOrEnd if in_array => "`,` or `]`",
                    Expect::CommaOrEnd => "`,` or `}`",
                    Expect::Nothing => "the end",
                };
                Err(self.malformed(format!("{} where {wanted} belongs", token.name())))
            }
        }
    }

    fn text<'a>(&self, raw: &'a [u8]) -> Result<Cow<'a, str>, Fault> {
        json::text(raw).map_err(|what| self.malformed(what.to_owned()))
    }

    fn key(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let object = self.open.last().map_or(Place::Ignored, |(place, _)| *place);
        self.place = match (object, raw) {
            (Place::Answer, b"status") => Place::Status,
            (Place::Answer, b"data") => Place::Data,
            (Place::Answer, b"errorType") => Place::ErrorKind,
            (Place::Answer, b"error") => Place::ErrorText,
            (Place::Answer, b"warnings" | b"infos") => Place::Notes,
            (Place::Data, b"resultType") => Place::ResultType,
            (Place::Data, b"result") => Place::Result,
            (Place::Series, b"metric") => Place::Metric,
            (Place::Series, b"values") => Place::Values,
            (Place::Series, b"histograms") => Place::Histograms,
            (Place::Metric, name) => {
                self.label = self.text(name)?.into_owned();
                Place::Label
            }
            _ => Place::Ignored,
        };
        self.expect = Expect::Colon;
        Ok(())
    }

    fn begin(&mut self, array: bool) -> Result<(), Fault> {
        let place = match (self.place, array) {
            (Place::Answer | Place::Data | Place::Metric, false)
            | (Place::Notes | Place::Result | Place::Values | Place::Sample, true)
            | (Place::Ignored, _) => self.place,
            (Place::Series, false) => {
                self.begin_series()?;
                Place::Series
            }
            (Place::Histograms, true) => {
                self.current.histograms = true;
                Place::Ignored
            }
            (place, _) => {
                let found = if array { "a list" } else { "an object" };
                return Err(self.malformed(format!("{found} where {} belongs", place.name())));
            }
        };
        if self.open.len() >= MOST_DEPTH {
            return Err(self.malformed(format!("nested more than {MOST_DEPTH} deep")));
        }
        self.open.push((place, array));
        self.place = place.element();
        self.expect = if array { Expect::ValueOrEnd } else { Expect::KeyOrEnd };
        Ok(())
    }

    fn scalar(&mut self, token: Token) -> Result<(), Fault> {
        match (self.place, token) {
            (Place::Status, Token::String(raw)) => self.status = self.text(raw)?.into_owned(),
            (Place::ErrorKind, Token::String(raw)) => self.error.0 = self.text(raw)?.into_owned(),
            (Place::ErrorText, Token::String(raw)) => self.error.1 = self.text(raw)?.into_owned(),
            (Place::ResultType, Token::String(b"matrix")) => self.is_matrix = true,
            (Place::ResultType, Token::String(raw)) => {
                let found = self.text(raw)?;
                return Err(self.malformed(format!("`resultType` is `{found}`; a range query gives a `matrix`")));
            }
            (Place::Note, Token::String(raw)) => {
                let note = self.text(raw)?;
                let kept = &mut self.matrix.warnings;
                if kept.len() < MOST_NOTES && !kept.iter().any(|k| **k == note) {
                    kept.push(note.into_owned());
                }
            }
            (Place::Label, Token::String(raw)) => {
                let value = self.text(raw)?.into_owned();
                self.current.labels.push((std::mem::take(&mut self.label), value));
            }
            (Place::Time, Token::Number(text)) => {
                let time = json::float(text.as_bytes()).and_then(Timestamp::from_seconds);
                self.time = time.ok_or_else(|| self.malformed(format!("a sample's time of `{text}` seconds")))?.millis();
                self.place = Place::Value;
            }
            (Place::Value, Token::String(raw)) => {
                let text = self.text(raw)?;
                self.value = json::float(text.as_bytes())
                    .ok_or_else(|| self.malformed(format!("a sample's value of `{}`", text.chars().take(40).collect::<String>())))?;
                self.place = Place::Surplus;
            }
            // Go writes an empty list or map as null.
            (Place::Data | Place::Result | Place::Notes | Place::Metric | Place::Values | Place::Histograms, Token::Null)
            | (Place::Ignored, _) => {}
            (place, token) => return Err(self.malformed(format!("{} where {} belongs", token.name(), place.name()))),
        }
        self.expect = Expect::CommaOrEnd;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.open.pop() {
            Some((Place::Sample, _)) if self.place == Place::Surplus => self.put(self.time, self.value),
            Some((Place::Sample, _)) => return Err(self.malformed(format!("`]` where {} belongs", self.place.name()))),
            Some((Place::Series, _)) => self.end_series(),
            _ => {}
        }
        match self.open.last() {
            Some((place, _)) => {
                self.place = place.element();
                self.expect = Expect::CommaOrEnd;
            }
            None => self.expect = Expect::Nothing,
        }
        Ok(())
    }

    fn begin_series(&mut self) -> Result<(), Fault> {
        let Limits { most_series, most_points, .. } = self.limits;
        let count = self.matrix.series.len() + 1;
        if count > most_series {
            return Err(Fault::TooLarge(format!("more than {most_series} series (most_series)")));
        }
        if count.saturating_mul(self.grid.whole) > most_points {
            return Err(Fault::TooLarge(format!(
                "more than {most_points} points (most_points): {count} series or more of {} steps",
                self.grid.whole
            )));
        }
        self.current = Current::default();
        self.next = (i64::MIN, 0);
        Ok(())
    }

    fn end_series(&mut self) {
        let Current { labels, mut values, points, histograms } = std::mem::take(&mut self.current);
        self.matrix.histograms += usize::from(histograms);
        if histograms && points == 0 {
            return;
        }
        values.resize(self.grid.len, f64::NAN);
        self.matrix.points += points;
        self.matrix.series.push((SeriesKey::new(labels), values));
    }
}

/// A sample such as `[1700000000.123,"0.5"]` at the front of `bytes`: its time in milliseconds, its value
/// and its length. `None` for anything else.
fn sample(bytes: &[u8]) -> Option<(i64, f64, usize)> {
    let digit = |at: usize| bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10).map(i64::from);
    if !matches!(bytes, [b'[', b'1'..=b'9', ..]) {
        return None;
    }
    let (mut at, mut ms) = (1, 0);
    while let Some(d) = digit(at) {
        ms = ms * 10 + d;
        at += 1;
        if at > 12 {
            return None;
        }
    }
    ms *= 1000;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        ms += digit(at)? * 100;
        at += 1;
        for weight in [10, 1] {
            if let Some(d) = digit(at) {
                ms += d * weight;
                at += 1;
            }
        }
    }
    let text = bytes.get(at..)?.strip_prefix(b",\"")?;
    let len = text.iter().take(32).position(|b| *b == b'"')?;
    let value = json::float(&text[..len])?;
    at += 2 + len + 1;
    (bytes.get(at) == Some(&b']')).then_some((ms, value, at + 1))
}
